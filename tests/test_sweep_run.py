"""Carrying out a sweep: what is recorded, skipped, done again and refused; processes that die."""

import json
import os
import signal
from pathlib import Path

import h5py
import pytest
from processes import LIMIT, SHELL, python, started, until
from sweeps import at_once, by_itself, small, table, with_rules

import asapnb as ab
from asapnb.record import own, save_checkpoint, to_json
from asapnb.sweep import load_manifest, parse_sweep, run_sweep
from asapnb.sweep import run as running
from asapnb.sweep.manifest import NAME
from asapnb.sweep.points import differing, sources
from asapnb.sweep.processes import in_processes

GROWN = {"grid": {"workers": [2, 4]}}


@pytest.fixture
def here(monkeypatch):
    """No processes: points are carried out in this one."""
    monkeypatch.setattr(running, "in_processes", at_once)


@pytest.fixture
def folder(here, tmp_path):
    """A folder with a sweep that is done."""
    run_sweep(small(), tmp_path / "sweep")
    return tmp_path / "sweep"


def lines(folder):
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()]


def rewrite(folder, content):
    (folder / NAME).write_text("".join(f"{to_json(line)}\n" for line in content))


def resumed(sweep, folder, **how):
    """The manifest after going on, and the names of the points that were made."""
    made = []
    how = {"resume": True, **how}
    manifest = run_sweep(sweep, folder, progress=lambda now: now.point and made.append(now.point.name), **how)
    return manifest, made


def test_processes_make_the_runs_that_there_would_be_without(tmp_path):
    reports = []
    manifest = run_sweep(small(), tmp_path / "new/sweep", jobs=2, progress=reports.append)
    folder = tmp_path / "new/sweep"
    files = {path.name for path in folder.iterdir()} - {NAME}
    assert files == {point.file for point in small().points}
    for point in manifest.points:
        run = ab.load_run(folder / point.file)
        assert run.attributes["pid"] != os.getpid()
        assert run.evals["train_loss"][-1] == by_itself()[point.config["rule"], point.config["step_size"]]
    assert [(now.done, now.failed, now.total, now.skipped) for now in reports] == [(i, 0, 4, 0) for i in range(5)]
    assert (reports[0].seconds_left, reports[-1].seconds_left) == (None, 0.0)
    assert {now.point.name for now in reports[1:]} == set(manifest.outcomes)
    head, *rest = lines(folder)
    assert (head["schema"], head["points"], parse_sweep(head["sweep"])) == (1, 4, small())
    assert {line["point"]: line["status"] for line in rest} == dict.fromkeys(manifest.outcomes, "finished")
    assert all(line["seconds"] > 0 and line["asapnb"] == ab.__version__ and line["host"] for line in rest)
    assert load_manifest(folder).outcomes == manifest.outcomes


def test_what_is_done_is_skipped(folder):
    before = lines(folder)
    manifest, made = resumed(small(), folder)
    assert (made, len(manifest.outcomes), lines(folder)) == ([], 4, before)
    done, undone, lost, gone = manifest.points
    (folder / gone.file).unlink()  # although the manifest says that it is done
    rewrite(folder, [line if line.get("point") != undone.name else {**line, "status": "failed"} for line in before
                     if line.get("point") != lost.name])  # fmt: skip
    ab.simulate(ab.problems.quadratic([1, 10]), updates=1, seed=7, out=folder / lost.file, force=True)
    manifest, made = resumed(small(), folder)  # that one is whole, but of another seed
    assert made == [lost.name, gone.name]  # the failed one has a whole file: it is taken
    assert [outcome.status for outcome in manifest.outcomes.values()] == ["finished"] * 4
    assert done.name in manifest.outcomes


def test_a_line_that_was_cut_off_does_no_harm(folder):
    path = folder / NAME
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    assert len(load_manifest(folder).outcomes) == 3
    manifest, made = resumed(small(), folder)  # the file of the fourth is whole
    assert (made, len(manifest.outcomes), len(lines(folder))) == ([], 4, 5)
    *_, last = lines(folder)
    run = ab.load_run(folder / f"{last['point']}.h5")
    assert (last["host"], last["asapnb"]) == (run.attributes["host"], ab.__version__)
    assert last["seconds"] == run.attributes["replay"]["wall_seconds"]


