"""How long things take, in virtual seconds: times by distribution, and how compiled loops draw from them."""

from .files import load_timing, save_timing
from .sampling import Times, times_type
from .times import (
    Time,
    constant,
    empirical,
    exponential,
    gamma,
    lognormal,
    mixture,
    pareto,
    shifted_exponential,
    uniform,
    weibull,
)
from .timing import Timing, as_timing, parse_timing
from .workers import groups, parse_times, slowed

__all__ = [
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
    "save_timing",
    "shifted_exponential",
    "slowed",
    "times_type",
    "uniform",
    "weibull",
]
