"""The rows of a run, taken from the workers' rings into the order of application."""

import numpy as np

from ..record.schema import ABANDONED, UPDATES
from ..training.words import NEVER
from . import words
from .collect import Access
from .shared import Shared
from .words import RING


class RowCollector:
    """Takes rows in order. The row of a dropped gradient follows the last version that its worker saw.

    A row that has been given out may be on disk, so its place is final. Where gradients may be dropped, rows are held
    back as long as a gradient in flight may get a place before them. For this, each worker announces a version before
    it reads, and reads this version or a newer one.

    Rows that were given out are given out again, unless they have been acknowledged.

    Where gradients are added up to make a version, its rows are given out together, once all are there. Those of a
    version that was never made are not given out.

    Args:
        shared: the memory of the run.
        access: to its words.
        drops: whether gradients may be dropped.
        sums: whether gradients are added up.
        version: at which the run begins.
    """

    def __init__(self, shared: Shared, access: Access, *, drops: bool, sums: bool = False, version: int = 0) -> None:
        self._shared, self._access, self._drops, self._sums = shared, access, drops, sums
        self._out = np.empty(RING, UPDATES)
        self._held = np.empty(0, UPDATES)  # in order; a dropped row may still go between
        self._newest = version  # the last whose row has been given out
        self._next = self._held, version, 0  # `_held` and `_newest` once acknowledged, and the rows then drained

    def take(self, *, ended: bool = False) -> np.ndarray:
        """The next rows in order (dtype UPDATES). With `ended`, when all workers have ended: all that are left."""
        control, access = self._shared.control, self._access
        drained = access.get(control, words.DRAINED)
        made, closed = access.get(control, words.VERSION), access.get(control, words.CLOSED)
        rows = self._finished(drained, 0)
        drained += len(rows)
        newest = int(rows["version"][-1]) if len(rows) else self._newest
        if self._sums:
            newest = made if drained >= closed else self._newest  # all rows up to the version `made` are there
            rows, held = self._in_order(rows, newest if ended else min(newest, access.oldest_view(control)))
        elif self._drops:
            rows, held = self._in_order(rows, NEVER if ended else min(newest, access.oldest_view(control)))
        elif ended and access.get(control, words.DROPPED):
            raise RuntimeError("a worker loop has dropped gradients, but the trait `drops` of its scheme is False")
        else:
            held = self._held
        self._next = held, newest, drained
        return rows

    def acknowledge(self) -> None:
        """The rows that `take` gave out last are safe: their places in the ring may be used again."""
        self._held, self._newest, drained = self._next
        self._access.put(self._shared.control, words.DRAINED, drained)

    def _in_order(self, rows: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows up to the horizon, in order, and those after it."""
        control, access = self._shared.control, self._access
        # A worker that has claimed a row of the side ring no longer announces its view, so its row is waited for.
        claimed = access.get(control, words.DROPPED)
        while (drained := access.get(control, words.DROPPED_DRAINED)) < claimed:
            dropped = self._finished(drained, 1)
            if len(dropped):
                self._held = np.concatenate([self._held, dropped])
                access.put(control, words.DROPPED_DRAINED, drained + len(dropped))
        rows = np.concatenate([self._held, rows])
        abandoned = rows["dropped"] == ABANDONED
        seen = np.where(abandoned, rows["read_version"] + rows["tau"], rows["version"])
        order = np.lexsort((abandoned, seen))  # a dropped row after the version that it saw, the rest as they came
        rows, now = rows[order], seen[order] <= horizon
        return rows[now], rows[~now]

    def _finished(self, first: int, ring: int) -> np.ndarray:
        """The finished rows of ring 0 or 1, from number `first` on."""
        shared = self._shared
        count = self._access.copy(first, ring, shared.rows, shared.written, self._out)
        return self._out[:count].copy()
