"""Convergence bounds: no order of workers does worse, and beyond their conditions none is given.

Given an order, the mean over the noise is exact on quadratics; without noise every path must obey, on any objective.
"""

import math

import naive_theory as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asapnb as ab
from asapnb import theory
from asapnb.errors import UsageError
from asapnb.staleness import StalenessDistribution, constant, geometric, uniform
from asapnb.theory.bounds import _while_under_way

OBJECTIVES = {  # gradient, f, L
    "sine_pl": (lambda x: 2 * x + 3 * np.sin(2 * x), lambda x: x**2 + 3 * np.sin(x) ** 2, 8.0),
    "bounded": (lambda x: 2 * x / (1 + x * x) ** 2, lambda x: x**2 / (1 + x**2), 2.0),
    "log_cosh": (np.tanh, lambda x: np.logaddexp(x, -x) - math.log(2), 1.0),
}


@st.composite
def executions(draw, longest=60):
    """An order of up to 6 workers, and steps as shares of the largest allowed."""
    m = draw(st.integers(1, 6))
    order = draw(st.lists(st.integers(0, m - 1), min_size=1, max_size=longest))
    shares = draw(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=len(order), max_size=len(order)))
    return m, order, np.array([1.0, *shares[1:]])


def general(m, order, L):
    """The largest step of the first two bounds, and the staleness."""
    tau = naive.staleness_of_order(order)
    return 1 / (2 * L * max(1, math.sqrt((m - 1) * tau.max()))), tau


# --- any objective -------------------------------------------------------------------------------------------------


@given(executions(), st.sampled_from(sorted(OBJECTIVES)), st.floats(-4, 4))
def test_no_path_exceeds_the_bounds(execution, name, start):
    m, order, shares = execution
    gradient, f, L = OBJECTIVES[name]
    largest, tau = general(m, order, L)
    steps = largest * shares
    x = naive.path(gradient, start, order, steps)
    given = {"L": L, "gap": f(start), "noise": 0.0, "workers": m, "tau_max": int(tau.max())}
    mean_square = steps @ gradient(x[:-1]) ** 2 / steps.sum()
    assert mean_square <= theory.nonconvex_bound(steps, **given) * (1 + 1e-9) + 1e-12
    if name == "log_cosh":
        average = steps @ x[:-1] / steps.sum()
        del given["gap"]
        assert f(average) <= theory.convex_bound(steps, distance=abs(start), **given) * (1 + 1e-9) + 1e-12


@given(executions(), st.sampled_from(sorted(OBJECTIVES)), st.floats(-4, 4))
def test_no_path_exceeds_the_bound_of_concurrency_however_stale_the_stalest_is(execution, name, start):
    m, order, shares = execution
    gradient, f, L = OBJECTIVES[name]
    tau, others = naive.staleness_of_order(order), max(1, m - 1)
    steps = shares / (2 * L * others) * np.minimum(1, others / np.maximum(tau, 1))  # delay_adaptive
    x = naive.path(gradient, start, order, steps)
    bound = theory.concurrency_bound(steps, tau, L=L, gap=f(start), noise=0.0)
    assert steps @ gradient(x[:-1]) ** 2 / steps.sum() <= bound * (1 + 1e-9) + 1e-12


@given(executions(), st.floats(-4, 4))
def test_no_path_exceeds_the_bound_of_polyak_and_lojasiewicz(execution, start):
    _, order, shares = execution
    gradient, f, L = OBJECTIVES["sine_pl"]
    tau = naive.staleness_of_order(order)
    steps = shares / (4 * L * max(1, tau.max()))
    x = naive.path(gradient, start, order, steps)
    bound = theory.pl_bound(steps, L=L, mu=0.17553, gap=f(start), noise=0.0, tau_max=int(tau.max()))
    assert f(x[-1]) <= bound * (1 + 1e-9) + 1e-12


