import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import counts, staleness_models
from test_staleness import from_counts

from asapnb.errors import UsageError
from asapnb.staleness import (
    CDF_KINDS,
    cmp,
    constant,
    empirical,
    exponential_workers,
    geometric,
    ks,
    mixture,
    parse_staleness,
    poisson,
    total_variation,
    uniform,
    wasserstein,
)

# --- what holds for every distribution -------------------------------------------------------------------------


@given(counts())
def test_the_mean_of_the_midpoint_cdf_is_one_half_and_of_the_others_off_by_half_of_s2(values):
    seen = from_counts(values)
    expected = {"midpoint": 0.5, "exclusive": 0.5 - seen.s2() / 2, "inclusive": 0.5 + seen.s2() / 2}
    for kind in CDF_KINDS:
        assert seen.pmf @ seen.cdf(kind) == pytest.approx(expected[kind], abs=2e-15)
        assert seen.pmf @ seen.survival(kind) == pytest.approx(1 - expected[kind], abs=2e-15)


@given(counts(max_size=150))
def test_moments_are_those_of_fractions(values):
    seen, total = from_counts(values), int(values.sum())
    share = [Fraction(int(v), total) for v in values]
    mean = sum(k * p for k, p in enumerate(share))
    variance = sum((k - mean) ** 2 * p for k, p in enumerate(share))
    inclusive = naive.cdf(values, "inclusive")
    assert seen.mean() == pytest.approx(float(mean), rel=1e-13)
    assert seen.variance() == pytest.approx(float(variance), rel=1e-12, abs=1e-25 * float(mean) ** 2)
    assert seen.s2() == pytest.approx(float(sum(p * p for p in share)), rel=1e-13)
    # E|tau - tau'| by the definition: 2 sum over j < k of (k - j) p_j p_k, by running sums
    gini = 2 * sum(
        p * (k * below - weighted)
        for k, (p, below, weighted) in enumerate(
            zip(share, [f - p for f, p in zip(inclusive, share, strict=True)], _running_means(share), strict=True)
        )
    )
    assert seen.gini_mean_difference() == pytest.approx(float(gini), rel=1e-12)


def _running_means(share):
    """The sum of j p_j over j < k, for each k."""
    sums, so_far = [], Fraction(0)
    for j, p in enumerate(share):
        sums.append(so_far)
        so_far += j * p
    return sums


@given(staleness_models(), st.floats(0, 1))
def test_quantile_and_cdf_are_a_galois_connection(seen, q):
    """quantile(q) <= k exactly where q <= P(tau <= k), up to the rounding that quantile forgives."""
    upto, k = seen.cdf("inclusive"), int(seen.quantile(q))
    assert seen.pmf[k] > 0
    assert upto[k] >= q * (1 - 2e-15)
    assert k == 0 or upto[k - 1] < q or upto[k - 1] == 0
    for j in {0, k, seen.support}:
        if upto[j] > 0:
            assert seen.quantile(upto[j]) <= j


@given(staleness_models(), st.integers(0, 2**32))
def test_samples_follow_the_pmf(seen, seed):
    """By Massart's bound the largest difference of the two cdfs exceeds 0.05 once in 10^10 samples of this size."""
    size = 4800
    drawn = seen.sample(np.random.default_rng(seed), size)
    assert drawn.dtype == np.int64
    assert (seen.pmf[drawn] > 0).all()
    assert ks(empirical(drawn), seen) <= 0.05
    np.testing.assert_array_equal(drawn, seen.sample(seed, size))
    assert seen.sample(seed, (2, 3)).shape == (2, 3)


# --- the models ------------------------------------------------------------------------------------------------


@given(staleness_models())
def test_what_is_cut_off_is_stated_and_the_rest_sums_to_one(seen):
    assert 0 <= seen.truncated <= 1e-15 * (1 + 1e-9)
    assert math.fsum(seen.pmf) == pytest.approx(1, abs=1e-15)
    assert ("truncated=" in repr(seen)) == (seen.truncated > 0)
    assert seen.padded(len(seen) + 3).truncated == seen.truncated
    assert seen.pmf @ seen.cdf() == pytest.approx(0.5, abs=1e-14)


