"""The last rows of a run that goes on: uncompressed, each in a place of its own, so that none is written twice.

A compressed chunk of a column must be written again for every row that it gets. So the columns take only whole
chunks, and the rows after them stand in `/tail/GROUP`, a table as long as a chunk: row i of the group in slot
i % length, with its number in the field `index`, which is written last. The number says whether a row continues the
columns, or has been taken by them since.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import chunk_of
from .schema import COLUMNS

NAME = "tail"
_EMPTY = -1  # the number in a slot without a row


class Slots(NamedTuple):
    """Where the tail of a group stands in its file."""

    address: int
    length: int
    dtype: np.dtype[Any]

    def part(self, first: int, rows: NDArray[Any]) -> tuple[int, bytes]:
        """The address and the bytes of rows from number `first` on; they must not go beyond the last slot."""
        slot = first % self.length
        return self.address + slot * self.dtype.itemsize, _numbered(rows, self.dtype, first).tobytes()


def dtype_of(group: str, names: Iterable[str]) -> np.dtype[Any]:
    """The dtype of a tail with these columns, as far as there are such columns."""
    fields = [(name, COLUMNS[group][name].dtype) for name in names if name in COLUMNS[group]]
    return np.dtype([*fields, ("index", np.int64)])


def create(file: Any, groups: Mapping[str, np.dtype[Any]]) -> None:
    """Make an empty tail, as long as a chunk, for each group whose chunks have more than one row."""
    for group, columns in groups.items():
        if (length := chunk_of(columns)) == 1:
            continue
        empty = np.zeros(length, dtype_of(group, columns.names or ()))
        empty["index"] = _EMPTY
        file.create_dataset(f"{NAME}/{group}", data=empty)  # contiguous: it never moves


def slots_of(file: Any, group: str) -> Slots:
    """Where the tail of a group stands."""
    tail = file[NAME][group]
    return Slots(tail.id.get_offset(), len(tail), tail.dtype)


def start(file: Any, group: str) -> int:
    """The number of the first row that may be in the tail.

    A kill may leave columns of unequal length: rows are complete up to the end of the shortest one.
    """
    return min(len(column) for name, column in file[group].items() if name in COLUMNS[group])


def rows(file: Any, group: str, first: int) -> NDArray[Any]:
    """The rows of the tail from number `first` on, as far as they are there."""
    tail = _of(file, group)
    if tail is None:
        return np.empty(0, dtype_of(group, COLUMNS[group]))
    slots = tail[first % len(tail) :]
    numbers = first + np.arange(len(slots))
    return slots[: int(np.append(slots["index"] == numbers, False).argmin())]


def merge(old: Any, new: Any, groups: Iterable[str]) -> None:
    """Move the rows of the tail of a file into the columns of its copy."""
    for group in groups:
        first = start(old, group)
        more = rows(old, group, first)
        for name, column in new[group].items() if len(more) else ():
            column.resize(first + len(more), axis=0)
            column[first:] = more[name]


def _of(file: Any, group: str) -> Any:
    """The tail of a group; None in the files of runs that ended, and of earlier versions."""
    return file[NAME][group] if NAME in file and group in file[NAME] else None


def _numbered(rows: NDArray[Any], dtype: np.dtype[Any], first: int) -> NDArray[Any]:
    numbered = np.empty(len(rows), dtype)
    for name in rows.dtype.names or ():
        numbered[name] = rows[name]
    numbered["index"] = np.arange(first, first + len(rows))
    return numbered