def test_half_written_runs_are_done_again(folder):
    import h5py

    path = folder / small().points[1].file
    rewrite(folder, [line for line in lines(folder) if line.get("point") != path.stem])
    with h5py.File(path, "r+") as file:
        file.attrs["status"] = "running"
    left = [folder / f".{path.name}.123.part", folder / f".{NAME}.5.part", folder / ".other.h5.1.part"]
    for part in left:
        part.write_text("")
    assert resumed(small(), folder)[1] == [path.stem]
    assert [part.exists() for part in left] == [False, False, True]
    path.write_bytes(b"nothing of a run")
    rewrite(folder, [line for line in lines(folder) if line.get("point") != path.stem])
    assert resumed(small(), folder)[1] == [path.stem]


def test_a_folder_with_a_sweep_is_not_touched_unless_asked(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for sweep, how, says in (
        (small(), {}, r"holds a sweep already: go on .* \(--resume\)"),
        (
            small(base={"updates": 30}),
            {"resume": True},
            "(?s)was another one; give another folder.*-updates = 20\n\\+",
        ),
        (small(base={"updates": 30}), {"extend": True}, "was another one; give another folder"),
        (small(**GROWN), {"resume": True}, "points were only added: go on with extend=True"),
        (small(grid={"step_size": [0.01]}), {"resume": True}, "was another one"),
    ):
        with pytest.raises(ab.RecordError, match=says):
            run_sweep(sweep, folder, **how)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_an_extended_sweep_keeps_its_points_and_their_names(folder):
    names = set(load_manifest(folder).outcomes)
    grown = small(**GROWN)
    assert not names & {point.name for point in grown.points}  # they now say the number of workers
    manifest, made = resumed(grown, folder, extend=True, resume=False)
    assert len(made) == 4
    assert {point.name for point in manifest.points} == {*names, *made} == set(manifest.outcomes)
    assert {point.identity for point in manifest.points} == {point.identity for point in grown.points}
    assert resumed(grown, folder) == (manifest, [])
    wider = small(grid={"workers": [2, 4], "rule": ["constant", "tail", "inverse"]})
    more, made = resumed(wider, folder, extend=True)
    assert len(made) == 4
    assert names < set(more.outcomes)
    assert {path.stem for path in folder.glob("*.h5")} == set(more.outcomes)


def test_the_same_points_may_be_said_otherwise(folder):
    turned = table()
    turned["grid"] = [{"step_size": [0.02, 0.01], "rule": rule} for rule in ("tail", "constant")]
    assert resumed(parse_sweep(turned), folder)[1] == []


def test_starting_anew_removes_what_was_of_the_old_sweep_only(folder):
    old = {path.name for path in folder.glob("*.h5")}
    (folder / "mine.h5").write_text("mine")
    first = folder / sorted(old)[0]
    save_checkpoint(first, {}, {"version": 1, "run_id": ab.load_run(first).attributes["run_id"]})
    run_sweep(small(base={"updates": 30}), folder, force=True)
    files = {path.name for path in folder.iterdir()} - {NAME}
    assert files == {"mine.h5", *(point.file for point in small(base={"updates": 30}).points)}
    assert old.isdisjoint(files)


def test_runs_from_before_the_sweep_are_not_taken_over(folder):
    head, *rest = lines(folder)
    rewrite(folder, [{**head, "created_utc": "2999-01-01T00:00:00+00:00"}])
    assert len(resumed(small(), folder)[1]) == len(rest)


def test_run_files_without_a_manifest(folder):
    (folder / NAME).unlink()
    with pytest.raises(ab.RecordError, match="already exists, without a manifest"):
        run_sweep(small(), folder)
    assert resumed(small(), folder)[1] == []
    (folder / NAME).unlink()
    assert all(outcome.done for outcome in run_sweep(small(), folder, force=True).outcomes.values())


def test_a_manifest_of_an_earlier_version_is_read(folder):
    head, *rest = lines(folder)
    for name in ("sources", "command"):
        del head[name]
    rest = [{name: value for name, value in line.items() if name != "asapnb"} for line in rest]
    rewrite(folder, [head, *({**line, "later": 1} for line in rest)])
    manifest, made = resumed(small(), folder)
    assert made == []
    assert {outcome.asapnb for outcome in manifest.outcomes.values()} == {None}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no manifest"),
        (b"[1]\n", "is no manifest"),
        (b"\xff\n", "is no manifest"),
        (b'{"schema": 9}\n', "has schema 9; this asapnb reads up to 1"),
        (b'{"schema": 1, "created_utc": "", "sweep": {"kind": "later"}}\n', "not one that this asapnb knows"),
    ],
)
@pytest.mark.parametrize("how", [{"resume": True}, {"force": True}])
def test_what_is_no_manifest_is_left_alone(here, tmp_path, content, says, how):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ab.RecordError, match=says):
        run_sweep(small(), tmp_path, **how)
    assert (tmp_path / NAME).read_bytes() == content


