"""Versions that several gradients make: rows, parameters to the bit, ends, resumption; on threads and simulated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import assert_recomputed, assert_rows_are_sound, recompute
from problems import counting, pull_slowly, quadratic, train
from simulations import simulate

import asapnb as ab
from asapnb import theory
from asapnb.record.schema import ABANDONED
from asapnb.simulator import staleness_only
from asapnb.simulator.operations import ends_of, makes_version, whole

BUFFERED = ["lock-based(buffer=3)", "lock-based(buffer=4, discard_after=1)", "lock-based(discard_after=2)"]
ALL = {"momentum": 0.9, "weight_decay": 0.01, "compensation": 0.02, "clip": 40.0, "step_size": 0.02}
SLOW = quadratic(n=3000, gradient=pull_slowly)


@pytest.mark.parametrize(
    ("given", "dtype"), [({}, np.float32), (ALL, np.float32), ({**ALL, "clip": None}, np.float64)]
)
@pytest.mark.parametrize("scheme", BUFFERED)
def test_on_threads_the_rows_give_every_version_to_the_bit(scheme, given, dtype):
    problem = quadratic(n=3000, gradient=pull_slowly, dtype=dtype)
    more = {"rule": "inverse", "eval_every": 7, "keep_params": "evals", "worker_tables": bool(given)}
    run = train(problem, scheme, workers=6, updates=50, meetings=20, **more, **given)
    assert_rows_are_sound(run)
    assert run.evals["step"].tolist() == [*range(0, 50, 7), 50]
    assert_recomputed(run, problem)
    if "discard" in scheme:
        given_up = run.updates["dropped"] == ABANDONED
        assert given_up.any()
        limit = int(scheme[-2])
        assert (run.updates["tau"][given_up] >= limit).all()
        assert (run.updates["tau"][~given_up] < limit).all()


def test_no_gradient_is_lost_or_counted_twice():
    """A gradient is −1: with step size 1 a version of K equal weights adds 1, and a view is one version."""
    run = train(counting(5000), "lock-based(buffer=4)", workers=8, step_size=1.0, updates=300, divergence_factor=1e9)
    assert (run.params["final"] == 300).all()
    assert (run.updates["loss"] == 0).all(), "torn"
    assert len(run.updates["tau"]) == 4 * 300


def test_a_buffer_of_one_is_none():
    one, none = (
        simulate(scheme=scheme, rule="tail", momentum=0.5) for scheme in ("lock-based(buffer=1)", "lock-based")
    )
    assert one.config == none.config
    np.testing.assert_array_equal(one.params["final"], none.params["final"])


@pytest.mark.parametrize("rule", ["wu_adaptive(2, 1.5)", "adadelay(1)"])
def test_factors_follow_from_the_means_of_versions(rule):
    run = train(SLOW, BUFFERED[0], workers=6, updates=60, meetings=20, rule=rule)
    again = ab.replay(run, SLOW, rule=rule)
    assert len(np.unique(run.updates["factor"])) > 1
    np.testing.assert_array_equal(again.updates["factor"], run.updates["factor"])


def test_an_epoch_takes_a_minibatch_for_each_gradient():
    run = train(quadratic(60), "lock-based(buffer=3)", epochs=2)  # 9 minibatches of 7
    assert run.evals["step"].tolist() == [0, 3, 6]
    summary = train(quadratic(60), "lock-based(buffer=3)", epochs=2, record="summary").summary()
    assert summary["updates"] == run.summary()["updates"] == 6
    assert summary["sum_of_steps"] == pytest.approx(run.summary()["sum_of_steps"]) == pytest.approx(0.6)


@pytest.mark.parametrize("scheme", ["lock-based(buffer=3)", "lock-based(buffer=2, discard_after=1)"])
def test_a_version_that_was_not_made_leaves_no_rows_and_the_run_goes_on(scheme, tmp_path, stops_when):
    stops_when(lambda controller: controller.totals.version >= 20)
    given = {"workers": 6, "momentum": 0.5, "step_size": 1e-3, "rule": "inverse", "eval_every": 10, "meetings": 6}
    before = train(SLOW, scheme, updates=10**6, out=tmp_path / "run.h5", **given)
    assert before.status == "interrupted"
    assert_rows_are_sound(before)
    made, each = before.summary()["updates"], int(scheme[18])
    assert (before.updates["dropped"] != ABANDONED).sum() == made * each
    assert before.params["velocity"].shape == (1, 3000)
    run = ab.resume(before, updates=made + 30, problem=SLOW)
    assert_rows_are_sound(run)
    np.testing.assert_array_equal(ab.replay(run, SLOW).params["final"], run.params["final"])


@pytest.mark.parametrize("scheme", BUFFERED)
def test_what_diverges_makes_its_version_and_ends_the_run(scheme):
    run = train(quadratic(), scheme, step_size=1e20, updates=10**6)
    assert run.status == "diverged"
    each = 1 if "buffer" not in scheme else int(scheme[18])
    limit = 10 * run.evals["train_loss"][0]
    assert not (run.updates["loss"][-each:] <= limit).all() or not run.evals["train_loss"][-1] <= limit
    assert len(run.updates["tau"]) % each == 0 or (run.updates["dropped"] == ABANDONED).any()
    assert ab.replay(run, quadratic()).status in ("diverged", "finished")


@pytest.mark.parametrize("updates", [1, 20])
def test_a_time_limit_leaves_whole_versions(updates):
    whole_run = simulate(scheme="lock-based(buffer=3, discard_after=2)", updates=updates)
    rows = whole_run.updates
    for row in (0, 1, len(rows["tau"]) // 2):
        run = simulate(
            scheme="lock-based(buffer=3, discard_after=2)", updates=updates, max_seconds=rows["t_apply"][row]
        )
        applied = run.updates["dropped"] != ABANDONED
        assert applied.sum() % 3 == 0
        assert run.updates["version"].max(initial=0) == applied.sum() // 3


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4))
def test_whole_versions(given_up, together):
    abandoned = np.array(given_up, bool)
    count = whole(None if together > 1 else abandoned, abandoned, together)
    kept = ~abandoned[:count]
    assert kept.sum() == (~abandoned).sum() // together * together or together == 1
    assert count == len(abandoned) or not abandoned[count]
    version = np.where(abandoned, -1, np.cumsum(~abandoned) // -1)
    version = np.where(abandoned, -1, (np.cumsum(~abandoned) - 1) // together + 1)[:count]
    made = makes_version(version, abandoned[:count])
    if together > 1 and count:
        assert (
            np.diff(np.flatnonzero(np.append(True, made)[np.append(True, kept)])).tolist() == [together] * made.sum()
        )
        half = np.ones(count, bool)
        half[ends_of({"version": version}, abandoned[:count]) - 1] = False
        assert (half == (kept & ~made)).all()


# --- laws -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 9))
def test_with_equal_times_staleness_is_a_count_of_versions(workers, buffer):
    """Worker i % m adds gradient i, and reads at once. It arrives again with gradient i + m."""
    made = ab.schedule("1", ab.LockBased(buffer=buffer), workers, updates=3 * workers + 5)
    i = np.arange(len(made))
    read = np.maximum(i - workers + 1, 0)  # gradients added by then
    np.testing.assert_array_equal(made.tau, i // buffer - read // buffer)


@pytest.mark.parametrize(("workers", "buffer"), [(16, 4), (5, 5), (4, 7)])
def test_the_mean_staleness_of_a_buffer_is_that_of_gradients_divided_by_its_size(workers, buffer):
    """By Hermite's identity: the buffer is as full as may be when a worker reads, whatever the delay."""
    for timing in ("exponential(1)", "gamma(mean=1, cv=0.5)"):
        tally = staleness_only(timing, ab.LockBased(buffer=buffer), workers, updates=200_000, seed=2)
        assert tally.staleness.mean() == pytest.approx((workers - 1) / buffer, rel=0.01)


