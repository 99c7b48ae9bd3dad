"""What waits to be written: in memory and, when that is much, in files without a name, which vanish with the run."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MEMORY = 64 * 2**20  # bytes of rows that may wait in memory, if more cannot be written
_PORTION = 32 * 2**20  # bytes of rows that are written at once


@dataclass(frozen=True)
class _Spilled:
    """Rows in a file."""

    file: IO[bytes]
    address: int
    count: int
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize

    def load(self) -> NDArray[Any]:
        data = os.pread(self.file.fileno(), self.nbytes, self.address)
        if len(data) < self.nbytes:
            raise OSError(errno.EIO, "rows in a temporary file cannot be read")
        return np.frombuffer(data, self.dtype, self.count)


class Waiting:
    """Rows of groups, in the order in which they came, and scale tables."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, NDArray[Any] | _Spilled]] = []
        self.tables: list[tuple[int, NDArray[np.float64]]] = []
        self._files: list[IO[bytes]] = []  # which take what is too much for the memory; the last is in use

    def __bool__(self) -> bool:
        return bool(self._pieces or self.tables)

    def add(self, group: str, rows: NDArray[Any]) -> None:
        """Add rows to a group."""
        if len(rows):
            self._pieces.append((group, rows))

    def portion(self, start: int = 0) -> tuple[int, dict[str, NDArray[Any]]]:
        """The number of pieces from piece `start` on that are written at once, and their rows by group."""
        found: dict[str, list[NDArray[Any]]] = {}
        size, stop = 0, start
        while stop < len(self._pieces) and (stop == start or size + self._pieces[stop][1].nbytes <= _PORTION):
            group, rows = self._pieces[stop]
            found.setdefault(group, []).append(rows.load() if isinstance(rows, _Spilled) else rows)
            size, stop = size + rows.nbytes, stop + 1
        return stop - start, {group: _joined(parts) for group, parts in found.items()}

    def portions(self) -> Iterator[dict[str, NDArray[Any]]]:
        """All rows, a portion at a time."""
        start = 0
        while start < len(self._pieces):
            pieces, rows = self.portion(start)
            yield rows
            start += pieces

    def all(self) -> dict[str, NDArray[Any]]:
        """All rows, by group."""
        found: dict[str, list[NDArray[Any]]] = {}
        for rows in self.portions():
            for group, more in rows.items():
                found.setdefault(group, []).append(more)
        return {group: _joined(parts) for group, parts in found.items()}

    def forget(self, pieces: int) -> None:
        """Forget the first pieces and all tables: they have been taken over."""
        del self._pieces[:pieces]
        self.tables = []
        if not self._pieces:
            while self._files:
                self._files.pop().close()  # it vanishes

    def spill(self, beside: Path) -> bool:
        """Move rows out of memory if they are many; whether they were.

        They go to a file beside `beside`, else to one in the temporary folder. If neither can be written, they stay.
        """
        held = [i for i, (_, rows) in enumerate(self._pieces) if not isinstance(rows, _Spilled)]
        if sum(self._pieces[i][1].nbytes for i in held) <= MEMORY:
            return False
        for file in self._places(beside.parent):
            with contextlib.suppress(OSError):
                for i in held:
                    group, rows = self._pieces[i]
                    if not isinstance(rows, _Spilled):
                        self._pieces[i] = group, _spilled(file, rows)
                break
        return True

    def _places(self, folder: Path) -> Iterator[IO[bytes]]:
        """Files to write to, the best first."""
        yield from self._files[-1:]
        for place in (folder, None):
            with contextlib.suppress(OSError):
                self._files.append(tempfile.TemporaryFile(dir=place, buffering=0))  # noqa: SIM115 (see forget)
                yield self._files[-1]


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _spilled(file: IO[bytes], rows: Any) -> _Spilled:
    address, data = file.seek(0, os.SEEK_END), rows.tobytes()
    while data:
        data = data[file.write(data) :]
    return _Spilled(file, address, len(rows), rows.dtype)
