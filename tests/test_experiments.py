"""The experiments: their sweeps can be read, the commands on their pages exist, their links lead somewhere."""

import json
import re
import runpy
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from asapnb.cli import main

from asapnb.sweep import load_sweep

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "experiments"
SWEEPS = [path for path in sorted(FOLDER.rglob("*.toml")) if "grid" in tomllib.loads(path.read_text())]
PAGES = [path for path in sorted(FOLDER.rglob("*.md")) if path.parent.name != "benchmarks"]
COMMAND = re.compile(r"^(?:[$#] +)?(asapnb (?:.*\\\n)*.*)", re.MULTILINE)


def short(paths):
    return [str(path.relative_to(FOLDER)) for path in paths]


@pytest.mark.parametrize("path", SWEEPS, ids=short(SWEEPS))
def test_a_sweep_can_be_read_and_says_its_own_command(path):
    points = load_sweep(path).points
    assert len({point.name for point in points}) == len(points) > 1
    assert f"asapnb sweep {path.relative_to(ROOT)}" in path.read_text()


@pytest.mark.parametrize("path", [*SWEEPS, *PAGES], ids=short([*SWEEPS, *PAGES]))
def test_commands_are_those_that_there_are(path):
    for command in COMMAND.findall(path.read_text().replace("#   asapnb", "asapnb")):
        name, *arguments = shlex.split(command.replace("\\\n", " "), comments=True)[1:]
        with click.Context(main, **main.context_settings) as context:
            made = main.get_command(context, name)
            made.make_context(name, list(arguments), parent=context)  # an unknown flag is an error
        if name == "sweep":
            assert (ROOT / arguments[0]).exists(), command


@pytest.mark.parametrize("path", PAGES, ids=short(PAGES))
def test_links_of_pages_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if not link.startswith("https://"):
            assert (path.parent / link.partition("#")[0] if link[0] != "#" else path).exists(), link


def test_every_experiment_is_on_the_list():
    listed = (FOLDER / "README.md").read_text()
    for page in PAGES:
        assert page.parent == FOLDER or f"]({page.parent.name}/README.md)" in listed, page


def test_every_contestant_of_the_field_runs(tmp_path, monkeypatch, capsys):
    """All of them on a small network; called again, it goes on, and makes a line that was cut off anew."""
    monkeypatch.syspath_prepend(FOLDER / "field")
    field = runpy.run_path(str(FOLDER / "field/field.py"))
    assert [field["search"](lambda k: abs(k - 5), start, 8) for start in (-9, -3, 5, 20)] == [-1, 5, 5, 12]
    main = field["main"]
    out = tmp_path / "quick.jsonl"
    monkeypatch.setattr("sys.argv", ["field.py", str(out), "--quick"])
    main()
    said, lines = capsys.readouterr().out, out.read_text().splitlines()
    out.write_text("\n".join(lines)[:-9])
    main()
    assert capsys.readouterr().out == said
    assert [json.loads(line) for line in out.read_text().splitlines()[len(lines) :]] == [json.loads(lines[-1])]
