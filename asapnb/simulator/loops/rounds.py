"""Synchronous, K-sync and K-batch-sync: rounds that end with their K-th gradient.

Twins: `Round` and `in_rounds` in tests/naive_simulator.py.
"""

import numpy as np

from ...compiled import kernel, part
from ...kernels.types import Reals, Rows
from ...timing.sampling import READ, UPDATE
from ..words import GRADIENTS, QUOTA, SETTINGS, VERSION
from .common import COMPUTED, JOINED, at, computed, duration, note, read, take_ticket
from .tournament import idle, next_key, next_worker, time_of
from .types import World

WAIT_FOR, BATCHES = SETTINGS, SETTINGS + 1  # None is −1: GRADIENTS holds K in any case; 1: wait for minibatches


@part()
def _begin(world: World, worker: int, time: float) -> None:
    """Read, and compute."""
    take_ticket(world, worker)
    read(world, worker, time)
    at(world, worker, COMPUTED, computed(world, worker, time + duration(world, worker, READ)))


@part()
def _gather(world: World, rows: Rows, count: int, gradients: int) -> float:
    """Fill the rows of a round, except `t_apply`; returns when its last gradient was ready.

    For each event, until there are enough gradients:

    1. A worker joins during the round: begin a gradient that may count.
    2. A gradient is ready: count it. In a round of workers, that worker is idle until the next round.
    3. In a round of minibatches, fill its row at once, and go on with the next minibatch at the same parameters.

    At the end:

    4. In a round of workers, fill the rows in the order of workers, because gradients are added in that order.
    """
    by_worker = world.words[BATCHES] == 0
    version, now, found = world.words[VERSION] + 1, 0.0, 0
    while found < gradients:
        worker = next_worker(world.tree)
        now = time_of(next_key(world.tree))
        if not now < np.inf:
            return np.inf
        self = world.workers[np.uint32(worker)]
        # 1. Joined
        if self.phase == JOINED:
            _begin(world, worker, now)
            continue
        # 2. Gradient ready
        self.t_ready = now
        found += 1
        if by_worker:
            self.seen = version  # it is in this round
            idle(world.tree, world.workers, worker)
        else:
            # 3. Next minibatch
            note(world, rows, count + found - 1, worker, version, 0, now)
            if found < gradients:
                take_ticket(world, worker)
                self.t_read = now
                at(world, worker, COMPUTED, computed(world, worker, now))
    # 4. In the order of workers
    if by_worker:
        for worker in range(world.workers.size):
            if world.workers[worker].seen == version:
                note(world, rows, count, worker, version, 0, now)
                count += 1
    return now


@kernel(error_model="numpy")
def run(world: World, rows: Rows, views: Reals) -> int:
    """Fill rows, of whole rounds only; returns how many."""
    count, gradients = 0, world.words[GRADIENTS]
    while rows.size - count >= gradients and world.words[VERSION] < world.words[QUOTA]:
        begun = world.clock[0]
        for worker in range(world.workers.size):
            if world.workers[worker].t_ready <= begun:  # before its first gradient, `t_ready` is when it joins
                _begin(world, worker, begun)
        end = _gather(world, rows, count, gradients) + duration(world, 0, UPDATE)
        if not end < np.inf:
            break
        for i in range(count, count + gradients):
            rows[i].t_apply = end
        count += gradients
        world.clock[0] = end
        world.words[VERSION] += 1
    return count
