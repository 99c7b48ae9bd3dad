"""Step-size rules: how much an update counts, as a function of its staleness.

Every function that `register` decorates in these modules becomes a name of this package. So no list of rules is kept.
"""

from typing import TYPE_CHECKING

from .check import Finding, Report, check
from .context import MEANINGS, Context, Pace
from .framework import Rule, raw_scales
from .reading import RuleLike, as_rule, examples, parse_rule, recorded_rule, scale_table
from .refresh import every, once, released_code
from .registry import CONDITIONS, RULES, available, register
from .schedules import AdaDelay, Budget
from .tables import MAX_TABLE, ScaleTables

if TYPE_CHECKING:  # type checkers and editors see all that these modules define
    from .history import *
    from .mindthestep import *
    from .preserve import *
    from .profiles import *
    from .rescaled import *
    from .shuffled import *
    from .static import *
else:  # at run time, the package has the registered rules and nothing else of them
    from . import history, mindthestep, preserve, profiles, rescaled, shuffled, static

    globals().update(RULES.builders())

__all__ = [
    "CONDITIONS",
    "MEANINGS",
    "MAX_TABLE",
    "AdaDelay",
    "Budget",
    "Context",
    "Finding",
    "Pace",
    "Report",
    "Rule",
    "RuleLike",
    "ScaleTables",
    "as_rule",
    "available",
    "check",
    "every",
    "examples",
    "once",
    "parse_rule",
    "raw_scales",
    "recorded_rule",
    "register",
    "released_code",
    "scale_table",
    *RULES,
]
