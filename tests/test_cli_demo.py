"""`asapnb demo`, and `asapnb` alone: what a newcomer sees first."""

import json
import re
import sys

import numpy as np
import pytest
from asapnb.cli import demo, main
from click.testing import CliRunner

from asapnb import load_run, plots
from asapnb.errors import MissingExtraError

FILES = {"constant.h5", "inverse.h5", "tail.h5", "demo.png"}


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run a command in an empty folder; the demo is short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(demo.SETTINGS, "epochs", 3)

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [*arguments], env={"COLUMNS": "80"})
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_the_demo_compares_rules_on_one_execution(call, tmp_path):
    text = call("demo")
    assert {file.name for file in tmp_path.glob("runs/demo/*")} == FILES
    runs = {rule: load_run(f"runs/demo/{rule}.h5") for rule in demo.RULES}
    for run in runs.values():
        for column in ("worker", "tau", "batch", "read_version"):
            assert np.array_equal(run.updates[column], runs["constant"].updates[column])
    shown = {
        name: re.split(r" +", cells.strip())[:3] for name, cells in re.findall(r"^(.{14})(.*)$", text, re.MULTILINE)
    }
    facts = [run.summary() for run in runs.values()]
    assert shown["training loss "] == [f"{of['last']['train_loss']:.4f}" for of in facts]
    assert shown["sum of steps  "] == [f"{of['sum_of_steps']:,.1f}" for of in facts]
    assert shown["scale, τ = 0  "] == [f"{run.rule_tables.scales[-1][0]:.3f}" for run in runs.values()]
    assert f"add up to {facts[1]['sum_of_steps'] / facts[0]['sum_of_steps']:.0%}" in text
    assert max(map(len, text.splitlines())) <= 80

    before = {file: file.read_bytes() for file in tmp_path.glob("runs/demo/*")}
    again = call("demo", code=2)
    assert all(word in again for word in ("constant.h5 already exists", "demo --force", "-o DIR"))
    assert before == {file: file.read_bytes() for file in tmp_path.glob("runs/demo/*")}
    found = json.loads(call("demo", "--force", "--json", "-m", "3", "--seed", "7"))
    assert found["figure"].endswith("demo.png")
    assert [run["config"]["seed"] for run in found["runs"].values()] == [7, 7, 7]
    assert found["runs"]["tail"]["workers"] == 3


def test_without_matplotlib_the_demo_says_how_to_get_it(call, monkeypatch, tmp_path):
    def missing(*arguments):
        raise MissingExtraError("no Matplotlib")

    monkeypatch.setattr(plots.replays, "replays", missing)
    monkeypatch.setattr(sys, "argv", ["elsewhere/bin/asapnb"])
    text = call("demo", "-o", "here")
    assert {file.name for file in tmp_path.glob("here/*")} == FILES - {"demo.png"}
    assert 'elsewhere/bin/pip install "asapnb[plot]"' in text
    assert "elsewhere/bin/asapnb show here/tail.h5" in text
    (tmp_path / "file").touch()
    for folder in ("file", "file/below"):
        assert "file" in call("demo", "-o", folder, code=2)
    assert "2<=x<=64" in call("demo", "-m", "1", code=2)


def test_asapnb_alone_says_what_to_do_first(call):
    text = call()
    assert len(text.splitlines()) <= 12
    assert all(word in text for word in ("asapnb demo", "asapnb train", "asapnb show", "docs/", "asapnb --help"))
