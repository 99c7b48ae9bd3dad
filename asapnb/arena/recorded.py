"""A schedule that threads made: 24,000 updates of LeNet by 16 threads on 2 cores, staleness only.

`asapnb train` made it, lock-based, batches of 16, on two cores that nobody else used. Threads that the system
suspends in the middle of a gradient come back hundreds of updates later. The file holds who made each update, and its
staleness. The times were not kept: here an update takes one virtual second.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..schemes import LockBased
from ..simulator import Schedule
from ..simulator.world import ROW
from ..staleness import StalenessDistribution
from ..timing import Timing

WORKERS = 16
LONGEST = 3000  # updates that a run sees at most
_APART = (
    1750  # updates between the windows of two seeds, which so have 1,250 updates in common if they are neighbours
)
_FILE = Path(__file__).with_name("oversubscribed.npz")


@cache
def _recorded() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The worker and the staleness of each update."""
    with np.load(_FILE) as file:
        return file["worker"].astype(np.int64), file["tau"].astype(np.int64)


@cache
def staleness() -> StalenessDistribution:
    """The staleness of all that was recorded."""
    return StalenessDistribution.from_counts(np.bincount(_recorded()[1]))


def window(updates: int, seed: int) -> Schedule:
    """A part of the record as a schedule: everybody reads version 0 first, as in any run.

    Args:
        updates: 1 to 3,000.
        seed: which part, 0 to 12.

    >>> made = window(1000, seed=3)
    >>> len(made), int(made.tau[0]), bool(made.tau.max() > 200)
    (1000, 0, True)
    """
    worker, tau = _recorded()
    parts = (len(tau) - LONGEST) // _APART + 1
    if not (0 < updates <= LONGEST and 0 <= seed < parts):
        raise UsageError(f"updates is {updates} and seed {seed}: the record has {parts} parts of {LONGEST} updates")
    part = slice(seed * _APART, seed * _APART + updates)
    read = np.maximum(0, np.arange(updates) - tau[part])
    rows = np.zeros(updates, ROW)
    rows["worker"], rows["read_version"], rows["version"] = worker[part], read, np.arange(1, updates + 1)
    rows["tau"] = rows["version"] - read - 1
    rows["batch"][np.argsort(read, kind="stable")] = np.arange(updates)
    rows["t_read"], rows["t_ready"], rows["t_apply"] = read, rows["version"], rows["version"]
    return Schedule(LockBased(), Timing(), WORKERS, updates, seed, rows)
