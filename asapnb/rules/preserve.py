"""`preserve`: any rule, repaired so that the mean step is kept."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..staleness import StalenessDistribution
from .framework import Rule, with_mean_one
from .reading import RuleLike, as_rule
from .refresh import DEFAULT_REFRESH, Every, Once, checked_refresh
from .registry import register


def _preserve(staleness: StalenessDistribution, workers: int, rule: Rule) -> NDArray[np.float64]:
    return with_mean_one(rule(staleness, workers), staleness)


@register("preserve(rule=inverse())", "C1 C2 C3 C4", "condition C1 of Bäckström et al. 2022")
def preserve(rule: RuleLike, refresh: Once | Every | None = None) -> Rule:
    """scale(tau) / E[scale], for the scales of another rule: this keeps the mean step, and the proportions.

    The table depends on the staleness seen, even if the table of the other rule does not. To preserve a rule twice is
    the same as to preserve it once.

    Args:
        rule: the other rule, its text, or a function (staleness, workers) -> scales.
        refresh: when a new table is made. None for the refresh of the other rule if it has one, otherwise for
            every(200, half_life=2000).

    Raises:
        UsageError: if the steps of the other rule depend on more than the staleness, as those of `adadelay` do.

    >>> preserve("inverse")(StalenessDistribution.from_counts([1, 1]), workers=2).round(3)
    array([1.333, 0.667])
    """
    inner = as_rule(rule)
    if inner.schedule is not None:
        raise UsageError(f"rule is {inner}: its steps depend on more than staleness, so there is no mean to preserve")
    own = inner.refresh if isinstance(inner.refresh, Once | Every) else None
    chosen = checked_refresh(refresh or own)
    if inner.function is _preserve:
        return replace(inner, refresh=chosen)
    if own is not None:
        inner = replace(inner, refresh=DEFAULT_REFRESH)  # not used: the refresh of the whole counts
    return Rule("preserve", _preserve, {"rule": inner}, chosen)
