"""The operations of a replay, worked out before any gradient: which vector each one reads, and which it writes.

A replay holds about as many vectors as there are gradients in flight. If views are consistent, a vector is a version,
kept until the last gradient computed at it has been applied. A version that nobody will read again is updated in
place. Under Hogwild there is one vector of parameters, and each gradient in flight has a view of its own, filled
block by block. The order is that of virtual time, whatever the number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..record.schema import ABANDONED
from ..training.turns import FIRST, MAKES, ODD, new_turns
from .loops.ordering import lay_out, lend, take_turns
from .words import ADD, ALL, APPLY, CLOSE, READ, SKIP, WRITE

OPERATION = np.dtype(
    [
        ("row", np.int64),
        ("source", np.int32),  # the slot of the parameters before
        ("target", np.int32),  # and after
        ("kind", np.int16),
        # Of a read or a write; of a sum, 0 for its first gradient, else 1; 2 more in a second table
        ("block", np.int16),
    ],
    align=True,
)


class Operations(NamedTuple):
    """What a replay does, in order, and what each of its rows needs."""

    operations: NDArray[np.void]  # OPERATION, in the order in which they are carried out
    slot: NDArray[np.int32]  # of each row: the vector that holds its view
    needs: NDArray[np.int64]  # of each row: operations that must be done before its view is there
    ends: NDArray[np.int64]  # of each row: operations after which nothing of it is left to do
    slots: int  # vectors in all
    overlap: int  # rows that may be half done at the same time, at most
    blocks: int  # pieces of a view


def makes_version(version: Any, abandoned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each row, whether it makes a version: it is the last of the rows that make the version together."""
    found = ~abandoned
    applied = np.flatnonzero(found)
    found[applied[:-1]] = np.diff(np.asarray(version)[applied]) != 0
    return found


def turns_of(rows: Any, table: int) -> NDArray[np.int64]:
    """What becomes of the gradients of rows, in order, in the table of so many workers: see `training.turns`."""
    found = np.zeros(len(rows["worker"]), np.int64)
    take_turns(new_turns(table), np.asarray(rows["worker"], np.int64), found)
    return found


def whole(rows: Any, abandoned: NDArray[np.bool_], gradients: int, table: int = 0) -> int:
    """The number of first rows that make whole versions.

    Args:
        rows: the rows, in order.
        abandoned: of each row, whether it was given up.
        gradients: rows that make a version.
        table: workers with a gradient table, or 0.
    """
    if table:
        return int(np.flatnonzero(turns_of(rows, table) & MAKES).max(initial=-1)) + 1
    if gradients == 1:
        return len(rows)
    applied = np.cumsum(~abandoned)
    complete = (applied[-1] if len(applied) else 0) // gradients * gradients
    return int(np.searchsorted(applied, complete, side="right"))


