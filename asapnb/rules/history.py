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
    """1/sqrt(1 + c (t + tau)), for the update that lands on version t = 0, 1, …; c >= 0, per update.

    Sra, Yu, Li, Smola: AdaDelay, AISTATS 2016.

    >>> adadelay(1.0).schedule.factor(t=2, tau=1, window_sum=0.0)
    0.5
    """
    c = real("c", c, 0)
    return Rule("adadelay", _ones, {"c": c}, schedule=AdaDelay(c))


@register("wu_adaptive(variant=1, budget=4.0, alpha=0.5)", "C1 C2 C3 C4", "Wu et al. 2022")
def wu_adaptive(variant: int, budget: float, alpha: float | None = None) -> Rule:
    """A budget for the steps within one delay: 1: alpha max(0, budget - W); 2: budget/(tau + 1) if it fits, else 0.

    W is the sum of the steps of the updates that the view had not seen, t - tau … t - 1. An update of factor 0 is
    recorded as dropped. See `Budget` for the definition. Wu, Magnússon, Feyzmahdavian, Johansson: Delay-adaptive
    step-sizes for asynchronous learning, ICML 2022.

    Args:
        variant: 1 or 2.
        budget: in units of step_size; > 0. The paper's bound 0.99/L is budget = 0.99 / (L step_size).
        alpha: the share of what is left that variant 1 takes, in (0, 1]; None for 1. Variant 2 has none.

    >>> wu_adaptive(2, budget=3).schedule.factor(t=9, tau=2, window_sum=2.0)
    1.0
    """
    variant, budget = integer("variant", variant, 1, 2), real("budget", budget, 0, above=True)
    if variant == 2:
        if alpha is not None:
            raise UsageError(f"alpha is {alpha!r}: variant 2 has none")
        return Rule("wu_adaptive", _ones, {"variant": 2, "budget": budget}, schedule=Budget(2, budget))
    share = 1.0 if alpha is None else real("alpha", alpha, 0, 1, above=True)
    parameters = {"variant": 1, "budget": budget, "alpha": share}
    return Rule("wu_adaptive", _ones, parameters, schedule=Budget(1, budget, share))
