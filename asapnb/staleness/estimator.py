"""The distribution of staleness, counted while a run goes on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import integer, real
from .distribution import StalenessDistribution, staleness_array

_PENDING = 2**16  # updates that a histogram keeps before it counts them
_STALEST = 2**40


class StalenessEstimator:
    """Counts the staleness of updates, and gives their exact distribution so far.

    The result is the same to the bit however the updates are divided among calls of `observe`; only their order
    matters. Memory grows with the largest staleness.

    Args:
        half_life: after how many more updates an update counts half as much, > 0; None to count all the same.
        window: how many of the last updates count, each the same; >= 1. None for all. Give at most one of the two.

    Raises:
        UsageError: for values out of range, or for both.

    >>> estimator = StalenessEstimator(half_life=2)
    >>> estimator.observe([5, 5, 0, 0])
    >>> estimator.distribution(6).pmf.round(3)
    array([0.667, 0.   , 0.   , 0.   , 0.   , 0.333])
    >>> estimator = StalenessEstimator(window=3)
    >>> estimator.observe([5, 5, 0, 0])
    >>> estimator.distribution().pmf.round(3)
    array([0.667, 0.   , 0.   , 0.   , 0.   , 0.333])
    """

    def __init__(self, half_life: float | None = None, window: int | None = None) -> None:
        if half_life is not None:
            half_life = real("half_life", half_life, 0, above=True, note=" (in updates), or None to forget nothing")
        if window is not None:
            window = integer("window", window, 1, note=", a number of updates, or None for all")
        if half_life is not None and window is not None:
            raise UsageError(f"half_life is {half_life} and window {window}: give one of them")
        self.seen = 0
        self._half_life = math.inf if half_life is None else half_life
        # New updates weigh more, so that old ones need not be made lighter. After this many, weights restart at 1:
        self._period = 2**62 if half_life is None else max(1, int(256 * half_life))
        self._position = 0  # the next update weighs 2 ** (position / half_life)
        self._weights = np.zeros(64)
        self._window = None if window is None else np.full(window, -1, dtype=np.int64)  # slot: update % window

    def observe(self, staleness: ArrayLike) -> None:
        """Count these updates: the staleness of each, integers >= 0, in the order in which they were applied."""
        tau = staleness_array(staleness)
        self._weights = _grown(self._weights, int(tau.max(initial=0)))
        if self._window is None:
            self._accumulate(tau)
        else:
            slots = np.arange(self.seen, self.seen + tau.size)[-self._window.size :] % self._window.size
            gone = self._window[slots]
            np.subtract.at(self._weights, gone[gone >= 0], 1.0)
            self._window[slots] = tau[-self._window.size :]
            np.add.at(self._weights, self._window[slots], 1.0)
        self.seen += tau.size

    def _accumulate(self, rest: NDArray[np.int64]) -> None:
        while rest.size:
            if self._position == self._period:
                self._weights *= np.exp2(-self._period / self._half_life)
                self._position = 0
            now, rest = np.split(rest, [self._period - self._position])
            ages = np.arange(self._position, self._position + now.size)
            np.add.at(self._weights, now, np.exp2(ages / self._half_life))
            self._position += now.size

    @property
    def weight(self) -> float:
        """How many updates count: all, or those in the window; with a half-life, the sum of 2^(-age / half_life).

        >>> estimator = StalenessEstimator(half_life=1)
        >>> estimator.observe([7, 7, 7])
        >>> estimator.weight
        1.75
        """
        return float(self._weights.sum() * np.exp2((1 - self._position) / self._half_life))

    def distribution(self, length: int | None = None) -> StalenessDistribution:
        """The distribution observed. With `length` its pmf has that length (see `StalenessDistribution.padded`)."""
        seen = StalenessDistribution.from_counts(self._weights)
        return seen.padded(max(1, seen.support + 1) if length is None else length)

    def merge(self, other: StalenessEstimator) -> StalenessEstimator:
        """A new estimator of what both have observed, such as those of two workers or of two parts of a run.

        Merging is associative and commutative. With a half-life, each update keeps the age that it has in its own
        estimator.

        Args:
            other: another estimator, with the same half-life.

        Raises:
            UsageError: if the half-lives differ, or for windows: nothing says which of the updates came last.

        >>> ours, theirs = StalenessEstimator(), StalenessEstimator()
        >>> ours.observe([0, 1])
        >>> theirs.observe([1, 1])
        >>> ours.merge(theirs).distribution().pmf
        array([0.25, 0.75])
        """
        if self._window is not None or other._window is not None:
            raise UsageError("estimators with a window cannot be merged: make them with a half_life, or with neither")
        if self._half_life != other._half_life:
            raise UsageError(f"half-lives {self._half_life} and {other._half_life}: only equal ones can be merged")
        both = StalenessEstimator(None if math.isinf(self._half_life) else self._half_life)
        both.seen = self.seen + other.seen
        both._position = max(self._position, other._position)
        for one in (self, other):
            both._weights = _grown(both._weights, len(one._weights) - 1)
            both._weights[: len(one._weights)] += one._weights * np.exp2(
                (both._position - one._position) / self._half_life
            )
        return both


class WorkerHistogram:
    """Counts the staleness of each worker's updates exactly.

    Memory grows with the number of different pairs (worker, staleness).

    Args:
        workers: how many workers there are; >= 1.

    >>> histogram = WorkerHistogram(workers=2)
    >>> histogram.observe([0, 1, 1], [0, 2, 2])
    >>> histogram.counts
    array([[1, 0, 0],
           [0, 0, 2]])
    >>> histogram.distribution(worker=1).mean(), histogram.distribution().pmf.round(2)
    (2.0, array([0.33, 0.  , 0.67]))
    """

    def __init__(self, workers: int) -> None:
        self.workers = integer("workers", workers, 1)
        self._keys = np.zeros(0, dtype=np.int64)  # worker · _STALEST + tau, sorted
        self._counts = np.zeros(0, dtype=np.int64)
        self._pending: list[NDArray[np.int64]] = []
        self._waiting = 0

    def observe(self, worker: ArrayLike, staleness: ArrayLike) -> None:
        """Count updates: the worker who made each (0 … workers-1), and its staleness; two arrays of one shape."""
        tau, who = staleness_array(staleness), np.asarray(worker, dtype=np.int64)
        if tau.shape != who.shape:
            raise UsageError(f"worker and staleness have shapes {who.shape} and {tau.shape}: must be the same")
        if not tau.size:
            return
        if who.min() < 0 or who.max() >= self.workers or tau.max() >= _STALEST:
            raise UsageError(
                f"workers {who.min()} … {who.max()}, staleness to {tau.max()}: must be in 0 … {self.workers - 1}, "
                f"and below {_STALEST}"
            )
        self._pending.append(who * _STALEST + tau)
        self._waiting += tau.size
        if self._waiting > _PENDING + len(self._keys):
            self._count()

    def _count(self) -> None:
        """Count the pending updates. This sorts them all, so it is done seldom."""
        if not self._waiting:
            return
        keys, counts = np.unique(np.concatenate(self._pending), return_counts=True)
        self._keys, self._counts = _summed([self._keys, keys], [self._counts, counts])
        self._pending, self._waiting = [], 0

    def entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Three int64 arrays: the worker, the staleness and the count of each pair that occurred."""
        self._count()
        return self._keys // _STALEST, self._keys % _STALEST, self._counts

    @property
    def counts(self) -> NDArray[np.int64]:
        """The counts, int64, of shape (workers, largest staleness + 1); without columns if nothing was observed."""
        who, tau, counts = self.entries()
        table = np.zeros((self.workers, int(tau.max(initial=-1)) + 1), dtype=np.int64)
        table[who, tau] = counts
        return table

    def distribution(self, worker: int | None = None) -> StalenessDistribution:
        """The distribution of the updates of one worker, or of all for None."""
        who, tau, counts = self.entries()
        if worker is not None:
            worker = integer("worker", worker, 0, self.workers - 1)
            tau, counts = tau[who == worker], counts[who == worker]
        weights = np.zeros(int(tau.max(initial=0)) + 1)
        np.add.at(weights, tau, counts)
        return StalenessDistribution.from_counts(weights)

    def merge(self, other: WorkerHistogram) -> WorkerHistogram:
        """A new histogram of what both have counted. Both must have the same number of workers."""
        if self.workers != other.workers:
            raise UsageError(f"histograms of {self.workers} and {other.workers} workers: must be of the same number")
        both = WorkerHistogram(self.workers)
        for one in (self, other):
            one._count()
        both._keys, both._counts = _summed([self._keys, other._keys], [self._counts, other._counts])
        return both


def _summed(
    keys: list[NDArray[np.int64]], counts: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different keys, sorted, and the sum of the counts of each."""
    different, where = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.zeros(len(different), dtype=np.int64)
    np.add.at(sums, where, np.concatenate(counts))
    return different, sums


def _grown(weights: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """`weights`, enlarged (by at least half) when they have no such index yet."""
    more = index + 1 - len(weights)
    return np.append(weights, np.zeros(max(more, len(weights) // 2))) if more > 0 else weights
