"""The gate between intervals, as that of real threads (engine/loops/gate.py): who must wait before reading.

Twin: `Gate` in tests/naive_simulator.py.
"""

import numpy as np

from ...compiled import part
from ..words import CLOSES, FINISHED, FIRST_HELD, HELD, INTERVALS, NOBODY, TICKET
from .common import JOINED, in_force, stand_by, take_ticket, until, update_workforce
from .tournament import idle
from .types import World

ADMITTED = 100  # the phase of a worker that has waited at the gate


@part(forceinline=True)
def admitted(world: World, worker: int) -> bool:
    """Take a ticket; True if its gradient may begin to read. Else the worker waits at the gate until ADMITTED.

    A worker that is not in force gives its ticket back, and stands by.
    """
    take_ticket(world, worker)
    return world.workers[np.uint32(worker)].batch < world.words[CLOSES] or _in_force(world, worker)


@part()
def _in_force(world: World, worker: int) -> bool:
    """Where the number of workers changes: whether a worker is in force. Else, or without that, it waits."""
    if world.words[CLOSES] != NOBODY:
        hold(world, worker)
        return False
    if in_force(world, worker):
        return True
    world.words[TICKET] -= 1
    stand_by(world, worker)
    return False


@part()
def hold(world: World, worker: int) -> None:
    """Let a worker wait at the gate."""
    world.held[(world.words[FIRST_HELD] + world.words[HELD]) % world.held.size] = worker
    world.words[HELD] += 1
    idle(world.tree, world.workers, worker)


@part()
def release(world: World) -> int:
    """Take the worker from the gate that has waited longest."""
    words = world.words
    worker = world.held[words[FIRST_HELD]]
    words[FIRST_HELD] = (words[FIRST_HELD] + 1) % world.held.size
    words[HELD] -= 1
    return worker


@part()
def opens(world: World) -> bool:
    """Count a gradient as finished: it has been written, or given up. True if another interval has begun by that."""
    words = world.words
    if world.held.size == 0:
        return False
    words[FINISHED] += 1
    if words[FINISHED] != words[CLOSES]:
        return False
    words[CLOSES] += length_from(world, words[FINISHED])
    return True


@part(forceinline=True)
def finish(world: World, time: float) -> None:
    """Count a gradient as finished. If another interval begins, let in those who wait with a ticket of it.

    They go on in the order of their tickets, after what this worker does at once. If the number of workers changes,
    those go on that its version brings into force.
    """
    if world.held.size != 0:
        _finish(world, time)


@part()
def _finish(world: World, time: float) -> None:
    """What `finish` does where workers wait at the gate, or their number changes."""
    words = world.words
    update_workforce(world, JOINED, time)
    if opens(world):
        while words[HELD] > 0:
            first = world.held[words[FIRST_HELD]]
            if world.workers[np.uint32(first)].batch >= words[CLOSES]:
                break
            until(world, release(world), ADMITTED, time, time)


@part()
def length_from(world: World, finished: int) -> int:
    """The length of the interval that begins after so many finished gradients."""
    place = INTERVALS
    while world.words[place + 2] <= finished:
        place += 2
    return world.words[place + 1]
