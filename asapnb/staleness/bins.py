"""Bins of staleness, for drawings in text and in notebooks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..markup import bars

if TYPE_CHECKING:
    from .distribution import StalenessDistribution

_BINS = 16


def bins(support: int, p50: int, p99: int) -> list[tuple[int, int]]:
    """The first and last value of each of at most 16 bins of staleness.

    If the 99th percentile is far above the median, the width of bins doubles. Otherwise they are equally wide up to
    the 99th percentile, and the last bin holds all larger values.

    Args:
        support: the largest staleness.
        p50: the median.
        p99: the 99th percentile.

    >>> bins(2, 1, 2), bins(1000, 1, 50)[:4], bins(1000, 15, 45)[-2:]
    ([(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 1), (2, 3), (4, 7)], [(42, 44), (45, 1000)])
    """
    if support < _BINS:
        edges = list(range(support + 1))
    elif p99 > 4 * (p50 + 1):
        edges = [0, *(2**i for i in range(_BINS - 1) if 2**i <= support)]
    else:
        edges = list(range(0, support + 1, max(1, math.ceil(p99 / (_BINS - 1)))))[:_BINS]
    return [(first, last - 1) for first, last in zip(edges, [*edges[1:], support + 1], strict=True)]


def bins_of(seen: StalenessDistribution) -> list[tuple[int, int]]:
    """The bins that suit a distribution.

    >>> from asapnb.staleness import StalenessDistribution
    >>> bins_of(StalenessDistribution.from_counts([2, 1, 1]))
    [(0, 0), (1, 1), (2, 2)]
    """
    return bins(seen.support, *(int(seen.quantile(q)) for q in (0.5, 0.99)))


def span(first: int, last: int) -> str:
    """The first and last value of a bin as text."""
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"


def bars_of(seen: StalenessDistribution, title: str = "share of updates by staleness") -> str:
    """A distribution as HTML, with a bar for each bin; empty if nothing was seen."""
    if seen.is_empty:
        return ""
    ranges = bins_of(seen)
    return bars([span(*ends) for ends in ranges], [float(seen.pmf[a : b + 1].sum()) for a, b in ranges], title)
