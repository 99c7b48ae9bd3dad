"""Where a run begins: at version 0, or where an earlier part of it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..record.schema import ABANDONED, UPDATES
from ..rules.context import RECENT, recent_loss
from ..training.evaluation import Evaluation

COUNTS = ("beyond_table", "waited_for_room")  # attributes that cannot be counted from its rows


def _none() -> dict[str, np.ndarray]:
    return {name: np.empty(0, UPDATES[name]) for name in UPDATES.names or ()}


@dataclass(frozen=True)
class InitialState:
    """The state that workers and controller begin with. Omitted fields default to a new run.

    The sum of applied scales is not stored; rules use only differences taken after a view.
    """

    params: np.ndarray
    version: int = 0
    ticket: int = 0  # the next minibatch
    seconds: float = 0.0  # training time
    moments: np.ndarray | None = None  # (vectors, n_params), what steps carry on; None: they are zero
    updates: Mapping[str, np.ndarray] = field(default_factory=_none)  # the columns of the rows so far
    evaluations: tuple[Evaluation, ...] = ()  # so far
    tables: np.ndarray = field(default_factory=lambda: np.empty((0, 1)))  # recorded so far, as /rule/scale
    made_at: tuple[int, ...] = ()  # of each of them: after how many updates
    steps: float | None = None  # the sum of the steps so far, if they were of another size; else None
    in_force: str | None = None  # how many workers were, so far, if that is adapted
    lengths: tuple[tuple[int, int], ...] = ()  # of intervals so far, if they are adapted
    beyond_table: int = 0
    waited_for_room: int = 0

    def own_ticket(self, worker: int) -> int:
        """The next minibatch of a worker among its own."""
        return int(self.updates["batch"][self.updates["worker"] == worker].max(initial=-1)) + 1

    def applied(self, *names: str) -> dict[str, np.ndarray]:
        """These columns of the updates that made a version."""
        chosen = self.updates["dropped"] != ABANDONED
        return {name: self.updates[name][chosen] for name in names}

    def recent_loss(self, version: int) -> float:
        """The mean loss of the last minibatches when this version was made."""
        made = self.updates["version"]
        return recent_loss(self.updates["loss"][: int(np.flatnonzero(made == version)[-1]) + 1][-RECENT:])

    def recorded(self, table: np.ndarray) -> int | None:
        """The last row of `tables` with these scales, or None. A table goes on with its last scale for ever."""
        width = max(len(table), self.tables.shape[1])
        ours, theirs = (
            np.pad(scales, (*[(0, 0)] * (scales.ndim - 1), (0, width - scales.shape[-1])), mode="edge")
            for scales in (np.asarray(table), self.tables)
        )
        equal = np.flatnonzero((theirs == ours).all(axis=1))
        return int(equal[-1]) if len(equal) else None
