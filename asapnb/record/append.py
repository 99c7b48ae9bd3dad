"""An append to an HDF5 file that neither a kill nor a failed write can break.

With `fs_strategy="none"` an append adds bytes at the end of the file and changes few bytes before it: the index of
each column, its length, and the size of the file. HDF5 writes the lengths first and the size last. A kill between
them leaves rows of zeros, or chunks that cannot be read. `Append` collects an append in memory and writes it in the
opposite order, so that the file can be read after each single write. At worst, some columns are longer than others.
"""

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .locking import locked
from .shielded import Shielded, in_hdf5

_SUPERBLOCK, _NODES, _LENGTHS = range(3)
_HEADER = b"\x01\x00"  # begins that of a dataset: first its length, and where its index stands after it
_LENGTH_ENDS = 48


class Append(Shielded):
    """A file to append to, open as long as its run goes on, wherever it is moved.

    What h5py writes stays in memory until `commit`. A commit that fails is kept, and can be tried again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "r+"))
        self._forget(super().size())

    def _forget(self, end: int) -> None:
        """Nothing waits to be written; the file ends at `end`."""
        self._end = end
        self._tail = bytearray()  # bytes beyond the end
        self._changes: dict[int, bytes] = {}  # bytes before the end, by address

    @property
    def waits(self) -> bool:
        """Whether there is something to commit."""
        return bool(self._tail or self._changes)

    @contextlib.contextmanager
    def changed(self) -> Iterator[Any]:
        """The open h5py.File; after an error in the block, nothing is changed."""
        if self.waits:
            raise RuntimeError("the append before has not been written")
        try:
            with in_hdf5(self, "r+") as content:
                # HDF5 uses the space of what stands last again, if that is removed. So something else stands last.
                end = content.create_dataset(None, data=0)
                yield content
                del end
        except BaseException:
            self._forget(self._end)
            raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """No other process has the file open in HDF5 during this block; BlockingIOError if one has."""
        with locked(self.file):
            size = super().size()
            if size < self._end:
                raise OSError(errno.EIO, "the file has become shorter")
            if not self.waits:  # another program may have added something
                self._forget(size)
            yield

    def commit(self) -> None:
        """Write the new bytes, then the size of the file, then the indices from the root down, then the lengths.

        A kill may leave the first part of a write. So where an index stands is written before the length.
        """
        self.write_out(self._end, self._tail)
        for address, change in sorted(self._changes.items(), key=_turn):
            if change[:2] == _HEADER:
                self.write_out(address + _LENGTH_ENDS, change[_LENGTH_ENDS:])
                change = change[:_LENGTH_ENDS]
            self.write_out(address, change)
        self.settle()
        self._forget(self._end + len(self._tail))

    def write_out(self, address: int, data: bytes | bytearray) -> None:
        """Write bytes into the file at once."""
        super().write_at(address, data)

    def size(self) -> int:
        """The size with what was added."""
        return self._end + len(self._tail)

    def read_at(self, address: int, count: int) -> bytearray:
        """Bytes from an address on; those that were changed are read as changed."""
        start, stop = address, address + count
        within = max(0, min(stop, self._end) - start)
        data = bytearray(super().read_at(start, within))
        if len(data) < within:
            raise OSError(errno.EIO, "the file has become shorter")
        data += self._tail[max(0, start - self._end) : max(0, stop - self._end)]
        for place, change in self._changes.items():
            low, high = max(start, place), min(stop, place + len(change))
            if low < high:
                data[low - start : high - start] = change[low - place : high - place]
        return data

    def write_at(self, address: int, data: bytes | bytearray) -> None:
        """Keep the bytes in memory. HDF5 writes each of its structures as a whole, always at the same address."""
        start = address - self._end
        if start < 0:
            self._changes[address] = bytes(data)
        else:
            self._tail.extend(bytes(max(0, start - len(self._tail))))
            self._tail[start : start + len(data)] = data

    def cut(self, size: int) -> None:
        """Set the size; it is never less than before the append."""
        del self._tail[max(0, size - self._end) :]
        self._tail.extend(bytes(max(0, size - self._end - len(self._tail))))

    def settle(self) -> None:
        """Raise the error of a write that the file system has kept back, as NFS does until a file is closed."""
        os.close(os.dup(self.file.fileno()))


def _turn(change: tuple[int, bytes]) -> tuple[int, int]:
    """The place of a change in the order of writing: a pointer must not lead to bytes that are not written yet."""
    address, data = change
    if address == 0:
        return _SUPERBLOCK, 0
    if data[:4] == b"TREE":
        return _NODES, -data[5]  # the level of the node; the root has the highest
    return _LENGTHS, 0
