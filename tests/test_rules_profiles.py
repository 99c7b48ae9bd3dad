"""Rules that see staleness through its ranks: what holds for every distribution."""

import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import counts

from asapnb.errors import UsageError
from asapnb.rules import (
    ScaleTables,
    constant,
    exponential_profile,
    parse_rule,
    power,
    profile,
    quantile_cut,
    released_code,
    tail,
)
from asapnb.staleness import CDF_KINDS, StalenessDistribution, geometric, uniform

from_counts = StalenessDistribution.from_counts
amplitudes = st.floats(0, 1)

# --- TAIL-tau ----------------------------------------------------------------------------------------------------


@given(counts(), amplitudes)
@example(np.array([10**12, *[1] * 1999]), 1.0)
@example(np.array([*[1] * 1999, 10**12]), 1.0)
def test_tail_preserves_the_mean_step_exactly(values, amplitude):
    seen = from_counts(values)
    mean = naive.mean_of(tail(amplitude)(seen, 4), seen.pmf)
    assert abs(mean - 1) <= Fraction(7e-16)
    # under the integer counts themselves, too, whose probabilities are no floats
    assert abs(naive.mean_of(tail(amplitude)(seen, 4), values) / int(values.sum()) - 1) <= Fraction(7e-16)


@given(counts(), amplitudes)
def test_the_other_cdfs_miss_the_mean_by_the_sum_of_squares(values, amplitude):
    seen = from_counts(values)
    squares = math.fsum(seen.pmf**2)
    for kind, sign in (("exclusive", 1), ("inclusive", -1)):
        mean = naive.mean_of(tail(amplitude, cdf=kind)(seen, 4), seen.pmf)
        assert float(mean) == pytest.approx(1 + sign * amplitude * squares, abs=2e-15)


@given(counts(), amplitudes, st.sampled_from(CDF_KINDS), st.integers(0, 50))
def test_tail_never_rises_and_stays_in_its_bounds(values, amplitude, kind, padding):
    seen = from_counts(np.append(values, np.zeros(padding, dtype=np.int64)))
    scales = tail(amplitude, cdf=kind)(seen, 4)
    assert scales.shape == (len(seen),)
    assert (np.diff(scales) <= 0).all()
    assert scales[0] <= 2
    assert scales[-1] >= 0
    assert (scales[seen.support + 1 :] == 1 - amplitude).all()


@given(counts(max_size=60), amplitudes, st.sampled_from(CDF_KINDS))
def test_tail_is_its_formula(values, amplitude, kind):
    exact = [float(c) for c in naive.tail(values, amplitude, kind)]
    np.testing.assert_allclose(tail(amplitude, cdf=kind)(from_counts(values), 4), exact, rtol=4e-15)


@given(counts(max_size=400), amplitudes)
def test_variance_and_effective_delay(values, amplitude):
    seen = from_counts(values)
    scales, tau, p = tail(amplitude)(seen, 4), np.arange(len(seen)), seen.pmf
    assert (scales - 1) ** 2 @ p == pytest.approx(amplitude**2 * (1 - math.fsum(p**3)) / 3, abs=1e-14)
    gini = float(p @ np.abs(tau[:, None] - tau) @ p)
    assert float((scales * tau) @ p) == pytest.approx(seen.mean() - amplitude * gini / 2, rel=1e-12, abs=1e-12)


@given(st.integers(0, 500), st.integers(1, 10**12), amplitudes)
def test_constant_staleness_leaves_the_step_alone(tau, count, amplitude):
    values = np.zeros(tau + 1, dtype=np.int64)
    values[tau] = count
    assert tail(amplitude)(from_counts(values), 4)[tau] == 1


def test_stalest_scales_keep_their_relative_accuracy():
    assert tail()(from_counts([10**15, 1]), 2)[1] == pytest.approx(1 / (10**15 + 1), rel=1e-15)


@given(counts(), st.floats(1e-3, 1))
def test_tail_leverages_the_freshest_and_dampens_the_stalest(values, amplitude):
    seen = from_counts(values)
    first, last = np.flatnonzero(values)[[0, -1]]
    scales, p = tail(amplitude)(seen, 4), seen.pmf
    assert scales[first] == pytest.approx(1 + amplitude * (1 - p[first]), rel=1e-15)
    assert scales[last] == pytest.approx(1 - amplitude * (1 - p[last]), abs=5e-16)
    if (p >= 1e-12).sum() >= 2:
        assert scales[first] > 1 > scales[last]


