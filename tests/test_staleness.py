import math
import pickle

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts

from asapnb.errors import UsageError
from asapnb.staleness import CDF_KINDS, StalenessDistribution, StalenessEstimator, WorkerHistogram

from_counts, from_pmf = StalenessDistribution.from_counts, StalenessDistribution.from_pmf


@given(counts(max_size=300))
def test_the_distribution_is_the_exact_one_rounded(values):
    seen = from_counts(values)
    assert len(seen) == len(values)
    np.testing.assert_allclose(seen.pmf, values / values.sum(), rtol=4e-16)
    assert abs(math.fsum(seen.pmf) - 1) <= 2.3e-16
    for kind in CDF_KINDS:
        exact = naive.cdf(values, kind)
        # both are accurate relative to themselves, so neither may be had as 1 - the other
        np.testing.assert_allclose(seen.cdf(kind), [float(f) for f in exact], rtol=2e-15)
        np.testing.assert_allclose(seen.survival(kind), [float(1 - f) for f in exact], rtol=2e-15)
    assert seen.cdf("inclusive")[-1] == 1
    assert (np.diff(seen.cdf()) >= 0).all()


@given(counts())
def test_moments_and_quantiles(values):
    seen = from_counts(values)
    support = max(k for k, v in enumerate(values) if v)
    tau, total = np.arange(len(values)), int(values.sum())
    mean = sum(k * int(v) for k, v in enumerate(values)) / total
    assert seen.support == support
    assert not seen.is_empty
    assert seen.mean() == pytest.approx(mean, rel=1e-13)
    assert seen.variance() == pytest.approx(float((tau - mean) ** 2 @ values) / total, rel=1e-9, abs=1e-12)
    for percent in (1, 50, 99, 100):
        assert seen.quantile(percent / 100) == (np.cumsum(values) * 100 >= percent * total).argmax()


def test_a_quantile_forgives_rounding_and_nothing_else():
    for n in range(2, 120):
        seen = from_counts(np.ones(n))
        assert [seen.quantile(k / n) for k in range(1, n + 1)] == list(range(n))
        assert [seen.quantile(k / n * (1 + 4e-15)) for k in range(1, n)] == list(range(1, n))


@given(counts(), st.integers(1, 3000))
def test_padding_keeps_all_mass(values, length):
    seen = from_counts(values)
    padded = seen.padded(length)
    assert len(padded) == length
    np.testing.assert_array_equal(padded.pmf[: length - 1], np.append(seen.pmf, np.zeros(length))[: length - 1])
    assert math.fsum(padded.pmf) == pytest.approx(1, abs=4e-16)


def test_weights_and_huge_counts():
    np.testing.assert_array_equal(from_counts([1e308, 1e308, 0.0]).pmf, [0.5, 0.5, 0.0])
    np.testing.assert_array_equal(from_counts(np.full(4, 2**62)).pmf, np.full(4, 0.25))
    np.testing.assert_array_equal(from_counts([5e-324, 5e-324]).pmf, [0.5, 0.5])
    assert from_pmf([0.5 + 4e-10, 0.5]).pmf.sum() == 1


def test_nothing_seen():
    for empty in (from_counts([0, 0, 0]), from_counts([]), StalenessEstimator().distribution(7)):
        assert empty.is_empty
        assert empty.support == -1
        assert math.isnan(empty.mean() + empty.variance() + empty.quantile(0.5))
        assert len(empty.cdf()) == len(empty.survival()) == len(empty)
        assert "nothing seen" in repr(empty)
        assert empty.padded(5).is_empty


def test_a_distribution_is_read_only_and_pickles():
    seen = from_counts([1, 3])
    with pytest.raises(ValueError, match="read-only"):
        seen.pmf[0] = 1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(seen)).pmf, seen.pmf)
    assert repr(seen) == "StalenessDistribution(mean=0.75, support=1, length=2)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_counts([1, -2]), r"counts\[1\] is -2.0: must be a finite number of at least 0"),
        (lambda: from_counts([1, np.nan]), r"counts\[1\] is nan"),
        (lambda: from_counts([[1, 2]]), r"counts is \[\[1, 2\]\]: must be a list of numbers"),
        (lambda: from_counts(["a"]), "must be a list of numbers"),
        (lambda: from_pmf([0.5, 0.6]), r"sums to 1.1, not to 1; .* from_counts"),
        (lambda: from_pmf([]), r"pmf is \[\]: must be a list of numbers, not empty"),
        (lambda: from_pmf([np.inf]), r"pmf\[0\] is inf"),
        (lambda: from_counts([1]).cdf("midpiont"), "Did you mean 'midpoint'"),
        (lambda: from_counts([1]).quantile(99), "q is 99"),
        (lambda: from_counts([1]).quantile(math.nan), "q is nan"),
        (lambda: from_counts([1]).padded(0), "length is 0"),
        (lambda: StalenessEstimator(half_life=0), "half_life is 0"),
        (lambda: StalenessEstimator().observe([1.5]), "integers"),
        (lambda: StalenessEstimator().observe([3, -1]), "got -1"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@given(
    st.lists(st.lists(st.integers(0, 90), max_size=40), max_size=20),
    st.sampled_from([None, 0.01, 0.7, 3, 1000]),
)
def test_the_estimator_counts_and_forgets_exactly(pieces, half_life):
    updates = [tau for piece in pieces for tau in piece]
    whole, cut = StalenessEstimator(half_life), StalenessEstimator(half_life)
    whole.observe(np.array(updates, dtype=np.int32))
    for piece in pieces:
        cut.observe(np.array(piece, dtype=np.int32))
    np.testing.assert_array_equal(whole.distribution(100).pmf, cut.distribution(100).pmf)
    assert whole.seen == cut.seen == len(updates)
    if updates:
        expected = naive.forgetting_pmf(updates, half_life, 100)
        np.testing.assert_allclose(whole.distribution(100).pmf, expected, rtol=1e-12, atol=1e-70)


def test_the_estimator_outlives_its_exponents():
    estimator = StalenessEstimator(half_life=1.5)
    for tau in (7, 3):
        estimator.observe(np.full(5000, tau))  # 3333 half-lives: far beyond what a float64 can hold
    estimator.observe([0])
    assert estimator.distribution().support == 3
    np.testing.assert_allclose(estimator.distribution().pmf[0], 1 - 2 ** (-1 / 1.5))


def test_worker_histogram_grows():
    rng = np.random.default_rng(0)
    worker, tau = rng.integers(0, 3, 500), rng.integers(0, 700, 500)
    histogram = WorkerHistogram(3)
    assert histogram.counts.shape == (3, 0)
    for piece in range(0, 500, 100):
        histogram.observe(worker[piece : piece + 100], tau[piece : piece + 100])
    expected = np.zeros((3, tau.max() + 1), dtype=np.int64)
    for who, how in zip(worker, tau, strict=True):
        expected[who, how] += 1
    np.testing.assert_array_equal(histogram.counts, expected)
