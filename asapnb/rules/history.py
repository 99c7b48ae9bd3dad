"""Rules whose steps depend on time or on steps already taken: a table of ones, and a factor for each update."""

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..numbers import integer, real
from ..staleness import StalenessDistribution
from .framework import Rule
from .registry import register
from .schedules import AdaDelay, Budget


def _ones(staleness: StalenessDistribution, workers: int, **of_the_schedule: float) -> NDArray[np.float64]:
    return np.ones(len(staleness))


@register("adadelay(c=0.01)", "C1 C2 C3 C4", "Sra et al. 2016")
def adadelay(c: float) -> Rule:
    """1/sqrt(1 + c (t + tau)), for the update that lands on version t = 0, 1, …; c >= 0.

    Args:
        c: how fast the steps shrink, per update; >= 0. 0 is `constant`.

    Source: Sra, Yu, Li, Smola: AdaDelay, AISTATS 2016.

    >>> adadelay(1.0).schedule.factor(t=2, tau=1, window_sum=0.0)
    0.5
    """
    c = real("c", c, 0)
    return Rule("adadelay", _ones, {"c": c}, schedule=AdaDelay(c))


@register("wu_adaptive(variant=1, budget=4.0, alpha=0.5)", "C1 C2 C3 C4", "Wu et al. 2022")
def wu_adaptive(variant: int, budget: float, alpha: float | None = None) -> Rule:
    """alpha max(0, budget - W) in variant 1; in variant 2 budget/(tau + 1) if that fits into budget - W, else 0.

    W is the sum of scale · factor of the updates that the view had not seen, t - tau … t - 1. So an update gets only
    what these have left of the budget. An update of factor 0 is recorded as dropped. `Budget` has the details.

    Args:
        variant: 1 or 2.
        budget: in units of step_size; > 0. The paper's bound 0.99/L is budget = 0.99 / (L step_size).
        alpha: the share of the remaining budget that variant 1 takes, in (0, 1]; None for 1. Only for variant 1.

    Source: Wu, Magnússon, Feyzmahdavian, Johansson: Delay-adaptive step-sizes for asynchronous learning, ICML 2022.

    >>> wu_adaptive(2, budget=3).schedule.factor(t=9, tau=2, window_sum=2.0)
    1.0
    """
    variant, budget = integer("variant", variant, 1, 2), real("budget", budget, 0, above=True)
    if variant == 2:
        if alpha is not None:
            raise UsageError(f"alpha is {alpha!r}: variant 2 does not take alpha")
        return Rule("wu_adaptive", _ones, {"variant": 2, "budget": budget}, schedule=Budget(2, budget))
    share = 1.0 if alpha is None else real("alpha", alpha, 0, 1, above=True)
    parameters = {"variant": 1, "budget": budget, "alpha": share}
    return Rule("wu_adaptive", _ones, parameters, schedule=Budget(1, budget, share))