@given(counts(), amplitudes)
def test_the_incomplete_sample_of_the_released_code(values, amplitude):
    seen = from_counts(values)
    rule = tail(amplitude, cdf="exclusive", refresh=released_code())
    squares = math.fsum(seen.pmf**2)
    assert rule.mean_scale(seen, 4) == pytest.approx(1 + amplitude * (0.2 + 0.8 * squares), rel=1e-14)
    scales = rule(seen.padded(len(seen) + 1), 4)
    assert scales[-1] == pytest.approx(1 - 0.6 * amplitude, rel=1e-14)
    np.testing.assert_allclose(scales, 1 + amplitude * (1 - 1.6 * seen.padded(len(seen) + 1).cdf("exclusive")))


def test_the_window_of_the_released_code():
    tables = ScaleTables(tail(cdf="exclusive", refresh=released_code()), workers=2)
    assert tables.next_refresh == 29
    assert tables.observe([7] * 20) is None  # up to 10m: not in the window
    table = tables.observe([0, 1, 2] * 3)
    np.testing.assert_allclose(table[:4], [2, 2 - 1.6 / 3, 2 - 3.2 / 3, 0.4])
    assert tables.next_refresh is None


# --- the family --------------------------------------------------------------------------------------------------


def hollow(u):
    return np.where(u < 0.3, 4 - u, np.exp(-5 * u))


@st.composite
def steps(draw):
    heights = draw(st.lists(st.sampled_from([0.0, 1e-9, 0.1, 0.5, 1.0, 3.0, 1e6]), min_size=1, max_size=8))
    return profile(sorted([*heights, 1.0], reverse=True))


FAMILY = st.one_of(
    st.floats(0, 50).map(power),
    st.floats(1e-3, 1).map(quantile_cut),
    st.floats(0, 600).map(exponential_profile),
    st.sampled_from([profile(hollow), profile(lambda u: (1 - u) ** 0.3), profile(lambda u: 1.0)]),
    steps(),
    amplitudes.map(tail),
)


@given(counts(), FAMILY, st.integers(0, 50))
@example(np.array([10**12, *[1] * 1999]), power(7.5), 3)
@example(np.array([*[1] * 1999, 10**12]), quantile_cut(0.5), 3)
@example(np.array([*[1] * 1999, 10**12]), power(7.5), 3)
def test_the_framework_holds_by_construction(values, rule, padding):
    seen = from_counts(np.append(values, np.zeros(padding, dtype=np.int64)))
    scales = rule(seen, 4)
    assert abs(naive.mean_of(scales, seen.pmf) - 1) <= Fraction(2e-15)
    assert rule.mean_scale(seen, 4) == pytest.approx(1, rel=2e-15)
    assert (np.diff(scales) <= 0).all()
    assert scales[-1] >= 0
    assert rule.effective_delay(seen, 4) <= seen.mean() * (1 + 1e-13)
    variance = float(naive.mean_of((scales - 1) ** 2, seen.pmf))
    assert rule.scale_variance(seen, 4) == pytest.approx(variance, rel=1e-13, abs=1e-13)


@given(st.integers(0, 500), st.integers(1, 10**12), FAMILY)
def test_the_family_leaves_the_step_alone_when_staleness_is_constant(tau, count, rule):
    values = np.zeros(tau + 1, dtype=np.int64)
    values[tau] = count
    assert rule(from_counts(values), 4)[tau] == 1


@given(counts(max_size=300), amplitudes)
def test_its_members_meet(values, amplitude):
    seen = from_counts(values)
    as_profile = profile(lambda u: 1 + amplitude * (1 - 2 * u))(seen, 4)
    np.testing.assert_allclose(as_profile, tail(amplitude)(seen, 4), rtol=0, atol=1e-12)
    np.testing.assert_allclose(power(1)(seen, 4), tail(1)(seen, 4), rtol=1e-12, atol=1e-300)
    for rule in (power(0), quantile_cut(1), exponential_profile(0), profile([3.0]), tail(0)):
        np.testing.assert_allclose(rule(seen, 4), constant()(seen, 4), rtol=2e-15)
    # a list of heights is the function that it describes, but for what quadrature makes of jumps: none at cell ends
    halves = from_counts([1, 1, 2])
    np.testing.assert_allclose(profile([3, 1])(halves, 4), profile(lambda u: np.where(u < 0.5, 3, 1))(halves, 4))


