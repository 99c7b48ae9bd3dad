"""A parameter server: messages travel, and the server serves them one at a time, in the order of arrival.

In one visit the server applies (or discards) a gradient and answers with the parameters of that moment. Some workers
get their answer in a visit of its own: those that the bound of stale synchronous parallel held back, those that join,
and those that were told to start anew.

Twins: `Server` and `remote` in tests/naive_simulator.py.
"""

import numpy as np

from ...compiled import kernel, part
from ...kernels.types import Reals, Rows
from ...timing.sampling import NETWORK, READ, UPDATE
from ..words import (
    BUSY,
    CLOSES,
    HELD,
    MEMBERS,
    NOBODY,
    OLDEST,
    QUOTA,
    SETTINGS,
    SLOWEST,
    TICKET,
    VERSION,
    WAITING,
    YOUNGEST,
)
from .common import (
    JOINED,
    STANDING_BY,
    apply,
    at,
    computed,
    dequeue,
    duration,
    enqueue,
    goes_on,
    in_force,
    note,
    read,
    seize,
    stand_by,
    take_ticket,
    update_workforce,
)
from .gate import hold, opens, release
from .tournament import idle, next_key, next_worker, time_of
from .types import World

BOUND, DISCARD_AFTER, RESTART = SETTINGS, SETTINGS + 1, SETTINGS + 2  # −1 or a bound; −1 or R; 1 to start anew
_ASKED, _ARRIVED, _UPDATED, _ANSWERED, _TO_ASK, _TO_UPDATE, _AHEAD, _WAITS = 2, 3, 4, 5, 6, 7, 8, 9
_HELD, _AFTER, _BEFORE = 0, 1, 2  # rows of `World.others`


@part()
def _link(world: World, worker: int) -> None:
    """Put a worker at the end of the list of those that compute, in the order in which they read."""
    last = world.words[YOUNGEST]
    world.others[_BEFORE, worker] = last
    world.others[_AFTER, worker] = NOBODY
    if last == NOBODY:
        world.words[OLDEST] = worker
    else:
        world.others[_AFTER, last] = worker
    world.words[YOUNGEST] = worker


@part()
def _unlink(world: World, worker: int) -> None:
    """Take a worker out of the list of those that compute, if it is there."""
    before, after = world.others[_BEFORE, worker], world.others[_AFTER, worker]
    if before == NOBODY and world.words[OLDEST] != worker:
        return
    if before == NOBODY:
        world.words[OLDEST] = after
    else:
        world.others[_AFTER, before] = after
    if after == NOBODY:
        world.words[YOUNGEST] = before
    else:
        world.others[_BEFORE, after] = before
    world.others[_BEFORE, worker] = world.others[_AFTER, worker] = NOBODY


@part()
def _restart(world: World, rows: Rows, count: int, time: float) -> int:
    """Make workers start anew whose gradients would be discarded on arrival; returns the number of rows."""
    version = world.words[VERSION]
    while world.words[OLDEST] != NOBODY:
        worker = world.words[OLDEST]
        self = world.workers[np.uint32(worker)]
        tau = version - self.read_version
        if tau < world.words[DISCARD_AFTER]:
            break
        _unlink(world, worker)
        if time < self.t_ready:  # else the gradient is on its way and is discarded on arrival
            self.t_ready = time
            note(world, rows, count, worker, -1, tau, time)
            count += 1
            _finish(world)
            enqueue(world, worker, _TO_ASK)
    return count


@part()
def _finish(world: World) -> None:
    """Count a gradient as finished. If another interval begins, those who wait for it ask again."""
    if opens(world):
        while world.words[HELD] > 0:
            enqueue(world, release(world), _TO_ASK)


@part()
def _join(world: World, worker: int) -> None:
    """Count a worker that joins as being as far as the slowest."""
    slowest = world.words[SLOWEST]
    world.workers[np.uint32(worker)].seen = slowest
    world.paces[slowest % world.paces.size] += 1


@part()
def _advance(world: World, worker: int) -> bool:
    """Count a worker's gradient; returns whether the worker may go on.

    If the slowest worker has made one more, the workers that were held back go on.
    """
    bound, paces = world.words[BOUND], world.paces
    if bound < 0:
        return True
    self = world.workers[np.uint32(worker)]
    paces[self.seen % paces.size] -= 1
    self.seen += 1
    paces[self.seen % paces.size] += 1
    if paces[world.words[SLOWEST] % paces.size] == 0:
        while paces[world.words[SLOWEST] % paces.size] == 0:
            world.words[SLOWEST] += 1
        for i in range(world.words[MEMBERS]):
            enqueue(world, world.others[_HELD, i], _TO_ASK)
        world.words[MEMBERS] = 0
    return self.seen - world.words[SLOWEST] <= bound


