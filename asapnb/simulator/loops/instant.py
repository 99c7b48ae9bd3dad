"""LockBased, Hogwild and Leashed where reads and updates take no time: all are the same, and nobody waits.

This is the other loops without the branches that are never taken then. tests/test_events.py compares their rows.
"""

import numpy as np

from ...compiled import kernel
from ...kernels.types import Reals, Rows
from ...timing.sampling import COMPUTE, component, draw, finish
from ..words import LOCAL_STEPS, QUOTA, SEQUENCE, TICKET, VERSION
from .common import COMPUTED
from .tournament import key_of, next_key, next_worker, put, time_of
from .types import World


@kernel(error_model="numpy")
def run(world: World, rows: Rows, views: Reals) -> int:
    """Fill rows; returns how many."""
    words, tree, workers, times = world.words, world.tree, world.workers, world.times
    version, ticket, sequence, quota = words[VERSION], words[TICKET], words[SEQUENCE], words[QUOTA]
    count, size, steps = 0, rows.size, words[LOCAL_STEPS]
    while count < size and version < quota:
        worker = next_worker(tree)
        time = time_of(next_key(tree))
        if time == np.inf:
            break
        self = workers[np.uint32(worker)]
        if self.phase == COMPUTED:
            row = rows[np.uint64(count)]
            row.worker = worker
            row.tau = version - self.read_version
            row.batch = self.batch
            version += 1
            row.version = version
            row.read_version = self.read_version
            row.t_read = self.t_read
            row.t_ready = time
            row.t_apply = time
            row.tries = 0
            row.dropped = 0
            count += 1
        self.phase = COMPUTED
        self.batch = ticket
        self.t_read = time
        self.read_version = version
        self.sequence = sequence
        ticket += 1
        sequence += 1
        for _ in range(steps):
            value, self.stream = draw(times, component(times, COMPUTE, worker), self.stream)
            time = finish(times, worker, time, value)
        put(tree, workers, worker, key_of(time))
    words[VERSION], words[TICKET], words[SEQUENCE] = version, ticket, sequence
    return count


@kernel(error_model="numpy")
def moves(world: World, rows: Rows, views: Reals) -> int:
    """As `run`, but fill rows of `MOVE`, from which the other columns follow; returns how many.

    What a worker holds of its first read stays there: `t_read`, `batch` and, in `seen`, the version.
    """
    words, tree, workers, times = world.words, world.tree, world.workers, world.times
    version, ticket, sequence, quota = words[VERSION], words[TICKET], words[SEQUENCE], words[QUOTA]
    count, size, steps = 0, rows.size, words[LOCAL_STEPS]
    while count < size and version < quota:
        worker = next_worker(tree)
        time = time_of(next_key(tree))
        if time == np.inf:
            break
        self = workers[np.uint32(worker)]
        if self.phase == COMPUTED:
            row = rows[np.uint64(count)]
            row.t_apply = time
            row.worker = worker
            row.tau = version - self.read_version
            version += 1
            count += 1
        else:
            self.phase = COMPUTED
            self.batch = ticket
            self.t_read = time
            self.seen = version
        self.read_version = version
        self.sequence = sequence
        ticket += 1
        sequence += 1
        for _ in range(steps):
            value, self.stream = draw(times, component(times, COMPUTE, worker), self.stream)
            time = finish(times, worker, time, value)
        put(tree, workers, worker, key_of(time))
    words[VERSION], words[TICKET], words[SEQUENCE] = version, ticket, sequence
    return count
