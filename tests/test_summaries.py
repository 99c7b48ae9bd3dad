"""`record="summary"`: no rows, but all that follows from them, as the same run with rows says it."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from problems import quadratic, train
from simulations import SLOW, simulate

import asapnb as ab
from asapnb.analysis import records
from asapnb.analysis.export import export
from asapnb.analysis.stacking import stacked
from asapnb.errors import RecordError
from asapnb.record import checkpoint_path, load_run, save_checkpoint, writer
from asapnb.simulator import replayer
from asapnb.sweep import parse_sweep
from asapnb.sweep.points import Problems, carry_out


def only_fresh(staleness, workers):
    """Nothing for the stale."""
    return (np.arange(len(staleness)) < 4).astype(float)


def sees_loss(staleness, workers, loss):
    """Scales that follow the loss."""
    return np.full(len(staleness), min(1.0, 10 / (10 + loss)))


sees_loss.refresh = ab.every(50)
TAIL = "tail(refresh=every(50))"
RUNS = {
    "tail": {"rule": TAIL},
    "tables of each worker, and a prior": {"rule": TAIL, "worker_tables": True, "prior": "geometric(m=4)"},
    "given up": {"scheme": "leashed(persistence=0)", "rule": "inverse"},
    "zeroed, and clipped": {"scheme": "hogwild", "rule": only_fresh, "clip": 0.5},
    "rounds": {"scheme": "synchronous", "schedule": "cosine()"},
    "one step": {"updates": 1},
}
EXACT = "sequential", "synchronous"  # on threads


def says(run, exact_times=True):
    """All that a run says of itself without its rows, as text, as NaN is not equal to itself."""
    (record,) = records(run)
    facts, curve = run.summary(), vars(record.curve())
    if not exact_times:
        curve, facts = {**curve, "seconds": 0}, {name: facts[name] for name in facts if "second" not in name}
        facts["last"] = facts["last"] | {"t": 0}
    tables = {name: dict(run.tables[name]) for name in ("rule", "staleness", "microscope")}
    with np.printoptions(threshold=10**6, floatmode="unique"):
        return str((facts, curve, tables, run.staleness.pmf, run.staleness_counts, run.by_staleness, run.made))


@pytest.mark.parametrize("given", RUNS.values(), ids=RUNS)
def test_a_summary_says_what_the_rows_of_the_same_run_say(given, tmp_path):
    given = {"workers": 4, "updates": 200, "eval_every": 30, "seed": 3, "microscope": 40, **given}
    rows, summary = (ab.simulate(quadratic(), record=record, **given) for record in ("updates", "summary"))
    summary.save(tmp_path / "run.h5")
    saved = ab.load_run(tmp_path / "run.h5")
    saved.check()
    assert says(summary) == says(saved) == says(rows)
    assert (summary.params["final"] == rows.params["final"]).all()
    with pytest.raises(RecordError, match=r'record="summary".*no tau of each: make the run again.*--record updates'):
        summary.updates["tau"]


@pytest.mark.parametrize("scheme", EXACT)
def test_on_threads_too(scheme):
    given = {"rule": TAIL, "updates": 200, "eval_every": 30}
    rows, summary = (train(quadratic(), scheme, record=record, **given) for record in ("updates", "summary"))
    assert says(summary, False) == says(rows, False)


def test_on_threads_every_update_is_counted():
    run = train(quadratic(), "leashed(persistence=0)", rule=TAIL, updates=500, eval_every=60, record="summary")
    facts, sums = run.summary(), run.sums.numbers
    assert (
        run.by_staleness["updates"].sum() == run.staleness_counts.sum() == sums["applied"] == facts["updates"] == 500
    )
    assert sums["least_scale"] <= facts["mean_scale"] <= sums["most_scale"]
    assert np.isfinite(run.eval_steps).all()
    assert run.eval_steps[-1] == pytest.approx(facts["sum_of_steps"])
    assert facts["mean_scale"] == pytest.approx(run.attributes["mean_scale"])


GOES_ON = {
    "tail": {"rule": TAIL, "momentum": 0.9, "keep_params": "evals"},
    "a rule that sees the loss": {"rule": sees_loss},
    "rounds": {"scheme": "synchronous", "compensation": 0.0},
    "blocks": {"scheme": "hogwild", "timing": SLOW},
}


@pytest.mark.parametrize("killed", [False, True], ids=["stopped, and computed again", "killed, and its checkpoint"])
@pytest.mark.parametrize("given", GOES_ON.values(), ids=GOES_ON)
def test_a_simulated_summary_goes_on_to_the_same_bits(given, killed, tmp_path, monkeypatch):
    arguments = {
        "updates": 200,
        "eval_every": 30,
        "microscope": 25,
        "record": "summary",
        "compensation": 0.1,
        **given,
    }
    out, place = tmp_path / "run.h5", tmp_path / "copy" / "run.h5"
    whole = simulate(**arguments)
    if killed:  # a copy of what a kill would leave
        monkeypatch.setattr(replayer, "CHECKPOINT_SECONDS", -1.0)
        place.parent.mkdir()

        def copy(evaluation):
            if evaluation.step == 120:
                for file in tmp_path.glob("run.h5*"):
                    shutil.copy(file, place.parent)

        simulate(out=out, on_eval=copy, **arguments)
        left = ab.load_run(place)
        assert (left.status, left.staleness.is_empty) == ("running", True)
        assert 0 < left.made <= 120
        assert "running: " in repr(left)
    else:
        place = out
        simulate(out=out, on_eval=lambda evaluation: evaluation.step < 90, **arguments)
        assert ab.load_run(out).made >= 90
    assert checkpoint_path(place).exists() == killed
    rule = {"rule": given["rule"]} if callable(given.get("rule")) else {}
    run = ab.resume(place, problem=quadratic(), **rule)
    assert run.status == "finished"
    assert says(run) == says(whole)
    assert (run.params["final"] == whole.params["final"]).all()
    assert {*load_run(place).kept_versions} == {*whole.kept_versions}


def test_a_summary_of_threads_does_not_go_on_and_names_the_next_step(tmp_path):
    run = train(quadratic(), "lock-based", updates=60, record="summary", out=tmp_path / "run.h5")
    before = run.path.read_bytes()
    with pytest.raises(ab.UsageError, match=r"is a summary.*with start=.*run\.h5"):
        ab.resume(run.path, problem=quadratic(), updates=90)
    with pytest.raises(RecordError, match="cannot be replayed: make the run again with record"):
        ab.replay(run, quadratic())
    assert run.path.read_bytes() == before
    assert train(quadratic(), "lock-based", updates=20, start=run.path, record="summary").status == "finished"


def test_a_killed_summary_of_threads_is_where_another_run_begins(tmp_path):
    path, params = tmp_path / "run.h5", np.full(quadratic().n_params, 0.25, np.float32)
    run = train(quadratic(), "lock-based", updates=60, eval_every=20, record="summary", out=path)
    with h5py.File(path, "r+") as file:  # as a kill leaves it
        for name in ("staleness", "summary", "synopsis", "params/final"):
            del file[name]
        file.attrs["status"] = "running"
    with pytest.raises(ab.UsageError, match=r"killed before its first checkpoint.*make the run again"):
        ab.resume(path, problem=quadratic(), updates=90)
    with pytest.raises(ab.UsageError, match="no final parameters: start at one of its versions 0, as in"):
        train(quadratic(), "lock-based", updates=20, start=path)
    names = {name: run.attributes[name] for name in ("run_id", "token")}
    save_checkpoint(path, {"params": params}, {"version": 40, "t": 0.1, **names})
    with pytest.raises(ab.UsageError, match=r"is a summary.*Begin another run where it ended, with start=.*run\.h5"):
        ab.resume(path, problem=quadratic(), updates=90)
    again = train(quadratic(), "lock-based", updates=20, start=path)
    assert (again.params["initial"] == params).all()
    assert again.attributes["start"]["version"] == 40


def test_it_has_no_file_before_its_end_and_if_that_fails_it_is_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(writer, "_PATIENCE", 0.0)
    out, found = tmp_path / "folder" / "run.h5", []
    out.parent.mkdir()

    def remove(evaluation):
        found.append([file.name for file in out.parent.glob("*.h5")])
        shutil.rmtree(out.parent, ignore_errors=True)

    with pytest.warns(RuntimeWarning, match="cannot write to.*the run is in"):
        run = simulate(updates=30, record="summary", out=out, on_eval=remove)
    assert found[0] == []
    assert run.path == tmp_path / "run.h5"
    assert load_run(run.path).summary()["updates"] == 30


def test_all_tables_but_that_of_updates_are_exported(tmp_path):
    runs = [ab.simulate(quadratic(), workers=2, updates=20, seed=seed, record="summary") for seed in (0, 1)]
    names = {Path(file).stem for file in export(runs, tmp_path)}
    assert names == {"runs", "evals", "rule", "staleness", "workers"}
    with pytest.raises(RecordError, match=r"no table updates \(there are runs, evals, rule, staleness and workers\)"):
        stacked([ab.load_run(_saved(runs[0], tmp_path))], "updates")


def _saved(run, folder):
    run.save(folder / "run.h5")
    return folder / "run.h5"


def test_points_of_a_sweep_share_a_problem_and_are_as_without(tmp_path):
    sweep = parse_sweep(
        {
            "kind": "simulate",
            "base": {"problem": "quadratic([1, 10])", "updates": 50, "record": "summary"},
            "grid": {"workers": [2, 4]},
        }
    )
    shared, made = Problems(), []
    for number, point in enumerate(sweep.points):
        for problems in (shared, None):
            out = tmp_path / f"{number}-{problems is None}.h5"
            assert carry_out(point, out, 1, problems).status == "finished"
            made.append(load_run(out))
        assert shared.prepared(point.config, "simulate")[0] is shared.prepared(point.config, "simulate")[0]
    assert says(made[0]) == says(made[1]) != says(made[2]) == says(made[3])


def test_a_damaged_summary_is_told(tmp_path):
    run = ab.simulate(quadratic(), workers=4, updates=50, record="summary")
    for number, (name, change, what) in enumerate(
        (
            ("tau", lambda old: old[::-1], "/summary/tau.*must rise"),
            ("updates", lambda old: old + 1, "/summary/updates.*does not add up to applied"),
            ("worker_steps", lambda old: old[:-1], "/summary/worker_steps.*must have 4 entries"),
        )
    ):
        path = tmp_path / f"{number}.h5"
        run.save(path)
        with h5py.File(path, "r+") as file:
            changed = change(file["summary"][name][:])
            del file["summary"][name]
            file["summary"][name] = changed
        with pytest.raises(RecordError, match=f"{what}.*damaged"):
            load_run(path).check()
