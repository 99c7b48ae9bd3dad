"""README and docs say what is so: every code block runs, every command works and prints what is shown, links lead on.

The pages of docs/how-to/extending add something to asapnb, which their own tests take away again.
"""

import os
import re
import runpy
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from asapnb.cli import COMMANDS, DIVERGED, EXITS, FAILED, INTERRUPTED, USAGE, demo, main
from pages import ROOT, run_page
from sweeps import at_once

import asapnb
from asapnb.config import KINDS
from asapnb.config import keys as config_keys
from asapnb.signals import TERMINATING
from asapnb.sweep import run as sweeping


def named(page):
    """The path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


EXPERIMENTS = sorted(map(named, ROOT.glob("experiments/*/README.md")))
EXTENDING = sorted(set(map(named, ROOT.glob("docs/how-to/extending/*.md"))) - {"docs/how-to/extending/index.md"})
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    *sorted(set(map(named, ROOT.glob("docs/**/*.md"))) - set(EXTENDING)),
]
CONTENTS = runpy.run_path(str(ROOT / "docs/extensions/contents.py"))


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, tmp_path, monkeypatch, request):
    """In one process, with a short demo: sweeps have processes in tests/test_sweep_run.py, and CI makes the demo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(demo.SETTINGS, "epochs", 1)
    monkeypatch.setattr(sweeping, "in_processes", at_once)
    run_page(page, lambda: request.getfixturevalue("four"))


@pytest.mark.parametrize("page", EXTENDING)
def test_every_way_to_extend_is_tried(page):
    tests = "".join(file.read_text() for file in ROOT.glob("tests/test_extending_*.py"))
    assert page in tests or f'"{Path(page).stem}"' in tests
    most = {"docs/how-to/extending/scheme.md": 142}.get(page, 70)
    assert len((ROOT / page).read_text().splitlines()) <= most


def test_every_promise_has_the_figure_reached_and_names_the_test_that_holds_it():
    text = (ROOT / "docs/reliability.md").read_text().partition("## Campaigns")[0]
    rows = re.findall(r"^\| (?!promise|---)(.+?) \| (.+?) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) > 40
    for promise, _, figure, tests in rows:
        named = re.findall(r"tests/\w+\.py", tests)
        assert named, promise
        assert re.search(r"\d|n/a: ", figure), promise
        assert all((ROOT / test).is_file() for test in named), promise


@pytest.mark.parametrize("page", [*PAGES, *EXTENDING, *EXPERIMENTS])
def test_every_flag_that_is_named_exists(page):
    """Also in commands that are not carried out, such as those of a cluster."""
    text = (ROOT / page).read_text()
    for name, rest in re.findall(rf"\basapnb ({'|'.join(COMMANDS)})\b((?: [^`\n|]*)?)", text):
        command = main.get_command(click.Context(main), name)
        parts = [command, *getattr(command, "commands", {}).values()]
        known = {word for part in parts for option in part.params for word in (*option.opts, "--help")}
        assert set(re.findall(r"(?<= )--[a-z][a-z-]*", rest)) <= known, (name, rest)


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *EXTENDING])
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def contents(index, seen):
    """Add to `seen` the pages that the site lists below an index page."""
    seen.add(index)
    for _, entries in CONTENTS["groups"]((ROOT / index).read_text()):
        for _, entry in entries:
            page = named((ROOT / index).parent.joinpath(entry).resolve())
            if page.removesuffix(".md").endswith(CONTENTS["INDEXES"]):
                contents(page, seen)
            seen.add(page)
    return seen


def test_every_page_is_in_the_contents_of_the_site():
    assert "(docs/index.md)" in (ROOT / "README.md").read_text()
    pages = {*PAGES, *EXTENDING, *EXPERIMENTS, *map(named, ROOT.glob("docs/**/*.ipynb"))} - {"README.md"}
    assert pages - contents("docs/index.md", set()) == set()


def test_every_public_name_has_one_entry_in_the_api_reference():
    names = runpy.run_path(str(ROOT / "docs/extensions/names.py"))
    blocks = [block for page in names["PAGES"].glob("*.md") for block in names["BLOCK"].finditer(page.read_text())]
    entries = [full for block in blocks for full in names["entries"](block["module"], block["names"])]
    assert sorted(entries) == sorted(names["public"]())


def test_every_command_key_and_exit_code_is_in_the_reference():
    tables = runpy.run_path(str(ROOT / "docs/extensions/interfaces.py"))["TABLES"]
    commands, keys, codes = ("\n\n".join(tables[name]()) for name in ("commands", "keys", "exit-codes"))
    assert all(f"## asapnb {name}\n" in commands for name in COMMANDS)
    assert all(f"\n`{name}`\n: " in f"\n{keys}" for kind in KINDS for name in config_keys(kind))
    assert {FAILED, USAGE, DIVERGED, INTERRUPTED, *(128 + number for number in TERMINATING)} < set(EXITS)
    assert all(f"| {code} | {name} | " in codes for code, (name, _) in EXITS.items())


def test_what_is_cited_is_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == asapnb.__version__
    assert cited["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    page = (ROOT / "docs/citing.md").read_text().replace("{", "").replace("}", "")
    assert f"version = {asapnb.__version__}," in page
    assert all(work["title"] in page for work in cited["references"])


def test_the_run_file_page_names_every_column_and_dtype():
    from asapnb.record.schema import EVALS, MICROSCOPE, UPDATES, VIEWS

    page = (ROOT / "docs/reference/run-file.md").read_text()
    for name, (dtype, _) in UPDATES.fields.items():
        assert f"| `{name}` | {dtype} |" in page, name
    assert all(name in page for name in EVALS.names)
    assert all(f"`{name}`" in page or f"/{name}`" in page for name in (*MICROSCOPE.names, *VIEWS.names))


def test_every_attribute_of_a_run_is_documented(tmp_path):
    import asapnb as ab

    problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    run = ab.train(problem, workers=2, updates=5, target_loss=100.0, pin_workers=hasattr(os, "sched_setaffinity"))
    simulated = ab.simulate(problem, workers=2, updates=5, target_loss=100.0)
    page = (ROOT / "docs/reference/run-file.md").read_text()
    for made in (run, simulated, ab.replay(ab.train(problem, workers=2, updates=5))):
        assert [name for name in made.attributes if f"`{name}`" not in page] == []


def test_the_picture_is_small():
    assert (ROOT / "docs/images/demo.png").stat().st_size <= 150_000