@given(st.floats(1, 500), st.sampled_from([1e-15, 1e-9, 0.01]))
def test_geometric(m, rest):
    seen = geometric(m=m, rest=rest)
    np.testing.assert_array_equal(seen.pmf, geometric(p=1 / m, rest=rest).pmf)
    q, length = 1 - 1 / m, len(seen)
    exact = (1 / m) * q ** np.arange(length) / (1 - q**length)
    np.testing.assert_allclose(seen.pmf, exact, rtol=1e-11, atol=1e-300)
    assert seen.truncated == pytest.approx(q**length, rel=1e-9, abs=1e-300)
    assert seen.truncated <= rest
    if rest == 1e-15:
        assert seen.mean() == pytest.approx(m - 1, rel=1e-12, abs=1e-14)
        assert seen.variance() == pytest.approx(m * (m - 1), rel=1e-11, abs=1e-14)
        assert seen.s2() == pytest.approx(1 / (2 * m - 1), rel=1e-13)
        assert seen.gini_mean_difference() == pytest.approx(2 * m * (m - 1) / (2 * m - 1), rel=1e-12, abs=1e-14)


@given(st.floats(0, 2000))
def test_poisson(mean):
    from scipy.stats import poisson as reference

    seen = poisson(mean)
    np.testing.assert_allclose(seen.pmf, reference.pmf(np.arange(len(seen)), mean), rtol=1e-10, atol=1e-290)
    assert seen.truncated == pytest.approx(reference.sf(seen.support, mean), rel=1e-3, abs=1e-300)
    assert seen.mean() == pytest.approx(mean, rel=1e-12, abs=1e-14)
    assert seen.variance() == pytest.approx(mean, rel=1e-11, abs=1e-13)
    np.testing.assert_array_equal(seen.pmf, cmp(mean, 1).pmf)


@given(st.floats(0.01, 60), st.floats(0.1, 12))
def test_cmp(mode, dispersion):
    rate = mode**dispersion
    seen = cmp(rate, dispersion)
    k = np.arange(len(seen))
    logs = k * math.log(rate) - dispersion * np.array([math.lgamma(i + 1) for i in k])
    exact = np.exp(logs - logs.max())
    np.testing.assert_allclose(seen.pmf, exact / exact.sum(), rtol=1e-10, atol=1e-290)
    # E[tau^dispersion] = rate, as each term is rate times the pmf one before; after the cut the last one has no next
    assert seen.pmf @ k**dispersion == pytest.approx(rate * seen.pmf[:-1].sum(), rel=1e-11)


def test_cmp_without_dispersion_is_geometric():
    np.testing.assert_array_equal(cmp(0.75, 0).pmf, geometric(m=4).pmf)
    np.testing.assert_allclose(cmp(0.75, 1e-12).pmf[:50], geometric(m=4).pmf[:50], rtol=1e-9)


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=12))
def test_exponential_workers(rates):
    seen = exponential_workers(rates)
    shares = np.array(rates) / sum(rates)
    k = np.arange(len(seen))
    exact = sum(p**2 * (1 - p) ** k for p in shares) if len(rates) > 1 else np.ones(1)
    # 1 - p is off by half a unit in the last place, so its kth power by k of them
    np.testing.assert_allclose(seen.pmf, exact, rtol=1e-13 + 2e-16 * len(seen), atol=1e-300)
    assert seen.truncated == pytest.approx(sum(shares * (1 - shares) ** len(seen)), rel=1e-9, abs=1e-300)
    assert seen.mean() == pytest.approx(len(rates) - 1, rel=1e-9, abs=1e-12)
    equal = exponential_workers(np.full(len(rates), rates[0]))
    assert total_variation(equal, geometric(m=len(rates))) <= 1e-13