def test_files_of_rules_must_not_change(here, tmp_path):
    sweep = parse_sweep(with_rules(tmp_path, "constant", "own:ones"))
    run_sweep(sweep, tmp_path / "sweep")
    assert resumed(sweep, tmp_path / "sweep")[1] == []
    with (tmp_path / "own.py").open("a") as file:
        file.write("\nones.refresh = None\n")
    with pytest.raises(
        ab.RecordError, match=r"(?s)own.py has changed since the sweep in .* began.*\+ones.refresh = None"
    ):
        resumed(sweep, tmp_path / "sweep")


def test_modules_that_a_rule_file_imports_must_not_change_either(here, tmp_path):
    (tmp_path / "helper.py").write_text("HEIGHT = 1.0\n")
    (tmp_path / "own.py").write_text("import helper\ndef of(h): return lambda s, w: [h * helper.HEIGHT] * len(s)\n")
    sweep = small(grid={"rule": [f"{tmp_path}/own.py:of({height})" for height in (1, 2)]})
    assert list(sources(sweep.points)) == [f"{tmp_path}/helper.py", f"{tmp_path}/own.py"]
    run_sweep(sweep, tmp_path / "sweep")
    (tmp_path / "helper.py").write_text("HEIGHT = 2.0\n")
    with pytest.raises(
        ab.RecordError, match=r"(?s)helper.py has changed since the sweep.*-HEIGHT = 1.0\n\+HEIGHT = 2.0"
    ):
        resumed(sweep, tmp_path / "sweep")


@pytest.mark.parametrize("rule", ["preserve('{}:ones')", 'shuffled("{}:ones")', "{}:ones"])
def test_files_of_rules_within_rules_are_known(tmp_path, rule):
    with_rules(tmp_path, "own:ones")
    file = f"{tmp_path}/own.py"
    sweep = small(grid={"rule": [rule.format(file), "tail(amplitude=0.5)"]})
    assert list(sources(sweep.points)) == [file]
    assert differing(sources(sweep.points)) is None
    assert differing({file: "another"}) == file


def test_a_point_fails_that_begins_after_a_file_has_changed(tmp_path):
    (outcome,) = in_processes(small().points[:1], tmp_path, jobs=1, files={str(tmp_path / "own.py"): "of before"})
    assert outcome.status == "failed"
    assert "own.py has changed since the sweep began" in outcome.error


def test_a_file_that_lost_its_content_is_made_again(folder):
    first, *_ = small().points
    (folder / first.file).write_bytes(b"")
    assert resumed(small(), folder)[1] == [first.name]


def test_a_sweep_remembers_when_it_began(folder):
    (begun, *rest) = lines(folder)
    rewrite(folder, [{**begun, "created_utc": "2026-01-01T00:00:00+00:00", "command": "the first"}, *rest])
    head = resumed(small(**GROWN), folder, extend=True)[0].head
    assert (head["created_utc"], head["command"]) == ("2026-01-01T00:00:00+00:00", "the first")
    assert head["extended_utc"] > head["created_utc"]


def test_points_that_diverge_or_run_out_of_time_are_done(here, tmp_path):
    base = {"problem": "quadratic([1, 10])", "updates": 2000, "eval_every": 10}
    sweep = small(base=base, grid={"rule": None, "step_size": [10.0, 1e-4], "max_seconds": ["none", 3.0]})
    manifest = run_sweep(sweep, tmp_path)
    statuses = {outcome.status for outcome in manifest.outcomes.values()}
    assert {"diverged", "timed-out"} <= statuses <= {"diverged", "timed-out", "finished"}
    assert resumed(sweep, tmp_path)[1] == []


def test_an_interrupted_point_is_not_done(folder):
    first = lines(folder)[1]
    with (folder / NAME).open("a") as file:
        file.write(to_json({**first, "status": "interrupted"}) + "\n")
    (folder / f"{first['point']}.h5").unlink()
    assert resumed(small(), folder)[1] == [first["point"]]


def test_two_processes_do_not_share_a_folder(folder):
    def again(now):
        with pytest.raises(ab.RecordError, match=r"the sweep of .* is being written by process"):
            run_sweep(small(), folder, resume=True)

    run_sweep(small(), folder, force=True, progress=again)


