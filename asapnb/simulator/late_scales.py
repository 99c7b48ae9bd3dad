"""Scales that follow from the losses of a replay. They are made while it goes on.

It is known in advance when a table is due, and the replay pauses there. At a pause all earlier operations have been
carried out, and none that needs the new scales. So the bits are the same on any number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..record.schema import ABANDONED, ZEROED
from ..rules import Context, Pace, Rule, ScaleTables
from ..rules.changes import Change, moments
from ..rules.context import OUTSIDE, RECENT, recent_loss
from ..staleness import StalenessDistribution
from .words import READ

if TYPE_CHECKING:
    from .replay_state import ReplayState
    from .scales import Scales


class LateScales:
    """The tables of a rule that sees the loss, each made at its update.

    Args:
        rows: with the columns `worker`, `tau`, `version` and `dropped`, in order of application.
        rule: the step-size rule.
        workers: how many are in force at first.
        owned: for each table owner, a worker or all, its rows.
        pace: how far the run goes.
        prior: what the first tables are made from.
        changes: for each table owner, those of the number of workers.
    """

    def __init__(
        self,
        rows: NDArray[np.void],
        rule: Rule,
        workers: int,
        owned: list[NDArray[np.intp]],
        pace: Pace,
        prior: StalenessDistribution | None,
        changes: list[list[Change]],
    ) -> None:
        self._rows, self._rule, self._pace = rows, rule, pace
        self._made_with = rule, workers, prior
        self._owned = owned
        abandoned = rows["dropped"] == ABANDONED
        self._counted = [own[~abandoned[own]] for own in owned]
        lands = rows["read_version"] + rows["tau"]
        self._dues = [  # of each owner: the row after which a table is made, the updates seen by then, and the change
            [
                (
                    int(places[seen - 1]) if change is None else int(np.searchsorted(lands, change.version)) - 1,
                    seen,
                    change,
                )
                for seen, change in moments(rule.refresh, workers, len(places), changes[owner])
            ]
            for owner, places in enumerate(self._counted)
        ]
        self._place = [0] * len(owned)  # of each owner: the next of these
        self._tables: list[ScaleTables] = []
        self._number = list(range(len(owned)))  # of the table in force, of each owner
        self._restart(OUTSIDE.loss)

    def begin(self, scales: Scales, loss: float) -> None:
        """Make the first tables, with the training loss at the start, and fill in the rows that use them.

        Args:
            scales: to be filled in; its factors and its abandoned rows are there.
            loss: the training loss at the start.
        """
        self._restart(loss)
        self._scales = scales
        scales.tables[:], scales.made_at[:] = [one.current for one in self._tables], [0] * len(self._tables)
        for owner in range(len(self._owned)):
            self._fill(owner, -1)

    def dues(self) -> list[tuple[int, int]]:
        """For each table that will be made, the row after which that is, and its owner; in order."""
        return sorted((row, owner) for owner, dues in enumerate(self._dues) for row, _, _ in dues)

    def make(self, owner: int, row: int, losses: NDArray[np.float32]) -> NDArray[np.intp]:
        """Make the table of an owner that is due after a row; returns the rows whose scales were filled in.

        Args:
            owner: of the table.
            row: after which it is due.
            losses: of the last minibatches.
        """
        tables, places, version = self._tables[owner], self._counted[owner], int(self._rows["version"][row])
        _, seen, change = self._dues[owner][self._place[owner]]
        self._place[owner] += 1
        if change is not None:
            version = change.version
        context = self._pace.context(version, loss=recent_loss(losses), worker=owner)
        new, sight = self._rows["tau"][places[tables.seen : seen]], lambda _: context
        made = tables.observe(new, sight) if change is None else tables.change(change, new, sight)
        if made is not None:
            self._number[owner] = len(self._scales.tables)
            self._scales.tables.append(tables.current)
            self._scales.made_at.append(version)
        return self._fill(owner, row)

    def _restart(self, loss: float) -> None:
        rule, workers, prior = self._made_with
        self._place = [0] * len(self._owned)
        self._tables = [
            ScaleTables(rule, workers, prior, Context(loss=loss, worker=owner)) for owner in range(len(self._owned))
        ]

    def _fill(self, owner: int, after: int) -> NDArray[np.intp]:
        """Give the rows of an owner after this one, up to the next that is due, their scales."""
        dues, place, columns = self._dues[owner], self._place[owner], self._scales.columns
        last = dues[place][0] if place < len(dues) else len(self._rows) - 1
        own = self._owned[owner]
        chosen = own[np.searchsorted(own, after, "right") : np.searchsorted(own, last, "right")]
        table = self._tables[owner].current
        columns["row"][chosen] = self._number[owner]
        columns["scale"][chosen] = table.astype(np.float32)[np.minimum(self._rows["tau"][chosen], len(table) - 1)]
        zeroed = (columns["scale"] * columns["factor"])[chosen] == 0
        columns["dropped"][chosen[zeroed & (columns["dropped"][chosen] != ABANDONED)]] = ZEROED
        return chosen


class Moments:
    """When in a replay the scales after a row must be known, and which losses are there then.

    Rows are written in another order under Hogwild. What counts are those that have begun to be written.
    """

    def __init__(self, replay: ReplayState, workers: int) -> None:
        operations, count = replay.operations, len(replay.tasks)
        places = np.flatnonzero(operations["kind"] != READ)[::-1]
        self._begin = np.full(count + 1, len(operations))  # of each row: the first operation that needs its scale
        self._begin[operations["row"][places]] = places
        self._later = np.minimum.accumulate(self._begin[::-1])[::-1]
        self._losses, self._window = replay.results["loss"], 2 * RECENT + workers

    def operations(self, row: int) -> int:
        """The operations that can be carried out without the scales of later rows."""
        return int(self._later[row + 1])

    def losses(self, row: int) -> NDArray[np.float32]:
        """The losses of the last minibatches up to a row, after these operations."""
        low = max(0, row + 1 - self._window)
        there = low + np.flatnonzero(self._begin[low : row + 1] < self.operations(row))
        return self._losses[there[-RECENT:]]
