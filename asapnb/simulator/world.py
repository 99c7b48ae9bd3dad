"""What the event loops work on: named words and arrays, packed into one tuple.

An event loop fills rows until there is no more room or the quota is reached, and goes on from there when called
again: everything it needs to remember stands here. So a schedule of any length needs memory for its workers only,
beyond the rows themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import aligned
from ..record.schema import made_by
from ..schemes import Scheme, settings
from ..timing import Timing
from ..timing.sampling import RETRY, Times
from . import words as at
from .tournament import Tournament, tournament

ROW = made_by("schedule")  # one row of a schedule: a cache line

# State of one worker: a cache line
WORKER = np.dtype(
    [
        ("stream", np.uint64),  # of its compute times
        ("t_read", np.float64),
        ("t_ready", np.float64),
        ("read_version", np.int64),
        ("batch", np.int64),
        ("sequence", np.int64),  # of its event
        ("phase", np.int32),
        ("tries", np.int32),
        (
            "seen",
            np.int64,
        ),  # version at which its attempt began; its last round; or its gradients so far
    ],
    align=True,
)


class World(NamedTuple):
    """Workers, their times and their next events."""

    words: NDArray[np.int64]  # see `words`
    clock: NDArray[np.float64]  # (1,): when the next round begins
    times: Times
    tree: Tournament
    workers: NDArray[np.void]  # (workers,) WORKER
    streams: NDArray[np.uint64]  # (5, workers): states, by purpose - 1, for read, update, network and retry times
    queue: NDArray[np.int32]  # (workers,): a ring of who waits for the lock or the server
    others: NDArray[np.int32]  # (3, workers): members or held back; links to who read before and after
    paces: NDArray[np.int64]  # how many workers have made SLOWEST, SLOWEST + 1, … gradients; a ring


def make_world(timing: Timing, scheme: Scheme, workers: int, updates: int) -> World:
    """The world before anybody has joined."""
    world = World(
        words=np.zeros(at.WORDS, np.int64),
        clock=np.zeros(1),
        times=timing.compiled(workers),
        tree=tournament(workers),
        workers=aligned(workers, WORKER),
        streams=aligned((RETRY, workers), np.uint64),
        queue=np.zeros(workers, np.int32),
        others=np.full((3, workers if scheme.mass_drops else 0), at.NOBODY, np.int32),
        paces=np.zeros(scheme.paces, np.int64),
    )
    chosen = settings(scheme)
    world.words[[at.QUOTA, at.GRADIENTS]] = updates, scheme.gradients(workers)
    world.words[[at.OLDEST, at.YOUNGEST]] = at.NOBODY
    world.words[at.SETTINGS : at.SETTINGS + len(chosen)] = chosen
    return world
