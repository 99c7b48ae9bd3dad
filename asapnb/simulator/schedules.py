"""A schedule: who read which version, with which minibatch, and when it was applied, whatever the gradients are."""

from __future__ import annotations

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
    """What happened in virtual time; made by `schedule`.

    `rows` (dtype `ROW`) are in the order of application. Each column is an attribute, an array of one entry a row:
    `worker`, `batch` (the ticket of the minibatch), `version` (made by the update; −1 if the gradient was dropped),
    `read_version`, `tau` (their difference, minus 1), `t_read`, `t_ready`, `t_apply` (virtual seconds: reading began,
    the gradient was finished, the update was applied), `tries` (failed attempts of Leashed) and `dropped` (1 if so).
    `t_view` is there for Hogwild: when the view had been read to its end.
    """

    scheme: Scheme
    timing: Timing
    workers: int
    updates: int  # applied: versions
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
    """What is kept of a schedule whose rows are not: see `staleness_only`.

    `counts[k]` updates had staleness k; `by_worker[i]` were worker i's; `gradient_seconds` is the mean time from the
    beginning of a read to the gradient.
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
