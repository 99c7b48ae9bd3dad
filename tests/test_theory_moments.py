"""Limits of stability, growth and variance: closed forms and linear systems against matrices of moments."""

import math

import naive_theory as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

import asapnb as ab
from asapnb import theory
from asapnb.errors import UsageError
from asapnb.rules import examples, preserve
from asapnb.staleness import StalenessDistribution, constant, geometric, uniform

SCALES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 3.0]) | st.floats(0.01, 3), min_size=1, max_size=6)
SHORT = st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any).map(StalenessDistribution.from_counts)
AT_4 = {"constant": 0.84307, "tail": 0.9463, "tail(cdf='exclusive')": 0.82799, "preserve(inverse)": 0.92158}


def radius_of_workers(a, m, scales):
    """By what E[x²] of m workers grows, from the matrix of all moments."""
    return naive.radius(naive.moments_by_age(a, m, scales)[0])


def radius_of_independent(a, law, scales):
    """The same for independent staleness, from Kronecker products."""
    return naive.radius(naive.independent_delays(a, law.pmf, np.resize(scales, len(law))))


# --- constant staleness --------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.floats(0.001, 2))
def test_the_radius_of_constant_staleness_is_that_of_its_matrix(tau, a):
    assert theory.constant_radius(a, tau) == pytest.approx(naive.radius(naive.companion(a, tau)), rel=1e-6, abs=1e-9)


@given(st.integers(0, 60))
def test_the_limit_and_the_best_step_of_constant_staleness(tau):
    limit, (best, rate) = theory.constant_limit(tau), theory.constant_best(tau)
    assert theory.constant_radius(0.999 * limit, tau) < 1 < theory.constant_radius(1.001 * limit, tau)
    assert theory.constant_radius(limit, tau) == pytest.approx(1, abs=1e-9)
    assert theory.constant_radius(best, tau) == pytest.approx(rate, abs=1e-6)
    for other in (0.9, 1.1):
        assert theory.constant_radius(other * best, tau) > rate


@given(st.integers(0, 30), st.floats(0.02, 0.98))
def test_the_variance_of_constant_staleness_solves_lyapunov_s_equation(tau, share):
    a = share * theory.constant_limit(tau)
    noise = np.zeros((tau + 1, tau + 1))
    noise[0, 0] = 3.0
    exact = linalg.solve_discrete_lyapunov(naive.companion(a, tau), noise)[0, 0]
    assert theory.constant_variance(a, tau, 3.0) == pytest.approx(exact, rel=1e-6)
    assert theory.independent_variance(a, constant(tau), noise=3.0) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("tau", [0, 1, 2, 5, 10, 20, 50])
def test_constant_staleness_is_a_case_of_independent_staleness(tau):
    limit = theory.constant_limit(tau)
    assert theory.independent_limit(constant(tau)) == pytest.approx(limit, rel=1e-8)
    for share in (0.5, 1, 1.2):
        growth = theory.constant_radius(share * limit, tau) ** 2
        assert theory.independent_growth(share * limit, constant(tau)) == pytest.approx(max(growth, 1e-3), rel=1e-4)


# --- independent staleness -----------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(SHORT, SCALES, st.floats(0.02, 1.5))
def test_growth_under_independent_staleness_is_the_spectral_radius(law, scales, a):
    scales = np.resize(scales, len(law))
    exact = radius_of_independent(a, law, scales)
    found = theory.independent_growth(a, law, scales)
    assert found == pytest.approx(exact, rel=2e-3) or max(found, exact) < 0.05  # multiple roots are that ill-posed


@settings(max_examples=60)
@given(SHORT, SCALES)
def test_up_to_the_limit_independent_staleness_is_stable(law, scales):
    scales = np.resize(scales, len(law))
    limit = theory.independent_limit(law, scales)
    if not (law.pmf @ scales):
        assert limit == math.inf
        return
    for share in (0.1, 0.5, 0.9, 0.99):
        assert radius_of_independent(share * limit, law, scales) < 1
    assert radius_of_independent(limit, law, scales) == pytest.approx(1, abs=1e-6)
    assert radius_of_independent(1.01 * limit, law, scales) > 1


@settings(max_examples=30)
@given(SHORT, SCALES, st.floats(0.05, 0.95))
def test_the_variance_under_independent_staleness_is_that_of_the_moments(law, scales, share):
    scales = np.resize(scales, len(law))
    if not (law.pmf @ scales):
        return
    a = share * theory.independent_limit(law, scales)
    force = np.eye(len(law) ** 2)[0]
    matrix = naive.independent_delays(a, law.pmf, scales)
    exact = np.linalg.solve(np.eye(len(force)) - matrix, force)[0]
    assert theory.independent_variance(a, law, scales, noise=2.0) == pytest.approx(2 * exact, rel=1e-6)


@pytest.mark.parametrize("m", [2, 4, 8])
def test_independent_geometric_staleness_has_a_closed_form(m):
    p, q = 1 / m, 1 - 1 / m
    closed = (math.sqrt(p**4 + 16 * p * q * (1 + q)) - p * p) / (4 * q)
    assert theory.independent_limit(geometric(m=m)) == pytest.approx(closed, rel=1e-6)
    assert theory.independent_growth(closed, geometric(m=m)) == pytest.approx(1, abs=1e-6)
    assert theory.independent_limit(geometric(m=m), rest=0) == pytest.approx(closed, rel=1e-9)


