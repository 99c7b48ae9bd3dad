"""An append to an HDF5 file that a kill cannot break.

With `fs_strategy="none"` an append adds bytes at the end of the file and changes few bytes before it: the index of
each column, its length, and the size of the file. HDF5 writes the lengths first and the size last. A kill between
them leaves rows of zeros, or chunks that cannot be read. `Append` collects an append in memory and writes it in the
opposite order, so that the file can be read after each single write. At worst, some columns are longer than others.
"""

import fcntl
import io
import os
from pathlib import Path
from typing import Any

_SUPERBLOCK, _NODES, _LENGTHS = range(3)


class Append(io.RawIOBase):
    """A file for h5py to append to; nothing is written before `commit`."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 (see close)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as HDF5 does
        except OSError:
            self._file.close()
            raise
        self._end = os.fstat(self._file.fileno()).st_size
        self._tail = bytearray()  # bytes beyond the end
        self._changes: dict[int, bytes] = {}  # bytes before the end, by address
        self._at = 0

    def commit(self) -> None:
        """Write the new bytes, then the size of the file, then the indices from the root down, then the lengths."""
        self._write_out(self._end, self._tail)
        for address, change in sorted(self._changes.items(), key=_turn):
            self._write_out(address, change)

    def _write_out(self, address: int, data: bytes | bytearray) -> None:
        while data:
            written = os.pwrite(self._file.fileno(), data, address)
            address, data = address + written, data[written:]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        self._at = offset + (0, self._at, self._end + len(self._tail))[whence]
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As of any file; bytes that were changed are read as changed."""
        start, stop = self._at, self._at + len(buffer)
        data = bytearray(os.pread(self._file.fileno(), max(0, min(stop, self._end) - start), start))
        data += self._tail[max(0, start - self._end) : max(0, stop - self._end)]
        for address, change in self._changes.items():
            low, high = max(start, address), min(stop, address + len(change))
            if low < high:
                data[low - start : high - start] = change[low - address : high - address]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        """Keep the bytes in memory. HDF5 writes each of its structures as a whole, always at the same address."""
        change, start = bytes(data), self._at - self._end
        if start < 0:
            self._changes[self._at] = change
        else:
            self._tail.extend(bytes(max(0, start - len(self._tail))))
            self._tail[start : start + len(change)] = change
        self._at += len(change)
        return len(change)

    def truncate(self, size: int | None = None) -> int:
        """Set the size; it is never less than before the append."""
        size = self._at if size is None else size
        del self._tail[max(0, size - self._end) :]
        self._tail.extend(bytes(max(0, size - self._end - len(self._tail))))
        return size

    def close(self) -> None:
        """Close the file; what was not committed is lost."""
        self._file.close()
        super().close()


def _turn(change: tuple[int, bytes]) -> tuple[int, int]:
    """The place of a change in the order of writing: a pointer must not lead to bytes that are not written yet."""
    address, data = change
    if address == 0:
        return _SUPERBLOCK, 0
    if data[:4] == b"TREE":
        return _NODES, -data[5]  # the level of the node; the root has the highest
    return _LENGTHS, 0
