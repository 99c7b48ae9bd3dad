"""Step sizes over time: a factor for each version that an update can land on.

Every function that `register` decorates in `builtin` becomes a name of this package. So no list of schedules is kept.
"""

from typing import TYPE_CHECKING

from .reading import as_schedule, examples, parse_schedule
from .registry import SCHEDULES, available, register
from .schedule import ScheduleLike, StepSchedule, recorded_schedule
from .tables import tabulate

if TYPE_CHECKING:  # type checkers and editors see all that the module defines
    from .builtin import *
else:  # at run time, the package has the registered schedules and nothing else of them
    from . import builtin

    globals().update(SCHEDULES.builders())

__all__ = [
    "SCHEDULES",
    "ScheduleLike",
    "StepSchedule",
    "as_schedule",
    "available",
    "examples",
    "parse_schedule",
    "recorded_schedule",
    "register",
    "tabulate",
    *SCHEDULES,
]
