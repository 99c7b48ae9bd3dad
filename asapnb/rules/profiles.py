"""Rules that see staleness through its ranks: a non-increasing profile of F(tau), with mean scale 1."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, unknown
from ..staleness import CDF_KINDS, Kind, StalenessDistribution
from .framework import Rule, register
from .refresh import DEFAULT_REFRESH, Refresh


def _tail(
    staleness: StalenessDistribution, workers: int, amplitude: float, cdf: Kind = "midpoint"
) -> NDArray[np.float64]:
    # 1 + A (1 - 2F), written with 1 - F: for A = 1 the scales of the stalest updates keep their relative accuracy.
    return (1.0 - amplitude) + 2.0 * amplitude * staleness.survival(cdf)


@register
def tail(amplitude: float = 1.0, cdf: Kind = "midpoint", refresh: Refresh | None = None) -> Rule:
    """1 + A (1 - 2 F(tau)), TAIL-tau: fresh updates leveraged, stale ones dampened, the mean step preserved.

    F is the distribution function of the staleness seen, A the amplitude in [0, 1]. With the midpoint F the mean
    scale E[C(tau)] is 1 for every distribution; "exclusive" gives 1 + A s and "inclusive" 1 - A s, with s the
    sum of the squared probabilities, and exist for comparison with other implementations. Beyond the stalest update
    seen, F = 1. `refresh` is `once(start, end)` or `every(n, half_life)`; None stands for every(200, half_life=2000).

    Bäckström, Papatriantafilou, Tsigas: ASAP.SGD, ICML 2022.

    >>> tail()(StalenessDistribution.from_counts([1, 2, 1, 0]), workers=2)
    array([1.75, 1.  , 0.25, 0.  ])
    """
    if not isinstance(amplitude, Real) or isinstance(amplitude, bool) or not 0 <= amplitude <= 1:
        raise UsageError(f"amplitude is {amplitude!r}: must be a number in [0, 1]")
    if cdf not in CDF_KINDS:
        raise unknown("kind of cdf", cdf, CDF_KINDS)
    if not isinstance(refresh, Refresh | None):
        raise UsageError(f"refresh is {refresh!r}: must be once(start, end) or every(n, half_life)")
    parameters: dict[str, Any] = {"amplitude": float(amplitude)}
    if cdf != "midpoint":
        parameters["cdf"] = cdf
    return Rule("tail", _tail, parameters, refresh or DEFAULT_REFRESH)
