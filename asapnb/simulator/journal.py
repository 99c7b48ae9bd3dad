"""The rows of a replay on their way to its file, and what they add up to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.controller import RECENT
from ..record import RunWriter
from ..record.schema import ABANDONED, MICROSCOPE, UPDATES, VIEWS
from ..staleness import WorkerHistogram
from .execution import Execution
from .stage import Stage
from .world import ROW

_COUNTS = 2**24  # entries of the table of staleness by worker, at most


class Journal:
    """Gives rows to a writer, in order, and with them the tables, views and sightings that belong to them."""

    def __init__(self, execution: Execution, stage: Stage, writer: RunWriter) -> None:
        self._rows, self._t_view, self._scales = execution.rows, execution.t_view, execution.scales
        self._loss, self._writer, self._workers = stage.steps["loss"], writer, execution.options.workers
        self._round = execution.options.rows_per_version
        self._lengths = np.array([len(table) for table in self._scales.tables])
        self._tables = 0  # given to the writer
        self.committed = 0  # rows given to the writer
        self.version = 0  # made by the last of them
        self.seconds = 0.0
        self.updates, self.beyond_table = 0, 0  # of the applied rows among them
        self.histogram = WorkerHistogram(self._workers)
        self.seen: dict[int, NDArray[Any]] = {}  # by row: what the microscope saw, until the row is committed

    @property
    def mean_scale(self) -> float | None:
        """Of the applied rows committed; None if there are none."""
        scales, low = self._scales, slice(self.committed)
        applied = scales.dropped[low] != ABANDONED
        steps = scales.scale[low][applied].astype(np.float64) * scales.factor[low][applied]
        return float(steps.mean()) if len(steps) else None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Each worker's counts of staleness; left out where there are so many workers that the table is too large."""
        longest = int(self._rows["tau"][: self.committed].max(initial=0)) + 1
        few = self._workers * longest <= _COUNTS
        return self.histogram.counts if few else np.zeros((self._workers, 0), np.int64)

    @property
    def batch_loss(self) -> float:
        """The mean loss of the last rows; NaN if there are none."""
        losses = self._loss[max(0, self.committed - RECENT) : self.committed]
        return float(losses.mean()) if len(losses) else float("nan")

    @property
    def table(self) -> NDArray[np.float64]:
        """The scale table of the last row."""
        row = self._scales.row[max(0, self.committed - 1) :][:1]
        return self._scales.tables[row[0] if len(row) else 0]

    @property
    def sightings(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The rows that the microscope has seen and that are not committed yet, and what it saw."""
        rows = sorted(self.seen)
        return np.array(rows, np.int64), np.concatenate([np.empty(0, MICROSCOPE), *(self.seen[row] for row in rows)])

    def commit(self, rows: int) -> None:
        """Give the first rows to the writer, those of whole rounds."""
        rows -= rows % self._round
        if rows <= self.committed:
            return
        part = self._part(self.committed, rows)
        self._count(part)
        for number in range(self._tables, int(part["row"].max()) + 1):
            self._writer.append_table(self._scales.steps[number], self._scales.tables[number])
            self._tables += 1
        self._writer.append_updates(part)
        if self._t_view is not None:
            self._writer.append("views", np.array(self._t_view[self.committed : rows], VIEWS))
        for row in sorted(row for row in self.seen if row < rows):
            self._writer.append("microscope", self.seen.pop(row))
        self.committed = rows

    def take_up(self, rows: int, seen: dict[int, NDArray[Any]]) -> None:
        """Go on from a file that holds the first rows."""
        self._count(self._part(0, rows))
        self.committed, self._tables = rows, int(self._scales.row[:rows].max(initial=-1)) + 1
        self.seen = seen

    def _count(self, part: NDArray[Any]) -> None:
        """Add rows to what is known of the run."""
        applied = part[part["dropped"] != ABANDONED]
        self.histogram.observe(applied["worker"], applied["tau"])
        self.beyond_table += int((applied["tau"] >= self._lengths[applied["row"]]).sum())
        self.updates += len(applied)
        self.version = int(applied["version"].max(initial=self.version))
        self.seconds = float(applied["t_apply"].max(initial=self.seconds))

    def _part(self, low: int, high: int) -> NDArray[Any]:
        """Rows as a run file has them."""
        part = np.zeros(high - low, UPDATES)
        for name in ROW.names or ():
            part[name] = self._rows[name][low:high]
        for name in ("row", "scale", "factor", "dropped"):
            part[name] = getattr(self._scales, name)[low:high]
        part["loss"] = self._loss[low:high]
        return part
