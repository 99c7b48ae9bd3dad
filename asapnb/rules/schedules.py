"""Factors of rules that depend on more than staleness: on time, or on steps already taken.

The step of an update is step_size · scale · factor. The factor is that of the run's schedule (`asapnb.schedules`)
times the rule's own. Each class here defines such a factor by its method `factor`. Compiled code has a twin,
`own_factor` in `training.factors`, which takes `kind` (see `rules.kinds`) and `numbers`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RuleError, UsageError, shown
from ..memory import check_memory
from ..schedules import StepSchedule, as_schedule, inverse_sqrt
from .kinds import AT_ARRIVAL, BUDGET_FIT, BUDGET_SHARE

ROUNDING = 1e-6  # share of the budget: steps are float32, and equal shares that fill the budget exactly must fit


@dataclass(frozen=True)
class AdaDelay:
    """The factor 1/√(1 + c (t + tau)) of the rule `adadelay`: the schedule `inverse_sqrt(c)` at t + tau.

    t is the version that the update lands on, and tau its staleness.

    Attributes:
        c: how fast the steps shrink, per update; >= 0.

    Source: Sra, Yu, Li, Smola: AdaDelay, AISTATS 2016.

    >>> AdaDelay(1.0).factor(t=2, tau=1, window_sum=0.0)
    0.5
    """

    c: float

    kind = AT_ARRIVAL

    def numbers(self, total: int) -> NDArray[np.float64]:
        """The factor of every sum t + tau in a run of `total` updates. UsageError if memory does not suffice."""
        count = 2 * total - 1 if self.c else 1
        check_memory(
            f"the rule adadelay, with a factor for each of {count:,} sums t + tau,", 16 * count, "make fewer updates"
        )
        return inverse_sqrt(self.c)(np.arange(count), total)

    def factor(self, t: int, tau: int, window_sum: float) -> float:
        """The factor of one update.

        Args:
            t: the version that the update lands on; 0 for the first.
            tau: its staleness, in updates.
            window_sum: W, the sum of scale · factor of the updates t - tau … t - 1; not used.
        """
        return 1.0 / math.sqrt(1.0 + self.c * (t + tau))


@dataclass(frozen=True)
class Budget:
    """The factor of the rule `wu_adaptive`: a budget for the steps within one delay.

    W is the sum of scale · factor of the updates t - tau … t - 1, which the view had not seen. A dropped update adds
    0. Variant 1 takes a share of what is left: alpha · max(0, budget - W). Variant 2 takes budget/(tau + 1) if that
    fits, and otherwise 0. It fits if W + budget/(tau + 1) <= budget (1 + 1e-6), which leaves room for rounding. An
    update of factor 0 is recorded as dropped.

    Attributes:
        variant: 1 or 2.
        budget: in units of the step size; > 0.
        alpha: the share that variant 1 takes, in (0, 1].

    Source: Wu, Magnússon, Feyzmahdavian, Johansson: Delay-adaptive step-sizes for asynchronous learning, ICML 2022.

    >>> Budget(1, budget=4.0, alpha=0.5).factor(t=9, tau=2, window_sum=3.0)
    0.5
    >>> Budget(2, budget=3.0).factor(t=9, tau=2, window_sum=2.0), Budget(2, budget=3.0).factor(9, 2, 2.1)
    (1.0, 0.0)
    """

    variant: int
    budget: float
    alpha: float = 1.0

    @property
    def kind(self) -> int:
        """BUDGET_SHARE for variant 1, BUDGET_FIT for variant 2."""
        return BUDGET_SHARE if self.variant == 1 else BUDGET_FIT

    @property
    def limit(self) -> float:
        """What the steps of variant 2 may sum to within one delay: the budget, with a little room for rounding."""
        return self.budget * (1.0 + ROUNDING)

    def numbers(self, total: int) -> NDArray[np.float64]:
        """The budget, and `alpha` (variant 1) or `limit` (variant 2)."""
        return np.array([self.budget, self.alpha if self.variant == 1 else self.limit])

    def factor(self, t: int, tau: int, window_sum: float) -> float:
        """The factor of one update.

        Args:
            t: the version that the update lands on; not used.
            tau: its staleness, in updates.
            window_sum: W, the sum of scale · factor of the updates t - tau … t - 1.
        """
        if self.variant == 1:
            return self.alpha * max(0.0, self.budget - window_sum)
        share = self.budget / (tau + 1)
        return share if window_sum + share <= self.limit else 0.0


OwnFactor = AdaDelay | Budget | StepSchedule  # what the attribute `schedule` of a rule may be


def checked_factor(rule: str, given: Any) -> OwnFactor | None:
    """The attribute `schedule` of a rule, made from what was given. RuleError if workers could not compute it.

    >>> checked_factor("mine", "warmup(10)"), checked_factor("mine", Budget(2, budget=4.0))
    (warmup(n=10), Budget(variant=2, budget=4.0, alpha=1.0))
    """
    if given is None or type(given) in (AdaDelay, Budget):
        return given
    if not hasattr(given, "factor"):  # of (t, tau, window_sum)
        try:
            return as_schedule(given)
        except UsageError as error:
            raise RuleError(f"rule {rule}: {error}") from None
    raise RuleError(
        f"rule {rule} has the schedule {shown(given)}, of the class {type(given).__name__}, which compiled code does "
        "not know: give an AdaDelay or a Budget, or a function f(t) of the version alone"
    )
