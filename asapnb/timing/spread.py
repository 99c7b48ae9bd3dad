"""How much measured times differ: all of them, and without the rare long ones of threads that were suspended."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..numbers import reals

_CENTRE = (0.158655253931457, 0.5, 0.841344746068543)  # of a normal law: the mean, and a standard deviation around it


@dataclass(frozen=True)
class Spread:
    """How much the times of workers differ. `plain`, `within` and `between` are coefficients of variation.

    Attributes:
        typical: the median of all times, in seconds.
        mean: the mean of all times, in seconds.
        plain: the standard deviation of all times, divided by their mean. A few long suspensions decide it.
        within: how much the times of one worker differ, whatever its few longest ones are. It is half the distance
            from the 16th to the 84th percentile, divided by the median. For a normal law this is the coefficient of
            variation. Over the workers, it is the root of the mean square.
        between: how much workers differ: the standard deviation of their medians, divided by the mean of these.
    """

    typical: float
    mean: float
    plain: float
    within: float
    between: float


def spread_of(times: Sequence[NDArray[np.float64]]) -> Spread:
    """The spread of the times that each worker has measured.

    Args:
        times: an array for each worker, in seconds; none is empty.

    >>> steady, suspended = np.linspace(0.9, 1.1, 99), [100.0]
    >>> found = spread_of([np.append(steady, suspended)])
    >>> found.typical.__round__(2), found.plain.__round__(2), found.within.__round__(2), found.between
    (1.0, 4.95, 0.07, 0.0)
    """
    each = [reals(f"the times of worker {i}", some, 0) for i, some in enumerate(times)]
    if not each:
        raise UsageError("there are no times: give those of at least one worker")
    together = np.concatenate(each)
    low, middle, high = np.array([np.quantile(some, _CENTRE) for some in each]).T
    mean = float(together.mean())
    if not mean:
        return Spread(0.0, 0.0, 0.0, 0.0, 0.0)
    own = (high - low) / 2 / np.where(middle > 0, middle, np.inf)
    return Spread(
        float(np.median(together)),
        mean,
        float(together.std()) / mean,
        float(np.sqrt((own**2).mean())),
        float(middle.std() / middle.mean()) if middle.any() else 0.0,
    )
