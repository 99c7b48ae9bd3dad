"""The distribution of staleness: exact, and as counted while a run goes on.

The staleness tau of an update is the number of updates applied between the read of its view and its own
application. A distribution is an array `pmf` with pmf[k] = P(tau = k); everything else follows from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UsageError, unknown

Kind = Literal["midpoint", "exclusive", "inclusive"]
CDF_KINDS: tuple[str, ...] = get_args(Kind)
_SUM_TOLERANCE = 1e-9
_QUANTILE_TOLERANCE = 1e-15  # so that 99 of 100 equal counts make the 0.99 quantile in spite of rounding


def _cumulated(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running sums, non-decreasing, each right to about one rounding: the error of every addition is added back."""
    sums = np.cumsum(values)
    before, after = sums[:-1], sums[1:]
    taken = after - before
    lost = (before - (after - taken)) + (values[1:] - taken)  # exact (Knuth's two-sum)
    after += np.cumsum(lost)
    return np.maximum.accumulate(sums)


def _sums_to_one(pmf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running sums of a pmf, the last exactly 1."""
    sums = _cumulated(pmf)
    return sums / sums[-1:]


def _weights(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """`values` as a one-dimensional float64 array of finite numbers >= 0."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise UsageError(f"{name} must be a one-dimensional array of numbers, one for each staleness 0, 1, …; "
                         f"got {array.dtype} of shape {array.shape}")  # fmt: skip
    array = array.astype(np.float64)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        k = int(bad.argmax())
        raise UsageError(f"{name}[{k}] = {array[k]}: must be finite and >= 0")
    return array


