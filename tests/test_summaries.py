"""`record="summary"`: no rows, but all that follows from them, as the same run with rows says it."""

import numpy as np
import pytest
from problems import quadratic, train

import asapnb as ab
from asapnb.analysis import records
from asapnb.errors import RecordError


def only_fresh(staleness, workers):
    """Nothing for the stale."""
    return (np.arange(len(staleness)) < 4).astype(float)


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
