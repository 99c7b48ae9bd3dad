"""The distribution of staleness, counted while a run goes on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .distribution import StalenessDistribution, staleness_array


class StalenessEstimator:
    """The distribution of the updates observed so far, exact, growing with the largest staleness.

    With a `half_life` (in updates) an update counts half as much after that many more. The state depends on the
    order of the updates only, to the bit, and not on how they were cut into arrays.

    >>> estimator = StalenessEstimator(half_life=2)
    >>> estimator.observe([5, 5, 0, 0])
    >>> estimator.distribution(6).pmf.round(3)
    array([0.667, 0.   , 0.   , 0.   , 0.   , 0.333])
    """

    def __init__(self, half_life: float | None = None) -> None:
        if half_life is not None and not 0 < half_life < math.inf:
            raise UsageError(f"half_life is {half_life}: must be > 0 (in updates), or None to forget nothing")
        self.seen = 0
        self._half_life = math.inf if half_life is None else half_life
        # Weights grow instead of the past being shrunk at every update. They start again from 1 after this many:
        self._period = 2**62 if half_life is None else max(1, int(256 * half_life))
        self._weights = np.zeros(64)

    def observe(self, staleness: ArrayLike) -> None:
        """Count these updates, given in the order in which they were applied."""
        rest = staleness_array(staleness)
        self._weights = _grown(self._weights, int(rest.max(initial=0)))
        while rest.size:
            position = self.seen % self._period
            if position == 0:
                self._weights *= np.exp2(-self._period / self._half_life)
            now, rest = np.split(rest, [self._period - position])
            np.add.at(self._weights, now, np.exp2(np.arange(position, position + now.size) / self._half_life))
            self.seen += now.size

    def distribution(self, length: int | None = None) -> StalenessDistribution:
        """What was observed, on 0 … length-1 (see `StalenessDistribution.padded`), or as long as its support."""
        seen = StalenessDistribution.from_counts(self._weights)
        return seen.padded(max(1, seen.support + 1) if length is None else length)


class WorkerHistogram:
    """Exact counts of every worker's staleness.

    >>> histogram = WorkerHistogram(workers=2)
    >>> histogram.observe([0, 1, 1], [0, 2, 2])
    >>> histogram.counts
    array([[1, 0, 0],
           [0, 0, 2]])
    """

    def __init__(self, workers: int) -> None:
        self._counts = np.zeros((workers, 64), dtype=np.int64)
        self._width = 0

    def observe(self, worker: ArrayLike, staleness: ArrayLike) -> None:
        """Count updates: who made them (0 … workers-1) and how stale they were."""
        tau, who = staleness_array(staleness), np.asarray(worker, dtype=np.int64)
        self._width = max(self._width, int(tau.max(initial=-1)) + 1)
        self._counts = _grown(self._counts, self._width - 1)
        np.add.at(self._counts, (who, tau), 1)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(workers, largest staleness + 1), int64; zero columns wide when nothing was observed."""
        return self._counts[:, : self._width].copy()


def _grown(array: NDArray[Any], index: int) -> NDArray[Any]:
    """`array`, its last axis enlarged (by at least half) when it has no such index yet."""
    length = array.shape[-1]
    if index < length:
        return array
    wider = np.zeros((*array.shape[:-1], max(index + 1, length * 3 // 2)), dtype=array.dtype)
    wider[..., :length] = array
    return wider
