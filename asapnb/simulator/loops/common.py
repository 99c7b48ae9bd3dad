"""Steps that the event loops share: schedule an event, draw a time, read, fill a row, queue.

An event is the end of an action that takes time. An action that takes no time ends at once, before any other event of
the same moment. A gradient is always an event, even if its time is 0. When a worker lets others go on, it goes on
first itself, then they do.

Twin of every event loop: `simulate` in tests/naive_simulator.py, whose rows are the same, bit by bit. There a worker
is a generator; here it is a phase, which says what its next event ends.
"""

import numpy as np
from numba import int64, uint64

from ...compiled import kernel, part
from ...kernels.types import Rows
from ...timing.sampling import (
    COMPUTE,
    JOIN,
    NETWORK,
    READ,
    RETRY,
    UPDATE,
    component,
    draw,
    finish,
    stream,
    uniform_integer,
)
from ...training.turns import MAKES, take_turn
from ..words import (
    ADDED,
    BUSY,
    BY_TURNS,
    CHANGE_AT,
    CHOICE,
    GRADIENTS,
    HEAD,
    IN_FORCE,
    LOCAL_STEPS,
    NEXT_CHANGE,
    QUOTA,
    SEQUENCE,
    TICKET,
    VERSION,
    WAITING,
)
from .tournament import build, idle, key_of, next_key, poke, put, time_of
from .types import World

JOINED, COMPUTED = 0, 1  # phases of a worker: the action that its event ends; each loop adds its own
STANDING_BY = -1  # the phase of a worker that is not in force
_CHOICE = 100  # the purpose of the stream that chooses from a queue
_AT_ONCE = 2**62  # subtracted from a sequence number, it puts an event before all others of its moment


@kernel()
def open_world(world: World, seed: int, instant: bool) -> None:
    """Open the streams of random bits and schedule the first event of each worker.

    1. It joins.
    2. If reads and updates are `instant` and all join at the same moment, they do so here, in order: each reads and
       computes. Their gradients are events that come after.
    3. All events are in the tournament at once.
    """
    words, workers, together = world.words, world.workers, instant
    words[CHOICE] = int64(stream(seed, _CHOICE, 0))
    for worker in range(workers.size):  # 1. Join
        self = workers[worker]
        self.stream = stream(seed, COMPUTE, worker)
        for purpose in (READ, UPDATE, NETWORK, RETRY):
            world.streams[purpose - 1, worker] = stream(seed, purpose, worker)
        self.t_ready, _ = draw(world.times, component(world.times, JOIN, worker), stream(seed, JOIN, worker))
        self.phase, self.sequence = JOINED, worker
        poke(world.tree.keys, worker, key_of(self.t_ready))
        together = together and self.t_ready == workers[0].t_ready
    words[SEQUENCE] = workers.size
    for worker in range(workers.size if together else 0):  # 2. Compute
        take_ticket(world, worker)
        self = workers[worker]
        read(world, worker, self.t_ready)
        self.phase, self.sequence = COMPUTED, workers.size + worker
        poke(world.tree.keys, worker, key_of(computed(world, worker, self.t_ready)))
        words[SEQUENCE] += 1
    build(world.tree, workers)  # 3.


@part(forceinline=True)
def goes_on(world: World, room: int) -> bool:
    """Whether to handle the next event: there is one, its rows have room, and the quota is not reached."""
    return room > 0 and world.words[VERSION] < world.words[QUOTA] and time_of(next_key(world.tree)) < np.inf


@part()
def at(world: World, worker: int, phase: int, time: float) -> None:
    """Schedule the event of a worker; it replaces the one it had."""
    self = world.workers[np.uint32(worker)]
    self.phase = phase
    self.sequence = world.words[SEQUENCE]
    world.words[SEQUENCE] += 1
    put(world.tree, world.workers, worker, key_of(time))


@part()
def until(world: World, worker: int, phase: int, now: float, time: float) -> None:
    """Schedule the end of an action triggered by another worker's event; without duration it precedes all others."""
    first = _AT_ONCE if time == now else 0
    world.words[SEQUENCE] -= first
    at(world, worker, phase, time)
    world.words[SEQUENCE] += first


@part()
def duration(world: World, worker: int, purpose: int) -> float:
    """Draw a read, update, network or retry time of a worker, in virtual seconds."""
    value, state = draw(world.times, component(world.times, purpose, worker), world.streams[purpose - 1, worker])
    world.streams[purpose - 1, worker] = state
    return value


@part()
def computed(world: World, worker: int, start: float) -> float:
    """Draw a compute time for each local step; returns when a gradient begun at `start` is finished, with pauses."""
    self = world.workers[np.uint32(worker)]
    for _ in range(world.words[LOCAL_STEPS]):
        value, self.stream = draw(world.times, component(world.times, COMPUTE, worker), self.stream)
        start = finish(world.times, worker, start, value)
    return start