def test_a_file_of_a_point_that_is_being_written_is_left_alone(folder):
    first, *others = load_manifest(folder).points
    held = {path: path.read_bytes() for path in folder.iterdir()}
    with own(folder / first.file):
        with pytest.raises(ab.RecordError, match=f"{first.file} is being written by process"):
            run_sweep(small(), folder, force=True)
        kept = {path: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
        assert kept == held
        for point in (first, others[0]):
            with h5py.File(folder / point.file, "r+") as file:
                file.attrs["status"] = "interrupted"
        held = (folder / first.file).read_bytes()
        manifest, made = resumed(small(), folder)
        assert sorted(made) == sorted([first.name, others[0].name])
        assert f"{first.file} is being written by process" in manifest.outcomes[first.name].error
        assert manifest.outcomes[others[0].name].status == "finished"
    assert (folder / first.file).read_bytes() == held
    assert {path.name for path in folder.iterdir()} == {NAME, *(point.file for point in manifest.points)}


def test_a_refused_sweep_leaves_nothing(here, tmp_path):
    name = small().points[0].file
    (tmp_path / name).write_text("")
    with pytest.raises(ab.RecordError, match="already exists, without a manifest"):
        run_sweep(small(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("out", ["file", "file/sweep", "/proc", "/proc/sweep"])
def test_folders_that_cannot_be(here, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(ab.RecordError, match="cannot write to the folder"):
        run_sweep(small(), out)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"jobs": 0}, "jobs is 0: must be an integer from 1 to 1024"),
        ({"jobs": 2, "address": "tcp://localhost:8786"}, "the cluster has workers of its own"),
        ({"force": True, "resume": True}, "resume and force exclude each other"),
    ],
)
def test_arguments_that_cannot_be(tmp_path, how, says):
    with pytest.raises(ab.UsageError, match=says):
        run_sweep(small(), tmp_path / "sweep", **how)
    assert not (tmp_path / "sweep").exists()


def test_a_process_that_dies_takes_only_its_own_point(tmp_path, capfd):
    table = with_rules(tmp_path, "own:dies_once", "own:dies", "constant", "own:fails_once", "own:exits")
    manifest = run_sweep(parse_sweep(table), tmp_path / "sweep", jobs=2)
    by_rule = {point.config["rule"].rpartition(":")[2]: manifest.outcomes[point.name] for point in manifest.points}
    assert {rule: outcome.status for rule, outcome in by_rule.items()} == {
        "dies_once": "finished", "dies": "failed", "constant": "finished", "fails_once": "failed", "exits": "failed",
    }  # fmt: skip
    assert by_rule["dies"].error.startswith("its process was killed by signal 9, twice")
    assert "returned shape (1,)" in by_rule["fails_once"].error
    assert "SystemExit: 3" in by_rule["exits"].error
    assert len(lines(tmp_path / "sweep")) == 1 + len(manifest.points)
    assert capfd.readouterr().out.count("to stdout") == 2  # of the checks in this process


def test_processes_that_cannot_start(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"from asapnb.sweep import *\nrun_sweep(parse_sweep({table()!r}), {str(tmp_path / 'out')!r}, jobs=1)"
    )
    done = python(script, check=False)
    assert 'call run_sweep under if __name__ == "__main__":' in done.stderr
    assert len(lines(tmp_path / "out")) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_was_stopped_goes_on(here, tmp_path, number):
    rules = with_rules(tmp_path, "constant", "own:waits", "tail")
    (tmp_path / "sweep.toml").write_text(
        f"kind = 'simulate'\n[base]\nproblem = 'quadratic([1, 10])'\nworkers = 2\nupdates = 20\n"
        f"[grid]\nrule = {rules['grid']['rule']}\n"
    )
    folder = tmp_path / "out"
    with started(*SHELL, "sweep", tmp_path / "sweep.toml", "-o", folder, "--jobs", 1) as process:
        until((tmp_path / "pid").exists)
        child = int((tmp_path / "pid").read_text())
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=LIMIT)
        until(lambda: not Path(f"/proc/{child}").exists() or "State:\tZ" in Path(f"/proc/{child}/status").read_text())
    if number == signal.SIGINT:
        assert (process.returncode, len(said.splitlines())) == (130, 1), said
        assert said.startswith(
            f"Interrupted. Finished runs are kept. To continue: asapnb sweep {tmp_path}/sweep.toml -o"
        )
    else:
        assert process.returncode == -number
    _, first = lines(folder)
    manifest, made = resumed(parse_sweep(rules), folder)
    assert len(made) == 2
    assert [outcome.status for outcome in manifest.outcomes.values()] == ["finished"] * 3
    assert lines(folder)[1] == first
    assert {path.name for path in folder.iterdir()} == {NAME, *(point.file for point in manifest.points)}
