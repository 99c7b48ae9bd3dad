"""The rows of a replay on their way to its file, and their totals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..record import RunWriter
from ..record.burn_in import burn_in_rows
from ..record.schema import ABANDONED, MICROSCOPE, UPDATES, VIEWS
from ..record.sums import Sums, steps_by_version
from ..training.attributes import first_table
from ..training.reporting import Totals
from .execution import Execution
from .operations import ends_of
from .replay_state import ReplayState

_PIECE = 2**18  # rows that are given to the writer at a time: 20 MB
_COUNTS = 2**24  # entries of the table of staleness by worker, at most


class ReplayedRows:
    """Gives rows to a writer, in order, with the tables, views and sightings that belong to them."""

    def __init__(self, execution: Execution, replay: ReplayState, writer: RunWriter) -> None:
        self._t_view, self._scales, self._writer = execution.t_view, execution.scales, writer
        self._keeps_rows = execution.options.keeps_rows
        self._has_views = "views" in execution.groups
        self._sources = (execution.rows, replay.results, execution.scales.columns)  # the later ones take precedence
        self._workers, self._round = execution.options.workers, execution.options.rows_per_version
        self._table = execution.options.table
        abandoned = execution.scales.columns["dropped"] == ABANDONED
        self._ends = ends_of(execution.rows, abandoned) if execution.options.makes_means else None
        self._lengths = np.zeros(0, np.int64)  # of the tables made so far
        self.tables = 0  # given to the writer
        self.committed = 0  # rows given to the writer
        self.totals = Totals(self._workers)
        self.totals.table = self._scales.tables[0]
        self.seen: dict[int, NDArray[Any]] = {}  # by row: what the microscope saw, until the row is committed

    @property
    def mean_scale(self) -> float | None:
        """The mean of scale · factor over the applied rows given to the writer; None if there are none."""
        columns = self._scales.columns[: self.committed]
        columns = columns[columns["dropped"] != ABANDONED]
        steps = columns["scale"].astype(np.float64) * columns["factor"]
        return float(steps.mean()) if len(steps) else None

    def sum_of_steps(self, sizes: Mapping[int, float]) -> float:
        """The sum of the steps of the applied rows given to the writer, by the version from which a size is used."""
        columns = self._scales.columns[: self.committed]
        applied = columns["dropped"] != ABANDONED
        steps = self._sizes(sizes) * columns["scale"].astype(np.float64) * columns["factor"]
        if self._table:  # the gradients of a version vary in number
            return float(steps[applied].sum()) / max(1, int(applied.sum())) * self.totals.version
        return float(steps[applied].sum()) / self._round

    def _sizes(self, sizes: Mapping[int, float]) -> NDArray[np.float64]:
        """The step size of each row given to the writer."""
        version = self._sources[0]["version"][: self.committed]
        return np.array(list(sizes.values()))[np.searchsorted(list(sizes), version, side="left") - 1]

    def summed(self, execution: Execution) -> dict[str, Any]:
        """What `RunWriter.finish` takes in the place of rows: what those given to the writer come to."""
        options, sizes = execution.options, execution.step_sizes
        columns = {name: column[: self.committed] for name, column in self._columns().items()}
        made = columns["dropped"] != ABANDONED
        known = execution.attributes.get("first_table") or first_table(options, execution.rule)
        first = burn_in_rows(
            {name: columns[name][made] for name in ("row", "worker")}, np.array(self._scales.made_at, np.int64),
            known["made_from"], known["due"], options.worker_tables,
        )  # fmt: skip
        each = self._sizes(sizes)[made] if sizes else 1.0
        sums = Sums(self._workers, options.clip)
        sums.add(columns, first, each)
        steps = columns["scale"][made].astype(np.float64) * columns["factor"][made] * each
        steps_at = (1.0 if sizes else options.step_size) * steps_by_version(columns["version"][made], steps)[0]
        return {"sums": sums, "steps_at": steps_at.__getitem__}

    @property
    def counts(self) -> NDArray[np.int64]:
        """Each worker's counts of staleness; without columns if the table would be too large."""
        longest = int(self._sources[0]["tau"][: self.committed].max(initial=0)) + 1
        few = self._workers * longest <= _COUNTS
        return self.totals.histogram.counts if few else np.zeros((self._workers, 0), np.int64)

    @property
    def sightings(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The rows that the microscope has seen and the writer has not got yet, and what it saw."""
        rows = sorted(self.seen)
        return np.array(rows, np.int64), np.concatenate([np.empty(0, MICROSCOPE), *(self.seen[row] for row in rows)])

    def whole(self, rows: int) -> int:
        """How many of the first rows are of versions that these rows make whole."""
        if self._ends is None or rows <= 0:
            return max(rows, 0)
        place = int(np.searchsorted(self._ends, rows, side="right"))
        return int(self._ends[place - 1]) if place else 0

    def commit(self, rows: int) -> None:
        """Give the first rows, of whole versions only, to the writer."""
        rows = self.whole(rows)
        while self.committed < rows:
            piece = self.whole(self.committed + _PIECE)
            self._give(rows if piece <= self.committed else min(rows, piece))

    def _give(self, stop: int) -> None:
        """Give the rows up to this one to the writer."""
        start = self.committed
        newest = self._add(start, stop)
        for number in range(self.tables, newest + 1):
            self._writer.append_table(self._scales.made_at[number], self._scales.tables[number])
            self.tables += 1
        if self._keeps_rows:
            self._writer.append_updates(self._part(start, stop), copy=False)
        if self._t_view is not None and self._has_views:
            self._writer.append("views", np.array(self._t_view[start:stop], VIEWS))
        for row in sorted(row for row in self.seen if row < stop):
            self._writer.append("microscope", self.seen.pop(row))
        self.committed = stop

    def take_up(self, rows: int, seen: dict[int, NDArray[Any]]) -> None:
        """Go on from a file that holds the first rows."""
        self.committed, self.tables = rows, self._add(0, rows) + 1
        self.seen.clear()  # the same dict: the microscope has it already
        self.seen.update(seen)

    def _add(self, start: int, stop: int) -> int:
        """Add rows to the totals; returns the newest of their tables."""
        if len(self._lengths) != len(self._scales.tables):
            self._lengths = np.array([len(table) for table in self._scales.tables])
        part = {name: column[start:stop] for name, column in self._columns().items()}
        self.totals.add(part, self._lengths)
        if stop > start:
            self.totals.table = self._scales.tables[part["row"][-1]]
        return int(part["row"].max(initial=-1))

    def _part(self, low: int, high: int) -> NDArray[Any]:
        """Rows as a run file has them: every column from the last source that has it."""
        part = np.empty(high - low, UPDATES)
        for name, column in self._columns().items():
            part[name] = column[low:high]
        return part

    def _columns(self) -> dict[str, NDArray[Any]]:
        """The columns of /updates, of all rows."""
        source = {name: array for array in self._sources for name in array.dtype.names or ()}
        return {name: source[name][name] for name in UPDATES.names or ()}
