"""Shares, censored times and bootstrap intervals, against SciPy, integration and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asapnb.analysis import bootstrap, cumulative_incidence, incidence_bands, kaplan_meier, restricted_mean, wilson
from asapnb.analysis.statistics import restricted_means
from asapnb.errors import UsageError

TIMES = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=30)
OUTCOMES = ("reached", "diverged", "not reached")


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_is_that_of_scipy(share, confidence):
    from scipy.stats import binomtest

    expected = binomtest(*share).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose(wilson(*share, confidence), (expected.low, expected.high), atol=1e-12)


def test_wilson_of_the_literature():
    """Newcombe 1998 (Statistics in Medicine 17), table I: 81 of 263 and 1 of 29."""
    np.testing.assert_allclose(wilson(81, 263), (0.2553, 0.3662), atol=5e-5)
    np.testing.assert_allclose(wilson(1, 29), (0.0061, 0.1718), atol=5e-5)


@given(TIMES)
def test_kaplan_meier_is_that_of_scipy(data):
    from scipy.stats import CensoredData, ecdf

    times, observed = (np.array(column) for column in zip(*data, strict=True))
    if not observed.any():
        assert (kaplan_meier(times, observed).values == 1).all()
        return
    expected = ecdf(CensoredData(times[observed], right=times[~observed])).sf
    at = np.arange(0, 14, 0.5)
    np.testing.assert_allclose(kaplan_meier(times, observed)(at), expected.evaluate(at), atol=1e-12)


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(OUTCOMES)), min_size=1, max_size=30))
def test_incidences_sum_to_what_has_happened(data):
    times, outcomes = (list(column) for column in zip(*data, strict=True))
    found = cumulative_incidence(times, outcomes, OUTCOMES[:2])
    survival = kaplan_meier(times, [outcome in OUTCOMES[:2] for outcome in outcomes])
    at = np.arange(14)
    np.testing.assert_allclose(sum(curve(at) for curve in found.values()), 1 - survival(at), atol=1e-12)
    assert all((np.diff(curve.values) >= 0).all() for curve in found.values())


def test_incidence_without_censoring_is_the_share():
    outcomes = ["reached", "diverged", "reached", "diverged", "reached"]
    found = cumulative_incidence([1, 2, 3, 4, 5], outcomes, ("reached", "diverged"))
    np.testing.assert_allclose(found["reached"]([0, 1, 3, 9]), [0, 0.2, 0.4, 0.6])
    np.testing.assert_allclose(found["diverged"]([1.9, 2, 4]), [0, 0.2, 0.4])


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(OUTCOMES)), min_size=1, max_size=30))
def test_bands_hold_their_curves(data):
    times, outcomes = (list(column) for column in zip(*data, strict=True))
    bands = incidence_bands(times, outcomes, OUTCOMES[:2])
    for event, curve in cumulative_incidence(times, outcomes, OUTCOMES[:2]).items():
        low, high = (edge(np.arange(14)) for edge in bands[event])
        assert (low <= curve(np.arange(14)) + 1e-12).all()
        assert (curve(np.arange(14)) <= high + 1e-12).all()


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(OUTCOMES[:2])), min_size=1, max_size=30))
def test_bands_without_censoring_are_wilsons_intervals(data):
    times, outcomes = (list(column) for column in zip(*data, strict=True))
    low, high = incidence_bands(times, outcomes, OUTCOMES[:2], 0.9)["reached"]
    for at in range(14):
        reached = sum(time <= at and outcome == "reached" for time, outcome in data)
        np.testing.assert_allclose((low(at), high(at)), wilson(reached, len(data), 0.9), atol=1e-9)


@pytest.mark.parametrize(("n", "lost"), [(159, 0), (29, 3), (40, 10)])
def test_a_band_narrows_to_the_last_arrival(n, lost):
    """The last run arrives, so that the share is 1, up to rounding in the sum."""
    outcomes = np.full(n, "reached", dtype=object)
    outcomes[n // 3 : n // 3 + lost] = "not reached"
    low, high = incidence_bands(np.arange(1.0, n + 1), outcomes.tolist(), ["reached"])["reached"]
    assert low(n) >= low(n - 1)
    assert high(n) == 1
    if not lost:
        assert low(n) == pytest.approx(wilson(n, n).low)


@pytest.mark.parametrize("censoring", [0.0, 0.5, 1.0])
def test_bands_cover_the_truth(censoring):
    """Two outcomes at constant rates, 1 and 0.5, watched for exponential times: 40 runs, 1,000 times."""
    rng, at = np.random.default_rng(1), np.array([0.2, 0.5, 0.9])
    inside = np.zeros(3)
    for _ in range(1000):
        first = rng.exponential(1 / 1.5, size=40)
        which = np.where(rng.random(40) < 1 / 1.5, "reached", "diverged")
        until = rng.exponential(1 / censoring, size=40) if censoring else np.full(40, np.inf)
        outcomes = np.where(first <= until, which, "not reached").tolist()
        low, high = incidence_bands(np.minimum(first, until), outcomes, OUTCOMES[:2])["reached"]
        truth = (1 - np.exp(-1.5 * at)) / 1.5
        inside += (low(at) <= truth) & (truth <= high(at))
    few_left = censoring == 1.0  # at the last of the times 4 of 40 are still watched
    assert (inside[: 2 if few_left else 3] > 930).all()
    assert (inside > 900).all()
    assert (inside < 985).all()


@given(TIMES, st.integers(1, 12))
def test_restricted_mean_is_the_area_under_the_curve(data, budget):
    times, observed = (np.array(column) for column in zip(*data, strict=True))
    budget = min(budget, times.max())
    area = kaplan_meier(times, observed)(np.arange(budget) + 0.5).sum()  # exact: it steps at integers
    assert restricted_mean(times, observed, budget) == pytest.approx(area)


def test_restricted_mean_without_censoring_is_the_mean():
    times = np.random.default_rng(0).exponential(size=50)
    assert restricted_mean(times, np.ones(50, bool), times.max()) == pytest.approx(times.mean())
    assert restricted_mean([1, np.inf, np.inf], [True, False, False], 4) == pytest.approx(3)


@given(TIMES, st.data())
def test_weights_are_repetitions(data, more):
    times, observed = (np.array(column) for column in zip(*data, strict=True))
    weights = np.array(more.draw(st.lists(st.integers(0, 3), min_size=len(times), max_size=len(times))))
    weights[0] += 1
    budget = float(times.min())
    repeated = [np.repeat(column, weights) for column in (times, observed)]
    found = restricted_means(times.astype(float), observed, budget, weights[None])
    assert found[0] == pytest.approx(restricted_mean(*repeated, budget))
    budget = float(np.repeat(times, weights).max())
    assert restricted_means(times.astype(float), observed, budget, weights[None])[0] == pytest.approx(
        restricted_mean(*repeated, budget)
    )


@pytest.mark.parametrize("n", [5, 20])
def test_the_bootstrap_covers(n):
    """Of 300 intervals for the log of a mean of skewed times about 95 % hold it; 2 standard errors are 2.5 %."""
    rng, mean, held = np.random.default_rng(n), np.log(2.0), 0
    for seed in range(300):
        times = rng.gamma(4.0, 0.5, size=n)
        low, high = bootstrap(lambda weights, t=times: np.log(weights @ t / n), [n], resamples=1000, seed=seed)
        held += low <= mean <= high
    assert 0.91 <= held / 300 <= 0.98


def test_bootstrap_samples_are_independent_and_seeded():
    def difference(a, b):
        return a @ np.arange(6.0) / 6 - b @ np.arange(4.0) / 4

    first, again, other = (bootstrap(difference, [6, 4], seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert bootstrap(difference, [6, 1]) is None
    narrow = bootstrap(difference, [6, 4], confidence=0.5)
    assert first.low < narrow.low < 1 < narrow.high < first.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(3, 2), "k is 3: must be a finite number of at least 0 and of at most 2"),
        (lambda: wilson(1, 2, 1.0), "confidence is 1.0"),
        (lambda: kaplan_meier([1, 2], [True]), "arrays of equal length"),
        (lambda: kaplan_meier([-1.0], [True]), "must not be negative"),
        (lambda: kaplan_meier([np.inf], [True]), "finite where something happened"),
        (lambda: restricted_mean([1, 5], [True, False], 9), "ended at 5"),
        (lambda: restricted_mean([1, 5], [True, True], np.inf), "budget is inf: must be a finite number above 0"),
        (lambda: bootstrap(lambda w: w[:, 0], [3], confidence=0), "confidence is 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UsageError, match=message):
        call()
