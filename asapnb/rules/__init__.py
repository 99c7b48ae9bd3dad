"""Step-size rules: how much an update counts, as a function of its staleness."""

from .framework import Rule, as_rule, available, scale_table
from .parse import parse_rule
from .profiles import tail
from .refresh import every, once
from .static import constant, inverse
from .tables import MAX_TABLE, ScaleTables

__all__ = [
    "MAX_TABLE",
    "Rule",
    "ScaleTables",
    "as_rule",
    "available",
    "constant",
    "every",
    "inverse",
    "once",
    "parse_rule",
    "scale_table",
    "tail",
]
