"""`stable_step`: the largest stable step under the true process, against formulas and slow twins."""

import math

import naive_theory as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asapnb as ab
from asapnb import theory
from asapnb.errors import UsageError
from asapnb.kernels.arrays import aligned
from asapnb.rules import profile
from asapnb.simulator import schedule
from asapnb.simulator.scheduling import Simulation
from asapnb.simulator.world import ROW
from asapnb.staleness import constant
from asapnb.theory.executions import Executions
from asapnb.theory.recursion import advance, sizes

NEARLY = "[exponential(1), exponential(1), exponential(1), exponential(1.0001)]"  # for which no formula is taken
FEW = {"replicas": 60, "batches": 3}


@pytest.mark.parametrize(
    ("momentum", "shared", "direct", "scheme"),
    [
        (0.0, False, 0.0, "lock-based"),
        (0.9, False, 0.2, "lock-based"),
        (0.9, True, 0.0, "parameter-server(discard_after=5)"),
    ],
)
def test_the_recursion_is_that_of_its_twin(momentum, shared, direct, scheme):
    rows = schedule("exponential(1)", scheme, workers=4, updates=300, seed=1).rows
    assert ("server" in scheme) == rows["dropped"].any()
    scales, past, made = np.array([1.5, 1.0, 0.5]), np.ones((1, 64)), np.zeros(1, np.int64)
    velocity = np.zeros((1, 1 if shared else 4))
    advance(rows[None], np.array([len(rows)]), past, made, velocity, scales, 0.1, momentum, direct)
    x = naive.along_rows(rows, 0.1, scales, 4, momentum, shared, direct)
    assert made[0] == len(x) - 1 == 300
    np.testing.assert_array_equal(past[0, np.arange(270, 301) % 64], x[270:])
    found = np.zeros(1)
    sizes(past, made, 7, found)
    assert found[0] == pytest.approx((x[-7:] ** 2).mean(), rel=1e-15)


def test_a_fork_goes_on_with_times_of_its_own_and_disturbs_nobody():
    def rows_of(simulation, count):
        rows = aligned(count, ROW)
        return rows[: simulation.fill(rows, np.empty(0))]

    whole, undisturbed = (Simulation("exponential(1)", "lock-based", 4, 1000, 3) for _ in range(2))
    rows_of(whole, 50), rows_of(undisturbed, 50)
    first, second = (whole.forked(np.random.default_rng(seed)) for seed in (1, 2))
    ways = [rows_of(simulation, 200) for simulation in (first, second, whole, undisturbed)]
    np.testing.assert_array_equal(ways[2], ways[3])
    for one in ways[:2]:  # what was under way ends as it would have
        assert one[0] == ways[2][0]
        assert not np.array_equal(one["worker"], ways[2]["worker"])
    assert not np.array_equal(ways[0]["worker"], ways[1]["worker"])


@pytest.mark.parametrize("tau", [1, 4])
def test_simulated_constant_staleness_has_its_limit(tau):
    executions = Executions(Simulation(1.0, "lock-based", tau + 1, 10**6, 0), replicas=2, seed=0)
    assert executions.staleness.pmf[tau] == 1
    limit = theory.constant_limit(tau)
    below, above = (executions.growth(f * limit, np.ones(1), 40, seed=0) for f in (0.98, 1.02))
    assert below < 0 < above
    updates = max(tau + 1, 8)  # of a round; E[x^2] is the square of x
    exact = 2 * updates * math.log(theory.constant_radius(1.02 * limit, tau))
    assert above == pytest.approx(exact, rel=0.05)  # up to the phase of the oscillation


@pytest.mark.parametrize("rule", ["constant", "tail"])
def test_simulated_exponential_workers_have_the_exact_limit(rule):
    exact = theory.stable_step(rule, workers=4)
    found = theory.stable_step(rule, workers=4, timing=NEARLY, **FEW)
    assert exact.exact
    assert not found.exact
    assert exact.step == pytest.approx(theory.exponential_limit(4, rule))
    assert found.step == pytest.approx(exact.step, rel=0.03)  # as few executions miss rare large ones
    assert 0 < found.error < 0.02 * exact.step


def test_lognormal_workers_have_the_limits_of_the_experiment():
    """experiments/stability-region/limits.csv, found there with a simulation of its own."""
    for rule, limit in (("constant", 0.23972), ("power(3)", 0.27037)):
        found = theory.stable_step(rule, workers=8, timing="lognormal(mean=1, cv=0.3)", **FEW)
        assert found.step == pytest.approx(limit, rel=0.01)
        assert found.mean_scale == pytest.approx(1)


