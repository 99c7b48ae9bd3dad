"""The run file: every update of a run, its evaluations, scale tables and parameters, in HDF5."""

from ..text import to_json, to_toml
from .checkpoint import Checkpoint, checkpoint_path, find_checkpoint, load_checkpoint, save_checkpoint
from .files import checked_target, claim
from .owner import Owner, own, owner_of
from .provenance import core_of_each, machine, topology, versions
from .run import RuleTables, Run, file_of, load_run
from .schema import EVALS, SCHEMA, UPDATES
from .writer import RunWriter

__all__ = [
    "EVALS",
    "SCHEMA",
    "UPDATES",
    "Checkpoint",
    "Owner",
    "RuleTables",
    "Run",
    "RunWriter",
    "checked_target",
    "checkpoint_path",
    "claim",
    "core_of_each",
    "file_of",
    "find_checkpoint",
    "load_checkpoint",
    "load_run",
    "machine",
    "own",
    "owner_of",
    "save_checkpoint",
    "to_json",
    "to_toml",
    "topology",
    "versions",
]
