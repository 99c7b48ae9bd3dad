"""One writer of a file at a time, whatever the command and the process.

The owner holds a hidden lock file beside the file, `.run.h5.lock`. The system drops the lock when the process of its
owner dies, so a lock file left behind bars nobody. Three means are tried, in this order:

* `flock`, which also keeps apart two threads of a process, and processes in containers of one machine.
* A lock of a range of bytes, where the file system has no `flock`.
* A lease (`record.lease`), where it has no locks at all.

The lock file says who the owner is, so that the next one can be told.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import struct
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import RecordError
from . import lease as leases
from .lease import FLAGS, LEASE, make_record, read_record, write_record
from .locking import WITHOUT

_TAKEN = (errno.EAGAIN, errno.EACCES)
_PATIENCE = 0.2  # seconds: `owner_of` holds a lock for a moment
_LONGEST = 255  # bytes of a name
_FORKING = threading.RLock()  # a process forks only while no lock is being taken
_HELD: weakref.WeakSet[Owner] = weakref.WeakSet()


class Owner:
    """The right to write one file, from `own`; given back by `release` or at the end of a `with`.

    Args:
        path: the file.
        lock: the lock file beside it.
        record: what the lock file says of the owner.
        descriptor: of the lock file; None for a lease.

    Attributes:
        path: the file.
        token: a name of this owner that no other has.
        release: gives the right back; called again, it does nothing.
    """

    def __init__(self, path: Path, lock: Path, record: dict[str, Any], descriptor: int | None) -> None:
        self.path, self.token = path, str(record["token"])
        self._lock, self._descriptor, self._process = lock, descriptor, os.getpid()
        ended = leases.keep(lock, self.token) if descriptor is None else None
        self.release = weakref.finalize(self, _release, lock, self.token, descriptor, ended)
        _HELD.add(self)

    def check(self) -> None:
        """RecordError unless this process still owns the file."""
        if self._process != os.getpid():
            raise RecordError(
                f"{self.path} belongs to process {self._process}, and this process is a fork of it: give another name"
            )
        if self._descriptor is None and read_record(self._lock).get("token") != self.token:
            raise RecordError(
                f"{self.path} has another owner now, as this one gave no sign of life for {LEASE:g} seconds"
            )

    def __enter__(self) -> Owner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def own(path: Path, name: str | None = None) -> Owner:
    """Become the owner of a file, which need not exist.

    Args:
        path: the file, with no symbolic link in it (`os.path.realpath`).
        name: what an error calls it; by default its path.

    Raises:
        RecordError: if it has an owner, who is named, or if no lock file can be made beside it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, own(Path(folder, "run.h5")):
    ...     print([file.name for file in Path(folder).iterdir()])
    ['.run.h5.lock']
    """
    record = make_record()
    try:
        return _locked(path, name, record) or _leased(path, name, record)
    except OSError as error:
        raise RecordError(
            f"cannot write to the folder {path.parent}, where a lock file keeps other writers away from {path.name}: "
            f"{error.strerror}; make the folder writable, or give another place"
        ) from None


def owner_of(path: Path) -> dict[str, Any] | None:
    """Who owns a file: `host`, `pid`, `since`, as far as known; None if nobody does.

    >>> owner_of(Path("/no/such/run.h5"))
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(beside(path, ".lock"), os.O_RDONLY | FLAGS)
        try:
            if _lock(descriptor, shared=True) is False:
                return read_record(descriptor)
        finally:
            os.close(descriptor)
    lease = beside(path, ".lease")
    with contextlib.suppress(OSError):
        if lease.exists() and not leases.is_over(lease, holder := read_record(lease)):
            return holder
    return None


def beside(path: Path, suffix: str, prefix: str = ".") -> Path:
    """The path of a file that belongs to another, a hidden one. A name that would be too long becomes a digest.

    >>> beside(Path("run.h5"), ".lock").name, len(beside(Path(250 * "x"), ".lock").name)
    ('.run.h5.lock', 38)
    """
    name = f"{prefix}{path.name}{suffix}"
    if len(os.fsencode(name)) > _LONGEST:
        name = f"{prefix}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}{suffix}"
    return path.with_name(name)


def _locked(path: Path, name: str | None, record: dict[str, Any]) -> Owner | None:
    """The owner by a lock; None if the file system has no locks."""
    lock, deadline = beside(path, ".lock"), time.monotonic() + _PATIENCE
    while True:
        with _FORKING:
            descriptor, owner = _opened(lock), None
            try:
                locked, holder = _lock(descriptor), read_record(descriptor)
                if locked and _is_at(lock, descriptor):  # else its last owner has removed it by now
                    with contextlib.suppress(OSError):  # if it cannot be written, the next one is told no name
                        write_record(descriptor, record)
                    owner = Owner(path, lock, record, descriptor)
                    return owner
                if locked is None:
                    if not holder:
                        lock.unlink(missing_ok=True)
                    return None
            finally:
                if owner is None:
                    os.close(descriptor)
        if locked is False:
            if time.monotonic() > deadline:
                raise RecordError(_owned(name or path, holder))
            time.sleep(0.01)


def _leased(path: Path, name: str | None, record: dict[str, Any]) -> Owner:
    lease = beside(path, ".lease")
    if leases.take(lease, record):
        return Owner(path, lease, record, None)
    raise RecordError(
        f"{_owned(name or path, read_record(lease))}. The file system has no locks, so a writer counts as dead when "
        f"it has not touched {lease} for {LEASE:g} seconds: remove that file if you know that the writer is gone"
    )


def _opened(lock: Path) -> int:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | FLAGS, 0o666)
    except PermissionError:  # of another user: it can be locked all the same
        if not lock.exists():
            raise
        descriptor = os.open(lock, os.O_RDONLY | FLAGS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise RecordError(f"{lock} is a symbolic link, not a lock file of asapnb: remove it") from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    raise RecordError(f"{lock} is not a lock file of asapnb: remove it")


def _lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Lock an open file: True if that is done, False if another holds it, None if the file system has no locks."""
    for lock in (_flock, _lock_range):
        try:
            lock(descriptor, shared)
            return True
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            if error.errno not in WITHOUT:
                raise
    return None


def _flock(descriptor: int, shared: bool) -> None:
    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _lock_range(descriptor: int, shared: bool) -> None:
    """Lock all bytes for this open file: unlike a lock of the process, two threads cannot both have it."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owned(name: str | Path, holder: dict[str, Any]) -> str:
    known = [str(holder.get(key)) for key in ("pid", "host", "since")]
    who = "another process"
    if holder and all(map(str.isprintable, known)):
        who = "process {} on {} since {}".format(*known)
    return f"{name} is being written by {who}: wait for it, end it, or give another name"


def _release(lock: Path, token: str, descriptor: int | None, ended: threading.Event | None) -> None:
    """Remove a lock file while it is locked, then drop the lock."""
    with contextlib.suppress(OSError):
        if _is_at(lock, descriptor) if descriptor is not None else read_record(lock).get("token") == token:
            lock.unlink()
    if ended is not None:
        ended.set()
    if descriptor is not None:
        os.close(descriptor)


def _disown() -> None:
    """In a forked child: close the locks. They stay those of the parent, and end with it."""
    for owner in list(_HELD):
        if owner.release.detach() and owner._descriptor is not None:
            os.close(owner._descriptor)
    _HELD.clear()
    _FORKING.release()


os.register_at_fork(before=_FORKING.acquire, after_in_parent=_FORKING.release, after_in_child=_disown)
