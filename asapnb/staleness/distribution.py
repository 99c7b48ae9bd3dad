"""A distribution of staleness: an array `pmf` with pmf[k] = P(tau = k), from which everything else follows."""

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
    """A distribution of staleness: the probability of each staleness tau = 0, 1, ….

    Make one with `from_counts`, `from_pmf` or a model such as `geometric` or `poisson`. The distribution of a run is
    `run.staleness`. `len()` is the length of `pmf`, including zeros at its end. A distribution of no updates
    `is_empty`: its pmf is 0 everywhere, and its moments are NaN.

    Attributes:
        pmf: pmf[k] = P(tau = k); float64, read-only, one axis. It sums to 1 unless the distribution is empty.
        truncated: of a model with infinite support, the probability of the tail that was cut off; otherwise 0.

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
        """The distribution of counted updates.

        Args:
            counts: counts[k] is how many updates had staleness k, or any other weight >= 0; one axis.

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
        """The distribution with these probabilities.

        Args:
            pmf: pmf[k] = P(tau = k), >= 0; one axis. The sum must be 1 within 1e-9, and is then made exactly 1.

        Raises:
            UsageError: if the sum is not 1.

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
        """The largest staleness whose probability is above 0; -1 if the distribution is empty."""
        return int(np.flatnonzero(self.pmf).max(initial=-1))

    @property
    def is_empty(self) -> bool:
        """Whether no staleness has been seen."""
        return self.support < 0

    def padded(self, length: int) -> StalenessDistribution:
        """The same distribution with a pmf of this length.

        Zeros are added at the end. If `length` is too short, the last entry also takes the probability beyond it, as
        the last entry of a scale table serves every staler update.

        Args:
            length: how many entries the pmf gets; >= 1.

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
        """The distribution function F(k) for every k: float64, shape (len(self),).

        Sums begin at the fresh end, so that small values are as accurate as large ones.

        Args:
            kind: "inclusive" for P(tau <= k), "exclusive" for P(tau < k), "midpoint" for the mean of both. With
                "midpoint", E[F(tau)] = 1/2 for every distribution.

        >>> seen = StalenessDistribution.from_counts([1, 2, 1])
        >>> [seen.cdf(kind).tolist() for kind in CDF_KINDS]
        [[0.125, 0.5, 0.875], [0.0, 0.25, 0.75], [0.25, 0.75, 1.0]]
        """
        seen = self.pmf[: self.support + 1]
        inclusive = np.concatenate((_sums_to_one(seen), np.ones(len(self) - len(seen))))
        exclusive = np.concatenate(([0.0], inclusive))[: len(self)]
        return _of_kind(kind, exclusive, inclusive)

    def survival(self, kind: Kind = "midpoint") -> NDArray[np.float64]:
        """The survival function 1 - F(k) for every k: float64, shape (len(self),).

        Sums begin at the stale end, so it is accurate where `1 - cdf` would lose digits.

        Args:
            kind: as for `cdf`.

        >>> StalenessDistribution.from_counts([1, 2, 1]).survival("exclusive")
        array([1.  , 0.75, 0.25])
        """
        seen = self.pmf[: self.support + 1]
        from_here = np.concatenate((_sums_to_one(seen[::-1])[::-1], np.zeros(len(self) - len(seen) + 1)))
        return _of_kind(kind, from_here[:-1], from_here[1:])

    def mean(self) -> float:
        """The mean staleness E[tau], in updates."""
        return math.nan if self.is_empty else float(np.arange(len(self)) @ self.pmf)

    def variance(self) -> float:
        """The variance Var[tau], in updates squared."""
        return math.nan if self.is_empty else float((np.arange(len(self)) - self.mean()) ** 2 @ self.pmf)

    def s2(self) -> float:
        """The sum of the squared probabilities: the probability that two independent updates are equally stale.

        >>> StalenessDistribution.from_counts([1, 2, 1]).s2()
        0.375
        """
        return math.nan if self.is_empty else float(self.pmf @ self.pmf)

    def gini_mean_difference(self) -> float:
        """The mean difference E|tau - tau'| of two independent updates, 2 sum_k P(tau <= k) P(tau > k), in updates.

        >>> StalenessDistribution.from_counts([1, 2, 1]).gini_mean_difference()
        0.75
        """
        return math.nan if self.is_empty else 2.0 * float(self.cdf("inclusive") @ self.survival("inclusive"))

    def quantile(self, q: float) -> float:
        """The smallest staleness k with P(tau <= k) >= q.

        Args:
            q: in [0, 1]; 0.5 gives the median, 0 the smallest staleness seen.

        >>> StalenessDistribution.from_counts([0, 1, 1, 2]).quantile(0.5)
        2.0
        """
        q = real("q", q, 0, 1)
        if self.is_empty:
            return math.nan
        return float(np.searchsorted(self.cdf("inclusive"), max(q * (1 - _QUANTILE_TOLERANCE), 5e-324)))

    def sample(self, rng: np.random.Generator | int, size: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Draw independent values of staleness, int64. A staleness of probability 0 is never drawn.

        The draws are made from uniform numbers of 53 bits. So a staleness that is rarer than about 1e-16 is not drawn
        as often as its probability says.

        Args:
            rng: a generator, or a seed.
            size: how many to draw, or the shape of the result.

        Raises:
            UsageError: if the distribution is empty.

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
    """Check values of staleness, and return them as an int64 array of one axis.

    Args:
        values: integers >= 0, one axis.

    Raises:
        UsageError: if they are something else.

    >>> staleness_array([0, 2, 1])
    array([0, 2, 1])
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UsageError(f"staleness must be a one-dimensional array of integers; got {array.dtype}, {array.shape}")
    array = array.astype(np.int64, copy=False)
    if array.min(initial=0) < 0:
        raise UsageError(f"staleness must be >= 0; got {array.min()}")
    return array
