"""The scale tables of a run: which one is in force, and when the next is made."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numbers import integer
from ..staleness import StalenessDistribution, StalenessEstimator, staleness_array
from .changes import Change, Clock
from .context import OUTSIDE, Context
from .reading import RuleLike, as_rule, scale_table

# The most entries of a table of scales: the last one serves every staler update.
MAX_TABLE = 131_072
FRESH = StalenessDistribution.from_counts([1])  # what a scheme shows under which nothing is ever stale
Sight = Callable[[int], Context]  # what a rule sees after so many updates seen by its tables


def table_length(workers: int, support: int) -> int:
    """How many entries a table has: well past the stalest update seen, so that staler ones get the rule's own answer.

    >>> table_length(workers=8, support=20), table_length(workers=128, support=3000)
    (1024, 6000)
    """
    return min(MAX_TABLE, max(1024, 16 * workers, 2 * support))


class ScaleTables:
    """The scale tables of one rule during one run, made from the staleness observed.

    `current` is the table in force: float64, read-only. Its last entry serves every staler update. At first it is
    what the rule gives for the `prior`. Without a prior, it is the formula of a static rule, and 1 everywhere for
    others. `seen` is how many updates have been observed. `next_refresh` is the number of the update at which the
    next table is due; None if no more is due.

    The rule is evaluated once at the start, so that a rule with unusable scales fails before anything runs.

    Args:
        rule: a rule, its text, or a function.
        workers: the number of workers that the rule is given; >= 1.
        prior: the staleness that the first table is made from. Later tables are made from the observed staleness
            alone. None to begin without.
        start: what else the rule sees when the run begins.

    Raises:
        RuleError: if the scales of the rule cannot be used.

    >>> from asapnb.rules import once, tail
    >>> tables = ScaleTables(tail(refresh=once(0, 4)), workers=2)
    >>> tables.next_refresh, tables.current[:3]
    (4, array([1., 1., 1.]))
    >>> tables.observe([0, 1]) is None
    True
    >>> tables.observe([1, 2, 9])[:4]
    array([1.75, 1.  , 0.25, 0.  ])
    """

    def __init__(
        self,
        rule: RuleLike,
        workers: int,
        prior: StalenessDistribution | None = None,
        start: Context = OUTSIDE,
    ) -> None:
        self.rule = as_rule(rule)
        self.workers = workers = integer("workers", workers, 1)
        refresh = self.rule.refresh
        self._clock = Clock(refresh, workers)
        self._restart(prior)
        self.seen = 0
        self.first_made: int | None = None  # the updates seen when the first table of staleness seen was made
        self.next_refresh = self._due_after(0)
        self.current: NDArray[np.float64]
        self._put_in_force(scale_table(self.rule, self._staleness(), workers, start))
        scale_table(self.rule, _typical(workers), workers, start)

    def observe(self, staleness: ArrayLike, at: Sight | None = None) -> NDArray[np.float64] | None:
        """Count these updates. Returns the new table if one is due and differs from the last; otherwise None.

        A table is made from all updates given so far. To get tables at exact update numbers, give no updates beyond
        `next_refresh` in one call.

        Args:
            staleness: the staleness of each update, in the order in which they were applied; integers, one axis.
            at: a function from the number of updates seen to what else the rule sees, a `Context`. None if the rule
                sees nothing but the version, which is then that number.
        """
        tau = staleness_array(staleness)
        if self.rule.refresh is None:
            return None
        self._count(tau)
        if self.next_refresh is None or self.seen < self.next_refresh:
            return None
        self.next_refresh = self._due_after(self.seen)
        self._counts = True
        table = self._made(at)
        self.first_made = self.seen if self.first_made is None else self.first_made
        return table

    def change(
        self, change: Change, staleness: ArrayLike = (), at: Sight | None = None
    ) -> NDArray[np.float64] | None:
        """Count these updates, then make a table for another number of workers. Returns it if it differs.

        If the refresh restarts, the rule forgets what it has counted, and begins as at the start of the run.

        Args:
            change: the new number of workers, and the staleness to expect of so many.
            staleness: the staleness of the updates since the last call.
            at: as in `observe`.

        >>> from asapnb.rules import every, tail
        >>> tables = ScaleTables(tail(refresh=every(2)), workers=1)  # due at 10, 12, 14 …
        >>> _ = tables.observe([0, 1] * 5)
        >>> tables.change(Change(version=10, workers=2))[:3], tables.next_refresh
        (array([1., 1., 1.]), 30)
        """
        tau = staleness_array(staleness)
        self.workers = integer("workers", change.workers, 1)
        if self.rule.refresh is not None:
            self._count(tau)
        if self._clock.change(self.seen, self.workers):
            self._restart(change.prior)
        self.next_refresh = self._due_after(self.seen)
        return self._made(at)

    def _count(self, tau: NDArray[np.int64]) -> None:
        start, end = self._clock.window()
        self._estimator.observe(tau[max(0, start - self.seen) : None if end is None else max(0, end - self.seen)])
        self.seen += len(tau)

    def _made(self, at: Sight | None) -> NDArray[np.float64] | None:
        """Make a table, and put it in force if it differs."""
        context = Context(version=self.seen) if at is None else at(self.seen)
        context = replace(context, own_share=self.seen / context.version if context.version else 0.0)
        if "loss" in self.rule.sees and not math.isfinite(context.loss):
            return None  # the run ends here, as it diverges
        table = scale_table(self.rule, self._staleness(), self.workers, context)
        return None if np.array_equal(table, self.current) else self._put_in_force(table)

    def _restart(self, prior: StalenessDistribution | None) -> None:
        """Forget all that was counted. Until the next table is due, the prior stands for it, if there is one."""
        refresh = self.rule.refresh
        self._estimator = StalenessEstimator(refresh.half_life if refresh else None)
        self._prior, self._counts = prior, False

    def catch_up(self, staleness: ArrayLike, at: Sight | None = None) -> None:
        """Count the updates of an earlier part of the run, and put the last table that was due in force.

        The state is then the same as if these updates had been observed one by one.

        Args:
            staleness: the staleness of each of these updates, in order.
            at: as in `observe`.

        >>> from asapnb.rules import every, tail
        >>> tables = ScaleTables(tail(refresh=every(2)), workers=1)  # due at 10, 12, 14 …
        >>> tables.catch_up([0, 1] * 6 + [5])
        >>> tables.next_refresh, tables.current[:3]
        (14, array([1.5, 0.5, 0. ]))
        """
        tau = staleness_array(staleness)
        last, due = 0, self.next_refresh
        while due is not None and due <= self.seen + len(tau):
            last = due - self.seen
            due = self._due_after(due)
        self.observe(tau[:last], at)
        self.observe(tau[last:], at)

    def _due_after(self, seen: int) -> int | None:
        return self._clock.due_after(seen)

    def _staleness(self) -> StalenessDistribution:
        """What a table is made from: the staleness counted, or before the first refresh what is expected."""
        if self._counts:
            known = self._estimator.distribution()
        else:
            known = StalenessEstimator().distribution() if self._prior is None else self._prior
        return known.padded(table_length(self.workers, known.support))

    def _put_in_force(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        table.setflags(write=False)
        self.current = table
        return table


def _typical(workers: int) -> StalenessDistribution:
    """The staleness that workers with exponential compute times show in a short run: geometric, then nothing."""
    geometric = (1.0 - 1.0 / workers) ** np.arange(4 * workers)
    return StalenessDistribution.from_counts(geometric).padded(table_length(workers, 0))
