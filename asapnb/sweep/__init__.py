"""Sweeps: grids of runs, each described by one TOML file, made in parallel, with a run file for each run."""

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
