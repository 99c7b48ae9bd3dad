"""Sums over the updates of a run on threads, made while they are applied: for `record="summary"`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..record.burn_in import RULE
from ..record.schema import ABANDONED
from ..record.sums import Sums
from ..rules import ScaleTables
from ..training.attributes import first_table
from ..training.options import Options


class Summed:
    """The sums over the rows so far, and those of the steps up to each version that may be evaluated.

    Args:
        options: of the run.
        tables: of the rule, of each owner.
    """

    def __init__(self, options: Options, tables: Sequence[ScaleTables]) -> None:
        self._options, self._tables = options, tables
        self._needs_none = first_table(options, tables[0].rule)["made_from"] == RULE
        self.sums = Sums(options.workers, options.clip)
        self._version = 0
        self._steps = {0: 0.0}  # by version

    def parts(self, rows: NDArray[np.void]) -> Iterator[NDArray[np.void]]:
        """The rows, cut behind each version that is to be evaluated."""
        made = np.where(rows["dropped"] == ABANDONED, -1, rows["version"])
        every = self._options.eval_every
        due = np.arange(self._version // every + 1, int(made.max(initial=0)) // every + 1) * every
        last = np.searchsorted(np.maximum.accumulate(made), due, side="right")
        yield from np.split(rows, last)

    def add(
        self, rows: NDArray[np.void], chosen: NDArray[np.bool_], made_at: Sequence[int], published: Sequence[int]
    ) -> None:
        """Add rows.

        Args:
            rows: in the order of application.
            chosen: which of them were applied.
            made_at: for each table of the run, after how many updates it was made.
            published: for each owner of tables, how many it has had.
        """
        applied = rows[chosen]
        first = np.zeros(len(applied), bool)
        if not self._needs_none and len(applied):
            first = np.array(made_at)[applied["row"]] == 0
            owners = applied["worker"] if len(self._tables) > 1 else np.zeros(len(applied), int)
            # once a table was made that has the same scales as the first, rows under that are no burn-in any more
            burns = [one.first_made is None or had > 1 for one, had in zip(self._tables, published, strict=True)]
            first &= np.array(burns)[owners]
        self.sums.add(rows, first)
        self._version = self.sums.numbers["updates"]
        if self._version % self._options.eval_every == 0:
            self._steps[self._version] = self.sums.numbers["steps"]

    def stored(self) -> dict[str, Any]:
        """What `RunWriter.finish` takes in the place of rows."""
        return {"sums": self.sums, "steps_at": self._steps_at}

    def _steps_at(self, versions: NDArray[np.int64]) -> NDArray[np.float64]:
        """The sum of the steps up to each of these versions."""
        unit = self._options.step_size / self._options.rows_per_version
        known = {**self._steps, self._version: self.sums.numbers["steps"]}
        return unit * np.array([known.get(version, np.nan) for version in versions.tolist()])
