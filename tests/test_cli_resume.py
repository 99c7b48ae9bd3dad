"""`asapnb resume`."""

import json

import pytest
from commands import call
from problems import quadratic, train
from test_cli import FLAGS

from asapnb import load_run


@pytest.fixture
def path(tmp_path):
    """A file of 100 updates: one epoch."""
    assert call("train", *FLAGS, "--epochs", 1, "--quiet", "-o", tmp_path / "run.h5").exit_code == 0
    return tmp_path / "run.h5"


def test_what_is_shown(path):
    result = call("resume", path, "--epochs", 3)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == f"resumed  {path}, finished"
    assert "on fashion-mnist-mini, 6,370 parameters, 5,000 samples" in lines[1]
    assert lines[4].endswith("batches of 50, 3 epochs")
    head = next(i for i, line in enumerate(lines) if "train loss" in line)
    run = load_run(path)
    shown = [line.split() for line in lines[head + 1 : head + 4]]
    assert [line[1] for line in shown] == ["1.00", "2.00", "3.00"]
    assert [line[3] for line in shown] == [f"{loss:.4f}" for loss in run.evals["train_loss"][1:]]
    assert "finished  300 updates in" in result.stdout
    assert f"{path} written" in lines[-1]


def test_quiet_and_json(path):
    result = call("resume", path, "--updates", 120, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    found = json.loads(call("resume", path, "--updates", 130, "--json").stdout)
    assert (found["status"], found["updates"], found["config"]["updates"]) == ("finished", 130, 130)
    assert [entry["version"] for entry in found["attributes"]["resumed"]] == [100, 120]
    assert "resumed  from update 100, from update 120" in call("show", path).stdout


def test_a_run_that_timed_out_says_how_to_go_on(tmp_path, a_second_per_version):
    path = tmp_path / "run.h5"
    text = call("train", *FLAGS, "--epochs", 10**6, "--max-seconds", 50, "-o", path).stdout
    assert f"To continue: asapnb resume {path} --max-seconds TOTAL" in text
    result = call("resume", path)
    assert result.exit_code == 2
    assert "max_seconds is 50: give a larger total, max_seconds (--max-seconds)" in result.stderr
    assert call("resume", path, "--max-seconds", 5000, "--quiet").exit_code == 0
    assert load_run(path).config["max_seconds"] == 5000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "has 100 updates, and the total is 100: give a larger total, epochs or updates (--epochs, --updates)"),
        (["--updates", 0], "updates is 0: must be an integer from 1"),
        (["--epochs", 2, "--updates", 200], "give one of them"),
        (["--epochs", "many"], "not a valid integer"),
    ],
)
def test_usage_errors(path, arguments, says):
    held = path.read_bytes()
    result = call("resume", path, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert path.read_bytes() == held


def test_what_is_no_run_or_needs_python(tmp_path):
    result = call("resume", tmp_path / "none.h5")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no run file" in result.stderr
    train(quadratic(), "lock-based", updates=9, out=tmp_path / "own.h5")
    result = call("resume", tmp_path / "own.h5", "--updates", 20)
    assert result.exit_code == 2
    assert "your own, custom(pull): build it in Python and pass it, as in asapnb.resume" in result.stderr
