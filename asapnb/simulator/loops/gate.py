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
        world.held[(world.words[FIRST_HELD] + world.words[HELD]) % world.held.size] = worker
        world.words[HELD] += 1
        idle(world.tree, world.workers, worker)
        return False
    if in_force(world, worker):
        return True
    world.words[TICKET] -= 1
    stand_by(world, worker)
    return False


@part(forceinline=True)
def finish(world: World, time: float) -> None:
    """Count a gradient as finished: it has been written, or given up. The last of an interval opens the next.

    Those who waited go on in the order of their tickets, after what this worker does at once. Where the number of
    workers changes, those go on that its version brings into force.
    """
    if world.held.size != 0:
        _finish(world, time)


@part()
def _finish(world: World, time: float) -> None:
    words = world.words
    update_workforce(world, JOINED, time)
    words[FINISHED] += 1
    if words[FINISHED] != words[CLOSES]:
        return
    words[CLOSES] += length_from(world, words[FINISHED])
    while words[HELD] > 0:
        worker = world.held[words[FIRST_HELD]]
        if world.workers[np.uint32(worker)].batch >= words[CLOSES]:
            break
        words[FIRST_HELD] = (words[FIRST_HELD] + 1) % world.held.size
        words[HELD] -= 1
        until(world, worker, ADMITTED, time, time)


@part()
def length_from(world: World, finished: int) -> int:
    """The length of the interval that begins after so many finished gradients."""
    place = INTERVALS
    while world.words[place + 2] <= finished:
        place += 2
    return world.words[place + 1]