@given(counts(max_size=60), st.integers(0, 6), st.fractions("1/50", 1, max_denominator=50))
def test_the_family_is_its_formula(values, q, rho):
    seen = from_counts(values)
    exact = naive.profile(values, lambda u: (1 + q) * (1 - u) ** q, lambda u: -((1 - u) ** (1 + q)))
    np.testing.assert_allclose(power(q)(seen, 4), [float(c) for c in exact], rtol=1e-12)
    exact = naive.profile(values, lambda u: (u <= rho) / rho, lambda u: min(u, rho) / rho)
    # near the cut a share of a small cell is known to the rounding of ranks only: compare what it contributes
    error = (quantile_cut(float(rho))(seen, 4) - [float(c) for c in exact]) * seen.pmf
    assert np.abs(error).max() <= 1e-14 / rho
    heights = [Fraction(5), Fraction(2), Fraction(2), Fraction(0)]
    integral = lambda u: sum(h * min(max(u - Fraction(i, 4), 0), Fraction(1, 4)) for i, h in enumerate(heights))  # noqa: E731
    exact = naive.profile(values, lambda u: heights[max(0, math.ceil(4 * u) - 1)], integral)
    error = (profile([5, 2, 2, 0])(seen, 4) - [float(c / integral(1)) for c in exact]) * seen.pmf
    assert np.abs(error).max() <= 1e-14


@given(counts(max_size=60), st.floats(0.01, 30))
def test_the_exponential_profile_is_its_formula(values, kappa):
    seen = from_counts(values)
    below, p = seen.cdf("exclusive"), seen.pmf
    nodes, weights = np.polynomial.legendre.leggauss(60)
    cells = np.exp(-kappa * (below[:, None] + p[:, None] * (1 + nodes) / 2)) @ weights / 2
    expected = cells * kappa / -np.expm1(-kappa)
    np.testing.assert_allclose(exponential_profile(kappa)(seen, 4), expected, rtol=1e-11)


def test_what_lies_beyond_the_staleness_seen_gets_the_end_of_the_profile():
    seen = geometric(m=4).padded(400)
    for rule, last in [
        (power(0.5), 0.0),
        (quantile_cut(0.9), 0.0),
        (exponential_profile(2.0), 2 * math.exp(-2) / (1 - math.exp(-2))),
        (profile([5, 3]), 0.75),
        (profile(lambda u: 2 - u), 1 / 1.5),
        (tail(0.25), 0.75),
    ]:
        np.testing.assert_allclose(rule(seen, 4)[seen.support + 1 :], last, rtol=1e-13, atol=0)


def test_a_quantile_cut_drops_without_residue():
    np.testing.assert_array_equal(quantile_cut(0.5)(uniform(0, 9), 4) > 0, np.arange(10) < 5)
    np.testing.assert_allclose(quantile_cut(1e-14)(uniform(0, 9), 4), [10, *[0] * 9], rtol=1e-15)
    np.testing.assert_allclose(quantile_cut(0.55)(uniform(0, 9), 4)[:6], [*[1 / 0.55] * 5, 0.5 / 0.55], rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("power(q=-1)", "q is -1: must be a finite number of at least 0"),
        ("power(q=1e999)", "q is inf"),
        ("quantile_cut(rho=0)", r"rho is 0: must be a finite number above 0 and of at most 1"),
        ("exponential_profile('a')", "kappa is 'a'"),
        ("profile([])", "g is 0 everywhere"),
        ("profile([0, 0])", "g is 0 everywhere"),
        ("profile([1, 2])", r"g\[1\] = 2, g\[0\] = 1: a profile must not increase"),
        ("profile([1, -2])", r"g\[1\] is -2"),
        ("profile(g=linear)", "g is 'linear': must be a function of u .* file.py:name, or a list"),
        ("profile(g='no.py:linear')", "there is no file no.py to load 'linear' from"),
        ("power(1, refresh=released_code())", r"refresh is released_code\(\): must be once"),
        ("exponential(0.1, 2)", "too many positional arguments; exponential takes"),
    ],
)
def test_bad_parameters(text, message):
    with pytest.raises(UsageError, match=message):
        parse_rule(text)


@pytest.mark.parametrize(
    ("g", "message"),
    [
        (lambda u: u, r"g\(0.001\) = 0.001, g\(0\) = 0: a profile must not increase"),
        (lambda u: -np.ones_like(u), r"g\(0\) = -1: must be finite and >= 0"),
        (lambda u: np.where(u < 1, 1, np.nan), r"g\(1\) = nan, .*: must be finite"),
        (lambda u: 1 if u < 0.5 else 0, "must take an array of u"),
        (lambda u: np.ones(3), "must take an array of u"),
    ],
)
def test_bad_profiles(g, message):
    with pytest.raises(UsageError, match=message):
        profile(g)
