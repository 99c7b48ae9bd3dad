"""Execute the notebooks beside this file and keep their outputs: `python docs/tutorials/execute.py [NAME…]`."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
LIMIT = 600  # seconds of a cell


def executed(path, folder):
    """The notebook in a file, executed in a folder; an error if a cell raises one."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=resources, record_timing=False)
    client.execute()
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


if __name__ == "__main__":
    import tempfile

    for file in sorted(HERE.glob("*.ipynb")):
        if not sys.argv[1:] or file.stem in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as place:
                nbformat.write(executed(file, place), file)
            print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
