"""Shares, times that may be censored, and intervals for both.

A run that ends before it reaches a target is censored: all that is known is that it takes longer. A run that diverges
never reaches it. Either its time is infinite, or divergence is an outcome that competes with reaching the target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import real
from .resampling import Interval, checked_confidence

_AT_ONCE = 2**14  # weights


@dataclass(frozen=True)
class Steps:
    """A step function. Its value is values[i] from times[i] up to times[i + 1]; times[0] is 0.

    Attributes:
        times: where steps begin, float64, ascending.
        values: float64, one for each time.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]

    def __call__(self, at: ArrayLike) -> NDArray[np.float64]:
        """The values of the function at times of at least 0, float64, in their shape."""
        found: NDArray[np.float64] = self.values[np.searchsorted(self.times, at, side="right") - 1]
        return found


def wilson(k: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a share (Wilson 1927).

    Args:
        k: how many of the n have the property, from 0 to n. It need not be an integer.
        n: how many there are, at least 1.
        confidence: of the interval, in (0, 1).

    >>> low, high = wilson(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    from scipy.special import ndtri

    n = real("n", n, 1)
    k = real("k", k, 0, n)
    z, p = float(ndtri(0.5 + 0.5 * checked_confidence(confidence))), k / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return Interval(float(low) if k else 0.0, float(high) if k < n else 1.0)


def kaplan_meier(times: ArrayLike, observed: ArrayLike) -> Steps:
    """The probability that a time is longer than t, where some times are censored (Kaplan and Meier 1958).

    Args:
        times: shape (n,), at least 0; infinity for an event that never happens.
        observed: shape (n,). True: the event happened at this time. False: it had not happened by then.

    Returns:
        The estimate as a step function of t.

    Raises:
        UsageError: for arrays of unequal shapes, and for times that are negative or NaN.

    >>> kaplan_meier([3, 5, 5, 8], [True, True, False, True])
    Steps(times=array([0., 3., 5., 8.]), values=array([1.  , 0.75, 0.5 , 0.  ]))
    """
    at, happened = _checked(times, observed)
    when, events, risk = _counts(at, happened)
    return _from_zero(when, np.cumprod(1.0 - events / risk), 1.0)


def cumulative_incidence(times: ArrayLike, outcomes: Sequence[str], events: Sequence[str]) -> dict[str, Steps]:
    """The probability of each outcome by time t, where one outcome excludes the others (Aalen and Johansen 1978).

    Their sum is 1 - `kaplan_meier` of the time of the first outcome of any kind.

    Args:
        times: shape (n,): when the outcome happened or, if there was none, until when it had not.
        outcomes: n texts. One that is not among `events` is censored.
        events: the outcomes that compete, such as ("reached", "diverged").

    Returns:
        A step function of t for each event.

    >>> found = cumulative_incidence([2, 4, 6], ["diverged", "reached", "not reached"], ("reached", "diverged"))
    >>> found["reached"](10.0).round(4), found["diverged"](10.0).round(4)
    (np.float64(0.3333), np.float64(0.3333))
    """
    when, _, risk, before, counts = _competing(times, outcomes, events)
    return {event: _from_zero(when, np.cumsum(before * count / risk), 0.0) for event, count in counts.items()}


def incidence_bands(
    times: ArrayLike, outcomes: Sequence[str], events: Sequence[str], confidence: float = 0.95
) -> dict[str, tuple[Steps, Steps]]:
    """Pointwise intervals of `cumulative_incidence`.

    Each is Wilson's interval for a share of an effective number of runs: the number that would give the share its
    variance (Dorey and Korn 1987). Until the first run is censored, that is the number of all runs. The variance is
    that of the delta method (Marubini and Valsecchi 1995). When only a tenth of the runs is left, 95 % intervals
    contain the true value 92 times in 100.

    Args:
        times: shape (n,), as in `cumulative_incidence`.
        outcomes: n texts, as in `cumulative_incidence`.
        events: the outcomes that compete.
        confidence: of the intervals, in (0, 1).

    Returns:
        The lower and the upper ends for each event, as step functions of time.

    >>> outcomes = ["reached", "reached", "not reached", "not reached"]
    >>> low, high = incidence_bands([2, 4, 6, 8], outcomes, ["reached"])["reached"]
    >>> low([3.0, 5.0]).round(2), high([3.0, 5.0]).round(2)
    (array([0.05, 0.15]), array([0.7 , 0.85]))
    """
    when, total, risk, before, counts = _competing(times, outcomes, events)
    found = {}
    for event, count in counts.items():
        share = np.cumsum(before * count / risk)
        share[share > 1 - 1e-9] = 1.0  # rounding error has no variance
        later = np.tril(share[:, None] - share)  # the share added after each event, by each time
        left = np.where(risk > total, risk - total, np.inf)  # after the last of all nothing comes
        own = np.cumsum(before**2 * count * (risk - count) / risk**3)
        variance = later**2 @ (total / (risk * left)) + own - 2 * later @ (before * count / risk**2)
        binomial, known = share * (1 - share), risk + np.cumsum(total) - total + 0.0
        size = np.divide(binomial, variance, out=known, where=(binomial > 0) & (variance > 0))
        size = np.minimum.accumulate(np.append(float(len(np.atleast_1d(times))), size))
        share = np.append(0.0, share)
        band = np.array([wilson(p * n, n, confidence) for p, n in zip(share, np.maximum(size, 1.0), strict=True)])
        found[event] = (_from_zero(when, band[1:, 0], band[0, 0]), _from_zero(when, band[1:, 1], band[0, 1]))
    return found


def restricted_mean(times: ArrayLike, observed: ArrayLike, budget: float) -> float:
    """The mean time, where longer times count as `budget`: the area under `kaplan_meier` up to there.

    Args:
        times: shape (n,), as in `kaplan_meier`.
        observed: shape (n,), as in `kaplan_meier`.
        budget: in the unit of the times; finite, above 0.

    Raises:
        UsageError: if all times that are known end before the budget, so that nothing is known up to there.

    >>> restricted_mean([3, 5, float("inf")], [True, True, False], budget=10)
    6.0
    """
    at, happened = _checked(times, observed)
    budget = real("budget", budget, 0, above=True)
    check_followed(at, happened, budget)
    return float(restricted_means(at, happened, budget, np.ones((1, len(at))))[0])


def restricted_means(
    times: NDArray[np.float64], observed: NDArray[np.bool_], budget: float, weights: NDArray[Any]
) -> NDArray[np.float64]:
    """`restricted_mean` for each row of weights, (resamples, n): how often each time is there. No checks.

    Many sets of runs share their weights and times, so the last results are kept, by their arrays of weights.
    """
    return _restricted_means(times.tobytes(), observed.tobytes(), budget, _Same(weights))


class _Same:
    """An array as a key: equal to itself only, and kept while it is one."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.array is other.array

    def __hash__(self) -> int:
        return id(self.array)


@lru_cache(128)
def _restricted_means(times: bytes, observed: bytes, budget: float, weights: _Same) -> NDArray[np.float64]:
    at, happened = np.frombuffer(times, np.float64), np.frombuffer(observed, np.bool_)
    order = np.lexsort((~happened, at))  # at equal times, events come before censoring
    happened, clipped = happened[order, None], np.minimum(at[order], budget)
    widths = np.diff(np.append(clipped, budget))
    left = np.empty(weights.array.shape, order="F")  # the share that needs more than each time
    few = max(1, _AT_ONCE // len(at))
    for first in range(0, len(left), few):  # so few that they stay in the cache
        counts = weights.array[first : first + few].T[order].astype(np.float64)
        risk = np.cumsum(counts[::-1], axis=0)[::-1]
        counts *= happened
        hazard = np.divide(counts, risk, out=counts, where=risk > 0)
        np.cumprod(1.0 - hazard, axis=0, out=left.T[:, first : first + few])
    found = np.asarray(clipped[0] + left @ widths, dtype=np.float64)
    found.setflags(write=False)
    return found


def _checked(times: ArrayLike, observed: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    at, happened = np.asarray(times, dtype=np.float64), np.asarray(observed, dtype=bool)
    if at.ndim != 1 or at.shape != happened.shape or not len(at):
        raise UsageError(f"times have the shape {at.shape}, observed {happened.shape}: give arrays of equal length")
    if not (at >= 0).all() or np.isinf(at[happened]).any():
        raise UsageError("times must not be negative or NaN, and finite where something happened")
    return at, happened


def _counts(
    at: NDArray[np.float64], happened: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The times at which anything happened, how often, and to how many nothing had happened until just before."""
    when, events = np.unique(at[happened], return_counts=True)
    return when, events, len(at) - np.searchsorted(np.sort(at), when)


def _competing(
    times: ArrayLike, outcomes: Sequence[str], events: Sequence[str]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, NDArray[Any]]]:
    """`_counts` of all events, the probability of none before each time, and how often each happened then."""
    named = np.asarray(outcomes, dtype=object)
    at, happened = _checked(times, np.isin(named.astype(str), list(events)))
    when, total, risk = _counts(at, happened)
    before = np.cumprod(np.append(1.0, 1.0 - total / risk))[:-1]
    counts = {event: np.bincount(np.searchsorted(when, at[named == event]), minlength=len(when)) for event in events}
    return when, total, risk, before, counts


def _from_zero(when: NDArray[np.float64], values: NDArray[Any], start: float) -> Steps:
    if len(when) and when[0] == 0:
        return Steps(when, values)
    return Steps(np.append(0.0, when), np.append(start, values))


def check_followed(at: NDArray[np.float64], happened: NDArray[np.bool_], budget: float) -> None:
    """UsageError if all were watched for less than the budget, so that nothing is known beyond."""
    if at.max() < budget and not happened[at == at.max()].all():
        raise UsageError(
            f"budget is {budget:g}: the longest run that did not reach the target ended at {at.max():g}; give at "
            "most that"
        )
