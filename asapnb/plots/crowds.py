"""Many runs in one figure: which are drawn one by one, and what stands for the others.

Up to `SINGLE` runs all are drawn. Of more, a group is drawn as its quartiles, with its least and its greatest run.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SINGLE = 500  # the most runs of a figure that are all drawn as points
BOX_FROM = 5  # the fewest runs that have a box, or a band of quartiles


class Spread(NamedTuple):
    """The least of some values, their quartiles, and the greatest."""

    least: float
    low: float
    median: float
    high: float
    greatest: float


def spread(values: ArrayLike) -> Spread:
    """The five numbers of one or more finite values.

    >>> spread([4, 0, 1, 3, 2])
    Spread(least=0.0, low=1.0, median=2.0, high=3.0, greatest=4.0)
    """
    return Spread(*np.quantile(np.asarray(values, np.float64), (0, 0.25, 0.5, 0.75, 1)).tolist())


def singled(values: ArrayLike, crowded: bool) -> NDArray[np.intp]:
    """The places of the values that are drawn as points: all or, of many in a crowd, the least and the greatest.

    >>> singled([4, 0, 1, 3, 2, 2], crowded=True).tolist(), singled([2, 1], crowded=True).tolist()
    ([1, 0], [0, 1])
    """
    known = np.asarray(values, np.float64)
    if not crowded or len(known) < BOX_FROM:
        return np.arange(len(known))
    return np.array([known.argmin(), known.argmax()])


def runs_each(sizes: Iterable[int]) -> str:
    """How many runs groups have.

    >>> runs_each([417, 417]), runs_each([20, 5, 8]), runs_each([1])
    ('417 runs', '5 to 20 runs', '1 run')
    """
    least, most = min(counts := list(sizes)), max(counts)
    return f"{least:,} run{'s' * (least > 1)}" if least == most else f"{least:,} to {most:,} runs"
