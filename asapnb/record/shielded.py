"""Files for h5py that never raise: an exception inside HDF5's calls of a Python file can end the process.

The first error is kept instead, and raised as soon as HDF5 has let go of the file.
"""

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Shielded(io.RawIOBase):
    """A file for h5py, over a file that Python has opened.

    Attributes:
        file: the open file.
        error: the first error since `in_hdf5` began; None without one.
    """

    def __init__(self, file: io.FileIO) -> None:
        self.file = file
        self.error: Exception | None = None
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        size = self._tried(self.size) or 0 if whence == os.SEEK_END else 0
        self._at = offset + (0, self._at, size)[whence]
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As of any file; zeros, where it cannot be read."""
        data = self._tried(self.read_at, self._at, len(buffer))
        data = bytes(len(buffer)) if data is None else data
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        """As of any file."""
        change = bytes(data)
        self._tried(self.write_at, self._at, change)
        self._at += len(change)
        return len(change)

    def truncate(self, size: int | None = None) -> int:
        """As of any file."""
        size = self._at if size is None else size
        self._tried(self.cut, size)
        return size

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()

    def size(self) -> int:
        """The size in bytes."""
        return os.fstat(self.file.fileno()).st_size

    def read_at(self, address: int, count: int) -> bytes | bytearray:
        """Bytes from an address on; fewer at the end of the file."""
        return os.pread(self.file.fileno(), count, address)

    def write_at(self, address: int, data: bytes | bytearray) -> None:
        """Write bytes from an address on."""
        while data:
            written = os.pwrite(self.file.fileno(), data, address)
            if not written:
                raise OSError(errno.EIO, "nothing was written")
            address, data = address + written, data[written:]

    def cut(self, size: int) -> None:
        """Set the size."""
        os.ftruncate(self.file.fileno(), size)

    def _tried(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """What `act` returns; None, and the error is kept, if it raises one."""
        try:
            return act(*arguments)
        except (OSError, ValueError, MemoryError) as error:  # ValueError: the file has been closed
            # Its traceback would keep the frames of h5py, and so what HDF5 frees after the end of Python.
            self.error = self.error or error.with_traceback(None)
            return None


class Created(Shielded):
    """A new file; an existing one is emptied."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "w+"))


@contextlib.contextmanager
def in_hdf5(file: Shielded, mode: str, **options: Any) -> Iterator[Any]:
    """The open h5py.File over a file; at its end the error that was kept is raised, if there is one."""
    import h5py

    file.error = None
    try:
        with h5py.File(file, mode, **options) as content:
            yield content
    except Exception:
        if file.error is None:
            raise
    found, file.error = file.error, None
    if found is not None:
        raise found
