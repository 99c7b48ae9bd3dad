"""The run file: every update of a run, its evaluations, scale tables and parameters, in HDF5."""

from ..text import to_json, to_toml
from .checkpoint import Checkpoint, checkpoint_path, load_checkpoint, remove_checkpoint, save_checkpoint
from .files import checked_target
from .provenance import machine, topology, versions
from .run import RuleTables, Run, check_not_written, file_of, load_run
from .schema import EVALS, SCHEMA, UPDATES
from .writer import RunWriter

__all__ = [
    "EVALS",
    "SCHEMA",
    "UPDATES",
    "Checkpoint",
    "RuleTables",
    "Run",
    "RunWriter",
    "check_not_written",
    "checked_target",
    "checkpoint_path",
    "file_of",
    "load_checkpoint",
    "load_run",
    "machine",
    "remove_checkpoint",
    "save_checkpoint",
    "to_json",
    "to_toml",
    "topology",
    "versions",
]