@part()
def _hold_back(world: World, worker: int) -> None:
    """Let a worker wait until the slowest has caught up."""
    world.others[_HELD, world.words[MEMBERS]] = worker
    world.words[MEMBERS] += 1
    idle(world.tree, world.workers, worker)


@part()
def _answered(world: World, worker: int, time: float) -> float:
    """Begin an answer to a worker; returns when it has been given."""
    take_ticket(world, worker)
    read(world, worker, time)
    return time + duration(world, worker, READ)


@part()
def _visit(world: World, rows: Rows, count: int, worker: int, phase: int, now: float) -> int:
    """Serve a worker, and those in the queue, until something takes time; returns the number of rows.

    1. A gradient has arrived: discard it if it is too stale, else begin the update.
    2. The update ends: apply the gradient.
    3. The worker may go on: begin the answer, if it is in force and the interval has a gradient left.
    4. The answer has been given, or the worker is held back or stands by: serve the next of the queue.
    5. What takes time ends with an event.
    """
    self = world.workers[np.uint32(worker)]
    time = now
    while True:
        # 1. Gradient arrived
        if phase == _TO_UPDATE:
            tau = world.words[VERSION] - self.read_version
            if 0 < world.words[DISCARD_AFTER] <= tau:
                note(world, rows, count, worker, -1, tau, now)
                count += 1
                _finish(world)
                phase = _TO_ASK if _advance(world, worker) else _AHEAD
            else:
                phase, time = _UPDATED, now + duration(world, worker, UPDATE)
        # 2. Updated
        elif phase == _UPDATED:
            count = apply(world, rows, count, worker, now)
            if world.words[VERSION] == world.words[QUOTA]:
                return count
            update_workforce(world, _TO_ASK, now)
            _finish(world)
            if world.words[RESTART] != 0:
                count = _restart(world, rows, count, now)
            phase = _TO_ASK if _advance(world, worker) else _AHEAD
        # 3. Answer
        elif phase == _TO_ASK:
            if not in_force(world, worker):
                phase = STANDING_BY
            elif 0 <= world.words[CLOSES] <= world.words[TICKET]:
                phase = _WAITS
            else:
                phase, time = _ANSWERED, _answered(world, worker, now)
        # 4. Next
        else:
            if phase == _ANSWERED:
                self.t_ready = computed(world, worker, now + duration(world, worker, NETWORK))
                if world.words[RESTART] != 0:
                    _link(world, worker)
                at(world, worker, _ARRIVED, self.t_ready + duration(world, worker, NETWORK))
            elif phase == STANDING_BY:
                stand_by(world, worker)
            elif phase == _AHEAD:
                _hold_back(world, worker)
            else:
                hold(world, worker)
            world.words[BUSY] = 0
            if world.words[WAITING] == 0:
                return count
            world.words[BUSY] = 1
            worker = dequeue(world, False)
            self = world.workers[np.uint32(worker)]
            phase = self.phase
        # 5. Event
        if time > now:
            at(world, worker, phase, time)
            return count


@kernel(error_model="numpy")
def run(world: World, rows: Rows, views: Reals) -> int:
    """Fill rows; returns how many."""
    count, margin = 0, 2 * world.workers.size  # in one moment, all may be served and all told to start anew
    while goes_on(world, rows.size - margin - count):
        worker = next_worker(world.tree)
        now = time_of(next_key(world.tree))
        phase = world.workers[np.uint32(worker)].phase
        if phase == JOINED:
            _join(world, worker)
            end = now + duration(world, worker, NETWORK)
            if end > now:
                at(world, worker, _ASKED, end)
                continue
            phase = _ASKED
        if phase == _ASKED:
            if seize(world, worker, _TO_ASK):
                count = _visit(world, rows, count, worker, _TO_ASK, now)
        elif phase == _ARRIVED:
            if world.words[RESTART] != 0:
                _unlink(world, worker)
            if seize(world, worker, _TO_UPDATE):
                count = _visit(world, rows, count, worker, _TO_UPDATE, now)
        else:
            count = _visit(world, rows, count, worker, phase, now)
    return count
