"""Hogwild: an update is claimed when its gradient is ready, then written. Nobody waits.

Twin: `hogwild` in tests/naive_simulator.py.
"""

import numpy as np

from ...compiled import kernel
from ...kernels.types import Reals, Rows
from ...timing.sampling import READ, UPDATE
from ..words import SETTINGS
from .common import COMPUTED, JOINED, apply, at, computed, duration, goes_on, read, update_workforce
from .gate import ADMITTED, admitted, finish
from .tournament import next_key, next_worker, time_of
from .types import World

VIEW = SETTINGS  # 0: in place, 1: a snapshot
_WRITTEN = 2


@kernel(error_model="numpy")
def run(world: World, rows: Rows, views: Reals) -> int:
    """Fill rows; returns how many. `views` gets, for each row, the time at which its view had been read."""
    count, snapshot = 0, world.words[VIEW] == 1
    while goes_on(world, rows.size - count):
        worker = next_worker(world.tree)
        now = time_of(next_key(world.tree))
        self = world.workers[np.uint32(worker)]
        phase = self.phase
        if phase == COMPUTED:
            views[count] = self.t_ready  # see below: until now it was the end of the view
            self.t_ready = now
            written = now + duration(world, worker, UPDATE)
            count = apply(world, rows, count, worker, written)
            update_workforce(world, JOINED, now)
            if written > now:
                at(world, worker, _WRITTEN, written)
                continue
            phase = _WRITTEN
        if phase == _WRITTEN:
            finish(world, now)
        if phase != ADMITTED and not admitted(world, worker):
            continue
        read(world, worker, now)
        copied = now + duration(world, worker, READ)
        ready = computed(world, worker, copied)
        self.t_ready = copied if snapshot else ready
        at(world, worker, COMPUTED, ready)
    return count
