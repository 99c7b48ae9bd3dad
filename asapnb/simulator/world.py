"""The memory of an event loop, as one tuple of arrays.

An event loop fills rows until there is no more room or the quota is reached. Called again, it goes on from there,
because everything that it must remember stands here. So a schedule of any length needs memory for its rows and its
workers only.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import aligned
from ..record.schema import made_by
from ..schemes import Scheme, boundary_after, settings
from ..timing import Timing
from ..timing.sampling import RETRY, Times
from ..training.turns import new_turns
from ..training.words import NEVER
from ..workforce import LAST_VERSION, Workforce
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
        ("sequence", np.int64),  # number of its event, in the order in which events are scheduled
        ("phase", np.int32),  # the action that its event ends
        ("tries", np.int32),
        # Leashed: the version when its attempt began. Rounds: its last round. Server: its gradients so far.
        ("seen", np.int64),
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
    queue: NDArray[np.int32]  # (workers,): a ring of the workers that wait for the lock or the server
    others: NDArray[np.int32]  # (3, workers): workers in the loop or held back; links to the reader after, and before
    paces: NDArray[np.int64]  # a ring: how many workers have made SLOWEST, SLOWEST + 1, … gradients
    held: NDArray[np.int32]  # (workers,), or empty if nobody ever waits: a ring of those that wait at the gate
    turns: NDArray[np.int64]  # whose gradient makes a version, see `training.turns`; empty without a gradient table
    changes: NDArray[np.int64]  # (changes, 2): a version and the workers in force from then on; the last is never


def make_world(timing: Timing, scheme: Scheme, workforce: Workforce, updates: int, local_steps: int = 1) -> World:
    """The world before anybody has joined."""
    workers = workforce.most
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
        held=np.zeros(workers if scheme.intervals or not workforce.is_steady else 0, np.int32),
        turns=new_turns(scheme.table_of(workers)),
        changes=np.array([*workforce.changes, (2 * LAST_VERSION, 0)]),
    )
    chosen = settings(scheme)
    gradients = at.BY_TURNS if world.turns.size else scheme.gradients(workers)
    world.words[[at.QUOTA, at.GRADIENTS, at.LOCAL_STEPS]] = updates, gradients, local_steps
    world.words[[at.OLDEST, at.YOUNGEST]] = at.NOBODY
    world.words[at.IN_FORCE] = workforce.at(0)
    world.words[[at.CHANGE_AT, at.NEXT_CHANGE]] = world.changes[1, 0], 1
    world.words[at.SETTINGS : at.SETTINGS + len(chosen)] = chosen
    pairs = np.array([*scheme.intervals, (NEVER, 0)]).ravel()
    world.words[at.INTERVALS : at.INTERVALS + len(pairs)] = pairs
    world.words[at.CLOSES] = boundary_after(scheme.intervals, 0) if scheme.intervals else NEVER
    if not workforce.is_steady:
        world.words[at.CLOSES] = at.NOBODY  # each worker asks whether it is in force
    return world
