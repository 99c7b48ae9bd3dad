import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asapnb.errors import UsageError
from asapnb.staleness import StalenessDistribution, StalenessEstimator, WorkerHistogram

updates = st.lists(st.integers(0, 90), max_size=120)
half_lives = st.sampled_from([None, 0.01, 0.7, 3, 1000])


def estimator(tau, **options):
    made = StalenessEstimator(**options)
    made.observe(np.array(tau, dtype=np.int64))
    return made


@given(st.lists(updates, max_size=8), st.integers(1, 150))
def test_a_window_counts_the_last_updates_only(pieces, window):
    seen = StalenessEstimator(window=window)
    everything = []
    for piece in pieces:
        seen.observe(np.array(piece, dtype=np.int32))
        everything += piece
        last = np.bincount(np.array(everything[-window:], dtype=np.int64), minlength=91)
        np.testing.assert_array_equal(
            seen.distribution(91).pmf, StalenessDistribution.from_counts(last).padded(91).pmf
        )
        assert seen.weight == min(window, len(everything))
    assert seen.seen == len(everything)


@given(updates, half_lives)
def test_what_forgetting_conserves(tau, half_life):
    """The weights are a geometric sum, whatever the staleness; each piece ages by what came after it."""
    made = estimator(tau, half_life=half_life)
    expected = sum(1.0 if half_life is None else 2.0 ** (-age / half_life) for age in range(len(tau)))
    assert made.weight == pytest.approx(expected, rel=1e-12)
    assert made.seen == len(tau)


@given(updates, updates, updates, half_lives)
def test_merging_is_associative_and_commutative(a, b, c, half_life):
    parts = [estimator(tau, half_life=half_life) for tau in (a, b, c)]
    x, y, z = parts
    np.testing.assert_array_equal(x.merge(y).distribution(91).pmf, y.merge(x).distribution(91).pmf)
    left, right = x.merge(y).merge(z), x.merge(y.merge(z))
    nothing = StalenessEstimator(half_life)
    np.testing.assert_array_equal(x.merge(nothing).distribution(91).pmf, x.distribution(91).pmf)
    assert left.seen == right.seen == len(a) + len(b) + len(c)
    for merged in (left, right):
        assert merged.weight == pytest.approx(sum(part.weight for part in parts), rel=1e-12)
        # the weights of the three add, each with the ages of its own updates
        expected = sum(part.weight * part.distribution(91).pmf for part in parts)
        np.testing.assert_allclose(merged.weight * merged.distribution(91).pmf, expected, rtol=1e-12, atol=1e-70)
    if half_life is None:
        np.testing.assert_array_equal(left.distribution(91).pmf, right.distribution(91).pmf)
        np.testing.assert_array_equal(left.distribution(91).pmf, estimator(a + b + c).distribution(91).pmf)


@given(updates, updates, updates, st.sampled_from([0.01, 0.7, 3, 1000]))
def test_a_merged_estimator_goes_on_forgetting(a, b, later, half_life):
    x, y = (estimator(tau, half_life=half_life) for tau in (a, b))
    before = x.merge(y)
    after = x.merge(y)
    after.observe(np.array(later, dtype=np.int64))
    faded = before.weight * 2.0 ** (-len(later) / half_life) * before.distribution(91).pmf
    fresh = estimator(later, half_life=half_life)
    expected = faded + fresh.weight * fresh.distribution(91).pmf
    np.testing.assert_allclose(after.weight * after.distribution(91).pmf, expected, rtol=1e-12, atol=1e-70)
    assert x.seen == len(a)  # the merged ones are left as they were


pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60)


def histogram(observed):
    made = WorkerHistogram(4)
    worker, tau = np.array(observed, dtype=np.int64).reshape(-1, 2).T
    made.observe(worker, tau)
    return made


@given(pairs, pairs, pairs)
def test_histograms_merge_and_give_each_worker_its_distribution(a, b, c):
    x, y, z = map(histogram, (a, b, c))
    whole = histogram(a + b + c)
    for merged in (x.merge(y).merge(z), x.merge(y.merge(z)), z.merge(y).merge(x)):
        np.testing.assert_array_equal(merged.counts, whole.counts)
    assert whole.counts.sum() == len(a + b + c)
    for worker in range(4):
        mine = np.bincount([tau for who, tau in a + b + c if who == worker], minlength=1)
        expected = StalenessDistribution.from_counts(mine.astype(np.int64))
        np.testing.assert_array_equal(whole.distribution(worker).pmf, expected.pmf)
    everyone = np.bincount([tau for _, tau in a + b + c], minlength=1).astype(np.int64)
    np.testing.assert_array_equal(whole.distribution().pmf, StalenessDistribution.from_counts(everyone).pmf)


def test_a_histogram_of_many_workers_holds_a_huge_staleness():
    """As a table of workers by staleness this would take 8 GB."""
    made, rng = WorkerHistogram(1024), np.random.default_rng(0)
    worker, tau = rng.integers(0, 1024, 200_000), rng.integers(0, 50, 200_000)
    for piece in np.array_split(np.arange(200_000), 37):
        made.observe(worker[piece], tau[piece])
    np.testing.assert_array_equal(made.counts.sum(axis=0), np.bincount(tau))
    made.observe([1023], [1_000_000])
    assert made.distribution(1023).support == made.distribution().support == 1_000_000
    assert made.distribution(0).support < 50
    expected = naive.forgetting_pmf(tau[worker == 5], None, 50)
    np.testing.assert_allclose(made.distribution(5).padded(50).pmf, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StalenessEstimator(window=0), "window is 0"),
        (lambda: StalenessEstimator(window=2.5), "window is 2.5"),
        (lambda: StalenessEstimator(half_life=2, window=2), "give one of them"),
        (lambda: StalenessEstimator(window=2).merge(StalenessEstimator()), "window cannot be merged"),
        (lambda: StalenessEstimator(2).merge(StalenessEstimator(3)), "only equal ones"),
        (lambda: WorkerHistogram(2).observe([2], [0]), r"workers 2 … 2, .* must be in 0 … 1"),
        (lambda: WorkerHistogram(2).observe([-1], [0]), r"workers -1 … -1"),
        (lambda: WorkerHistogram(2).observe([0, 1], [0]), "must be the same"),
        (lambda: WorkerHistogram(2).distribution(2), "worker is 2"),
        (lambda: WorkerHistogram(2).merge(WorkerHistogram(3)), "must be of the same number"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(UsageError, match=message):
        make()
