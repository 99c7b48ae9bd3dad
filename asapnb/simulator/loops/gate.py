"""The gate between intervals, as that of real threads (engine/loops/gate.py): who must wait before reading.

Twin: `Gate` in tests/naive_simulator.py.
"""

import numpy as np

from ...compiled import part
from ..words import CLOSES, FINISHED, FIRST_HELD, HELD, INTERVALS
from .common import take_ticket, until
from .tournament import idle
from .types import World

ADMITTED = 100  # the phase of a worker that has waited at the gate


@part()
def admitted(world: World, worker: int) -> bool:
    """Take a ticket; True if its gradient may begin to read. Else the worker waits at the gate until ADMITTED."""
    take_ticket(world, worker)
    self = world.workers[np.uint32(worker)]
    if self.batch < world.words[CLOSES]:
        return True
    world.held[(world.words[FIRST_HELD] + world.words[HELD]) % world.held.size] = worker
    world.words[HELD] += 1
    idle(world.tree, world.workers, worker)
    return False


@part()
def finish(world: World, time: float) -> None:
    """Count a gradient as finished: it has been written, or given up. The last of an interval opens the next.

    Those who waited go on in the order of their tickets, after what this worker does at once.
    """
    words = world.words
    if world.held.size == 0:
        return
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
