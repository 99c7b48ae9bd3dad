"""The simulator against what is known exactly of f = λx²/2 with delayed gradients; a = ηλ throughout."""

import math
from dataclasses import replace
from functools import cache

import naive
import naive_theory as theory
import numpy as np
import pytest
from scipy import linalg, optimize, stats

import asapnb as ab
from asapnb.problems import quadratic
from asapnb.rules import Rule
from asapnb.simulator import schedule
from asapnb.staleness import StalenessDistribution, geometric
from asapnb.theory import constant_best, constant_limit, constant_variance, exponential_limit, independent_limit

STABLE = {0: 2, 1: 1, 2: 0.6180, 5: 0.2846, 10: 0.1495, 20: 0.0766}  # up to which a, by staleness
STEP = 0.5  # a power of two: η·(λx) and (ηλ)·x are the same number
BOUND = stats.norm.isf(1e-5 / 2)
LIMITS = {2: 1.281, 4: 0.843, 8: 0.566, 16: 0.386}  # of exponential workers in mean square, by number
INDEPENDENT = {2: 1.106, 4: 0.743, 8: 0.513, 16: 0.358}  # of independent geometric delays
EXPONENTIAL = "exponential(1)"


def simulated(a, workers, timing, updates, *, every=1, seed=0, start=1.0, noise=0.0, rule="constant", samples=2**20):
    """A run on a quadratic of the eigenvalues a / STEP, and its parameters, shape (updates / every + 1, d).

    `noise` is the variance of the gradient of each coordinate.
    """
    a, seen = np.atleast_1d(a), []

    def evaluation(params, split):
        if split == "train":
            seen.append(params.copy())
        return 1.0, math.nan

    problem = quadratic(a / STEP, noise * len(a), start=start, samples=samples)
    run = ab.simulate(
        replace(problem, evaluation=evaluation),
        workers=workers,
        timing=timing,
        rule=rule,
        step_size=STEP,
        batch_size=1,
        updates=updates,
        eval_every=every,
        divergence_factor=1e300,
        seed=seed,
        threads=1,
    )
    assert run.status == "finished"
    np.testing.assert_array_equal(run.evals["step"], np.arange(0, updates + 1, every))
    return run, np.array(seen)


# --- constant staleness: m = τ + 1 workers whose gradients all take the same time -----------------------------------


@cache
def of_constant_times(tau):
    """0.99 and 1.01 times the limit; 0.9, 1 and 1.1 times the best."""
    limit, best = constant_limit(tau), constant_best(tau)[0]
    a = np.array([0.99 * limit, 1.01 * limit, 0.9 * best, best, 1.1 * best])
    return a, *simulated(a, tau + 1, 1.0, 1500)


def rate(x, tau, low, high):
    """The factor per update of what is left: of a pair of modes, complex or equal, or for τ = 0 of the only one.

    x[t]·x[t+2g] − x[t+g]² is C·ρ^(2t) exactly for x[t] = B·ρ^t·cos(ωt + φ) as for (A + B·t)·ρ^t.
    """
    if tau == 0:
        return abs(x[high] / x[low]) ** (1 / (high - low))
    first, last = (x[t] * x[t + 2 * tau] - x[t + tau] ** 2 for t in (low, high))
    return abs(last / first) ** (1 / (2 * (high - low)))


@pytest.mark.parametrize("tau", STABLE)
def test_constant_staleness_is_the_recursion_to_the_bit(tau):
    a, run, x = of_constant_times(tau)
    np.testing.assert_array_equal(run.updates["tau"], np.minimum(np.arange(1500), tau))
    np.testing.assert_allclose(x, theory.constant_delay(a, tau, 1500), rtol=0, atol=1e-307)  # all normal numbers


@pytest.mark.parametrize("tau", STABLE)
def test_constant_staleness_is_stable_up_to_2_sin_and_no_further(tau):
    assert constant_limit(tau) == pytest.approx(STABLE[tau], abs=5e-5)
    assert theory.radius(theory.companion(constant_limit(tau), tau)) == pytest.approx(1, abs=1e-12)
    a, _, x = of_constant_times(tau)
    for i in (0, 1):
        expected = theory.radius(theory.companion(a[i], tau))
        found = rate(x[:, i], tau, 400, 1400)
        assert found == pytest.approx(expected, abs=1e-10)
        assert (found < 1) == (i == 0)
        assert abs(found - 1) > 2e-4  # which is far more than it may be off


