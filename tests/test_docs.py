"""README and docs say what is so: every code block runs, every command works and prints what is shown, links lead on.

A page's blocks run in order, in one namespace and one empty folder. A block that begins with `# name.py` or
`# name.toml` is also saved under that name. `make demo` is replaced by its recipe; other make targets and downloads
need only exist.
"""

import os
import re
import shlex
from pathlib import Path

import pytest
from asapnb.cli import main
from click.testing import CliRunner

from asapnb.data.catalogue import SOURCES

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(f"docs/{page.name}" for page in ROOT.glob("docs/*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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


def heads(text):
    """The first word of each line, for lines that begin with a word; a line with … stands for any."""
    return re.findall(r"^([A-Za-z]+(?= )).*", text, re.MULTILINE)


def run_console(text):
    """Run the lines after `$ `; each shown line of output must begin as a line of the actual output does."""
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", text, re.MULTILINE):
        missing = set(heads(shown)) - set(heads(run_command(command)))
        assert not missing, (command, missing)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "docs"}
    text = (ROOT / page).read_text()
    for block in BLOCK.finditer(text):
        language, code = block.groups()
        if saved := re.match(r"# (\w+\.(?:py|toml))\n", code):
            Path(saved[1]).write_text(code)
        if language == "python":
            code = "\n" * text.count("\n", 0, block.start(2)) + code  # so that errors name the page's line
            exec(compile(code, page, "exec"), namespace)
        elif language == "console":
            run_console(code)
        elif language == "sh":
            for command in code.splitlines():
                run_command(command)
        else:
            assert language == "toml"


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_page_is_reachable_from_the_readme():
    linked = set(re.findall(r"\]\(([^)\s#]+)", (ROOT / "README.md").read_text()))
    assert set(PAGES) - {"README.md"} <= linked


def test_the_run_file_page_names_every_column_and_dtype():
    from asapnb.record.schema import EVALS, MICROSCOPE, UPDATES, VIEWS

    page = (ROOT / "docs/run-file.md").read_text()
    for name, (dtype, _) in UPDATES.fields.items():
        assert f"| `{name}` | {dtype} |" in page, name
    assert all(name in page for name in EVALS.names)
    assert all(f"`{name}`" in page or f"/{name}`" in page for name in (*MICROSCOPE.names, *VIEWS.names))


def test_every_attribute_of_a_run_is_documented(tmp_path):
    import asapnb as ab

    problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    run = ab.train(problem, workers=2, updates=5, target_loss=100.0, pin_workers=hasattr(os, "sched_setaffinity"))
    simulated = ab.simulate(problem, workers=2, updates=5, target_loss=100.0)
    page = (ROOT / "docs/run-file.md").read_text()
    for made in (run, simulated, ab.replay(ab.train(problem, workers=2, updates=5))):
        assert [name for name in made.attributes if f"`{name}`" not in page] == []


def test_the_picture_is_small():
    assert (ROOT / "docs/images/demo.png").stat().st_size <= 150_000