@dataclass(frozen=True, eq=False, repr=False)
class StalenessDistribution:
    """P(tau = k) for k = 0, 1, …: float64, read-only, zero past the largest staleness seen.

    Make one with `from_counts` or `from_pmf`. `len()` is the length of `pmf`, zeros at its end included. When
    nothing has been counted the distribution `is_empty`: its pmf is zero everywhere, its moments are NaN.

    >>> seen = StalenessDistribution.from_counts([1, 2, 1])
    >>> seen.pmf
    array([0.25, 0.5 , 0.25])
    >>> seen.mean(), seen.variance(), seen.quantile(0.9)
    (1.0, 0.5, 2.0)
    """

    pmf: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.pmf.setflags(write=False)

    @classmethod
    def from_counts(cls, counts: ArrayLike) -> StalenessDistribution:
        """The distribution with counts[k] updates (or any weight >= 0) of staleness k.

        >>> StalenessDistribution.from_counts([0, 3, 1]).pmf
        array([0.  , 0.75, 0.25])
        """
        weights = _weights("counts", counts)
        largest = float(weights.max(initial=0.0))
        if largest == 0.0:
            return cls(weights)
        weights = np.ldexp(weights, -math.frexp(largest)[1])  # exact, and no sum overflows
        return cls(weights / _cumulated(weights)[-1])

    @classmethod
    def from_pmf(cls, pmf: ArrayLike) -> StalenessDistribution:
        """The distribution with these probabilities; their sum must be 1 within 1e-9 and is made 1.

        >>> len(StalenessDistribution.from_pmf([0.5, 0.5, 0.0]))
        3
        """
        total = math.fsum(_weights("pmf", pmf))
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise UsageError(f"pmf sums to {total!r}, not to 1; for counts or weights use from_counts")
        return cls.from_counts(pmf)

    def __len__(self) -> int:
        return len(self.pmf)

    def __repr__(self) -> str:
        if self.is_empty:
            return f"StalenessDistribution(nothing seen, length={len(self)})"
        return f"StalenessDistribution(mean={self.mean():.6g}, support={self.support}, length={len(self)})"

    @cached_property
    def support(self) -> int:
        """The largest staleness with any mass; -1 when empty."""
        return int(np.flatnonzero(self.pmf).max(initial=-1))

    @property
    def is_empty(self) -> bool:
        """Whether no staleness has been seen."""
        return self.support < 0

    def padded(self, length: int) -> StalenessDistribution:
        """The same distribution on 0 … length-1.

        Zeros are added at the end; where `length` is too short for the support, the mass beyond goes to the last
        entry, as the last entry of a scale table serves every staler update.

        >>> seen = StalenessDistribution.from_counts([2, 1, 1])
        >>> seen.padded(5).pmf, seen.padded(2).pmf
        (array([0.5 , 0.25, 0.25, 0.  , 0.  ]), array([0.5, 0.5]))
        """
        if length < 1:
            raise UsageError(f"length is {length}: must be at least 1")
        pmf = np.zeros(length)
        kept = min(length, len(self))
        pmf[:kept] = self.pmf[:kept]
        pmf[-1] += math.fsum(self.pmf[kept:])
        return StalenessDistribution(pmf)

    def cdf(self, kind: Kind = "midpoint") -> NDArray[np.float64]:
        """F(k) for every k, summed from the fresh end: small values are as accurate as large ones.

        "inclusive" is P(tau <= k), "exclusive" P(tau < k), "midpoint" their mean (the mid-distribution function,
        for which E[F(tau)] = 1/2 whatever the distribution).

        >>> seen = StalenessDistribution.from_counts([1, 2, 1])
        >>> [seen.cdf(kind).tolist() for kind in CDF_KINDS]
        [[0.125, 0.5, 0.875], [0.0, 0.25, 0.75], [0.25, 0.75, 1.0]]
        """
        seen = self.pmf[: self.support + 1]
        inclusive = np.concatenate((_sums_to_one(seen), np.ones(len(self) - len(seen))))
        exclusive = np.concatenate(([0.0], inclusive))[: len(self)]
        return _of_kind(kind, exclusive, inclusive)

    def survival(self, kind: Kind = "midpoint") -> NDArray[np.float64]:
        """1 - F(k) for every k, summed from the stale end: accurate where `1 - cdf` would cancel.

        >>> StalenessDistribution.from_counts([1, 2, 1]).survival("exclusive")
        array([1.  , 0.75, 0.25])
        """
        seen = self.pmf[: self.support + 1]
        from_here = np.concatenate((_sums_to_one(seen[::-1])[::-1], np.zeros(len(self) - len(seen) + 1)))
        return _of_kind(kind, from_here[:-1], from_here[1:])

    def mean(self) -> float:
        """E[tau], in updates."""
        return math.nan if self.is_empty else float(np.arange(len(self)) @ self.pmf)

    def variance(self) -> float:
        """Var[tau], in updates squared."""
        return math.nan if self.is_empty else float((np.arange(len(self)) - self.mean()) ** 2 @ self.pmf)

    def quantile(self, q: float) -> float:
        """The smallest staleness k with P(tau <= k) >= q, for q in [0, 1]; q = 0 gives the smallest one seen.

        >>> StalenessDistribution.from_counts([0, 1, 1, 2]).quantile(0.5)
        2.0
        """
        if not 0.0 <= q <= 1.0:
            raise UsageError(f"q is {q}: a quantile is taken at 0 <= q <= 1")
        if self.is_empty:
            return math.nan
        return float(np.searchsorted(self.cdf("inclusive"), max(q * (1 - _QUANTILE_TOLERANCE), 5e-324)))


def _of_kind(kind: str, exclusive: NDArray[Any], inclusive: NDArray[Any]) -> NDArray[np.float64]:
    """The array asked for, or the mean of both."""
    if kind not in CDF_KINDS:
        raise unknown("kind of cdf", kind, CDF_KINDS)
    if kind == "midpoint":
        return 0.5 * (exclusive + inclusive)
    return exclusive if kind == "exclusive" else inclusive


def staleness_array(values: ArrayLike) -> NDArray[np.int64]:
    """`values` as a one-dimensional int64 array of staleness; UsageError unless they are integers >= 0."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UsageError(f"staleness must be a one-dimensional array of integers; got {array.dtype}, {array.shape}")
    array = array.astype(np.int64, copy=False)
    if array.min(initial=0) < 0:
        raise UsageError(f"staleness must be >= 0; got {array.min()}")
    return array


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
