"""Leashed-SGD: an attempt to publish takes an update time, a further attempt a retry time.

An attempt fails if another worker has published since it began. Twin: `leashed` in tests/naive_simulator.py.
"""

import numpy as np

from ...compiled import kernel, part
from ...kernels.types import Reals, Rows
from ...timing.sampling import READ, RETRY, UPDATE
from ..words import MEMBERS, QUOTA, SETTINGS, VERSION
from .common import COMPUTED, JOINED, apply, at, computed, duration, goes_on, note, read, until
from .gate import ADMITTED, admitted, finish
from .tournament import next_key, next_worker, time_of
from .types import World

PERSISTENCE, CHECK_EARLY = SETTINGS, SETTINGS + 1  # −1 or the persistence bound; 1 with early checks
_TRIED = 2
_MOST_TRIES = 32767  # that a row can hold


@part(forceinline=True)
def _begin(world: World, worker: int, time: float) -> None:
    """Take the current vector as the view, and compute."""
    read(world, worker, time)
    start = time + duration(world, worker, READ)
    at(world, worker, COMPUTED, computed(world, worker, start))


@part(forceinline=True)
def _fails(world: World, rows: Rows, count: int, worker: int, time: float) -> bool:
    """Count a failed attempt. If the bound is passed, fill the row of the dropped gradient and return True."""
    self = world.workers[np.uint32(worker)]
    self.tries += 1
    if not 0 <= world.words[PERSISTENCE] < self.tries:
        return False
    note(world, rows, count, worker, -1, self.seen - self.read_version, time)
    rows[np.uint64(count)].tries = min(self.tries, _MOST_TRIES)
    return True


@part()
def _overtake(world: World, rows: Rows, count: int, winner: int, time: float) -> int:
    """With early checks: fail all other workers in the loop, as one has published; returns the number of rows."""
    members, stay = world.others[0], 0
    for i in range(world.words[MEMBERS]):
        worker = members[i]
        if worker == winner:
            continue
        if _fails(world, rows, count, worker, time):
            count += 1
            finish(world, time)
            if admitted(world, worker):
                _begin(world, worker, time)
            continue
        world.workers[np.uint32(worker)].seen = world.words[VERSION]
        until(world, worker, _TRIED, time, time + duration(world, worker, RETRY))
        members[stay] = worker
        stay += 1
    world.words[MEMBERS] = stay
    return count


@kernel(error_model="numpy")
def run(world: World, rows: Rows, views: Reals) -> int:
    """Fill rows; returns how many. The worker of each event goes on until it begins something that takes time.

    1. Its gradient is ready: enter the publish loop.
    2. Its attempt ends: publish if nobody else has meanwhile, else count the failure.
    3. Begin an attempt.
    4. Published or dropped: read and compute anew.
    """
    count, early = 0, world.words[CHECK_EARLY] != 0
    margin = world.workers.size if early else 0  # all may drop their gradients at once
    while goes_on(world, rows.size - margin - count):
        worker = next_worker(world.tree)
        now = time_of(next_key(world.tree))
        self = world.workers[np.uint32(worker)]
        phase = self.phase
        # 1. Gradient ready
        if phase == COMPUTED:
            self.t_ready = now
            self.tries = 0
            if early:
                world.others[0, world.words[MEMBERS]] = worker
                world.words[MEMBERS] += 1
        while phase != JOINED and phase != ADMITTED:
            # 2. Attempt ends
            if phase == _TRIED:
                if self.seen == world.words[VERSION]:
                    count = apply(world, rows, count, worker, now)
                    finish(world, now)
                    rows[np.uint64(count - 1)].tries = min(self.tries, _MOST_TRIES)
                    if early and world.words[VERSION] < world.words[QUOTA]:
                        count = _overtake(world, rows, count, worker, now)
                    phase = JOINED
                    break
                if _fails(world, rows, count, worker, now):
                    count += 1
                    finish(world, now)
                    phase = JOINED
                    break
            # 3. Attempt begins
            self.seen = world.words[VERSION]
            phase = _TRIED
            end = now + duration(world, worker, UPDATE if self.tries == 0 else RETRY)
            if end > now:
                at(world, worker, _TRIED, end)
                break
        # 4. Anew
        if phase == ADMITTED or (phase == JOINED and admitted(world, worker)):
            _begin(world, worker, now)
    return count
