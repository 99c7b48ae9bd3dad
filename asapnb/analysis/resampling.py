"""Bootstrap intervals: samples are drawn again, and percentiles of the statistic make the interval."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numbers import integer, real

RESAMPLES = 10_000


class Interval(NamedTuple):
    """A confidence interval, from `low` to `high`."""

    low: float
    high: float


def bootstrap(
    statistic: Callable[..., NDArray[np.float64]],
    sizes: Sequence[int],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """A bootstrap interval of a statistic of one or more independent samples.

    The percentiles are those of Hesterberg (2015, The American Statistician 69). For small samples, plain percentile
    intervals are too narrow, much as normal intervals are compared with Student's. These percentiles lie further out.

    Args:
        statistic: a function of one matrix of weights for each sample, shape (resamples, size). A weight says how
            often an element was drawn. It returns a value for each row.
        sizes: the size of each sample.
        confidence: of the interval, in (0, 1).
        resamples: how many bootstrap samples are drawn.
        seed: of the draws.

    Returns:
        The `Interval`; None if a sample has only one element.

    >>> heights = np.array([1.6, 1.7, 1.8, 1.9, 1.7])
    >>> low, high = bootstrap(lambda weights: weights @ heights / 5, [5])
    >>> bool(1.6 <= low < heights.mean() < high <= 1.9)
    True
    """
    confidence, n = checked_confidence(confidence), min(sizes)
    if n < 2:
        return None
    return percentiles(statistic(*resampled(sizes, resamples, seed)), n, confidence)


def resampled(sizes: Sequence[int], resamples: int = RESAMPLES, seed: int = 0) -> list[NDArray[np.int64]]:
    """Weights of bootstrap samples: for each size a matrix (resamples, size), how often each element was drawn.

    They are read-only. The last ones are kept, because most comparisons draw the same.

    Args:
        sizes: of the samples.
        resamples: how many are drawn.
        seed: of the draws.
    """
    return list(_resampled(tuple(sizes), integer("resamples", resamples, 1), integer("seed", seed)))


@lru_cache(2)
def _resampled(sizes: tuple[int, ...], resamples: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    rng = np.random.default_rng(seed)
    found = tuple(rng.multinomial(size, np.full(size, 1.0 / size), size=resamples) for size in sizes)
    for weights in found:
        weights.setflags(write=False)
    return found


def percentiles(draws: NDArray[np.float64], n: int, confidence: float = 0.95) -> Interval:
    """The interval of `bootstrap` from values of its statistic; values that were all drawn, if these are integers.

    Args:
        draws: the value for each bootstrap sample.
        n: the size of the smallest sample, at least 2.
        confidence: of the interval, in (0, 1).
    """
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.5 * (1.0 - confidence))))
    method = "nearest" if draws.dtype.kind in "iu" else "linear"
    low, high = np.quantile(draws, [tail, 1.0 - tail], method=method)  # type: ignore[call-overload]
    return Interval(float(low), float(high))


def checked_confidence(confidence: float) -> float:
    """The confidence if it is in (0, 1), else UsageError."""
    return real("confidence", confidence, 0, 1, above=True, below=True, note=", such as 0.95")
