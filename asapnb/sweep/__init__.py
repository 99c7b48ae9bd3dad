"""Sweeps: a grid of runs from one TOML file, carried out in parallel, each recorded in a file of its own."""

from .manifest import Manifest, load_manifest
from .points import Outcome
from .run import Progress, run_sweep
from .spec import Grid, Point, Sweep, describe, load_sweep, parse_sweep

__all__ = [
    "Grid",
    "Manifest",
    "Outcome",
    "Point",
    "Progress",
    "Sweep",
    "describe",
    "load_manifest",
    "load_sweep",
    "parse_sweep",
    "run_sweep",
]
