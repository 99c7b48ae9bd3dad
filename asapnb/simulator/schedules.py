"""A schedule: who read which version, with which minibatch, and when it was applied, whatever the gradients are."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schemes import Scheme
from ..staleness import StalenessDistribution
from ..timing import Timing
from .world import ROW


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """Who read which version, and when it was applied, in virtual time; made by `schedule`.

    Attributes:
        scheme: how the workers share the parameters.
        timing: how long gradients, reads, updates and messages take.
        workers: how many there are.
        updates: versions made; in Synchronous, rounds.
        seed: all times follow from it.
        rows: one for each gradient, in the order of application (dtype `ROW`).
        t_view: for Hogwild, when each view had been read to its end, in virtual seconds; else None.

    Each column of `rows` is an attribute, too, an array of one entry a row: `worker`, `batch` (the ticket of the
    minibatch), `version` (made by the update; −1 if the gradient was dropped), `read_version`, `tau` (their
    difference, minus 1), `t_read`, `t_ready` and `t_apply` (in virtual seconds: reading began, the gradient was
    finished, the update was applied), `tries` (failed attempts of Leashed) and `dropped` (1 if so).
    """

    scheme: Scheme
    timing: Timing
    workers: int
    updates: int
    seed: int
    rows: NDArray[Any]
    t_view: NDArray[np.float64] | None = field(default=None)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name in (ROW.names or ()):
            column: NDArray[Any] = self.rows[name]
            return column
        raise AttributeError(f"a schedule has no {name!r}; its columns are {', '.join(ROW.names or ())}")

    def __len__(self) -> int:
        """The number of rows: updates, dropped gradients, and in Synchronous one for each gradient of a round."""
        return len(self.rows)

    @property
    def seconds(self) -> float:
        """Virtual seconds until the last update was applied."""
        return float(self.rows["t_apply"].max(initial=0.0))

    @cached_property
    def staleness(self) -> StalenessDistribution:
        """The staleness of all applied updates."""
        applied = self.rows["tau"][self.rows["dropped"] == 0]
        return StalenessDistribution.from_counts(np.bincount(applied, minlength=1))

    def __repr__(self) -> str:
        dropped = int(self.rows["dropped"].sum())
        return (
            f"<Schedule of {self.updates:,} updates by {self.workers:,} workers, {self.scheme}, in {self.seconds:.6g}"
            f" virtual s: mean staleness {self.staleness.mean():.4g}{f', {dropped:,} dropped' if dropped else ''}>"
        )


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of a schedule whose rows were not kept; made by `staleness_only`.

    Attributes:
        scheme: how the workers share the parameters.
        timing: how long gradients, reads, updates and messages take.
        workers: how many there are.
        updates: versions made; in Synchronous, rounds.
        seed: all times follow from it.
        seconds: virtual seconds until the last update was applied.
        counts: applied updates by staleness, int64 of shape (largest staleness + 1,).
        by_worker: applied updates by worker, int64 of shape (workers,).
        dropped: gradients that were not applied.
        failed: failed attempts of Leashed.
        gradient_seconds: the mean time from the beginning of a read to the gradient, in virtual seconds.
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

    @cached_property
    def staleness(self) -> StalenessDistribution:
        """The staleness of all applied updates."""
        return StalenessDistribution.from_counts(self.counts)
