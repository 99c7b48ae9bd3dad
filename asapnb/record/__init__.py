"""The run file: every update of a run, its evaluations, scale tables and parameters, in HDF5."""

from .files import checked_target
from .provenance import machine, topology, versions
from .run import RuleTables, Run, load_run
from .schema import EVALS, SCHEMA, UPDATES
from .text import to_json, to_toml
from .writer import RunWriter

__all__ = [
    "EVALS",
    "SCHEMA",
    "UPDATES",
    "RuleTables",
    "Run",
    "RunWriter",
    "checked_target",
    "load_run",
    "machine",
    "to_json",
    "to_toml",
    "topology",
    "versions",
]
