"""Whose gradients counted for how much: by worker, by class and by sample."""

import numpy as np
import pytest
from commands import printed
from naive import weights_of_samples
from problems import quadratic
from simulations import simulate

import asapnb as ab
from asapnb.analysis import by_class, by_sample

NETWORK = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
SLOW_ONE = "compute=[constant(1), constant(1), constant(1), constant(1), constant(10)]"
RUNS = {
    "dampened": {"rule": "inverse", "timing": SLOW_ONE},
    "given up": {"scheme": "leashed(persistence=0)", "rule": "tail(refresh=every(5))"},
    "zeroed": {"rule": "ringmaster(R=3)", "timing": SLOW_ONE},
    "local steps on parts": {
        "rule": "inverse",
        "local_steps": 3,
        "shards": "dirichlet(0.3)",
        "schedule": "warmup(30)",
    },
    "rounds": {"scheme": "synchronous(wait_for=3)"},
}


@pytest.mark.parametrize("given", RUNS.values(), ids=RUNS)
def test_the_sums_over_workers_samples_and_classes_are_those_of_the_rows(given):
    run = simulate(NETWORK, updates=120, **given)
    rows, steps = run.updates, given.get("local_steps", 1)
    made = rows["dropped"] != 1
    scale = rows["scale"].astype(float) * rows["factor"]
    own, samples, classes = run.by_worker(), by_sample(run), by_class(run, NETWORK)
    for worker in range(5):
        mine = rows["worker"] == worker
        assert own["gradients"][worker] == mine.sum()
        assert own["applied"][worker] == (mine & made).sum()
        assert own["dropped"][worker] == (mine & ~made).sum()
        assert own["zeroed"][worker] == (mine & (rows["dropped"] == 2)).sum()
        np.testing.assert_allclose(own["mean_scale"][worker], scale[mine & made].mean())
    assert own["share_of_gradients"].sum() == pytest.approx(1)
    assert own["share_of_steps"].sum() == pytest.approx(1)
    np.testing.assert_allclose(samples["weight"], weights_of_samples(NETWORK, run), atol=1e-12)
    for found in (samples, classes):
        assert found["weight"].sum() == pytest.approx(steps * scale[made].sum())
        assert found["full"].sum() == pytest.approx(steps * len(scale))
    for name in ("gradients", "weight", "full"):
        np.testing.assert_allclose(classes[name], np.bincount(NETWORK.labels, samples[name]))
    assert classes["share_of_weight"].sum() == pytest.approx(1)


def test_without_a_rule_every_sample_keeps_its_weight():
    found = by_sample(simulate(NETWORK, updates=120))
    seen = found["gradients"] > 0
    np.testing.assert_allclose(found["kept"][seen], 1)
    assert np.isnan(found["kept"][~seen]).all()


def test_a_summary_knows_what_its_workers_did(tmp_path):
    given = {"scheme": "leashed(persistence=0)", "rule": "tail(refresh=every(5))", "updates": 100}
    rows, summary = (simulate(NETWORK, record=record, **given) for record in ("updates", "summary"))
    summary.save(tmp_path / "run.h5")
    for run in (summary, ab.load_run(tmp_path / "run.h5"), ab.load_run(tmp_path / "run.h5").anew()):
        for name, column in rows.by_worker().items():
            np.testing.assert_allclose(run.by_worker()[name], column, err_msg=name)
    with pytest.raises(ab.errors.RecordError, match="the weight of its samples is not known"):
        by_sample(summary)


def test_what_is_shown_and_exported(tmp_path):
    run = simulate(NETWORK, updates=120, out=tmp_path / "run.h5", **RUNS["dampened"])
    own, shown = run.by_worker(), printed("show", run.path)
    assert f"mean scale {own['mean_scale'][4]:.3f} (worker 4, {own['share_of_gradients'][4]:.1%}" in shown
    ab.analysis.export(run, tmp_path / "workers.csv", "workers")
    lines = (tmp_path / "workers.csv").read_text().splitlines()
    assert lines[0] == "worker,gradients,applied,dropped,zeroed,mean_scale,share_of_gradients,share_of_steps"
    assert len(lines) == 6


def test_problems_without_classes():
    line = ab.problems.least_squares(samples=20, dimension=2)
    run = simulate(line, updates=20)
    assert by_sample(run)["weight"].sum() == pytest.approx(20)
    with pytest.raises(ab.UsageError, match="no classes"):
        by_class(run)
    with pytest.raises(ab.UsageError, match="is your own"):
        by_sample(simulate(quadratic(), updates=20))
