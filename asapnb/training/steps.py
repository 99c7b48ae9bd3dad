"""What the factors of a run's updates are looked up in: the table of its schedule, and the numbers of its rule."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..rules import Rule
from ..rules.kinds import NO_FACTOR
from ..schedules import StepSchedule, tabulate


class StepTables(NamedTuple):
    """The factor of an update is schedule[t] · own_factor(kind, numbers, …); see `training.factors`."""

    schedule: NDArray[np.float32]  # by the version t that an update lands on; the last entry holds for all later ones
    kind: int  # of the rule's own factor, as in `rules.kinds`
    numbers: NDArray[np.float64]

    def at(self, t: NDArray[np.int64]) -> NDArray[np.float32]:
        """The factors that the schedule gives to these versions."""
        return self.schedule[np.minimum(t, len(self.schedule) - 1)]


ONES = StepTables(np.ones(1, np.float32), NO_FACTOR, np.zeros(1))  # without a schedule


def step_tables(schedule: StepSchedule, rule: Rule, total: int) -> StepTables:
    """The tables of a run of `total` updates; RuleError or UsageError where there is none, as of `tabulate`."""
    own = rule.schedule
    if isinstance(own, StepSchedule):
        schedule, own = schedule * own, None
    kind, numbers = (NO_FACTOR, ONES.numbers) if own is None else (own.kind, own.numbers(total))
    return StepTables(tabulate(schedule, total), kind, numbers)