@pytest.mark.parametrize("tau", STABLE)
def test_a_run_just_above_the_limit_diverges_and_one_just_below_does_not(tau):
    for factor, status in ((0.99, "finished"), (1.01, "diverged")):
        problem = quadratic([factor * constant_limit(tau) / STEP], start=3.0)
        run = ab.simulate(
            problem, workers=tau + 1, timing=1.0, step_size=STEP, batch_size=1, updates=20_000, eval_every=100
        )
        assert run.status == status
        x = theory.constant_delay(factor * constant_limit(tau), tau, int(run.evals["step"][-1]))
        exact = (problem.constants.L / 2 * (3 * x) ** 2)[run.evals["step"]]
        np.testing.assert_allclose(run.evals["train_loss"], exact, rtol=1e-6, atol=1e-300)


@pytest.mark.parametrize("tau", STABLE)
def test_the_best_rate_is_that_of_a_double_root(tau):
    matrices = [theory.companion(factor * constant_best(tau)[0], tau) for factor in (0.9, 0.99, 1, 1.01, 1.1)]
    radii = [theory.radius(matrix) for matrix in matrices]
    assert radii[2] == pytest.approx(tau / (tau + 1), abs=1e-7)
    assert min(range(5), key=lambda i: radii[i]) == 2
    x = of_constant_times(tau)[2]
    if tau == 0:
        assert (x[1:, 3] == 0).all()  # at once
        return
    low, high = 20 * (tau + 1), min(100 * (tau + 1), 1400)
    assert rate(x[:, 3], tau, low, high) == pytest.approx(tau / (tau + 1), abs=1e-4)
    slope = np.log(x[high, 3] / x[low, 3]) / (high - low)  # with the factor A + B·t of the double root
    assert np.exp(slope) * (low / high) ** (1 / (high - low)) == pytest.approx(tau / (tau + 1), abs=1e-3)
    assert (x[high, 2] / x[low, 2]) ** (1 / (high - low)) == pytest.approx(radii[0], abs=1e-4)  # one root leads
    assert rate(x[:, 4], tau, low, high) == pytest.approx(radii[4], abs=1e-4)
    assert np.abs(x[high, 3]) < np.abs(x[high : high + 2 * tau, [2, 4]]).max(0).min()


@pytest.mark.parametrize("tau", STABLE)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_formula_of_the_stationary_variance_solves_the_equation_of_lyapunov(share, tau):
    a = share * constant_limit(tau)
    noise = np.zeros((tau + 1, tau + 1))
    noise[0, 0] = 1
    exact = linalg.solve_discrete_lyapunov(theory.companion(a, tau), noise)
    assert constant_variance(a, tau) == pytest.approx(exact[0, 0], rel=1e-9)
    if tau == 0:
        assert constant_variance(a, tau) == pytest.approx(1 / (a * (2 - a)))
    if tau == 1:
        assert constant_variance(a, tau) == pytest.approx((1 + a) / ((1 - a) * a * (2 + a)))


