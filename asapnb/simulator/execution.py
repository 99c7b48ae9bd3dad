"""What is carried out in virtual time, what there is of it from before, and what tells it from any other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.monitor import Evaluation, Progress
from ..engine.options import Options
from ..errors import RecordError
from ..problems.base import Problem
from ..record import Checkpoint
from ..record.schema import MICROSCOPE, VIEWS, VIRTUAL
from ..rules import Rule
from .scales import Scales

if TYPE_CHECKING:
    from .stage import Stage


@dataclass(frozen=True)
class Execution:
    """What is carried out: rows in virtual time, each with its scale, and how it is watched."""

    problem: Problem
    options: Options
    rule: Rule
    rows: NDArray[Any]  # ROW
    t_view: NDArray[np.float64] | None  # of Hogwild
    scales: Scales
    kind: str
    config: Mapping[str, Any]  # besides options, problem and rule
    timed_out: bool = False  # whether rows after max_seconds have been left out
    clock: str = VIRTUAL
    attributes: Mapping[str, Any] = field(default_factory=dict)  # further ones of its file
    start: NDArray[Any] | None = None  # the parameters that it begins with, if not as the problem's seed says
    reached: Evaluation | None = None  # the target, by an earlier part of it, which need not stop there again
    microscope: int = 0
    threads: int | None = None
    on_eval: Callable[[Evaluation], None] | None = None
    progress: Callable[[Progress], None] | None = None

    @property
    def groups(self) -> dict[str, np.dtype[Any]]:
        """The groups of its file besides those of every run."""
        views = {} if self.t_view is None else {"views": VIEWS}
        return views | ({"microscope": MICROSCOPE} if self.microscope else {})

    @cached_property
    def initial(self) -> NDArray[Any]:
        """The parameters that it begins with."""
        return self.problem.init(self.options.seed) if self.start is None else self.start


@dataclass(frozen=True)
class Past:
    """What there is of a run that goes on from a checkpoint."""

    path: Path  # of the checkpoint
    checkpoint: Checkpoint
    losses: NDArray[np.float32]  # of the rows before it
    evaluations: tuple[Evaluation, ...]

    def check(self, plan: str) -> None:
        """RecordError unless the checkpoint is of this very run."""
        if self.checkpoint.attributes.get("plan") != plan:
            raise RecordError(
                f"the checkpoint {self.path} is of another run, or of another version of asapnb: remove it to start "
                "the run again from its beginning"
            )


def digest(execution: Execution, stage: Stage) -> str:
    """What tells the plan of this run, at its start, from that of any other."""
    options = [f"{name}={value!r}" for name, value in sorted(vars(execution.options).items())]
    found = hashlib.blake2b("\n".join([*options, str(execution.microscope)]).encode(), digest_size=16)
    for array in (stage.operations, stage.steps, stage.state[0]):
        found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()
