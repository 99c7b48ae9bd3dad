"""Inputs of a simulated run, its checkpoint, and the digest that identifies it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from ..identity import Piece
from ..problems.base import Problem
from ..record import Checkpoint
from ..record.schema import MICROSCOPE, VIEWS, VIRTUAL
from ..rules import Rule
from ..training.evaluation import Evaluation
from ..training.options import Options
from ..training.reporting import Hooks
from .scales import Scales


@dataclass(frozen=True)
class Execution:
    """Inputs of a simulated run: rows in virtual time, each with its scale, and how the run is observed."""

    problem: Problem
    options: Options
    rule: Rule
    rows: NDArray[Any]  # ROW
    t_view: NDArray[np.float64] | None  # (rows,): when each view had been read; None for consistent views
    scales: Scales
    kind: str  # "simulate" or "replay"
    config: Mapping[str, Any]  # besides options, problem and rule
    timed_out: bool = False  # whether rows after max_seconds were left out
    clock: str = VIRTUAL
    attributes: Mapping[str, Any] = field(default_factory=dict)  # further ones for its file
    start: NDArray[Any] | None = None  # the initial parameters; None: those of the problem and the seed
    code: Sequence[Piece] = ()  # that is not of asapnb
    reached: Evaluation | None = None  # its target, in an earlier part of the run, which does not stop there again
    step_sizes: Mapping[int, float] = field(default_factory=dict)  # if several: from which version on which
    passed: int = -1  # no evaluation up to this version stops it: an earlier part of the run went on there
    microscope: int = 0
    threads: int | None = None
    hooks: Hooks = field(default_factory=Hooks)

    @property
    def groups(self) -> dict[str, np.dtype[Any]]:
        """The groups of its file that not every run has, with the dtypes of their rows."""
        views = {} if self.t_view is None or not self.options.keeps_rows else {"views": VIEWS}
        return views | self.options.groups(self.problem) | ({"microscope": MICROSCOPE} if self.microscope else {})

    @cached_property
    def initial(self) -> NDArray[Any]:
        """The initial parameters."""
        return self.options.initial(self.problem) if self.start is None else self.start


Wanted = tuple[np.dtype[Any], tuple[int | None, ...]]  # dtype and shape of an array; None is any length


@dataclass(frozen=True)
class SavedReplay:
    """The checkpoint of a simulated run, and what its file holds up to there."""

    path: Path  # of the checkpoint
    checkpoint: Checkpoint
    results: Mapping[str, NDArray[Any]]  # columns of RESULT of the rows before it
    evaluations: tuple[Evaluation, ...]

    def check(self, identity: str, wanted: Mapping[str, Wanted], most: Mapping[str, int]) -> None:
        """RecordError unless the checkpoint is of this very run, and whole.

        Args:
            identity: of the run.
            wanted: the dtype and shape of each array; None in a shape stands for any length.
            most: the largest value of each number.
        """
        facts, arrays = self.checkpoint.attributes, self.checkpoint.arrays
        if facts.get("plan") != identity:
            raise self._unusable("is of another run, or of another version of asapnb")
        for name, limit in most.items():
            if type(facts.get(name)) is not int or not 0 <= facts[name] <= limit:
                raise self._unusable(f"is damaged: its {name} is {facts.get(name)!r:.40}, of at most {limit:,}")
        for name, (dtype, shape) in wanted.items():
            found = arrays.get(name, np.empty(()))
            lengths = zip(found.shape, shape, strict=False)
            if found.dtype != dtype or found.ndim != len(shape) or any(n not in (m, None) for m, n in lengths):
                raise self._unusable(f"is damaged: its {name} is {found.dtype} of shape {found.shape}")

    def _unusable(self, why: str) -> RecordError:
        return RecordError(f"the checkpoint {self.path} {why}; remove it to start the run again from its beginning")


def digest(execution: Execution, *arrays: NDArray[Any]) -> str:
    """The digest of a run's options and of the arrays that it begins with."""
    options = [f"{name}={value!r}" for name, value in sorted(vars(execution.options).items())]
    found = hashlib.blake2b("\n".join([*options, str(execution.microscope)]).encode(), digest_size=16)
    for array in arrays:
        found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()
