"""Factors of updates, for rules that depend on more than staleness: on time, or on steps already taken.

The step of an update is step_size · scale · factor, where the scale comes from the rule's table. The method `factor`
of each class is the definition. Compiled code has a twin of it, `schedule_factor` in `training.factors`, which
takes `kind` (see `rules.kinds`) and `numbers`.
"""

import math
from dataclasses import dataclass

from .kinds import ADADELAY, BUDGET_FIT, BUDGET_SHARE

ROUNDING = 1e-6  # share of the budget: steps are float32, and equal shares that fill the budget exactly must fit


@dataclass(frozen=True)
class AdaDelay:
    """1/√(1 + c (t + tau)): needs t, the version that the update lands on (0 for the first).

    Sra, Yu, Li, Smola: AdaDelay, AISTATS 2016.

    >>> AdaDelay(1.0).factor(t=2, tau=1, window_sum=0.0)
    0.5
    """

    c: float

    kind = ADADELAY

    @property
    def numbers(self) -> tuple[float, float]:
        """`c` and a 0 that is not used."""
        return self.c, 0.0

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
    """What is left of a budget, where W is the sum of scale · factor of the updates t - tau … t - 1.

    These are the updates that the view had not seen; a dropped one adds 0. Variant 1 takes the share `alpha` of
    what is left, alpha · max(0, budget - W). Variant 2 takes budget/(tau + 1) if that fits, and else nothing. It fits
    if W + budget/(tau + 1) <= budget (1 + 1e-6), with room for rounding. An update of factor 0 is recorded as
    dropped.

    Attributes:
        variant: 1 or 2.
        budget: in units of the step size; > 0.
        alpha: in (0, 1]; for variant 1.

    Wu, Magnússon, Feyzmahdavian, Johansson: Delay-adaptive step-sizes for asynchronous learning, ICML 2022.

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
        """What the steps of variant 2 may sum to within one delay: the budget, and a little for rounding."""
        return self.budget * (1.0 + ROUNDING)

    @property
    def numbers(self) -> tuple[float, float]:
        """The budget, and `alpha` (variant 1) or `limit` (variant 2)."""
        return self.budget, self.alpha if self.variant == 1 else self.limit

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


Schedule = AdaDelay | Budget