@settings(max_examples=10)
@given(st.integers(1, 6), st.floats(0.1, 10), st.sampled_from(["exponential(2)", "3.0"]))
def test_scaling_the_rule_scales_the_step(workers, factor, timing):
    once, times = (theory.stable_step([f * 2.0, f], workers=workers, timing=timing) for f in (1.0, factor))
    assert times.step * factor == pytest.approx(once.step, rel=1e-6)
    assert times.mean_scale == pytest.approx(factor * once.mean_scale)
    assert once.exact
    assert once.error == 0


@pytest.mark.parametrize("workers", [3, 8])
def test_a_floor_lets_exponential_workers_bear_more_than_any_power_without(workers):
    """experiments/faster: the profile that bears most falls from the freshest to a floor, and not to 0."""
    raised = profile(lambda u: 0.5 + 2 * (1 - u) ** 3)
    limits = [theory.exponential_limit(workers, rule) for rule in ("constant", "tail", raised)]
    assert limits == sorted(limits)
    assert limits[-1] > max(theory.exponential_limit(workers, f"power({q})") for q in (0.5, 1.5, 2, 3))


def test_unequal_workers_whose_limit_is_far_from_that_of_independent_staleness():
    timing = "groups(lognormal(mean=1, cv=0.1), lognormal(mean=2, cv=0.1), sizes=[4, 4])"
    found = theory.stable_step("power(16)", workers=8, timing=timing, replicas=30, batches=2)
    assert 0 < found.step < 0.7 * theory.independent_limit(found.staleness, "power(16)", 8)
    assert math.isfinite(found.error)


def test_where_there_is_a_formula_it_is_taken():
    assert float(theory.stable_step(workers=6, timing="0.5")) == theory.constant_limit(5)
    assert theory.stable_step("tail(cdf='exclusive')", workers=6, timing="0.5").step == theory.constant_limit(5) / 2
    assert theory.stable_step("tail(cdf='inclusive')", workers=6, timing="0.5").step == math.inf
    assert theory.stable_step("tail", workers=6, scheme="synchronous").step == 2
    assert theory.stable_step(workers=1, momentum=0.5).step == 3
    assert theory.stable_step(workers=1, momentum=0.5, direct_share=1.0).step == 2
    assert theory.stable_step(workers=500).step == theory.exponential_limit(500)
    assert "exact" in str(theory.stable_step(workers=4))
    assert theory.stable_step(workers=3, timing="2.0").staleness.pmf.tolist() == constant(2).pmf.tolist()


@pytest.mark.parametrize("shared", [False, True])
def test_momentum_lowers_the_limit_as_the_roots_say(shared):
    """Constant times: x[t+1] - x[t] = mu (x[t+1-k] - x[t-k]) - a x[t-3], k = 1 for one velocity and 4 for four."""
    mu, lag = 0.8, 1 if shared else 4

    def radius(a):
        equation = np.zeros(6)  # times z^(4-t), from z^5 to 1
        for power, factor in ((5, 1), (4, -1), (5 - lag, -mu), (4 - lag, mu), (1, a)):
            equation[5 - power] += factor
        return np.abs(np.roots(equation)).max()

    kind = "shared" if shared else "per_worker"
    found = theory.stable_step(workers=4, timing="1.0", momentum=mu, momentum_kind=kind, replicas=2, batches=2)
    assert radius(0.985 * found.step) < 1 < radius(1.015 * found.step)
    assert found.step < 0.5 * theory.constant_limit(3)
    assert found.error == 0


def test_a_direct_share_raises_the_limit_under_nearly_constant_delays():
    """A memory of eight gradients of each worker, with 2/(8 + 1) of a gradient applied at once: about (8 + 1)/3."""
    steps = [
        theory.stable_step(workers=4, timing="lognormal(mean=1, cv=0.05)", **FEW, **given).step
        for given in ({}, {"momentum": 7 / 8, "direct_share": 2 / 9})
    ]
    assert steps[1] / steps[0] == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"workers": 4, "momentum": 1.0}, "momentum is 1"),
        ({"workers": 4, "momentum_kind": "both"}, "momentum_kind"),
        ({"workers": 4, "replicas": 1}, "replicas is 1"),
        ({"workers": 4, "batches": 1}, "batches is 1"),
        ({"workers": 4, "seed": -1}, "seed is -1"),
        ({"workers": 4, "rule": "adadelay(0.1)"}, "more than the staleness"),
        ({"workers": 4, "rule": "shuffled(tail)"}, "more than the staleness"),
        ({"workers": 4, "scheme": "hogwild", "timing": "compute=exponential(1), read=0.1"}, "mix versions"),
        ({"workers": 4, "timing": "compute=1, network=1"}, "sends no messages"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        theory.stable_step(call.pop("rule", "constant"), **call)


def test_hogwild_without_read_and_update_times_is_lock_based():
    pair = [
        theory.stable_step(workers=3, scheme=scheme, timing="2.0").step for scheme in (ab.Hogwild(), "lock-based")
    ]
    assert pair[0] == pair[1]
