"""Comparing runs: when they reach a loss, how often they do, and by how much one rule is faster than another.

Sets of runs are lists of `Record`, told apart by the keys in which their configurations differ.
"""

from .choosing import matching
from .comparison import Comparison, compare, comparison
from .curves import Curve
from .export import export
from .favour import by_class, by_sample
from .records import Record, grouped, records, seeds, varying
from .resampling import Interval, bootstrap
from .speed import SpeedUp, speed_up
from .stacking import stacked
from .statistics import (
    Steps,
    cumulative_incidence,
    incidence_bands,
    kaplan_meier,
    restricted_mean,
    wilson,
)
from .stepsizes import BestStep, best_step_size
from .tables import Table
from .targets import Crossing, Target, crossing, escape

__all__ = [
    "BestStep",
    "Comparison",
    "Crossing",
    "Curve",
    "Interval",
    "Record",
    "SpeedUp",
    "Steps",
    "Table",
    "Target",
    "best_step_size",
    "bootstrap",
    "by_class",
    "by_sample",
    "compare",
    "comparison",
    "crossing",
    "cumulative_incidence",
    "escape",
    "export",
    "grouped",
    "incidence_bands",
    "kaplan_meier",
    "matching",
    "records",
    "restricted_mean",
    "seeds",
    "speed_up",
    "stacked",
    "varying",
    "wilson",
]
