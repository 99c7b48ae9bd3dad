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
    """

    def __init__(self, shared: Shared, access: Access, *, drops: bool, version: int = 0) -> None:
        self._shared, self._access, self._drops = shared, access, drops
        self._out = np.empty(RING, UPDATES)
        self._held = np.empty(0, UPDATES)  # in order; a dropped row may still go between
        self._newest = version  # the last whose row has been taken

    def take(self, *, ended: bool = False) -> np.ndarray:
        """The next rows in order (dtype UPDATES). With `ended`, when all workers have ended: all that are left."""
        rows = self._taken(words.DRAINED, 0)
        if self._drops:
            return self._in_order(rows, ended)
        if ended and self._access.get(self._shared.control, words.DROPPED):
            raise RuntimeError("a worker loop has dropped gradients, but the trait `drops` of its scheme is False")
        return rows

    def _in_order(self, rows: np.ndarray, ended: bool) -> np.ndarray:
        control, access = self._shared.control, self._access
        newest = int(rows["version"][-1]) if len(rows) else self._newest
        self._newest = newest
        horizon = NEVER if ended else min(newest, access.oldest_view(control))
        # A worker that has claimed a row of the side ring no longer announces its view, so its row is waited for.
        claimed, dropped = access.get(control, words.DROPPED), [np.empty(0, UPDATES)]
        while access.get(control, words.DROPPED_DRAINED) < claimed:
            dropped.append(self._taken(words.DROPPED_DRAINED, 1))
        rows = np.concatenate([self._held, rows, *dropped])
        abandoned = rows["dropped"] == ABANDONED
        seen = np.where(abandoned, rows["read_version"] + rows["tau"], rows["version"])
        order = np.lexsort((abandoned, seen))  # a dropped row after the version that it saw, the rest as they came
        rows, now = rows[order], seen[order] <= horizon
        self._held = rows[~now]
        return rows[now]

    def _taken(self, drained: int, ring: int) -> np.ndarray:
        """The finished rows of ring 0 or 1."""
        shared = self._shared
        count = self._access.take(shared.control, drained, ring, shared.rows, shared.written, self._out)
        return self._out[:count].copy()
