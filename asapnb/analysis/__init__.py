"""Comparing runs: when they reach a loss, how often they do, and by how much one rule is faster than another.

Sets of runs are lists of `Record`, told apart by the keys in which their configurations differ.
"""

from .curves import Curve
from .records import Record, grouped, matching, records, seeds, varying
from .tables import Table
from .targets import Crossing, Target, crossing, escape

__all__ = [
    "Crossing",
    "Curve",
    "Record",
    "Table",
    "Target",
    "crossing",
    "escape",
    "grouped",
    "matching",
    "records",
    "seeds",
    "varying",
]
