"""`shuffled`: a control for experiments, the scales of a rule without their tie to staleness."""

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..staleness import StalenessDistribution
from .framework import Rule
from .reading import RuleLike, as_rule
from .registry import register


def _scales(staleness: StalenessDistribution, workers: int, rule: Rule) -> NDArray[np.float64]:
    return rule(staleness, workers)


@register("shuffled(rule=tail())", "C1 C2 C3 C4", "a control")
def shuffled(rule: RuleLike) -> Rule:
    """The scales of another rule, permuted over the updates: their mean and variance stay, the tie to tau is cut.

    This is a control for experiments. If it works as well as the rule itself, staleness was not the reason. Only
    `simulate` and `replay` take it, because they know all scales beforehand. They permute the scales within each
    block of 1,024 applied updates, by the seed of the run.

    Args:
        rule: the other rule, its text, or a function (staleness, workers) -> scales.

    Raises:
        UsageError: if the scales of the other rule depend on more than the staleness.

    >>> shuffled("tail(amplitude=0.5)")
    shuffled(rule=tail(amplitude=0.5))
    """
    inner = as_rule(rule)
    if inner.schedule is not None or inner.shuffled or "loss" in inner.sees:
        raise UsageError(
            f"rule is {inner}: shuffled takes a rule whose scales depend on the staleness only, not on the loss"
        )
    return Rule("shuffled", _scales, {"rule": inner}, inner.refresh, shuffled=True)
