"""How long things take, in virtual seconds: the distributions of times, and how compiled loops draw from them.

Each module imports from those before it only:

    ziggurat   exponential and normal deviates, compiled
    sampling   the arrays of times, and what compiled loops draw from them
    arrays     from times to these arrays
    times      what a time is, and the table of its laws
    laws       the laws: their builders and all that is declared of them; each builder is a name of this package
    workers    times that differ from worker to worker
    timing     the times of all steps of a worker
    files      timings in TOML files
    reading    a timing from whatever a user gives
"""

from typing import TYPE_CHECKING

from .arrays import Component
from .files import load_timing, save_timing
from .laws import quantile_parts
from .reading import as_timing, parse_timing
from .sampling import Times, times_type
from .times import TIMES, Time, register_law
from .timing import Timing
from .workers import groups, machine, parse_times, slowed

if TYPE_CHECKING:  # type checkers and editors see all that `laws` defines
    from .laws import *
else:
    globals().update(TIMES)

__all__ = [
    "Component",
    "Time",
    "Times",
    "Timing",
    "as_timing",
    "groups",
    "load_timing",
    "machine",
    "parse_times",
    "parse_timing",
    "quantile_parts",
    "register_law",
    "save_timing",
    "slowed",
    "times_type",
    *TIMES,
]
