"""When the tables of a run are made, if the number of workers in force may change."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import RuleError
from ..staleness import StalenessDistribution
from .refresh import Refresh


class Change(NamedTuple):
    """Another number of workers comes into force.

    Attributes:
        version: the first version at which it holds.
        workers: the new number of workers.
        seen: how many updates the tables have counted by then.
        row: the first row of the run file after the change.
        prior: the staleness to expect of so many workers, if it is known.
    """

    version: int
    workers: int
    seen: int = 0
    row: int = 0
    prior: StalenessDistribution | None = None


class Clock:
    """When tables are due, by the updates counted: from the start, or from the last change that restarts."""

    def __init__(self, refresh: Refresh | None, workers: int) -> None:
        self._refresh, self._workers, self._since = refresh, workers, 0

    def window(self) -> tuple[int, int | None]:
        """The updates that count: after the first number, up to the second."""
        assert self._refresh is not None
        start, end = self._refresh.window(self._workers)
        return self._since + start, None if end is None else self._since + end

    def due_after(self, seen: int) -> int | None:
        """The number of the next update, after `seen`, at which a table is made; loops rely on its being later."""
        due = None if self._refresh is None else self._refresh.due(seen - self._since, self._workers)
        if due is not None and (due := due + self._since) <= seen:
            raise RuleError(f"refresh {self._refresh} is due at update {due} after {seen}: must be a later one")
        return due

    def change(self, seen: int, workers: int) -> bool:
        """Another number of workers comes into force. Returns whether counting begins anew."""
        restarts = self._refresh is not None and self._refresh.restarts
        if restarts:
            self._since, self._workers = seen, workers
        return restarts


def moments(
    refresh: Refresh | None, workers: int, count: int, changes: Sequence[Change] = ()
) -> Iterator[tuple[int, Change | None]]:
    """When the tables of a run are made: after how many counted updates, and for which change of workers, if any.

    Args:
        refresh: when the rule makes a new table; None for a static rule.
        workers: how many are in force at first.
        count: how many updates are counted in all.
        changes: the changes of the number of workers, in order.

    >>> from asapnb.rules import every
    >>> [seen for seen, _ in moments(every(10, warmup=2), 4, 50, [Change(25, 8, seen=25)])]
    [8, 18, 25, 41]
    """
    clock, seen, waiting = Clock(refresh, workers), 0, list(changes)
    while True:
        due = clock.due_after(seen)
        if waiting and (due is None or waiting[0].seen <= due):
            change = waiting.pop(0)
            seen = change.seen
            clock.change(seen, change.workers)
            yield seen, change
        elif due is not None and due <= count:
            seen = due
            yield seen, None
        else:
            return
