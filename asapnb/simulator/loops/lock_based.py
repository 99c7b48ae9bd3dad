"""A lock around the read and around the update, or around both in one visit; and Sequential, where nobody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...compiled import kernel, part
from ...timing.sampling import READ, UPDATE
from ..words import BUSY, SETTINGS, WAITING
from .common import (
    COMPUTED,
    JOINED,
    apply,
    at,
    computed,
    dequeue,
    duration,
    goes_on,
    read,
    seize,
    take_ticket,
    until,
)
from .tournament import next_key, next_worker, time_of

if TYPE_CHECKING:
    from ...kernels.types import Reals, Rows
    from ..world import World

ORDER, FUSED = SETTINGS, SETTINGS + 1  # 0: who has waited longest is next, 1: anybody; 1: one visit updates and reads
_COPIED, _UPDATED, _TO_READ, _TO_UPDATE = 2, 3, 4, 5


@part(forceinline=True, _nrt=False)
def _served(world: World, worker: int, phase: int, time: float) -> float:
    """When the visit is over that a worker begins now."""
    if phase == _TO_UPDATE:
        return time + duration(world, worker, UPDATE)
    read(world, worker, time)
    return time + duration(world, worker, READ)


@part(_nrt=False)
def _release(world: World, time: float) -> None:
    """Pass the lock on to the next who waits, if there is one."""
    world.words[BUSY] = 0
    if world.words[WAITING] > 0:
        world.words[BUSY] = 1
        worker = dequeue(world, world.words[ORDER] == 1)
        phase = world.workers[np.uint32(worker)].phase
        end = _served(world, worker, phase, time)
        until(world, worker, _UPDATED if phase == _TO_UPDATE else _COPIED, time, end)


@kernel(_nrt=False, error_model="numpy")
def run(world: World, rows: Rows, views: Reals) -> int:
    """Fill rows; returns how many."""
    count, fused = 0, world.words[FUSED] != 0
    while goes_on(world, rows.size - count):
        worker = next_worker(world.tree)
        now = time = time_of(next_key(world.tree))
        self = world.workers[np.uint32(worker)]
        phase = self.phase
        while time == now:
            if phase == COMPUTED:
                self.t_ready = now
                if not seize(world, worker, _TO_UPDATE):
                    break
                phase, time = _UPDATED, _served(world, worker, _TO_UPDATE, now)
            elif phase == _UPDATED:
                count = apply(world, rows, count, worker, now)
                if fused:
                    take_ticket(world, worker)
                    phase, time = _COPIED, _served(world, worker, _TO_READ, now)
                else:
                    _release(world, now)
                    phase = JOINED
            elif phase == JOINED:
                take_ticket(world, worker)
                if not seize(world, worker, _TO_READ):
                    break
                phase, time = _COPIED, _served(world, worker, _TO_READ, now)
            else:
                at(world, worker, COMPUTED, computed(world, worker, now))
                _release(world, now)
                break
        else:
            at(world, worker, phase, time)
    return count
