"""Locks on files, as HDF5 takes them, also where a file system has none."""

import contextlib
import errno
import fcntl
import io
import os
from collections.abc import Iterator

# What flock answers on file systems without it: ENOSYS, EOPNOTSUPP, ENOLCK, and Linux's own ENOTSUPP
WITHOUT = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, 524})


@contextlib.contextmanager
def locked(file: io.FileIO) -> Iterator[None]:
    """Lock a file against those who have it open in HDF5; BlockingIOError if there are any.

    Without a lock where the file system has none, or where the user has switched those of HDF5 off.
    """
    if os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0"):
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in WITHOUT:
            raise
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
