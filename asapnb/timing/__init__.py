"""How long things take, in virtual seconds: times by distribution, and how compiled loops draw from them.

Each module imports from those before it only:

    ziggurat   exponential and normal deviates, compiled
    sampling   the arrays of times, and what compiled loops draw from them
    arrays     from times to these arrays
    times      what a time is, and the table of its laws
    laws       the laws: their builders and all that is declared of them
    workers    times that differ between workers
    timing     the times of all steps of a worker
    files      timings in TOML files
    reading    a timing from whatever a user gives
"""

from .arrays import Component
from .files import load_timing, save_timing
from .laws import (
    constant,
    empirical,
    exponential,
    gamma,
    lognormal,
    mixture,
    pareto,
    quantile_parts,
    shifted_exponential,
    uniform,
    weibull,
)
from .reading import as_timing, parse_timing
from .sampling import Times, times_type
from .times import Time, register_law
from .timing import Timing
from .workers import groups, parse_times, slowed

__all__ = [
    "Component",
    "Time",
    "Times",
    "Timing",
    "as_timing",
    "constant",
    "empirical",
    "exponential",
    "gamma",
    "groups",
    "load_timing",
    "lognormal",
    "mixture",
    "pareto",
    "parse_times",
    "parse_timing",
    "quantile_parts",
    "register_law",
    "save_timing",
    "shifted_exponential",
    "slowed",
    "times_type",
    "uniform",
    "weibull",
]
