"""Figures of runs, in Matplotlib: each function returns a `Figure`, which `save` writes as PNG, PDF or SVG.

The argument `runs` may be a run file, a folder of run files, a `Run`, an `asapnb.analysis.Record`, or a list of
these.
"""

from .contests import arena
from .curves import accuracy, loss
from .distributions import staleness
from .executions import timeline
from .incidence import survival
from .looks import microscope
from .paths import path
from .regions import stability
from .scales import magnitude, scale
from .style import save, style
from .times import speed_up, time_to_target

__all__ = [
    "accuracy",
    "arena",
    "loss",
    "magnitude",
    "microscope",
    "path",
    "save",
    "scale",
    "speed_up",
    "stability",
    "staleness",
    "style",
    "survival",
    "time_to_target",
    "timeline",
]
