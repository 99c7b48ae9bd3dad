"""A distribution of staleness: an array `pmf` with pmf[k] = P(tau = k); everything else follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..markup import block
from ..memory import check_memory
from ..numbers import choice, integer, real, reals
from .bins import bars_of

# Which distribution function of integer staleness is meant.
Kind = Literal["midpoint", "exclusive", "inclusive"]
# All of `Kind`.
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


@dataclass(frozen=True, eq=False, repr=False)
class StalenessDistribution:
    """P(tau = k) for k = 0, 1, …: float64, read-only, zero past the largest staleness seen.

    Make one with `from_counts`, `from_pmf` or a model (`geometric`, `poisson` …). The distribution of a run is
    `run.staleness`. `len()` is the length of `pmf`, zeros at its end included. The pmf sums to 1. `truncated` is the
    probability beyond the end of a model with infinite support, before it was cut off there. When nothing has been
    counted the distribution `is_empty`: its pmf is zero everywhere, and its moments are NaN.

    >>> seen = StalenessDistribution.from_counts([1, 2, 1])
    >>> seen.pmf
    array([0.25, 0.5 , 0.25])
    >>> seen.mean(), seen.variance(), seen.quantile(0.9)
    (1.0, 0.5, 2.0)
    """

    pmf: NDArray[np.float64]
    truncated: float = 0.0

    def __post_init__(self) -> None:
        self.pmf.setflags(write=False)

    @classmethod
    def from_counts(cls, counts: ArrayLike) -> StalenessDistribution:
        """The distribution with counts[k] updates (or any weight >= 0) of staleness k.

        >>> StalenessDistribution.from_counts([0, 3, 1]).pmf
        array([0.  , 0.75, 0.25])
        """
        weights = reals("counts", counts, 0, empty=True)
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
        total = math.fsum(reals("pmf", pmf, 0))
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise UsageError(f"pmf sums to {total!r}, not to 1; for counts or weights use from_counts")
        return cls.from_counts(pmf)

    def __len__(self) -> int:
        return len(self.pmf)

    def __repr__(self) -> str:
        if self.is_empty:
            return f"StalenessDistribution(nothing seen, length={len(self)})"
        cut = f", truncated={self.truncated:.3g}" if self.truncated else ""
        return f"StalenessDistribution(mean={self.mean():.6g}, support={self.support}, length={len(self)}{cut})"

    def _repr_html_(self) -> str:
        return block(bars_of(self), title=repr(self))

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

        Zeros are added at the end. Where `length` is too short for the support, the last entry takes the probability
        beyond it, just as the last entry of a scale table serves every staler update.

        >>> seen = StalenessDistribution.from_counts([2, 1, 1])
        >>> seen.padded(5).pmf, seen.padded(2).pmf
        (array([0.5 , 0.25, 0.25, 0.  , 0.  ]), array([0.5, 0.5]))
        """
        length = integer("length", length, 1)
        check_memory(f"a distribution on {length:,} values", 8 * length, "take a shorter length")
        pmf = np.zeros(length)
        kept = min(length, len(self))
        pmf[:kept] = self.pmf[:kept]
        pmf[-1] += math.fsum(self.pmf[kept:])
        return StalenessDistribution(pmf, self.truncated)

    def cdf(self, kind: Kind = "midpoint") -> NDArray[np.float64]:
        """F(k) for every k. Sums begin at the fresh end, so that small values are as accurate as large ones.

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
        """1 - F(k) for every k. Sums begin at the stale end, so that it is accurate where `1 - cdf` would cancel.

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

    def s2(self) -> float:
        """The sum of the squared probabilities, which is the probability that two updates are equally stale.

        >>> StalenessDistribution.from_counts([1, 2, 1]).s2()
        0.375
        """
        return math.nan if self.is_empty else float(self.pmf @ self.pmf)

    def gini_mean_difference(self) -> float:
        """E|tau - tau'| of two independent updates, 2 sum_k P(tau <= k) P(tau > k), in updates.

        >>> StalenessDistribution.from_counts([1, 2, 1]).gini_mean_difference()
        0.75
        """
        return math.nan if self.is_empty else 2.0 * float(self.cdf("inclusive") @ self.survival("inclusive"))

    def quantile(self, q: float) -> float:
        """The smallest staleness k with P(tau <= k) >= q, for q in [0, 1]; q = 0 gives the smallest one seen.

        >>> StalenessDistribution.from_counts([0, 1, 1, 2]).quantile(0.5)
        2.0
        """
        q = real("q", q, 0, 1)
        if self.is_empty:
            return math.nan
        return float(np.searchsorted(self.cdf("inclusive"), max(q * (1 - _QUANTILE_TOLERANCE), 5e-324)))

    def sample(self, rng: np.random.Generator | int, size: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Independent draws, int64, from a generator or a seed; never a staleness of probability 0.

        The uniform numbers behind them have 53 bits, so what is rarer than 1e-16 does not occur at its rate.

        >>> StalenessDistribution.from_counts([0, 1, 0, 1]).sample(rng=1, size=6)
        array([3, 3, 1, 3, 1, 1])
        """
        if self.is_empty:
            raise UsageError("nothing has been seen: there is no staleness to draw")
        uniform = np.random.default_rng(rng).random(size)
        return np.searchsorted(self.cdf("inclusive"), uniform, side="right")


def _of_kind(kind: str, exclusive: NDArray[Any], inclusive: NDArray[Any]) -> NDArray[np.float64]:
    """The array asked for, or the mean of both."""
    if choice("kind of cdf", kind, CDF_KINDS) == "midpoint":
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
