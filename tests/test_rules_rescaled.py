"""`rescaled`: the sums of the steps of all workers become equal, and with them the weights of their data."""

import numpy as np
import pytest
from simulations import simulate

import asapnb as ab
from asapnb.rules import rescaled

TIMES = [1.0, 1.0, 2.0, 8.0]
TIMING = f"compute=[{', '.join(f'constant({time:g})' for time in TIMES)}]"
OPTIMA = np.repeat([0.0, 1.0, 5.0, 9.0], 10)  # of four workers, by `shards="label"`
LINE = ab.problems.least_squares(np.ones((40, 1)).tolist(), OPTIMA.tolist())
GIVEN = {"workers": 4, "timing": TIMING, "worker_tables": True, "batch_size": 10, "updates": 4200, "eval_every": 0}


def limit(rule, **arguments):
    """The run, and where its parameter comes to rest."""
    run = simulate(LINE, shards="label", step_size=2e-3, rule=rule, **{**GIVEN, **arguments})
    return run, float(run.params["final"][0])


def test_plain_asynchronous_sgd_ends_at_the_mean_of_the_optima_weighted_by_speed():
    rates = 1 / np.array(TIMES)
    found = limit("constant")[1]
    assert found == pytest.approx(float(rates @ [0, 1, 5, 9]) / rates.sum(), abs=0.1)


@pytest.mark.parametrize(
    "rule",
    [
        f"rescaled(times={TIMES})",
        "rescaled(refresh=every(5, warmup=0))",
        "rescaled(rule=inverse(), refresh=every(20))",
    ],
)
def test_rescaled_ends_at_their_mean(rule):
    run, found = limit(rule)
    assert found == pytest.approx(OPTIMA.mean(), abs=0.2)
    late = run.updates["version"] > 2100
    scales = run.updates["scale"][late].astype(float)
    sums = np.bincount(run.updates["worker"][late], scales)
    np.testing.assert_allclose(sums, scales.sum() / 4, rtol=0.04)
    assert scales.mean() == pytest.approx(1, rel=0.02)


def test_with_the_times_all_is_exact_from_the_first_update_on():
    run, _ = limit(f"rescaled(times={TIMES})", updates=210)
    rates = 1 / np.array(TIMES)
    for worker, scale in enumerate(rates.mean() / rates):
        own = run.updates["scale"][run.updates["worker"] == worker]
        np.testing.assert_array_equal(own, np.float32(scale))
    found = run.by_worker()
    np.testing.assert_allclose(found["share_of_steps"], 0.25, rtol=0.02)


def test_on_threads_and_when_the_run_goes_on(tmp_path):
    given = {"workers": 3, "worker_tables": True, "shards": "label", "step_size": 1e-3, "batch_size": 10}
    rule = "rescaled(refresh=every(5, warmup=0))"
    ab.train(LINE, "lock-based", rule, updates=200, out=tmp_path / "run.h5", **given)
    run = ab.resume(tmp_path / "run.h5", updates=600, problem=LINE)
    np.testing.assert_array_equal(ab.replay(run, LINE).params["final"], run.params["final"])
    again = ab.replay(run, LINE, rule)
    rows = again.updates
    for worker in range(3):  # each table says what the share was when it was made
        own = rows["worker"] == worker
        seen = np.cumsum(own)
        for place in np.flatnonzero(own)[5::5]:
            before = np.flatnonzero(own)[(seen[place] - 1) // 5 * 5 - 1]
            share = np.float64(seen[before]) / rows["version"][before]
            assert rows["scale"][place] == pytest.approx(1 / (3 * share), rel=1e-6)


def test_what_it_cannot_be_used_with():
    with pytest.raises(ab.RuleError, match=r"names own_share.*worker_tables=True"):
        ab.simulate(LINE, rule="rescaled", updates=5)
    with pytest.raises(ab.RuleError, match=r"under .*Synchronous.* several workers make an update together"):
        ab.simulate(LINE, "synchronous", "rescaled", updates=5, worker_tables=True)
    with pytest.raises(ab.RuleError, match="times has 2 entries for 4 workers"):
        ab.simulate(LINE, rule="rescaled(times=[1, 2])", updates=5, workers=4, worker_tables=True)
    for times in ([1, 0], [-1.0], []):
        with pytest.raises(ab.UsageError, match="times"):
            rescaled(times=times)
    with pytest.raises(ab.RuleError, match="takes a rule whose scales depend on the staleness alone"):
        rescaled("adadelay(c=0.1)")
