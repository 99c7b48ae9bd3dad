"""`asapnb sweep`."""

import json

import pytest
from commands import call
from sweeps import OWN, at_once

from asapnb.sweep import load_manifest
from asapnb.sweep import run as running

SWEEP = """kind = "simulate"
repetitions = 2

[base]
problem = "quadratic([1, 10])"
updates = 20

[grid]
rule = ["constant", "tail"]
"""


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A folder with a sweep file; points are carried out in this process."""
    monkeypatch.setattr(running, "in_processes", at_once)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text(SWEEP)
    return tmp_path


def test_what_is_shown(here):
    result = call("sweep", "few.toml")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[:4] == ["sweep    4 runs of simulate", "varying  rule (2), repetition (2)", "folder   runs/few", ""]
    assert [line.split()[:2] for line in lines[4:8]] == [[f"{i}/4", "finished"] for i in range(1, 5)]
    assert "rule=tail, repetition=1" in lines[7]
    assert all(line.rstrip().endswith("left") for line in lines[4:8])
    assert lines[8:] == ["", "4 finished", "runs/few holds the runs. Next: asapnb compare runs/few"]
    again = call("sweep", "few.toml", "--resume").stdout.splitlines()
    assert again[4:] == ["4 runs are there already", *lines[8:]]


def test_json_and_quiet(here):
    said = json.loads(call("sweep", "few.toml", "-o", "there", "--json", "--jobs", 7).stdout)
    assert said == {"folder": "there", "points": 4, "statuses": {"finished": 4}}
    result = call("sweep", "few.toml", "-o", "there", "--resume", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_points_that_fail_are_said_and_the_others_done(here):
    (here / "own.py").write_text(
        OWN.replace("if at_work():\n        sys.exit", "if (HERE / 'now').exists():\n        sys.exit")
    )
    (here / "few.toml").write_text(SWEEP.replace('"tail"', '"own.py:exits"'))
    check = running.check_points

    def then_fail(points):
        check(points)
        (here / "now").write_text("")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "check_points", then_fail)
        result = call("sweep", "few.toml")
    assert result.exit_code == 1
    assert "2 failed, 2 finished" in result.stdout
    assert "       rule own.py:exits raised SystemExit: 3" in result.stdout
    assert (
        "Error: 2 of 4 points failed; runs/few/manifest.jsonl says why. To try them again: asapnb sweep few.toml -o "
        in (result.stderr)
    )
    (here / "now").unlink()
    result = call("sweep", "few.toml", "-o", "runs/few", "--resume")
    assert (result.exit_code, "2 runs are there already" in result.stdout) == (0, True)
    assert {outcome.status for outcome in load_manifest("runs/few").outcomes.values()} == {"finished"}


def test_the_list_of_points(here):
    result = call("sweep", "few.toml", "--list")
    head, *rows = map(str.split, result.stdout.splitlines())
    assert head == ["rule", "repetition", "seed"]
    assert [row[:2] for row in rows] == [[rule, str(i)] for i in range(2) for rule in ("constant", "tail")]
    points = json.loads(call("sweep", "few.toml", "--list", "--json").stdout)["points"]
    assert [row[2] for row in rows] == [str(point["config"]["seed"]) for point in points]
    assert [point["axes"]["rule"] for point in points] == ["constant", "tail"] * 2
    assert all(point["config"]["updates"] == 20 and point["name"] for point in points)
    assert [path.name for path in here.iterdir()] == ["few.toml"]
    (here / "few.toml").write_text(SWEEP.replace("repetitions = 2", "repetitions = 2000"))
    assert len(call("sweep", "few.toml", "--list").stdout.splitlines()) == 4001


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("gird = 1", [], "few.toml: unknown key of a sweep 'gird'; available: base, grid, kind, repetitions, seed"),
        ("rule = [", [], "few.toml is no TOML"),
        (None, [], "cannot read the sweep few.toml: No such file"),
        (SWEEP.replace('["constant", "tail"]', "[]"), [], "the axis rule of [grid] is empty"),
        (SWEEP.replace('"constant"', '"tail()"'), [], "two points of the sweep are equal"),
        (SWEEP + 'data = ["mnist"]\nproblem = "lenet"', [], "the point problem=lenet, rule=constant, data=mnist"),
        (SWEEP.replace("simulate", "train") + "microscope = 3", [], "train has no microscope"),
        (SWEEP, ["-o", "few.toml"], "cannot write to the folder few.toml"),
        (SWEEP, ["-o", "/proc/few"], "cannot write to the folder /proc/few"),
        (SWEEP, ["--jobs", 0], "jobs is 0: must be an integer from 1 to 1024"),
        (SWEEP, ["--jobs", "many"], "not a valid integer"),
        (SWEEP, ["--dask", "nowhere"], "no Dask scheduler answers at 'nowhere'"),
        (SWEEP, ["--force", "--resume"], "resume and force exclude each other"),
    ],
)
def test_usage_errors(here, monkeypatch, text, arguments, says):
    monkeypatch.setattr("asapnb.data.catalogue.places", lambda root: [here])
    (here / "few.toml").unlink()
    if text is not None:
        (here / "few.toml").write_text(text)
    result = call("sweep", "few.toml", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert not (here / "runs").exists()


def test_another_sweep_is_refused_with_the_difference(here):
    assert call("sweep", "few.toml", "--quiet").exit_code == 0
    result = call("sweep", "few.toml")
    assert (result.exit_code, "holds a sweep already" in result.stderr) == (2, True)
    (here / "few.toml").write_text(SWEEP.replace("20", "30"))
    result = call("sweep", "few.toml", "--resume")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "-updates = 20\n+updates = 30" in result.stderr
    (here / "few.toml").write_text(SWEEP.replace('"tail"', '"tail", "inverse"'))
    assert "go on with extend=True (--extend)" in call("sweep", "few.toml", "--resume").stderr
    assert "6 finished" in call("sweep", "few.toml", "--extend").stdout