# --- noise, on quadratics ------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(executions(40), st.lists(st.floats(0.05, 1), min_size=1, max_size=3), st.floats(0, 3), st.floats(0, 5))
def test_noise_does_not_exceed_the_bounds(execution, curvatures, start, noise):
    m, order, shares = execution
    eigenvalues = np.array(curvatures)
    L, mu, d = eigenvalues.max(), eigenvalues.min(), len(eigenvalues)
    largest, tau = general(m, order, L)
    others = max(1, m - 1)
    adaptive = shares / (2 * L * others) * np.minimum(1, others / np.maximum(tau, 1))
    small = shares / (4 * L * max(1, tau.max()))
    gap = eigenvalues.sum() * start**2 / 2
    stated = {"L": L, "noise": noise}
    known = {**stated, "workers": m, "tau_max": int(tau.max())}
    for steps, bounds in (
        (largest * shares, {"nonconvex": theory.nonconvex_bound(largest * shares, gap=gap, **known)}),
        (adaptive, {"nonconvex": theory.concurrency_bound(adaptive, tau, gap=gap, **stated)}),
        (largest * shares, {"convex": theory.convex_bound(largest * shares, distance=start * math.sqrt(d), **known)}),
        (small, {"pl": theory.pl_bound(small, mu=mu, gap=gap, tau_max=int(tau.max()), **stated)}),
    ):
        moments = [naive.mean_squares(c, start, order, steps, noise / d) for c in eigenvalues]
        squares, averages = np.array([m[0] for m in moments]), np.array([m[1] for m in moments])
        found = {
            "nonconvex": steps @ (eigenvalues**2 @ squares[:, :-1]) / steps.sum(),
            "convex": eigenvalues @ averages / 2,
            "pl": eigenvalues @ squares[:, -1] / 2,
        }
        for name, bound in bounds.items():
            assert found[name] <= bound * (1 + 1e-9) + 1e-12, name


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any).map(StalenessDistribution.from_counts),
    st.sampled_from(["constant", "tail", "tail(0.5)", "power(3)", "quantile_cut(0.5)", "preserve(inverse)"]),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
    st.integers(0, 60),
    st.floats(0, 5),
)
def test_independent_staleness_does_not_exceed_its_bound(law, rule, share, mu, updates, noise):
    scales = ab.rules.parse_rule(rule)(law, 4)
    step = share / (4 * max(1, law.support) * scales[law.pmf > 0].max())
    bound = theory.pl_mean_bound(step, updates, rule, law, L=1.0, mu=mu, gap=(1 + mu) / 2, noise=noise, workers=4)
    loss = 0.0
    for curvature in (1.0, mu):  # a quadratic of two eigenvalues
        matrix = naive.independent_delays(step * curvature, law.pmf, scales)
        moments, force = np.ones(len(matrix)), np.eye(len(matrix))[0] * step**2 * (law.pmf @ scales**2) * noise / 2
        for _ in range(updates):
            moments = matrix @ moments + force
        loss += curvature * moments[0] / 2
    assert loss <= bound * (1 + 1e-9)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any).map(StalenessDistribution.from_counts),
    st.sampled_from(["constant", "tail", "power(3)", "inverse"]),
    st.floats(0.02, 0.98),
    st.floats(0.01, 0.9),
    st.floats(0, 2),
)
def test_the_target_is_reached_after_the_updates_of_mindthestep(law, rule, share, target, noise):
    scales = ab.rules.parse_rule(rule)(law, 4)
    grad = math.sqrt(1 + noise)  # E|g|² ≤ M², as E x² does not exceed 1 at these steps
    given = {"c": 1.0, "L": 1.0, "M": grad, "distance": 1.0, "target": target, "workers": 4}
    mean, square = law.pmf @ scales, law.pmf @ scales**2
    stale = law.pmf @ (scales * np.arange(len(law)))
    per_step = 2 * grad * stale * mean / math.sqrt(target) + grad**2 * square / target
    step = share * 2 * mean / per_step
    updates = theory.strongly_convex_updates(step, rule, law, **given)
    assert updates == pytest.approx(-math.log(target) / (2 * mean * step - per_step * step**2), rel=1e-9)
    matrix = naive.independent_delays(step, law.pmf, scales)
    moments, force = np.ones(len(matrix)), np.eye(len(matrix))[0] * step**2 * square * noise
    reached, t = moments[0] <= target, 0
    while not reached and t < min(updates, 3000):
        moments, t = matrix @ moments + force, t + 1
        assert moments.max() <= 1 + 1e-12
        reached = moments[0] <= target
    assert reached or updates > 3000


# --- formulas, written out -----------------------------------------------------------------------------------------


@given(executions(30), st.floats(0.1, 10), st.floats(0, 4), st.floats(0, 4))
def test_the_bounds_are_their_formulas(execution, L, gap, noise):
    m, order, shares = execution
    largest, tau = general(m, order, L)
    steps = largest * shares
    total, squares, high = steps.sum(), (steps**2).sum(), steps.max()
    more = noise * (1 + 2 * L * high * (m - 1)) * squares
    known = {"L": L, "noise": noise, "workers": m, "tau_max": int(tau.max())}
    assert theory.nonconvex_bound(steps, gap=gap, **known) == pytest.approx((2 * gap + L * more) / total)
    assert theory.convex_bound(steps, distance=gap, **known) == pytest.approx((gap**2 + more) / (2 * total))
    small = steps / largest / (4 * L * max(1, tau.max()))
    expected = np.prod(1 - L / 2 * small) * gap + L * noise * small.max() / (L / 2)
    found = theory.pl_bound(small, L=L, mu=L / 2, gap=gap, noise=noise, tau_max=int(tau.max()))
    assert found == pytest.approx(expected)


