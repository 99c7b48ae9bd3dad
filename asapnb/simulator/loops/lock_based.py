"""LockBased: a lock around the read and around the update, or around both in one visit. Also Sequential.

Twin: `lock_based` in tests/naive_simulator.py.
"""

import numpy as np

from ...compiled import kernel, part
from ...kernels.types import Reals, Rows
from ...timing.sampling import READ, UPDATE
from ..words import BUSY, SETTINGS, VERSION, WAITING
from . import common as event
from .gate import ADMITTED, admitted, finish
from .tournament import next_key, next_worker, time_of
from .types import World

ORDER, FUSED = SETTINGS, SETTINGS + 1  # 0: first come, first served, 1: at random; 1: one visit updates and reads
DISCARD_AFTER = SETTINGS + 5  # −1, or R
_COPIED, _UPDATED, _TO_READ, _TO_UPDATE = 2, 3, 4, 5


@part(forceinline=True)
def _useless(world: World, worker: int) -> bool:
    """Whether a gradient is too stale, so that it is given up. Nobody else updates while its worker has the lock."""
    tau = world.words[VERSION] - world.workers[np.uint32(worker)].read_version
    return 0 < world.words[DISCARD_AFTER] <= tau


@part(forceinline=True)
def _served(world: World, worker: int, phase: int, time: float) -> float:
    """Begin a worker's visit to the lock; returns when it ends. To give a gradient up takes no time."""
    if phase == _TO_UPDATE:
        return time if _useless(world, worker) else time + event.duration(world, worker, UPDATE)
    event.read(world, worker, time)
    return time + event.duration(world, worker, READ)


@part()
def _release(world: World, time: float) -> None:
    """Release the lock, or pass it on to the next worker that waits, unless it is to read and not in force."""
    world.words[BUSY] = 0
    while world.words[WAITING] > 0:
        worker = event.dequeue(world, world.words[ORDER] == 1)
        phase = world.workers[np.uint32(worker)].phase
        if phase == _TO_READ and not event.in_force(world, worker):
            event.stand_by(world, worker)
            continue
        world.words[BUSY] = 1
        end = _served(world, worker, phase, time)
        event.until(world, worker, _UPDATED if phase == _TO_UPDATE else _COPIED, time, end)
        break


@kernel(error_model="numpy")
def run(world: World, rows: Rows, views: Reals) -> int:
    """Fill rows; returns how many. The worker of each event goes on until it waits or begins what takes time."""
    count, fused = 0, world.words[FUSED] != 0
    while event.goes_on(world, rows.size - count):
        worker = next_worker(world.tree)
        now = time = time_of(next_key(world.tree))
        self = world.workers[np.uint32(worker)]
        phase = self.phase
        while time == now:
            if phase == event.COMPUTED:
                self.t_ready = now
                if not event.seize(world, worker, _TO_UPDATE):
                    break
                phase, time = _UPDATED, _served(world, worker, _TO_UPDATE, now)
            elif phase == _UPDATED:
                if _useless(world, worker):
                    count = event.give_up(world, rows, count, worker, now)
                else:
                    count = event.apply(world, rows, count, worker, now)
                finish(world, now)
                if fused:
                    if not admitted(world, worker):
                        _release(world, now)
                        break
                    phase, time = _COPIED, _served(world, worker, _TO_READ, now)
                else:
                    _release(world, now)
                    phase = event.JOINED
            elif phase == event.JOINED:
                if not admitted(world, worker):
                    break
                phase = ADMITTED
            elif phase == ADMITTED:
                if not event.seize(world, worker, _TO_READ):
                    break
                phase, time = _COPIED, _served(world, worker, _TO_READ, now)
            else:
                event.at(world, worker, event.COMPUTED, event.computed(world, worker, now))
                _release(world, now)
                break
        else:
            event.at(world, worker, phase, time)
    return count
