"""How far two distributions of staleness are from each other."""

import math

import numpy as np
from numpy.typing import NDArray

from .distribution import StalenessDistribution


def total_variation(a: StalenessDistribution, b: StalenessDistribution) -> float:
    """The total variation distance: the largest difference of the probabilities of any set of staleness values.

    Args:
        a: a distribution.
        b: another one.

    Returns:
        A number in [0, 1]; NaN if a distribution is empty.

    >>> from asapnb.staleness import constant, uniform
    >>> total_variation(constant(0), uniform(0, 3))
    0.75
    """
    return math.nan if _empty(a, b) else 0.5 * float(np.abs(np.subtract(*_aligned(a.pmf, b.pmf, 0.0))).sum())


def ks(a: StalenessDistribution, b: StalenessDistribution) -> float:
    """The Kolmogorov-Smirnov distance: the largest difference of P(tau <= k) over all k.

    Args:
        a: a distribution.
        b: another one.

    Returns:
        A number in [0, 1]; NaN if a distribution is empty.

    >>> from asapnb.staleness import constant, uniform
    >>> ks(constant(1), uniform(0, 3))
    0.5
    """
    return math.nan if _empty(a, b) else float(np.abs(_cdf_difference(a, b)).max())


def wasserstein(a: StalenessDistribution, b: StalenessDistribution) -> float:
    """The Wasserstein-1 (earth mover's) distance: by how many updates on average staleness must move from a to b.

    It is at least the difference of the means.

    Args:
        a: a distribution.
        b: another one.

    Returns:
        The distance in updates; NaN if a distribution is empty.

    >>> from asapnb.staleness import constant, uniform
    >>> wasserstein(constant(1), uniform(0, 3))
    1.0
    """
    return math.nan if _empty(a, b) else float(np.abs(_cdf_difference(a, b)).sum())


def _empty(a: StalenessDistribution, b: StalenessDistribution) -> bool:
    return a.is_empty or b.is_empty


def _cdf_difference(a: StalenessDistribution, b: StalenessDistribution) -> NDArray[np.float64]:
    return np.subtract(*_aligned(a.cdf("inclusive"), b.cdf("inclusive"), 1.0))


def _aligned(a: NDArray[np.float64], b: NDArray[np.float64], beyond: float) -> list[NDArray[np.float64]]:
    """Both arrays at the length of the longer one."""
    length = max(len(a), len(b))
    return [np.concatenate((array, np.full(length - len(array), beyond))) for array in (a, b)]