@given(executions())
def test_what_is_under_way_is_counted(execution):
    m, order, shares = execution
    tau = naive.staleness_of_order(order)
    expected = [sum(shares[t] for t in range(len(tau)) if t - tau[t] <= j < t) for j in range(len(tau))]
    np.testing.assert_allclose(_while_under_way(shares, tau), expected, atol=1e-9)
    assert _while_under_way(np.ones(len(tau)), tau).max() <= max(1, m - 1)


def test_the_bound_of_concurrency_needs_no_largest_staleness():
    tau = np.minimum(np.arange(2000), 7)
    tau[1999] = 1999  # one gradient as old as the run
    steps = np.where(tau > 8, 8 / np.maximum(tau, 1), 1.0) / (2 * 8)
    bound = theory.concurrency_bound(steps, tau, L=1.0, gap=1.0, noise=0.0)
    assert bound == pytest.approx(2 / steps.sum())
    with pytest.raises(UsageError, match="largest step"):
        theory.nonconvex_bound(steps, L=1.0, gap=1.0, noise=0.0, workers=9, tau_max=1999)


# --- conditions ----------------------------------------------------------------------------------------------------


def test_one_step_too_large_is_refused_and_the_largest_is_told():
    known = {"L": 2.0, "noise": 0.1, "workers": 5, "tau_max": 9}
    limit = 1 / (2 * 2 * 6)
    for function, more in ((theory.nonconvex_bound, {"gap": 1.0}), (theory.convex_bound, {"distance": 1.0})):
        assert function([limit, 0.0], **known, **more) > 0
        with pytest.raises(UsageError, match=r"up to 0\.0416667"):
            function([limit / 2, 1.01 * limit], **known, **more)
    pl = {"L": 2.0, "mu": 1.0, "gap": 1.0, "noise": 0.1}
    assert theory.pl_bound([1 / 72], **pl, tau_max=9) > 0
    with pytest.raises(UsageError, match=r"up to 0\.0138889"):
        theory.pl_bound([1.01 / 72], **pl, tau_max=9)
    with pytest.raises(UsageError, match=r"up to 0\.0138889"):
        theory.pl_mean_bound(1.01 / 72, 10, "constant", constant(9), **pl)


def test_steps_divided_as_the_error_says_are_within_the_bound_of_concurrency():
    tau, known = np.minimum(np.arange(30), 5), {"L": 1.0, "gap": 1.0, "noise": 0.0}
    with pytest.raises(UsageError, match=r"L eta is 13 at update") as error:
        theory.concurrency_bound(np.full(30, 0.5), tau, **known)
    assert theory.concurrency_bound(np.full(30, 0.5 / 13), tau, **known) > 0
    assert "divide all steps by that number" in str(error.value)


KNOWN = {"L": 1.0, "gap": 1.0, "noise": 0.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.pl_mean_bound(1e-3, 9, "inverse", uniform(0, 3), mu=0.1, **KNOWN), "mean scale"),
        (lambda: theory.pl_bound([1e-3], mu=2.0, tau_max=1, **KNOWN), "mu is 2"),
        (lambda: theory.nonconvex_bound([0.0, 0.0], workers=1, tau_max=0, **KNOWN), "all 0"),
        (
            lambda: theory.strongly_convex_updates(
                0.1, [0.0], geometric(m=4), c=1.0, L=1.0, M=1.0, distance=1.0, target=0.1
            ),
            "all scales are 0",
        ),
        (lambda: theory.nonconvex_bound([[0.1]], workers=1, tau_max=0, **KNOWN), "list of numbers"),
        (lambda: theory.nonconvex_bound([0.1], workers=0, tau_max=0, **KNOWN), "workers is 0"),
        (lambda: theory.nonconvex_bound([0.1], workers=1, tau_max=0, L=0.0, gap=1.0, noise=0.0), "L is 0"),
        (lambda: theory.concurrency_bound([0.1], [0, 1], **KNOWN), "2 entries"),
        (lambda: theory.concurrency_bound([0.1, 0.1], [0], **KNOWN), "1 entries"),
        (lambda: theory.concurrency_bound([0.1, 0.1], [0, 2], **KNOWN), "updates before"),
        (
            lambda: theory.strongly_convex_updates(
                1.0, "constant", geometric(m=4), c=1.0, L=1.0, M=1.0, distance=1.0, target=0.01
            ),
            r"below 0\.0125",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_rule_is_told_of_one_worker_by_default():
    law, told = StalenessDistribution.from_counts([3, 1]), []

    def rule(staleness, workers):
        told.append(workers)
        return np.ones(len(staleness))

    theory.pl_mean_bound(0.1, 5, rule, law, L=1.0, mu=0.5, gap=1.0, noise=0.0)
    theory.strongly_convex_updates(0.01, rule, law, c=1.0, L=1.0, M=1.0, distance=1.0, target=0.04)
    assert set(told) == {1}
