"""What a replay does, step by step, worked out before a single gradient is: which vector is read, and which written.

A replay holds no more vectors than gradients are in flight. Under the consistent schemes a vector is a version, kept
as long as some gradient that was begun at it has not been applied; a version that nobody will read again is updated
where it stands. Under Hogwild there is one vector of parameters, and each gradient in flight has a view of its own,
filled block by block. Either way the plan is made in the order of virtual time, so it is the same however many
threads carry it out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compiled import kernel
from ..record.schema import ABANDONED

# What an operation does
APPLY = 0  # write the version that follows
SKIP = 1  # nothing: the gradient was dropped
ADD = 2  # add a gradient to those of its round
CLOSE = 3  # add the last of its round, and apply their average
READ = 4  # copy a block (or all blocks) of the parameters into the row's view
WRITE = 5  # apply a block (or all) of the row's gradient where the parameters stand

ALL = -1  # blocks

OPERATION = np.dtype(
    [
        ("row", np.int64),
        ("source", np.int32),  # the slot of the parameters before
        ("target", np.int32),  # and after
        ("kind", np.int16),
        ("block", np.int16),
    ],
    align=True,
)


class Plan(NamedTuple):
    """Operations in order; for each row, its slot with the view, and how many operations must be done before it is
    there, and until the row is done with."""

    operations: NDArray[Any]
    slot: NDArray[np.int32]
    needs: NDArray[np.int64]
    ends: NDArray[np.int64]
    slots: int
    overlap: int  # rows that may be half done at the same time, at most
    blocks: int


def plan_versions(rows: Any, dropped: NDArray[np.uint8], gradients: int) -> Plan:
    """The plan of rows with consistent views; with more than one of the `gradients` of a round to a version."""
    count, versions = len(rows["version"]), int(rows["version"].max(initial=0))
    read = np.ascontiguousarray(rows["read_version"])
    readers = np.bincount(read, minlength=versions + 1).astype(np.int32)
    operations = np.zeros(count, OPERATION)
    view, needs = np.zeros(count, np.int32), np.zeros(count, np.int64)
    slots = _lay_out(
        read, dropped == ABANDONED, readers, gradients, operations, view, needs, np.zeros(versions + 1, np.int32),
        np.zeros(versions + 1, np.int64), np.zeros(count + 1, np.int32),
    )  # fmt: skip
    return Plan(operations, view, needs, np.arange(1, count + 1), slots, 1, 1)


@kernel(_nrt=False)
def _lay_out(
    read: Any, abandoned: Any, readers: Any, gradients: int, operations: Any, view: Any, needs: Any, slot_of: Any,
    made: Any, free: Any,
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


def plan_blocks(rows: Any, t_view: NDArray[np.float64], blocks: int) -> Plan:
    """The plan of Hogwild: reads and writes of blocks in the order of time.

    A view is read block by block from t_read to t_view, an update written from t_ready to t_apply; what takes no time
    is one operation. At equal times a read sees the updates that had been claimed when it began.
    """
    count = len(t_view)
    read, written = (
        _sweeps(rows[begin], end, blocks) for begin, end in (("t_read", t_view), ("t_ready", rows["t_apply"]))
    )
    time = np.concatenate([read[0], written[0]])
    claimed = np.concatenate([2 * rows["read_version"][read[1]] + 1, 2 * rows["version"][written[1]]])
    order = np.lexsort((claimed, time))
    operations = np.zeros(len(order), OPERATION)
    operations["row"] = np.concatenate([read[1], written[1]])[order]
    operations["block"] = np.concatenate([read[2], written[2]])[order]
    operations["kind"] = np.repeat([READ, WRITE], [len(read[0]), len(written[0])])[order]
    view, needs, ends = np.zeros(count, np.int32), np.zeros(count, np.int64), np.zeros(count, np.int64)
    for kind, last in ((READ, needs), (WRITE, ends)):
        places = np.flatnonzero(operations["kind"] == kind)
        last[operations["row"][places]] = places + 1  # the last one of a row stands
    slots, overlap = _lend(operations, view, needs, ends, np.zeros(count + 1, np.int32))
    return Plan(operations, view, needs, ends, slots, overlap, blocks)


def _sweeps(begin: Any, end: Any, blocks: int) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.int16]]:
    """When each block is read or written, of which row it is, and which block."""
    begin, length = np.asarray(begin), np.asarray(end) - np.asarray(begin)
    at_once, slow = np.flatnonzero(length == 0), np.flatnonzero(length != 0)
    share = np.arange(1, blocks + 1) / blocks
    times = begin[slow, None] + length[slow, None] * share
    times[:, -1] = np.asarray(end)[slow]  # exactly: the worker's next read may begin then
    return (
        np.concatenate([begin[at_once], times.ravel()]),
        np.concatenate([at_once, np.repeat(slow, blocks)]),
        np.concatenate([np.full(len(at_once), ALL), np.tile(np.arange(blocks), len(slow))]).astype(np.int16),
    )


@kernel(_nrt=False)
def _lend(operations: Any, view: Any, needs: Any, ends: Any, free: Any) -> Any:
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
