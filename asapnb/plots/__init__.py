"""Figures of runs, in Matplotlib: each function returns a `Figure`, which `save` writes as PNG, PDF or SVG.

Where runs are asked for, these may be run files, folders of them, `Run`s or `asapnb.analysis.Record`s, or a list.
"""

from .curves import loss
from .distributions import staleness
from .executions import timeline
from .looks import microscope
from .paths import path
from .regions import stability
from .scales import magnitude, scale
from .style import save, style
from .times import speed_up, survival, time_to_target

__all__ = [
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
