"""What the ranks of a run on MPI report before it, and what must be the same on all of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..compiled import KERNEL_PATH
from ..identity import Piece
from ..problems.base import Problem
from ..record import versions
from ..record.provenance import process, spans
from ..rules import Rule
from ..training.cores import cores
from ..training.options import Options

READ = ("start", "prior")  # arguments that may be files, which the server alone reads
OF_SERVER = (*READ, "rule", "schedule")  # arguments that workers do not use
_ALIKE = ("asapnb", "numpy", "numba", "llvmlite")  # versions on which the bits of a gradient depend


@dataclass(frozen=True)
class Report:
    """What a rank says before the run.

    Attributes:
        host: the name of its machine; "" if nothing has come from it.
        pid: its process.
        cores: those that it may run on, as in "0-3,8".
        facts: what must be the same on all ranks, by what it is called.
        machine: what its machine is like.
        error: why it cannot begin; None if it can.
        refused: whether it was given something that cannot be used; otherwise it failed.
    """

    host: str
    pid: int | None = None
    cores: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    refused: bool = True


class Verdict(NamedTuple):
    """What the server says to all reports: the hosts of the ranks, why there is no run, and what it shares."""

    hosts: list[str]
    error: str | None = None
    refused: bool = True
    more: Any = None


def blank_report() -> Report:
    """The report of this rank, without anything that it has built."""
    here = process()
    return Report(here["host"], here["pid"], spans(cores()))


def facts_of(
    problem: Problem, options: Options, rule: Rule, code: Sequence[Piece], apart: Sequence[str]
) -> dict[str, Any]:
    """What must be the same on all ranks, by what it is called; `apart` are arguments that need not be."""
    config = {"rule": rule, **vars(options)}
    ours = versions()
    return {
        **{f"version of {name}": ours[name] for name in _ALIKE},
        "kernel path ($ASAPNB_KERNELS)": KERNEL_PATH,
        "byte order": sys.byteorder,
        "problem": problem.config.get("problem"),
        "number of parameters": problem.n_params,
        "dtype": str(problem.dtype),
        "number of training samples": problem.n_samples,
        "data (its SHA-256)": None if problem.data is None else problem.data.sha256(),
        **{name: str(value) for name, value in config.items() if name not in apart},
        **{  # after the names: code is found by name
            f"code of the {one.kind} {one.name}": one.digest
            for one in code
            if one.kind not in apart and not one.unknown
        },
    }


def of_workers(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a run that workers use, too: they are sent parameters, and need no rule."""
    return {name: value for name, value in given.items() if name not in OF_SERVER}