# --- exponential workers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 3, 4, 8])
def test_the_linear_system_of_a_constant_step_is_the_closed_form(m):
    nearly = [1.0, 1.0 + 1e-12]  # not found to be constant
    closed = theory.exponential_limit(m)
    if m == 1:
        assert closed == theory.constant_limit(0)
        assert theory.exponential_limit(1, nearly) == pytest.approx(2)
        return
    assert closed == pytest.approx(naive.largest_stable(lambda a: naive.four_moments(a, m), 2.5), abs=1e-7)
    assert theory.exponential_limit(m, nearly) == pytest.approx(closed, rel=1e-6)
    assert theory.exponential_limit(m, [0.5]) == pytest.approx(2 * closed)
    for share in (0.3, 0.9):
        a = share * closed
        variance = theory.exponential_variance(a, m, noise=2.0)
        assert variance == pytest.approx(2 * (1 + m * a) / (a * (2 + a - m * a * a)), rel=1e-5)
    for share in (0.7, 1.0, 1.3):
        growth = naive.radius(naive.four_moments(share * closed, m))
        assert theory.exponential_growth(share * closed, m) == pytest.approx(max(growth, 1 - 1 / m, 1e-3), rel=1e-5)


@settings(max_examples=40)
@given(st.integers(2, 5), SCALES)
def test_the_limit_of_any_table_is_that_of_the_matrix_of_moments(m, scales):
    limit = theory.exponential_limit(m, scales)
    if not any(scales):
        assert limit == math.inf
        return
    for share in (0.1, 0.5, 0.9, 0.99):
        assert radius_of_workers(share * limit, m, scales) < 1
    assert radius_of_workers(limit, m, scales) == pytest.approx(1, abs=1e-5)
    assert radius_of_workers(1.02 * limit, m, scales) > 1


@settings(max_examples=40)
@given(st.integers(2, 5), SCALES, st.floats(0.02, 2))
def test_growth_of_any_table_is_that_of_the_matrix_of_moments(m, scales, a):
    exact = radius_of_workers(a, m, scales)  # at least 1 - 1/m, by which its last age alone falls
    cut = ((1 - 1 / m) / exact) ** len(geometric(m=m, rest=1e-7))  # what is staler than that counts for so much
    assert theory.exponential_growth(a, m, scales) == pytest.approx(exact, rel=1e-4 + 0.5 * cut)


@settings(max_examples=30)
@given(st.integers(2, 5), SCALES.filter(any), st.floats(0.05, 0.95))
def test_the_variance_of_any_table_is_that_of_the_moments(m, scales, share):
    a = share * theory.exponential_limit(m, scales)
    matrix, ages = naive.moments_by_age(a, m, scales)[0], len(scales)
    force = np.zeros(len(matrix))
    force[[0, 1, 1 + ages]] = 1, 1 / m, 1 / m  # of the noise: on x and on what is then read
    exact = np.linalg.solve(np.eye(len(force)) - matrix, force)[0]
    assert theory.exponential_variance(a, m, scales) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("rule", AT_4)
def test_known_limits_of_rules(rule):
    rules = {"preserve(inverse)": preserve(ab.inverse())}
    assert theory.exponential_limit(4, rules.get(rule, rule)) == pytest.approx(AT_4[rule], abs=6e-5)


@pytest.mark.parametrize("name", examples())
def test_every_built_in_rule_has_a_limit_where_the_matrix_of_moments_does_not_grow(name):
    rule = examples()[name]
    limit = theory.exponential_limit(3, rule)
    scales = rule(geometric(m=3), 3)[:24]
    assert naive.growth(*naive.moments_by_age(limit, 3, scales)) == pytest.approx(1, abs=2e-3)
    assert naive.growth(*naive.moments_by_age(0.9 * limit, 3, scales)) < 1


@pytest.mark.parametrize("m", [4, 8])
def test_independent_staleness_is_an_approximation_whose_ratios_are_better(m):
    law = geometric(m=m)
    pairs = {r: (theory.exponential_limit(m, r), theory.independent_limit(law, r, m)) for r in ("constant", "tail")}
    for exact, apart in pairs.values():
        assert 0.07 < 1 - apart / exact < 0.16
    (constant_exact, constant_apart), (tail_exact, tail_apart) = pairs.values()
    assert tail_exact / constant_exact == pytest.approx(tail_apart / constant_apart, rel=0.015)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.constant_limit(-1), "tau is -1"),
        (lambda: theory.constant_best(1.5), "tau is 1.5"),
        (lambda: theory.constant_variance(1.0, 1), "below 1"),
        (lambda: theory.exponential_variance(0.9, 4), "below 0.84307"),
        (lambda: theory.exponential_variance(0.1, 4, [0.0]), "all scales are 0"),
        (lambda: theory.independent_variance(0.9, geometric(m=4)), "below 0.743"),
        (lambda: theory.exponential_limit(1000, "tail"), "take fewer workers, or a larger rest"),
        (lambda: theory.exponential_limit(0), "workers is 0"),
        (lambda: theory.exponential_growth(-1.0, 4), "step is -1"),
        (lambda: theory.independent_limit(uniform(0, 5000)), "5,000"),
        (lambda: theory.independent_limit("geometric(m=4)"), "StalenessDistribution"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_constant_step_has_a_limit_for_any_number_of_workers():
    m = 10**5
    assert theory.exponential_limit(m) == pytest.approx(math.sqrt(2 / m), rel=2e-3)