def test_workers_that_differ_make_a_mixture():
    parts = [constant(2), uniform(0, 3), poisson(4)]
    mixed = mixture(parts, [1, 2, 5])
    assert mixed.mean() == pytest.approx((1 * 2 + 2 * 1.5 + 5 * 4) / 8, rel=1e-13)
    assert mixed.truncated == pytest.approx(5 / 8 * poisson(4).truncated)
    np.testing.assert_array_equal(mixture([constant(2)], [7]).pmf, constant(2).pmf)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("geometric(m=16)", geometric(m=16)),
        ("geometric(p=0.25)", geometric(p=0.25)),
        ("poisson(15)", poisson(15)),
        ("cmp(225, 2)", cmp(225, 2)),
        ("cmp(rate=225, dispersion=2, rest=1e-6)", cmp(225, 2, rest=1e-6)),
        ("constant(3)", from_counts([0, 0, 0, 1])),
        ("uniform(1, 2)", from_counts([0, 1, 1])),
        ("empirical([1, 1, 3])", from_counts([0, 2, 0, 1])),
        ("exponential_workers([1, 2])", exponential_workers([1, 2])),
        ("mixture(constant(0), uniform(2, 2), weights=[3, 1])", from_counts([3, 0, 1])),
    ],
)
def test_models_as_text(text, expected):
    np.testing.assert_array_equal(parse_staleness(text).pmf, expected.pmf)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: geometric(16), r"p is 16: must be .* of at most 1; .* geometric\(m=16\)"),
        (lambda: geometric(p=0), r"p is 0: must be a finite number above 0"),
        (lambda: geometric(), "takes either p"),
        (lambda: geometric(p=0.5, m=2), "takes either p"),
        (lambda: geometric(m=0.5), "m is 0.5: .* at least 1"),
        (lambda: geometric(m=1e12), "entries, of at most 16,777,216"),
        (lambda: geometric(m=4, rest=0), "rest is 0"),
        (lambda: poisson(-1), "mean is -1"),
        (lambda: poisson(10**400), "must be a finite number"),
        (lambda: poisson(math.nan), "mean is nan"),
        (lambda: cmp(1, 0), "must be < 1 when dispersion is 0"),
        (lambda: cmp(5, 1e-3), "entries, of at most"),
        (lambda: constant(-1), "tau is -1: must be an integer of at least 0"),
        (lambda: constant(1.5), "tau is 1.5: must be an integer"),
        (lambda: uniform(3, 1), "low must not be above high"),
        (lambda: uniform(0, 10**12), "entries, of at most"),
        (lambda: exponential_workers([1, 0]), "one for each worker, > 0"),
        (lambda: mixture([poisson(1)], [1, 2]), "one >= 0 for each of the 1"),
        (lambda: mixture([poisson(1), from_counts([])], [1, 2]), r"distributions\[1\] is .*nothing seen"),
        (lambda: from_counts([0]).sample(1, 2), "nothing has been seen"),
        (lambda: parse_staleness("geometrc(m=3)"), "Did you mean 'geometric'"),
        (lambda: parse_staleness("geometric(m=x)"), "m is 'x'"),
        (lambda: parse_staleness("mixture(3, poisson(1), weights=[1, 1])"), r"distributions\[0\] is 3"),
    ],
)
def test_bad_models(make, message):
    with pytest.raises(UsageError, match=message):
        make()


# --- distances -------------------------------------------------------------------------------------------------

DISTANCES = (total_variation, ks, wasserstein)


@given(counts(max_size=60), counts(max_size=60))
def test_distances_are_those_of_fractions(first, second):
    length = max(len(first), len(second))
    p, q = ([Fraction(int(v), int(w.sum())) for v in np.resize(np.append(w, np.zeros(length, int)), length)]
            for w in (first, second))  # fmt: skip
    gaps = [sum(p[: k + 1]) - sum(q[: k + 1]) for k in range(length)]
    a, b = from_counts(first), from_counts(second)
    exact = (sum(abs(x - y) for x, y in zip(p, q, strict=True)) / 2, max(map(abs, gaps)), sum(map(abs, gaps)))
    for distance, value in zip(DISTANCES, exact, strict=True):
        assert distance(a, b) == pytest.approx(float(value), rel=1e-12, abs=2e-14)


@given(staleness_models(), staleness_models(), staleness_models())
def test_distances_are_metrics(a, b, c):
    assume(len(a) + len(b) + len(c) < 10**5)
    for distance in DISTANCES:
        assert distance(a, a) == 0
        assert distance(a, b) == distance(b, a)
        assert distance(a, c) <= (distance(a, b) + distance(b, c)) * (1 + 1e-9) + 1e-12
        assert math.isnan(distance(a, from_counts([0])))
    assert ks(a, b) <= total_variation(a, b) + 1e-13 <= 1 + 2e-13
    assert wasserstein(a, b) >= abs(a.mean() - b.mean()) * (1 - 1e-9) - 1e-11
    shifted = from_counts(np.append([0.0] * 7, a.pmf))
    assert wasserstein(a, shifted) == pytest.approx(7, rel=1e-9)
