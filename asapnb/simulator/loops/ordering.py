"""Which slot each vector of a replay stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...compiled import kernel
from ..words import ADD, APPLY, CLOSE, READ, SKIP

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...kernels.types import Rows, Words


@kernel(_nrt=False)
def lay_out(
    read: Words, abandoned: NDArray[np.bool_], readers: NDArray[np.int32], gradients: int, operations: Rows,
    view: NDArray[np.int32], needs: Words, slot_of: NDArray[np.int32], made: Words, free: NDArray[np.int32],
) -> int:  # fmt: skip
    """Fill operations, view and needs; returns the number of slots."""
    current, slots, spare = 0, 1, 0
    for i in range(read.size):
        old = read[i]
        view[i], needs[i] = slot_of[old], made[old]
        source = slot_of[current]
        readers[old] -= 1
        if readers[old] == 0 and old != current:
            free[spare] = slot_of[old]  # the next to be written: it has just been read, so it is in the cache
            spare += 1
        operations[i].row, operations[i].source, operations[i].target = i, source, source
        if abandoned[i]:
            operations[i].kind = SKIP
        elif gradients > 1 and (i + 1) % gradients != 0:
            operations[i].kind = ADD
        else:
            operations[i].kind = CLOSE if gradients > 1 else APPLY
            if readers[current] > 0:  # whoever began there has yet to be applied
                if spare > 0:
                    spare -= 1
                    operations[i].target = free[spare]
                else:
                    operations[i].target = slots
                    slots += 1
            current += 1
            slot_of[current], made[current] = operations[i].target, i + 1
    return slots


@kernel(_nrt=False)
def lend(
    operations: Rows, view: NDArray[np.int32], needs: Words, ends: Words, free: NDArray[np.int32]
) -> tuple[int, int]:
    """Give each row a slot from its first read to its last write; returns the slots, and the most rows half done."""
    slots, spare, first, overlap = 1, 0, 0, 1
    for i in range(operations.size):
        row = operations[i].row
        if operations[i].kind == READ:
            if view[row] == 0:
                if spare > 0:
                    spare -= 1
                    view[row] = free[spare]
                else:
                    view[row] = slots
                    slots += 1
        else:
            overlap = max(overlap, row - first + 1)
            if ends[row] == i + 1:
                free[spare] = view[row]
                spare += 1
                while first < ends.size and ends[first] <= i + 1:
                    first += 1
    return slots, overlap
