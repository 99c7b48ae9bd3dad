"""What the event loops work on: named words and arrays, packed into one tuple.

An event loop fills rows until there is no more room or the quota is reached, and goes on from there when called
again: everything it needs to remember stands here. So a schedule of any length needs memory for its workers only,
beyond the rows themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..engine.memory import aligned
from ..schemes import Hogwild, Leashed, LockBased, ParameterServer, Scheme, Synchronous
from ..timing import Timing
from ..timing.sampling import RETRY, Times
from .tournament import Tournament, tournament

# One row of a schedule: a cache line
ROW = np.dtype(
    [
        ("worker", np.int32),
        ("tau", np.int32),
        ("batch", np.int64),
        ("version", np.int64),
        ("read_version", np.int64),
        ("t_read", np.float64),
        ("t_ready", np.float64),
        ("t_apply", np.float64),
        ("tries", np.int16),
        ("dropped", np.uint8),
    ],
    align=True,
)

# What one worker is about: a cache line
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
        ("seen", np.int64),  # Leashed: the version its attempt began at; ParameterServer: gradients it has made
    ],
    align=True,
)

# Positions in `World.words`
VERSION = 0  # updates applied
TICKET = 1  # minibatches handed out
SEQUENCE = 2  # events scheduled
QUOTA = 3  # updates to apply
BUSY = 4  # 1 while the lock or the server serves somebody
HEAD, WAITING = 5, 6  # the queue: where it begins, and how many wait
RANDOM, CHOICE = 7, 8  # 1 if anybody who waits may be next, and the state of the stream that chooses
BOUND = 9  # persistence bound, bound of stale synchronous parallel, or gradients of a round; -1: none
FUSED = 10  # LockBased: one visit updates and reads
SNAPSHOT = 11  # Hogwild: a view is read before the gradient
EARLY = 12  # Leashed: early checks
BATCHES = 13  # Synchronous: a round waits for minibatches, not for workers
DISCARD, RESTART = 14, 15  # ParameterServer: R (-1: none), and 1 if workers are told to start anew
MEMBERS = 16  # Leashed: workers in the publish loop; ParameterServer: workers that the bound holds back
SLOWEST = 17  # ParameterServer: gradients made by the slowest worker that has joined
OLDEST, YOUNGEST = 18, 19  # ParameterServer: the workers that read first and last, of those that compute; -1: none
WORDS = 20

NOBODY = -1


class World(NamedTuple):
    """Workers, their times and their next events."""

    words: np.ndarray  # int64: the words above
    clock: np.ndarray  # float64 (1,): Synchronous: when the next round begins
    times: Times
    tree: Tournament
    workers: np.ndarray  # (workers,) WORKER
    streams: np.ndarray  # uint64 (5, workers): states, by purpose - 1, for read, update, network and retry times
    queue: np.ndarray  # int32 (workers,): a ring of who waits for the lock or the server
    others: np.ndarray  # int32 (3, workers): members or held back; links to who read before and after
    paces: np.ndarray  # int64: ParameterServer: how many workers have made SLOWEST, SLOWEST + 1, … gradients; a ring


def make_world(timing: Timing, scheme: Scheme, workers: int, updates: int) -> World:
    """The world before anybody has joined."""
    served = isinstance(scheme, LockBased | ParameterServer)
    listed = isinstance(scheme, ParameterServer) or (isinstance(scheme, Leashed) and scheme.check_early)
    bound = scheme.bound if isinstance(scheme, ParameterServer) else None
    world = World(
        words=np.zeros(WORDS, np.int64),
        clock=np.zeros(1),
        times=timing.compiled(workers),
        tree=tournament(workers),
        workers=aligned(workers, WORKER),
        streams=aligned((RETRY, workers), np.uint64),
        queue=np.zeros(workers if served else 0, np.int32),
        others=np.full((3, workers if listed else 0), NOBODY, np.int32),
        paces=np.zeros(1 if bound is None else bound + 2, np.int64),
    )
    words = world.words
    words[[QUOTA, BOUND, DISCARD, OLDEST, YOUNGEST]] = updates, -1, -1, NOBODY, NOBODY
    if isinstance(scheme, LockBased):
        words[[RANDOM, FUSED]] = scheme.order == "random", scheme.fused
    elif isinstance(scheme, Hogwild):
        words[SNAPSHOT] = scheme.view == "snapshot"
    elif isinstance(scheme, Leashed):
        words[[BOUND, EARLY]] = -1 if scheme.persistence is None else scheme.persistence, scheme.check_early
    elif isinstance(scheme, Synchronous):
        words[[BOUND, BATCHES]] = scheme.gradients(workers), scheme.batches
    elif isinstance(scheme, ParameterServer):
        words[[DISCARD, RESTART]] = scheme.discard_after or -1, scheme.restart
        words[BOUND] = -1 if bound is None else bound
    return world
