"""Synchronous, K-sync and K-batch-sync: rounds, each of which ends with its K-th gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiled import kernel, part
from ...timing.sampling import READ, UPDATE
from ..tournament import idle, next_key, next_worker, time_of
from ..world import BATCHES, BOUND, QUOTA, VERSION
from .steps import COMPUTED, at, computed, duration, note, read, take_ticket


@part(_nrt=False)
def _begin(world: Any, begun: float) -> None:
    """Have every worker read and compute, if it has joined; or else as soon as it joins."""
    for worker in range(world.workers.size):
        self = world.workers[worker]
        start = max(begun, self.t_ready)  # which at first is when it joins
        take_ticket(world, worker)
        read(world, worker, start)
        at(world, worker, COMPUTED, computed(world, worker, start + duration(world, worker, READ)))


@part(_nrt=False)
def _gather(world: Any, rows: Any, count: int, gradients: int) -> float:
    """Wait for the gradients of a round, and give the others up; returns when the last was ready."""
    by_worker = world.words[BATCHES] == 0
    version, now = world.words[VERSION] + 1, 0.0
    for i in range(gradients):
        worker = next_worker(world.tree)
        now = time_of(next_key(world.tree))
        self = world.workers[np.uint32(worker)]
        self.t_ready = now
        if by_worker:
            self.seen = version  # it is in this round
            idle(world.tree, world.workers, worker)
        else:
            note(world, rows, count + i, worker, version, 0, now)
            take_ticket(world, worker)
            self.t_read = now
            at(world, worker, COMPUTED, computed(world, worker, now))
    if by_worker:  # in the order of workers, in which gradients are added
        for worker in range(world.workers.size):
            if world.workers[worker].seen == version:
                note(world, rows, count, worker, version, 0, now)
                count += 1
    return now


@kernel(_nrt=False, error_model="numpy")
def run(world: Any, rows: Any, views: Any) -> int:
    """Fill rows, those of whole rounds; returns how many."""
    count, gradients = 0, world.words[BOUND]
    while rows.size - count >= gradients and world.words[VERSION] < world.words[QUOTA] and world.clock[0] < np.inf:
        _begin(world, world.clock[0])
        end = _gather(world, rows, count, gradients) + duration(world, 0, UPDATE)
        for i in range(count, count + gradients):
            rows[i].t_apply = end
        count += gradients
        world.clock[0] = end
        world.words[VERSION] += 1
    return count
