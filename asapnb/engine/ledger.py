"""The rows of a run, taken from the workers' rings into the order of application, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..record.schema import ABANDONED, UPDATES
from ..staleness import StalenessDistribution, WorkerHistogram
from . import shared as words
from .collect import Access
from .shared import RING, Shared
from .start import Start


class Ledger:
    """Takes rows in order. A dropped gradient's row follows the last version that its worker saw.

    The order must be right when a row is first given out, because it may then be on disk. So with a persistence
    bound, rows of versions that a gradient in flight may still precede are held back: each worker announces a
    version no newer than the one it reads, before it reads it.
    """

    def __init__(self, shared: Shared, access: Access, *, drops: bool, start: Start | None = None) -> None:
        self._shared, self._access, self._drops = shared, access, drops
        self._out = np.empty(RING, UPDATES)
        self._held = np.empty(0, UPDATES)  # in order, but something may still have to go between
        self.histogram = WorkerHistogram(int(shared.control[words.WORKERS]))
        self._newest = 0  # the newest version whose row has been taken
        self.version = 0  # the newest version whose row has been given out
        self.dropped = 0
        self.last_t = 0.0  # when it was applied
        self.sum_scale = 0.0
        self.updates = 0  # rows of applied updates: versions, except that a synchronous round has one per worker
        if start is not None:
            self._newest = start.version
            self._count(start.applied("version", "t_apply", "scale", "factor", "worker", "tau"))
            self.dropped = len(start.updates["dropped"]) - self.updates

    @property
    def staleness(self) -> StalenessDistribution:
        """Of all applied updates so far."""
        return self.histogram.distribution()

    def take(self, *, ended: bool = False) -> np.ndarray:
        """The next rows in order (dtype UPDATES); with `ended`, when all workers have, all that are left."""
        rows = self._taken(words.DRAINED, 0)
        if self._drops:
            rows = self._in_order(rows, ended)
        applied = rows[rows["dropped"] != ABANDONED] if self._drops else rows
        self._count(applied)
        self.dropped += len(rows) - len(applied)
        return rows

    def _count(self, applied: Mapping[str, np.ndarray] | np.ndarray) -> None:
        """Add up updates that made a version."""
        if not len(applied["version"]):
            return
        self.version = int(applied["version"][-1])
        self.last_t = max(self.last_t, float(applied["t_apply"].max()))
        self.updates += len(applied["version"])
        scales = applied["scale"].astype(np.float64) * applied["factor"]
        self.sum_scale += float(scales.sum())
        self.histogram.observe(applied["worker"], applied["tau"])

    def _in_order(self, rows: np.ndarray, ended: bool) -> np.ndarray:
        control, access = self._shared.control, self._access
        newest = int(rows["version"][-1]) if len(rows) else self._newest
        self._newest = newest
        horizon = words.NEVER if ended else min(newest, access.oldest_view(control))
        # Whoever has claimed a row of the side ring no longer holds the horizon, so that row is waited for.
        claimed, dropped = access.get(control, words.DROPPED), [np.empty(0, UPDATES)]
        while access.get(control, words.DROPPED_DRAINED) < claimed:
            dropped.append(self._taken(words.DROPPED_DRAINED, 1))
        rows = np.concatenate([self._held, rows, *dropped])
        abandoned = rows["dropped"] == ABANDONED
        seen = np.where(abandoned, rows["read_version"] + rows["tau"], rows["version"])
        order = np.lexsort((abandoned, seen))  # a dropped row after the version that it saw; else as they came
        rows, now = rows[order], seen[order] <= horizon
        self._held = rows[~now]
        return rows[now]

    def _taken(self, drained: int, ring: int) -> np.ndarray:
        """The rows that are finished in ring 0 or 1."""
        shared = self._shared
        count = self._access.take(shared.control, drained, ring, shared.rows, shared.written, self._out)
        return self._out[:count].copy()