def test_fresh_gradients_alone_are_averaged_at_the_parameters_before():
    """`discard_after=1`: a version is the mean of K gradients at the version before, as K-batch-sync makes it."""
    run = simulate(scheme="lock-based(buffer=3, discard_after=1)", workers=6, updates=40)
    applied = run.updates["dropped"] != ABANDONED
    assert (run.updates["tau"][applied] == 0).all()
    assert not applied.all()
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any), st.integers(1, 7))
def test_the_law_of_a_buffer_is_that_of_every_fill(counts, buffer):
    delays = ab.StalenessDistribution.from_counts(counts)
    law = np.zeros(len(counts) + 2)
    for delay, probability in enumerate(delays.pmf):
        for fill in range(buffer):
            law[(fill + delay) // buffer] += probability / buffer
    found = theory.buffered_staleness(delays, buffer)
    np.testing.assert_allclose(found.pmf, law[: len(found.pmf)], atol=1e-15)
    assert found.mean() == pytest.approx(delays.mean() / buffer)


def test_the_law_of_a_buffer_of_exponential_workers():
    tally = staleness_only("exponential(1)", ab.LockBased(buffer=4), 16, updates=200_000, seed=3)
    law = theory.buffered_staleness(theory.exponential_workers([1.0] * 16), 4)
    counted = tally.counts / tally.counts.sum()
    assert np.abs(counted - law.pmf[: len(counted)]).sum() < 0.01


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([0.2, 1.0, 1.0, 9.0, 60.0]), min_size=1, max_size=9),
    st.integers(1, 8),
    st.floats(0.05, 1.0),
    st.integers(0, 99),
)
def test_with_the_quantile_rule_half_of_what_is_as_early_as_the_quantile_is_kept(means, other, share, seed):
    """However late the rest is, and for any other buffer and bound: V (K + d) >= N - K + 1."""
    timing = ab.timing.Timing([ab.timing.exponential(mean) for mean in means])
    plain = ab.schedule(timing, ab.LockBased(), len(means), 400, seed)
    for size in (theory.fresh_buffer(plain.staleness, share), other):
        made = ab.schedule(timing, ab.LockBased(buffer=size, discard_after=1), len(means), 60, seed)
        arrivals = np.sort(made.t_apply)
        delay = np.searchsorted(arrivals, made.t_apply, "left") - np.searchsorted(arrivals, made.t_read, "right")
        for most in (size, 0, 3, 20):
            assert made.updates * (size + most) >= (delay <= most).sum() - size + 1
