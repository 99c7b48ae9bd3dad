"""Replays of many runs: sweeps of kind "replay", and `asapnb replay` of files and folders."""

import json
import re
import shutil

import pytest
from commands import call
from sweeps import at_once

import asapnb as ab
from asapnb.analysis import records
from asapnb.analysis.records import grouped
from asapnb.config import run_config
from asapnb.sweep import load_manifest, parse_sweep, run, run_sweep
from asapnb.sweep.points import check_points, needs, sources

BASE = {"problem": "quadratic([1, 10])", "scheme": "leashed", "step_size": 0.02, "updates": 40, "eval_every": 10}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder of two simulated runs and one of threads, and beside it a run that cannot be replayed."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "runs").mkdir()
    for seed in (1, 2):
        run_config({**BASE, "workers": 4, "seed": seed}, "simulate", out=folder / "runs" / f"s{seed}.h5")
    run_config({**BASE, "workers": 2}, out=folder / "runs" / "threads.h5")
    run_config({**BASE, "workers": 2, "scheme": "hogwild"}, out=folder / "hogwild.h5")
    return folder


@pytest.fixture
def here(recorded, tmp_path, monkeypatch):
    """A copy of the folder, in which the replays are made in this process."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "in_processes", at_once)
    return tmp_path


def sweep(**grid):
    return parse_sweep({"kind": "replay", "base": {"source": "runs"}, "grid": grid})


def test_rules_are_compared_on_the_same_executions(here):
    manifest = run_sweep(sweep(rule=["constant", "tail"]), "replays")
    assert [outcome.status for outcome in manifest.outcomes.values()] == ["finished"] * 6
    for point in manifest.points:
        made, source = ab.load_run(here / "replays" / point.file), ab.load_run(point.config["source"])
        assert made.kind == "replay"
        assert made.config["rule"] == f"{point.config['rule']}({'amplitude=1.0' * (point.config['rule'] == 'tail')})"
        assert (made.updates["tau"] == source.updates["tau"]).all()
        assert re.fullmatch(rf"{source.path.stem}-rule={point.config['rule']}-\w{{8}}\.h5", point.file)
    by_rule = grouped(records("replays"), ["rule"])
    assert [len(found) for found in by_rule.values()] == [3, 3]
    found = ab.compare("replays", where={"kind": "replay", "workers": 4}, target_fraction=0.9)
    assert "seed by seed" in str(found)


def test_recorded_factors_are_not_those_made_anew(here):
    check_points(sweep(schedule=["recorded", "constant"]).points)  # of a run that went on they differ


def test_a_sweep_of_replays_goes_on_where_it_was_cut_short(here):
    whole = run_sweep(sweep(rule=["recorded", "tail"]), "replays")
    first, second, *_ = whole.points
    (here / "replays" / first.file).unlink()
    lines = (here / "replays/manifest.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if second.name not in line]  # its file is whole, its line was lost
    (here / "replays/manifest.jsonl").write_text("".join(kept))
    made = []
    again = run_sweep(sweep(rule=["recorded", "tail"]), "replays", resume=True, progress=made.append)
    assert [now.point.name for now in made if now.point] == [first.name]
    assert again.outcomes.keys() == whole.outcomes.keys()
    assert load_manifest("replays").sweep == sweep(rule=["recorded", "tail"])
    shutil.copy(here / "runs/s1.h5", here / "runs/s3.h5")
    with pytest.raises(ab.RecordError, match="points were only added"):
        run_sweep(sweep(rule=["recorded", "tail"]), "replays", resume=True)


def test_a_source_that_has_changed_is_noticed(here):
    run_sweep(sweep(rule=["constant", "tail"]), "replays")
    run_config({**BASE, "workers": 4, "seed": 9}, "simulate", out=here / "runs" / "s1.h5", force=True)
    with pytest.raises(ab.RecordError, match=r"runs/s1\.h5 has changed since the sweep"):
        run_sweep(sweep(rule=["constant", "tail"]), "replays", resume=True)


def test_a_point_needs_its_own_source_and_all_rules(here):
    (here / "own.py").write_text("def half(staleness, workers):\n    return [0.5] * len(staleness)\n")
    points = sweep(rule=["tail", "own.py:half"]).points
    files = sources(points)
    assert set(files) == {"own.py", "runs/s1.h5", "runs/s2.h5", "runs/threads.h5"}
    assert set(needs(files)(points[0])) == {"own.py", "runs/s1.h5"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("runs", ["runs/s1.h5", "runs/s2.h5", "runs/threads.h5"]),
        ("runs/s?.h5", ["runs/s1.h5", "runs/s2.h5"]),
        (["runs/s2.h5", "runs/s1.h5", "./runs/s2.h5"], ["runs/s2.h5", "runs/s1.h5"]),
        (["runs/s2.h5", "runs"], ["runs/s2.h5", "runs/s1.h5", "runs/threads.h5"]),
    ],
)
def test_sources_are_files_folders_and_patterns_in_base_or_grid(here, source, found):
    in_base = parse_sweep({"kind": "replay", "base": {"source": source}, "grid": {"rule": ["tail", "inverse"]}})
    in_grid = parse_sweep({"kind": "replay", "grid": {"source": source, "rule": ["tail", "inverse"]}})
    for one in (in_base, in_grid):
        assert list(dict.fromkeys(point.config["source"] for point in one.points)) == found
    assert in_base == in_grid


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"grid": {"rule": ["tail"]}}, "source is missing"),
        ({"base": {"source": []}, "grid": {"rule": ["tail"]}}, "source is missing"),
        ({"base": {"source": 3}, "grid": {}}, "source = 3: must be a text or a list of texts"),
        ({"base": {"source": "nothing/*.h5"}, "grid": {}}, "'nothing/\\*.h5' holds no run file"),
        ({"base": {"source": "empty"}, "grid": {}}, "'empty' holds no run file"),
        ({"base": {"source": "runs"}, "grid": {"epochs": [1, 2]}}, "replay has no epochs"),
        ({"base": {"source": "runs"}, "grid": {}, "seed": 3}, "seed = 3: a replay has the seed of its run"),
        ({"base": {"source": "runs"}, "grid": {}, "seed_axes": ["data"]}, "seed_axes = .*: a replay has the seed"),
        ({"base": {"source": "runs"}, "grid": {}, "repetitions": 2}, "repetitions is 2, but the seeds are those of"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_anything_runs(here, table, said):
    (here / "empty").mkdir()
    with pytest.raises(ab.AsapnbError, match=said):
        parse_sweep({"kind": "replay", **table})


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"source": ["runs/none.h5"]}, "source=runs/none.h5: there is no run file"),
        ({"source": ["hogwild.h5"]}, "updates its views held, so it cannot be replayed"),
        ({"workers": [1, 2]}, "workers is 1: only a trace"),
        ({"seed": [1, 2]}, "seed is 1: only a trace"),
        ({"rule": ["tail", "tial"]}, "unknown rule 'tial'"),
        ({"step_size": [-1.0]}, "step_size is -1"),
        ({"rule": ["tail", "tail()"]}, "two points of the sweep are equal"),
    ],
)
def test_points_are_checked_first(here, grid, said):
    with pytest.raises(ab.AsapnbError, match=said):
        run_sweep(sweep(**grid), "replays")
    assert not (here / "replays").exists()


def test_replays_do_not_go_among_their_sources(here):
    with pytest.raises(ab.UsageError, match=r"runs/s1\.h5 is to be replayed, so replays cannot go to its folder"):
        run_sweep(sweep(rule=["tail"]), "runs")
    assert call("replay", "runs", "-o", "runs").exit_code == 2
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["s1.h5", "s2.h5", "threads.h5"]


def test_the_command_replays_a_folder_and_shows_one_table(here):
    done = call("replay", "runs")
    assert (done.exit_code, len(list(here.iterdir()))) == (0, 2), "nothing is kept without -o"
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[-1] for line in lines if line[:1] in (["s1"], ["s2"], ["threads"])] == ["equal"] * 3
    found = json.loads(
        call("replay", "runs/s1.h5", "runs/threads.h5", "--rule", "tail", "-o", "out", "--json").stdout
    )
    assert (found["points"], found["statuses"]) == (2, {"finished": 2})
    for one in found["replays"]:
        assert one["changed"] == ["rule"]
        run = ab.load_run(here / "out" / one["file"])
        assert run.config["rule"] == "tail(amplitude=1.0)"
        assert one["comparison"]["replayed"]["train_loss"] == run.summary()["last"]["train_loss"]


def test_the_command_goes_on_with_a_folder_of_replays(here):
    same = ("replay", "runs", "--rule", "inverse", "-o", "out")
    assert call(*same).exit_code == 0
    before = {path.name: path.read_bytes() for path in (here / "out").iterdir()}
    refused = call(*same)
    assert (refused.exit_code, "holds a sweep already" in refused.stderr) == (2, True)
    assert {path.name: path.read_bytes() for path in (here / "out").iterdir()} == before
    again = call(*same, "--resume")
    assert (again.exit_code, "3 runs are there already" in again.stdout) == (0, True)
    assert call(*same, "--force").exit_code == 0


@pytest.mark.filterwarnings("default::asapnb.errors.SkippedWarning")
def test_bad_files_are_named_and_can_be_left_out(here):
    (here / "runs/bad.h5").write_text("no run")
    both = ("replay", "runs", "hogwild.h5", "-o", "out")
    refused = call(*both)
    assert refused.exit_code == 2
    assert "2 of 5 files cannot be used" in refused.stderr
    assert "bad.h5 is not an HDF5 file" in refused.stderr
    assert "cannot be replayed" in refused.stderr
    assert not (here / "out").exists()
    done = call(*both, "--skip-bad")
    assert (done.exit_code, "2 of 5 files are left out" in done.stderr) == (0, True)
    assert len(list((here / "out").glob("*.h5"))) == 3


def test_one_file_is_replayed_as_before_or_into_a_folder(here):
    (here / "out").mkdir()
    assert call("replay", "runs/s1.h5", "--rule", "recorded", "-o", "one.h5").exit_code == 0
    assert (ab.load_run("one.h5").params["final"] == ab.load_run("runs/s1.h5").params["final"]).all()
    assert call("replay", "runs/s1.h5", "-o", "out").exit_code == 0
    assert len(list((here / "out").glob("s1-*.h5"))) == 1
    for flag in (["--resume"], ["--skip-bad"], ["--jobs", 2]):
        refused = call("replay", "runs/s1.h5", *flag)
        assert (refused.exit_code, "is for several runs" in refused.stderr) == (2, True)
    refused = call("replay", "runs", "-o", "out.h5")
    assert (refused.exit_code, "go to a folder" in refused.stderr) == (2, True)