@pytest.mark.parametrize("tau", [0, 1, 2, 5])
def test_noise_leaves_the_stationary_variance(tau):
    shares, each = np.array([0.1, 0.5, 0.9]), 32  # coordinates of independent noise
    a, deviation, skipped = np.repeat(shares * constant_limit(tau), each), 0.3, 500
    _, x = simulated(a, tau + 1, 1.0, 10_000, every=5, noise=(deviation / STEP) ** 2)
    squares = (x[skipped // 5 :] ** 2).mean(0).reshape(len(shares), each)
    for share, square in zip(shares, squares, strict=True):
        expected = deviation**2 * constant_variance(share * constant_limit(tau), tau)
        bound = stats.t.isf(1e-5 / 2, each - 1) * square.std(ddof=1) / math.sqrt(each)
        assert bound < 0.1 * expected
        assert abs(square.mean() - expected) < bound


@pytest.mark.parametrize("tau", [0, 1, 2, 5])
def test_noise_is_added_where_the_recursion_adds_it(tau):
    a, samples = 0.5 * constant_limit(tau), 256
    run, x = simulated(a, tau + 1, 1.0, 400, noise=4.0, samples=samples)
    orders = np.concatenate([quadratic([1.0], samples=samples).batches(0, epoch, 1) for epoch in (0, 1)])
    drawn = [naive.noise(orders[ticket, 0], samples, 4.0, 1, 0)[0] for ticket in run.updates["batch"]]
    expected = theory.constant_delay(a, tau, 400, STEP * np.array(drawn))
    np.testing.assert_allclose(x[:, 0], expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert np.abs(x[100:]).max() > 1


# --- exponential workers: any of them is next, whatever was before --------------------------------------------------


SHARES = np.array([0.5, 0.8, 1.0, 1.15])  # of the limit
UPDATES, SEEDS = 20, 60


@cache
def of_seeds(m):
    """x of independent runs, (seeds, updates + 1, shares)."""
    a = SHARES * exponential_limit(m)
    return np.array([simulated(a, m, EXPONENTIAL, UPDATES, seed=seed)[1] for seed in range(SEEDS)])


@cache
def of_parts(m):
    """x of the executions that one schedule falls into, if every worker read what there was where a part begins."""
    order = schedule(EXPONENTIAL, workers=m, updates=20_000 * UPDATES, seed=7).worker.reshape(-1, UPDATES)
    return np.stack([theory.workers_in_order(order, share * exponential_limit(m), m) for share in SHARES], -1)


def errors(values, spread):
    """Standard errors of the mean over the first axis, of a spread known from more of them."""
    return spread.std(0) / math.sqrt(len(values)) + 1e-12


@pytest.mark.parametrize(("m", "updates"), [(2, 11), (3, 7), (4, 6)])
def test_the_twins_of_exponential_workers_are_means_over_all_orders(m, updates):
    orders, a, scales = theory.every_order(m, updates), 0.7, [1.75, 1.2, 0.7, 0.4, 0.1]
    plain, scaled = (theory.workers_in_order(orders, a, m, s) for s in ([1.0], scales))
    exact = (plain**2).mean(0)
    np.testing.assert_allclose(theory.powers(theory.four_moments(a, m), np.ones(4), updates), exact, rtol=1e-12)
    np.testing.assert_allclose(theory.powers(*theory.moments_by_age(a, m, np.ones(3)), updates), exact, rtol=1e-12)
    exact = (scaled**2).mean(0)
    np.testing.assert_allclose(theory.powers(*theory.moments_by_age(a, m, scales), updates), exact, rtol=1e-12)
    np.testing.assert_allclose(theory.heavy_ball(a / m, 1 - 1 / m, -a, updates), plain.mean(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("m", [2, 4, 8, 64])
def test_exponential_workers_are_the_recursion_of_their_order(m):
    a = np.array([0.5, 1.0, 1.3]) * exponential_limit(m)
    run, x = simulated(a, m, EXPONENTIAL, 400, seed=m)
    assert run.staleness.support > 3 * m
    for i, value in enumerate(a):
        np.testing.assert_array_equal(x[:, i], theory.workers_in_order(run.updates["worker"], value, m))


@pytest.mark.parametrize("m", LIMITS)
def test_the_limit_in_mean_square_is_known_for_the_process_and_for_independent_delays(m):
    found = theory.largest_stable(lambda a: theory.four_moments(a, m), 2.0)
    assert found == pytest.approx(exponential_limit(m), abs=1e-8)
    assert found == pytest.approx(LIMITS[m], abs=5e-4)
    apart = theory.largest_stable(lambda a: theory.four_moments(a, m, independent=True), 2.0)
    assert apart == pytest.approx(independent_limit(geometric(m=m)), abs=1e-8)
    assert apart == pytest.approx(INDEPENDENT[m], abs=5e-4)


@pytest.mark.parametrize("m", [2, 3])
def test_the_four_moments_of_independent_delays_are_those_of_kronecker_products(m):
    pmf = geometric(m=m).pmf[:30].copy()
    pmf[-1] += 1 - pmf.sum()
    a = 0.9 * independent_limit(geometric(m=m))
    matrix = theory.independent_delays(a, pmf, np.ones(30))
    exact = theory.powers(matrix, np.ones(900), 25)
    np.testing.assert_allclose(theory.powers(theory.four_moments(a, m, True), np.ones(4), 25), exact, rtol=1e-3)


@pytest.mark.parametrize("m", [2, 4, 8])
def test_second_moments_of_simulated_runs_are_those_of_the_process_and_not_of_independent_delays(m):
    parts, seeds = of_parts(m) ** 2, of_seeds(m) ** 2
    a = SHARES * exponential_limit(m)
    exact, apart = (
        np.stack([theory.powers(theory.four_moments(value, m, i), np.ones(4), UPDATES) for value in a], -1)
        for i in (False, True)
    )
    for values, tested in ((parts, [1, 2, 5, 10, 20]), (seeds, [1, 2, 5, 10])):  # later, few runs make up the mean
        off = np.abs(values.mean(0) - exact) / errors(values, parts)
        assert off[tested].max() < BOUND
    off = np.abs(parts.mean(0) - apart) / errors(parts, parts)
    assert (off[10] > 5).all()  # independent delays are another process, at every step size
    if m == 2:
        assert exact[20, 2] < 1 < 8 < apart[20, 2]


@pytest.mark.parametrize("m", [2, 4, 8])
def test_second_moments_fall_below_the_limit_and_grow_above(m):
    for share, low, high in ((0.93, 0.5, 0.995), (1.0, 0.995, 1.005), (1.07, 1.005, 2)):
        order = schedule(EXPONENTIAL, workers=m, updates=1_000_000, seed=8).worker.reshape(-1, 40)
        x = theory.workers_in_order(order, share * exponential_limit(m), m)
        exact = theory.powers(theory.four_moments(share * exponential_limit(m), m), np.ones(4), 400)
        assert low < exact[400] / exact[399] < high
        assert abs((x[:, 40] ** 2).mean() - exact[40]) < BOUND * errors(x, x**2)[40]


@pytest.mark.parametrize("m", [2, 4, 8])
def test_single_runs_converge_beyond_the_limit_in_mean_square_but_not_far_beyond(m):
    rng, length = np.random.default_rng(9), 450
    shares = np.array([1.1, 2.0, 3.0])
    _, x = simulated(shares * exponential_limit(m), m, EXPONENTIAL, length, seed=10, start=1e-140)
    logs = np.log(np.abs(x[50:]))
    for i, share in enumerate(shares):
        orders = rng.integers(0, m, (400, 300))
        twin = np.log(np.abs(theory.workers_in_order(orders, share * exponential_limit(m), m)))
        slopes = (twin[:, 300] - twin[:, 100]) / 200
        parts = np.diff(logs[::25, i]) / 25
        bound = stats.t.isf(1e-5 / 2, len(parts) - 1) * parts.std(ddof=1) / math.sqrt(len(parts))
        assert abs(parts.mean() - slopes.mean()) < bound + BOUND * slopes.std() / 20
        assert (parts.mean() < 0) == (slopes.mean() < 0) == (share < 2)


@pytest.mark.parametrize("m", [2, 4, 8])
def test_the_noise_of_exponential_workers_leaves_a_known_variance(m):
    a, deviation, batches, each = np.array([0.2, 0.4, 0.6]) * exponential_limit(m), 0.5, 50, 16
    _, x = simulated(np.repeat(a, each), m, EXPONENTIAL, 50_000, every=25, seed=m, noise=(deviation / STEP) ** 2)
    squares = (x[20:] ** 2).reshape(-1, len(a), each).mean(2)
    means = np.array([part.mean(0) for part in np.array_split(squares, batches)])
    expected = deviation**2 * (1 + m * a) / (a * (2 + a - m * a * a))
    for value, known in zip(a, expected, strict=True):
        force = deviation**2 * np.array([1, 1 / m, 1 / m, 0])  # of the noise: on x and on what is then read
        moments = np.linalg.solve(np.eye(4) - theory.four_moments(value, m), force)
        assert moments[0] == pytest.approx(known)
    bound = stats.t.isf(1e-5 / 2, batches - 1) * means.std(0, ddof=1) / math.sqrt(batches)
    assert (bound < 0.1 * expected).all()
    assert (np.abs(means.mean(0) - expected) < bound).all()


# --- implicit momentum ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 4, 8])
@pytest.mark.parametrize("a", [0.1, 0.5, 1.0])
def test_the_mean_over_geometric_delays_is_a_heavy_ball(a, m):
    pmf = geometric(m=m).pmf
    mean = theory.mean_of_independent_delays(a, pmf, 100)
    expected = theory.heavy_ball(a / m, 1 - 1 / m, -a, 100)
    np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-12)
    assert np.abs(theory.heavy_ball(a / m, 1 - 1 / (m + 1), -a, 100) - expected).max() > 1e-3


@pytest.mark.parametrize("m", [2, 4, 8])
def test_the_mean_of_simulated_runs_is_a_heavy_ball(m):
    parts, seeds = of_parts(m), of_seeds(m)
    tested = [1, 2, 3, 5, 10, 20]  # of what is correlated

    def off(values, momentum):
        balls = [theory.heavy_ball(a / m, momentum, -a, UPDATES) for a in SHARES * exponential_limit(m)]
        return (np.abs(values.mean(0) - np.stack(balls, -1)) / errors(values, parts))[tested].max()

    assert off(parts, 1 - 1 / m) < BOUND
    assert off(seeds, 1 - 1 / m) < BOUND
    assert off(parts, 1 - 1 / (m - 0.2)) > 2 * BOUND
    assert off(parts, 1 - 1 / (m + 0.2)) > 2 * BOUND


# --- rules ---------------------------------------------------------------------------------------------------------

RULES = {  # at m = 4: largest a for the process, and for independent delays of 24 values
    "constant": (ab.constant(), 0.843, 0.743),
    "midpoint": (ab.tail(), 0.946, 0.830),
    "exclusive": (ab.tail(cdf="exclusive"), 0.828, 0.726),
    "inverse": (ab.preserve(ab.inverse()), 0.9216, 0.822),
}


def fixed(rule, m):
    """The rule that always has the table of `rule` for m exponential workers."""
    return Rule("fixed", lambda staleness, workers: rule(geometric(m=m).padded(len(staleness)), workers))


@cache
def table(name, m=4):
    """The scales of a rule for m exponential workers."""
    return RULES[name][0](geometric(m=m).padded(1024), m)


@pytest.mark.parametrize("name", RULES)
def test_rules_move_the_limit_of_the_process(name):
    known = RULES[name][1]
    found = optimize.brentq(lambda a: growth(a, table(name)[:24]) - 1, 0.7, 1.1, xtol=1e-7)
    assert found == pytest.approx(known, abs=5e-4)
    shorter = optimize.brentq(lambda a: growth(a, table(name)[:16]) - 1, 0.7, 1.1, xtol=1e-7)
    assert shorter == pytest.approx(found, abs=1e-3)  # what is staler hardly counts


def growth(a, scales, m=4):
    """By what E[x²] of m workers grows per update in the end."""
    return theory.growth(*theory.moments_by_age(a, m, scales))


@pytest.mark.parametrize("name", RULES)
def test_rules_move_the_limit_of_independent_delays(name):
    rule, _, known = RULES[name]
    cut = StalenessDistribution.from_pmf(geometric(m=4).pmf[:24] / geometric(m=4).pmf[:24].sum())
    scales = rule(cut, 4)
    for a, stable in ((known - 1e-3, True), (known + 1e-3, False)):
        assert (theory.growth(theory.independent_delays(a, cut.pmf, scales), np.ones(24**2)) < 1) == stable


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("m", [2, 8])
def test_a_rule_s_runs_are_the_recursion_of_their_order(m, name):
    a = 0.7 * exponential_limit(m)
    run, x = simulated(a, m, EXPONENTIAL, 500, seed=11, rule=fixed(RULES[name][0], m))
    scales = table(name, m).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(run.updates["scale"], scales[run.updates["tau"]])
    expected = theory.workers_in_order(run.updates["worker"], a, m, scales)
    np.testing.assert_allclose(x[:, 0], expected, rtol=1e-9)


def test_near_the_limit_the_midpoint_is_more_stable_than_constant_steps_and_these_than_exclusive():
    order = schedule(EXPONENTIAL, workers=4, updates=600_000, seed=12).worker.reshape(-1, 20)
    for a in (0.6, 0.89):
        ends = {}
        for name in RULES:
            squares = theory.workers_in_order(order, a, 4, table(name)) ** 2
            exact = theory.powers(*theory.moments_by_age(a, 4, table(name)[:24]), 20)  # nothing is staler than 20
            off = np.abs(squares.mean(0) - exact) / errors(squares, squares)
            assert off[[1, 2, 5, 10, 20]].max() < BOUND
            ends[name] = squares[:, 20]
    for less, more in (("midpoint", "constant"), ("constant", "exclusive"), ("inverse", "exclusive")):
        difference = ends[more] - ends[less]
        assert difference.mean() > BOUND * errors(difference, difference)
    assert growth(0.89, table("midpoint")[:24]) < 1 < growth(0.89, table("constant")[:24])
    assert growth(0.89, table("constant")[:24]) < growth(0.89, table("exclusive")[:24])