@part(forceinline=True)
def take_ticket(world: World, worker: int) -> None:
    """Take the next ticket: the number of a minibatch."""
    world.workers[np.uint32(worker)].batch = world.words[TICKET]
    world.words[TICKET] += 1


@part(forceinline=True)
def read(world: World, worker: int, time: float) -> None:
    """Begin to read the parameters: the view is the version of this moment."""
    self = world.workers[np.uint32(worker)]
    self.t_read = time
    self.read_version = world.words[VERSION]


@part()
def note(world: World, rows: Rows, count: int, worker: int, version: int, tau: int, time: float) -> None:
    """Fill row `count`: of an update that makes `version`, or, if that is −1, of a dropped gradient."""
    row, self = rows[np.uint64(count)], world.workers[np.uint32(worker)]
    row.worker = worker
    row.tau = tau
    row.batch = self.batch
    row.version = version
    row.read_version = self.read_version
    row.t_read = self.t_read
    row.t_ready = self.t_ready
    row.t_apply = time
    row.tries = 0
    row.dropped = 1 if version < 0 else 0


@part(forceinline=True)
def apply(world: World, rows: Rows, count: int, worker: int, time: float) -> int:
    """Apply a worker's gradient, or add it to those that make a version with it; returns the number of rows."""
    words, version = world.words, world.words[VERSION]
    words[ADDED] += 1
    if words[ADDED] == words[GRADIENTS]:
        words[ADDED] = 0
        words[VERSION] = version + 1
    elif words[GRADIENTS] == BY_TURNS:
        words[VERSION] += take_turn(world.turns, worker) & MAKES
    note(world, rows, count, worker, version + 1, version - world.workers[np.uint32(worker)].read_version, time)
    return count + 1


@part()
def give_up(world: World, rows: Rows, count: int, worker: int, time: float) -> int:
    """Give up a worker's gradient; returns the number of rows."""
    note(world, rows, count, worker, -1, world.words[VERSION] - world.workers[np.uint32(worker)].read_version, time)
    return count + 1


@part(forceinline=True)
def in_force(world: World, worker: int) -> bool:
    """Whether a worker may begin a gradient."""
    return worker < world.words[IN_FORCE]


@part()
def stand_by(world: World, worker: int) -> None:
    """Have a worker wait that is not in force."""
    world.workers[np.uint32(worker)].phase = STANDING_BY
    idle(world.tree, world.workers, worker)


@part(forceinline=True)
def update_workforce(world: World, phase: int, time: float) -> None:
    """After an update: if it changes the number of workers in force, those that come into force begin, in `phase`."""
    if world.words[VERSION] == world.words[CHANGE_AT]:
        _change(world, phase, time)


@part()
def _change(world: World, phase: int, time: float) -> None:
    """Put the next number of workers in force. Those that stand by go on in the order of workers.

    They join anew or, in another phase, wait in the queue. A worker that finishes its gradient, or has not joined
    yet, does not stand by: it sees the number when it would begin.
    """
    before, change = world.words[IN_FORCE], world.words[NEXT_CHANGE]
    world.words[IN_FORCE] = world.changes[change, 1]
    world.words[NEXT_CHANGE] = change + 1
    world.words[CHANGE_AT] = world.changes[change + 1, 0]
    for worker in range(before, world.words[IN_FORCE]):
        if world.workers[worker].phase == STANDING_BY:
            if phase == JOINED:
                until(world, worker, phase, time, time)
            else:
                enqueue(world, worker, phase)


@part()
def enqueue(world: World, worker: int, phase: int) -> None:
    """Have a worker wait for the lock or the server."""
    place = (world.words[HEAD] + world.words[WAITING]) % world.queue.size
    world.queue[place] = worker
    world.words[WAITING] += 1
    world.workers[np.uint32(worker)].phase = phase
    idle(world.tree, world.workers, worker)


@part()
def dequeue(world: World, anybody: bool) -> int:
    """Take a worker from the queue: the one that has waited longest or, with `anybody`, one drawn at random."""
    head, size = world.words[HEAD], world.queue.size
    if anybody and world.words[WAITING] > 1:
        chosen, state = uniform_integer(uint64(world.words[CHOICE]), world.words[WAITING])
        world.words[CHOICE] = int64(state)
        place = (head + chosen) % size
        world.queue[head], world.queue[place] = world.queue[place], world.queue[head]
    world.words[HEAD] = (head + 1) % size
    world.words[WAITING] -= 1
    return world.queue[head]


@part(forceinline=True)
def seize(world: World, worker: int, phase: int) -> bool:
    """Take the lock or the server if it is free; True if so. Else wait in the queue, in this phase."""
    if world.words[BUSY] == 0:
        world.words[BUSY] = 1
        return True
    enqueue(world, worker, phase)
    return False
