"""Choose the slot of each vector of a replay.

Checked in tests/test_simulate.py, by following the slots operation by operation: each holds what is read from it, and
there are as few as can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...compiled import kernel
from ...kernels.types import Rows, Words
from ...training.turns import take_turn
from ..words import APPLY, CLOSE, READ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@kernel()
def lay_out(
    read: Words, readers: NDArray[np.int32], operations: Rows,
    view: NDArray[np.int32], needs: Words, slot_of: NDArray[np.int32], made: Words, free: NDArray[np.int32],
) -> int:  # fmt: skip
    """Choose the slots of consistent views; returns their number.

    Args:
        read: the version that each row reads.
        readers: how many rows read each version; counted down to 0.
        operations: one for each row; row, source and target are filled.
        view: filled: the slot that holds the view of each row.
        needs: filled: operations that must be done before a view is there.
        slot_of: filled: the slot of each version.
        made: filled: operations after which each version is there.
        free: room for a stack of free slots.

    For each row, in order of application:

    1. Its view is in the slot of the version it reads. If no later row reads that version, its slot is free.
    2. The operation of a dropped row does nothing. Those of a version, but for the last, add to a sum.
    3. The version is made in place if nobody will read the current version again, else in a free or a new slot.
    """
    current, slots, spare = 0, 1, 0
    for i in range(read.size):
        # 1. View
        old = read[i]
        view[i], needs[i] = slot_of[old], made[old]
        source = slot_of[current]
        readers[old] -= 1
        if readers[old] == 0 and old != current:
            free[spare] = slot_of[old]  # written next: it has just been read, so it is in the cache
            spare += 1
        # 2. Not an update
        operations[i].row, operations[i].source, operations[i].target = i, source, source
        if operations[i].kind in (APPLY, CLOSE):
            # 3. Update
            if readers[current] > 0:  # later rows read it
                if spare > 0:
                    spare -= 1
                    operations[i].target = free[spare]
                else:
                    operations[i].target = slots
                    slots += 1
            current += 1
            slot_of[current], made[current] = operations[i].target, i + 1
    return slots


@kernel()
def take_turns(turns: Words, workers: Words, found: Words) -> None:
    """What becomes of the gradients of these workers, in order: see `training.turns`."""
    for i in range(workers.size):
        found[i] = take_turn(turns, workers[i])


@kernel()
def lend(
    operations: Rows, view: NDArray[np.int32], needs: Words, ends: Words, free: NDArray[np.int32]
) -> tuple[int, int]:
    """Lend each row a slot for its inconsistent view; returns the slots, and the most rows half done at a time.

    Slot 0 holds the parameters. `ends` says after which operation a row is done; `view` gets the slot of each row.
    For each operation, in order:

    1. The first read of a row takes a free or a new slot.
    2. A write: note how many rows, from the first that is not done to this one, are half done.
    3. The last write of a row gives its slot back.
    """
    slots, spare, first, overlap = 1, 0, 0, 1
    for i in range(operations.size):
        row = operations[i].row
        # 1. Read
        if operations[i].kind == READ:
            if view[row] == 0:
                if spare > 0:
                    spare -= 1
                    view[row] = free[spare]
                else:
                    view[row] = slots
                    slots += 1
        else:
            # 2. Write
            overlap = max(overlap, row - first + 1)
            # 3. Last write
            if ends[row] == i + 1:
                free[spare] = view[row]
                spare += 1
                while first < ends.size and ends[first] <= i + 1:
                    first += 1
    return slots, overlap
