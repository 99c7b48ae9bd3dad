"""The notebooks of the documentation run, and the outputs that they are kept with are of their code."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SPEC = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
execute = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(execute)


def kinds(notebook):
    """What each cell of code shows, without the figures themselves."""
    return [
        [(one.output_type, one.get("name"), sorted(one.get("data", {}))) for one in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_and_shows_what_it_is_kept_with(file, tmp_path):
    kept = nbformat.read(file, as_version=4)
    assert kinds(execute.executed(file, tmp_path)) == kinds(kept)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_kept_small_and_whole(file):
    kept = nbformat.read(file, as_version=4)
    nbformat.validate(kept)
    first = kept.cells[0].source
    assert first.startswith("# ")
    assert 'pip install ".[plot]"' in first
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "all were run, in order"
    shown = [one for cell in code for one in cell.outputs]
    assert any("image/png" in one.get("data", {}) for one in shown)
    assert not any(one.get("name") == "stderr" for one in shown)
    assert file.stat().st_size < 200_000
    assert "/tmp" not in file.read_text(encoding="utf-8")


def test_the_pages_link_them():
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 3
    assert all(f"({file.name})" in index for file in NOTEBOOKS)