def ends_of(rows: Any, abandoned: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The numbers of first rows with which no version is left half made."""
    applied = np.flatnonzero(~abandoned)
    half = np.zeros(len(abandoned), bool)
    half[applied] = ~makes_version(rows["version"], abandoned)[applied]
    return np.flatnonzero(~half) + 1


def of_versions(rows: Any, dropped: NDArray[np.uint8], gradients: int, table: int = 0) -> Operations:
    """The operations of rows with consistent views.

    Args:
        rows: the rows, in order.
        dropped: of each row, as in a run file.
        gradients: rows that make a version.
        table: workers with a gradient table, or 0.
    """
    count, versions = len(rows["version"]), int(rows["version"].max(initial=0))
    read = np.ascontiguousarray(rows["read_version"])
    readers = np.bincount(read, minlength=versions + 1).astype(np.int32)
    operations, abandoned = np.zeros(count, OPERATION), dropped == ABANDONED
    operations["kind"] = np.where(abandoned, SKIP, APPLY)
    if gradients > 1:
        applied, makes = np.flatnonzero(~abandoned), makes_version(rows["version"], abandoned)
        operations["kind"][applied] = np.where(makes[applied], CLOSE, ADD)
        operations["block"][applied[1:]] = ~makes[applied[:-1]]
    if table:
        turns = turns_of(rows, table)
        operations["kind"] = np.where(turns & MAKES != 0, CLOSE, ADD)
        operations["block"] = (turns & FIRST == 0) + 2 * (turns & ODD != 0)
    view, needs = np.zeros(count, np.int32), np.zeros(count, np.int64)
    slots = lay_out(
        read, readers, operations, view, needs, np.zeros(versions + 1, np.int32),
        np.zeros(versions + 1, np.int64), np.zeros(count + 1, np.int32),
    )  # fmt: skip
    return Operations(operations, view, needs, np.arange(1, count + 1), slots, 1, 1)


def of_blocks(rows: Any, t_view: NDArray[np.float64], blocks: int, n_params: int | None = None) -> Operations:
    """The operations of rows with inconsistent views: reads and writes of blocks, in the order of time.

    A view is read block by block from t_read to t_view. An update is written block by block from t_ready to t_apply.
    If either takes no time, it is one operation. At equal times a read sees the updates that had been claimed when
    it began.

    Args:
        rows: the rows, in order.
        t_view: when each view had been read, in virtual seconds.
        blocks: pieces of a view.
        n_params: how many parameters there are. If they are few, some blocks are empty; the others have operations,
            and the first, with which a read or a write begins.
    """
    count, moved = len(t_view), np.arange(blocks)
    if n_params is not None:
        moved = moved[(moved == 0) | (moved * n_params // blocks < (moved + 1) * n_params // blocks)]
    read, written = (
        _sweeps(rows[begin], end, moved, blocks) for begin, end in (("t_read", t_view), ("t_ready", rows["t_apply"]))
    )
    time = np.concatenate([read[0], written[0]])
    claimed = np.concatenate([2 * rows["read_version"][read[1]] + 1, 2 * rows["version"][written[1]]])
    order = _in_order(time, claimed)
    operations = np.zeros(len(order), OPERATION)
    operations["row"] = np.concatenate([read[1], written[1]])[order]
    operations["block"] = np.concatenate([read[2], written[2]])[order]
    operations["kind"] = np.repeat([READ, WRITE], [len(read[0]), len(written[0])])[order]
    view, needs, ends = np.zeros(count, np.int32), np.zeros(count, np.int64), np.zeros(count, np.int64)
    for kind, last in ((READ, needs), (WRITE, ends)):
        places = np.flatnonzero(operations["kind"] == kind)
        last[operations["row"][places]] = places + 1  # of a row, the last operation
    slots, overlap = lend(operations, view, needs, ends, np.zeros(count + 1, np.int32))
    return Operations(operations, view, needs, ends, slots, overlap, blocks)


def _in_order(time: NDArray[np.float64], claimed: NDArray[np.int64]) -> NDArray[np.intp]:
    """`np.lexsort((claimed, time))`, for times of which few are equal."""
    order = np.argsort(time)
    equal = np.diff(time[order]) == 0
    ties = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    among = np.sort(order[ties])
    order[ties] = among[np.lexsort((claimed[among], time[among]))]
    return order


def _sweeps(
    begin: Any, end: Any, moved: NDArray[np.intp], blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.int16]]:
    """The time, row and block of each read, or of each write, of the blocks that are moved."""
    begin, length = np.asarray(begin), np.asarray(end) - np.asarray(begin)
    at_once, slow = np.flatnonzero(length == 0), np.flatnonzero(length != 0)
    times = begin[slow, None] + length[slow, None] * ((moved + 1) / blocks)
    times[:, -1] = np.asarray(end)[slow]  # exactly: the worker's next read may begin then
    return (
        np.concatenate([begin[at_once], times.ravel()]),
        np.concatenate([at_once, np.repeat(slow, len(moved))]),
        np.concatenate([np.full(len(at_once), ALL), np.tile(moved, len(slow))]).astype(np.int16),
    )
