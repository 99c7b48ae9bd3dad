"""A schedule: who read which version, with which minibatch, and when the gradient was applied; no gradients yet."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formatting import number, seconds
from ..markup import block, pairs
from ..record.figures import timing_rows
from ..schemes import Scheme
from ..staleness import StalenessDistribution
from ..staleness.bins import bars_of
from ..timing import Timing
from ..workforce import Workforce, as_workforce
from .brief import BriefRows
from .world import ROW

SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)  # of the percentiles of a tally


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """Who read which version, and when the gradient was applied, in virtual time.

    `schedule` and `schedule_from` make it. `replay` carries it out with true gradients.

    Attributes:
        scheme: how the workers share the parameters.
        timing: how long gradients, reads, updates and messages take; None for a trace.
        workers: the largest number of workers.
        updates: the number of versions made; under Synchronous, of rounds.
        seed: determines all times; None for a trace.
        given: the rows, or what they follow from.
        t_view: for Hogwild, when each view had been read to its end, in virtual seconds; otherwise None.
        origin: the name and digest of the trace; None if there is none.
        local_steps: the number of gradients that a worker computes, one after the other, for a row.
        workforce: how many workers are in force at each version; None for all.

    `rows` has one row for each gradient, in the order of application (dtype `ROW`). Each column is also an attribute,
    a read-only array of shape (rows,):

    - `worker`: who computed the gradient.
    - `batch`: the ticket of its minibatch.
    - `version`: the version that the update made; −1 if the gradient was dropped.
    - `read_version`: the version that the worker had read.
    - `tau`: the staleness, version − read_version − 1.
    - `t_read`, `t_ready`, `t_apply`: when reading began, when the gradient was finished, and when the update was
      applied, in virtual seconds.
    - `tries`: failed attempts of Leashed.
    - `dropped`: 1 if the gradient was dropped, otherwise 0.

    Where reads and updates take no time, the schedule holds `worker`, `tau` and `t_apply` only. It works out another
    column when you first ask for it. So ask for a column rather than for all `rows`.
    """

    scheme: Scheme
    timing: Timing | None
    workers: int
    updates: int
    seed: int | None
    given: NDArray[Any] | BriefRows
    t_view: NDArray[np.float64] | None = field(default=None)
    origin: str | None = None
    local_steps: int = 1
    workforce: Workforce | None = None

    @cached_property
    def rows(self) -> NDArray[Any]:
        """One row for each gradient, in the order of application (dtype `ROW`)."""
        return self.given.rows() if isinstance(self.given, BriefRows) else self.given

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name in (ROW.names or ()):
            column: NDArray[Any]
            given = self.__dict__.get("rows", self.given)
            column = given.column(name) if isinstance(given, BriefRows) else given[name]
            column.flags.writeable = False  # other columns, and `rows`, would not know of a change
            self.__dict__[name] = column
            return column
        raise AttributeError(f"a schedule has no {name!r}; its columns are {', '.join(ROW.names or ())}")

    def __len__(self) -> int:
        """The number of rows: one for each gradient, dropped or not. A round of Synchronous has several."""
        return len(self.worker)

    @property
    def seconds(self) -> float:
        """Virtual seconds until the last update was applied."""
        return float(self.t_apply.max(initial=0.0))

    @cached_property
    def staleness(self) -> StalenessDistribution:
        """The staleness of all applied updates."""
        applied = self.tau[self.dropped == 0]
        return StalenessDistribution.from_counts(np.bincount(applied, minlength=1))

    def __repr__(self) -> str:
        dropped = int(self.dropped.sum())
        return (
            f"<Schedule of {self.updates:,} updates by {_by(self)}, {self.scheme}, in {self.seconds:.6g} virtual s: "
            f"mean staleness {self.staleness.mean():.4g}{f', {dropped:,} dropped' if dropped else ''}"
            f"{'' if self.origin is None else f', from {self.origin}'}>"
        )

    def _repr_html_(self) -> str:
        made = [("trace", self.origin or "")]
        if self.timing is not None:
            made = [*timing_rows(self.timing), ("seed", str(self.seed))]
        return block(pairs(made), bars_of(self.staleness), title=repr(self)[1:-1])

    @property
    def facts(self) -> dict[str, str]:
        """The timing or the trace that it was made from, as the configuration of a run file names it."""
        return {"trace": str(self.origin)} if self.timing is None else {"timing": str(self.timing)}


@dataclass(frozen=True, eq=False, repr=False)
class Tally:
    """The counts of a schedule whose rows were not kept. `staleness_only` makes it.

    Attributes:
        scheme: how the workers share the parameters.
        timing: how long gradients, reads, updates and messages take.
        workers: the largest number of workers.
        updates: the number of versions made; under Synchronous, of rounds.
        seed: determines all times.
        seconds: virtual seconds until the last update was applied.
        counts: number of applied updates by staleness, int64 of shape (largest staleness + 1,).
        by_worker: number of applied updates by worker, int64 of shape (workers,).
        dropped: number of gradients that were not applied.
        failed: number of failed attempts of Leashed.
        gradient_seconds: the mean time from the beginning of a read to the finished gradient, in virtual seconds.
        local_steps: the number of gradients that a worker computes, one after the other, for an update.
        workforce: how many workers are in force at each version; None for all.
    """

    scheme: Scheme
    timing: Timing
    workers: int
    updates: int
    seed: int
    seconds: float
    counts: NDArray[np.int64]
    by_worker: NDArray[np.int64]
    dropped: int
    failed: int
    gradient_seconds: float
    local_steps: int = 1
    workforce: Workforce | None = None

    @cached_property
    def staleness(self) -> StalenessDistribution:
        """The staleness of all applied updates."""
        return StalenessDistribution.from_counts(self.counts)

    @property
    def updates_per_second(self) -> float | None:
        """Updates per virtual second; None if they took no time."""
        return self.updates / self.seconds if self.seconds else None

    @property
    def dropped_share(self) -> float:
        """The share of gradients that were not applied, 0 to 1."""
        return self.dropped / (self.dropped + int(self.by_worker.sum()))

    def figures(self) -> list[tuple[str, str]]:
        """The counts as lines to show: pairs of a name and a text."""
        tau, rate = self.staleness, number(self.updates_per_second)
        shares = (f"{f'{share:.1%}'.replace('.0%', '%')} {int(tau.quantile(share)):,}" for share in SHARES)
        lost = [(self.dropped, f"dropped ({self.dropped_share:.2%})"), (self.failed, "failed attempts")]
        took = f"{self.updates:,} in {seconds(self.seconds)} virtual s, {rate} per virtual second"
        return [
            ("scheme", f"{self.scheme}, {_by(self)}"),
            *timing_rows(self.timing),
            ("updates", f"{took}; seed {self.seed}"),
            ("staleness", f"mean {tau.mean():.4f}, variance {tau.variance():.4g}, largest {tau.support:,}"),
            ("percentiles", ", ".join(shares)),
            ("gradients", ", ".join(f"{some:,} {what}" for some, what in lost if some)),
            ("by worker", f"{self.by_worker.min():,} to {self.by_worker.max():,} gradients"),
        ]

    def __repr__(self) -> str:
        spread = f"mean staleness {self.staleness.mean():.4g}, largest {self.staleness.support:,}"
        return f"<Tally of {self.updates:,} updates by {_by(self)}, {self.scheme}: {spread}>"

    def _repr_html_(self) -> str:
        return block(pairs(self.figures()), bars_of(self.staleness), title="Staleness of a schedule")


def _by(made: Schedule | Tally) -> str:
    """By how many workers, in words."""
    return (made.workforce or as_workforce(made.workers)).said
