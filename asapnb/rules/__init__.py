"""Step-size rules: how much an update counts, as a function of its staleness."""

from .check import CONDITIONS, Finding, Report, check
from .framework import Rule, as_rule, available, examples, parse_rule, raw_scales, scale_table
from .history import adadelay, wu_adaptive
from .mindthestep import mindthestep
from .preserve import preserve
from .profiles import exponential_profile, power, profile, quantile_cut, tail
from .refresh import every, once, released_code
from .schedules import AdaDelay, Budget
from .shuffled import shuffled
from .static import (
    concurrency,
    constant,
    delay_adaptive,
    exponential,
    fleet,
    hinge,
    inverse,
    polynomial,
    ringmaster,
)
from .tables import MAX_TABLE, ScaleTables

__all__ = [
    "CONDITIONS",
    "MAX_TABLE",
    "AdaDelay",
    "Budget",
    "Finding",
    "Report",
    "Rule",
    "ScaleTables",
    "adadelay",
    "as_rule",
    "available",
    "check",
    "concurrency",
    "constant",
    "delay_adaptive",
    "every",
    "examples",
    "exponential",
    "exponential_profile",
    "fleet",
    "hinge",
    "inverse",
    "mindthestep",
    "once",
    "parse_rule",
    "polynomial",
    "power",
    "preserve",
    "profile",
    "quantile_cut",
    "raw_scales",
    "released_code",
    "ringmaster",
    "scale_table",
    "shuffled",
    "tail",
    "wu_adaptive",
]
