"""Pages of the documentation, run: every code block, and every command, which must print what is shown.

A page's blocks run in order, in one namespace and one empty folder. A block that begins with `# name.py` or
`# name.toml` is also saved under that name. A block that begins with `# tests/name.py` is not run: it must stand in
that file, word for word. `make demo` is replaced by its recipe; other make targets and downloads need only exist.

A command that begins with `mpiexec -n 4` is carried out by the four ranks that tests have. Python that imports MPI is
for such a command, and only saved.
"""

import os
import re
import runpy
import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from asapnb.cli import main
from click.testing import CliRunner

from asapnb.data.catalogue import SOURCES

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ON_MPI = "mpiexec -n 4 "


def recipe(target):
    """The asapnb command in the Makefile's rule for a target."""
    command = re.search(rf"^{target}:.*\n\t\$\(BIN\)/(asapnb .*)", MAKEFILE, re.MULTILINE)[1]
    return command.replace("experiments/", f"{ROOT}/experiments/")


def run_command(command):
    """What a command prints; it must succeed. Those that fetch or install are looked up only."""
    name, *arguments = shlex.split(command, comments=True)
    if name == "make":
        (target,) = arguments
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
        return run_command(recipe(target)) if target == "demo" else ""
    if name != "asapnb":
        return ""
    if arguments[:2] == ["data", "get"]:
        assert arguments[2] in SOURCES
        return ""
    arguments = [re.sub(r"^experiments/", f"{ROOT}/experiments/", word) for word in arguments]
    if "fashion-mnist" in arguments:  # minutes, and not on every machine: its arguments must be right
        arguments = ["fashion-mnist-mini" if word == "fashion-mnist" else word for word in arguments]
        arguments[arguments.index("--epochs") + 1] = "1"
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "100"})
    assert result.exit_code == 0, (command, result.output, result.exception)
    return result.output


def run_as_rank(comm, folder, command):
    """What one rank prints, when each carries out a command of asapnb, or a script of Python, in this folder."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        if command.startswith("asapnb "):
            return run_command(command)
        script = command.removeprefix("python -m mpi4py ")
        with redirect_stdout(StringIO()) as out:
            runpy.run_path(script, run_name="__main__")
        return out.getvalue()
    finally:
        os.chdir(before)


def heads(text):
    """The first word of each line, for lines that begin with a word; a line with … stands for any."""
    return re.findall(r"^([A-Za-z]+(?= )).*", text, re.MULTILINE)


def run_console(text, ranks):
    """Run the lines after `$ `; each shown line of output must begin as a line of the actual output does."""
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", text, re.MULTILINE):
        if command.startswith(ON_MPI):
            printed = "".join(ranks().call(run_as_rank, os.getcwd(), command.removeprefix(ON_MPI)))
        else:
            printed = run_command(command)
        missing = set(heads(shown)) - set(heads(printed))
        assert not missing, (command, missing)


def run_page(page, ranks=None):
    """Run the blocks of a page, here: the working directory is where its files go.

    Args:
        page: its path in the repository.
        ranks: returns ranks of MPI (`mpi_runs.Ranks`), for a page that has commands for them.
    """
    namespace = {"__name__": "docs"}
    text = (ROOT / page).read_text()
    for block in BLOCK.finditer(text):
        language, code = block.groups()
        if quoted := re.match(r"# (tests/\w+\.py)\n", code):
            assert code[quoted.end() :] in (ROOT / quoted[1]).read_text(), f"this is not in {quoted[1]}:\n{code}"
            continue
        if saved := re.match(r"# (\w+\.(?:py|toml))\n", code):
            Path(saved[1]).write_text(code)
        if language == "python" and "from mpi4py import MPI" in code:
            assert f"{ON_MPI}python -m mpi4py {saved[1]}\n" in text
        elif language == "python":
            code = "\n" * text.count("\n", 0, block.start(2)) + code  # so that errors name the page's line
            exec(compile(code, page, "exec"), namespace)
        elif language == "console":
            run_console(code, ranks)
        elif language == "sh":
            for command in code.splitlines():
                run_command(command)
        else:
            assert language == "toml"
    return namespace
