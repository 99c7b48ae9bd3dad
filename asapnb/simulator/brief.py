"""The rows of a schedule in which reads and updates take no time, in 16 bytes each: the other columns follow."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import aligned
from .world import ROW

MOVE = np.dtype([(name, ROW[name]) for name in ("t_apply", "worker", "tau")], align=True)


@dataclass(frozen=True, eq=False)
class BriefRows:
    """The updates of a schedule, in order. No gradient is dropped, and a worker reads as soon as it has updated.

    Attributes:
        moves: (rows,) `MOVE`.
        version: (workers,) of the first read of each worker; more than there are for one that has not read.
        ticket: (workers,) of the minibatch that it took then.
        t_read: (workers,) when that was, in virtual seconds.
    """

    moves: NDArray[np.void]
    version: NDArray[np.int64]
    ticket: NDArray[np.int64]
    t_read: NDArray[np.float64]

    def column(self, name: str) -> NDArray[Any]:
        """A column of `ROW`."""
        if name in (MOVE.names or ()):
            return self.moves[name]
        if name in ("tries", "dropped"):
            return np.zeros(len(self.moves), ROW[name])
        if name == "t_ready":
            return self.moves["t_apply"]
        if name == "version":
            return np.arange(1, len(self.moves) + 1)
        read = np.arange(len(self.moves)) - self.moves["tau"]
        return read if name == "read_version" else self._of_read(name, read)

    def _of_read(self, name: str, read: NDArray[np.int64]) -> NDArray[Any]:
        """What workers did when they read these versions: each had just made it, or had just joined."""
        worker, before = self.moves["worker"], np.maximum(read - 1, 0)  # the row of its update
        found: NDArray[Any]
        first: NDArray[Any]
        if name == "t_read":
            found, first = self.moves["t_apply"][before], self.t_read
        else:
            found, first = before + np.searchsorted(np.sort(self.version), before, "right"), self.ticket
        joined = np.flatnonzero(read == self.version[worker])
        found[joined] = first[worker[joined]]
        return found

    def rows(self) -> NDArray[Any]:
        """All columns, as `ROW`."""
        rows = aligned(len(self.moves), ROW)
        for name in ROW.names or ():
            rows[name] = self.column(name)
        return rows
