"""Arguments that the functions of this package share, checked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import real, reals
from ..rules import RuleLike, as_rule, scale_table
from ..staleness import StalenessDistribution

Array = NDArray[np.float64]


def positive(name: str, value: float) -> float:
    """`value` as a finite float above 0."""
    return real(name, value, 0, above=True)


def seen(staleness: object) -> StalenessDistribution:
    """A distribution of staleness that is not empty, without zeros at its end."""
    if not isinstance(staleness, StalenessDistribution) or staleness.is_empty:
        raise UsageError(f"staleness is {staleness!r:.80}: give a StalenessDistribution that is not empty, such as "
                         "asapnb.staleness.geometric(m=8)")  # fmt: skip
    return staleness.padded(staleness.support + 1)


def table(rule: RuleLike | ArrayLike, staleness: StalenessDistribution, workers: int) -> Array:
    """The scales of a rule under this staleness, one for each entry of its pmf."""
    if isinstance(rule, np.ndarray | Sequence) and not isinstance(rule, str):
        scales = reals("scales", rule, 0)
        return scales[np.minimum(np.arange(len(staleness)), len(scales) - 1)]
    return scale_table(as_rule(rule), staleness, workers)
