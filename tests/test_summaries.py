"""`record="summary"`: no rows, but all that follows from them, as the same run with rows says it."""

import shutil

import numpy as np
import pytest
from problems import quadratic, train
from simulations import SLOW, simulate

import asapnb as ab
from asapnb.analysis import records
from asapnb.errors import RecordError
from asapnb.record import checkpoint_path, load_run
from asapnb.simulator import replayer


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
