"""A lease on a file, for file systems without locks: a file that must not exist before, and that its owner touches.

It is taken over if its process is known to be dead, or if nobody has touched it for `LEASE` seconds.
"""

import contextlib
import functools
import json
import os
import platform
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .provenance import new_id

REFRESH, LEASE = 20.0, 180.0  # seconds
FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def make_record() -> dict[str, Any]:
    """Who this process is, for a lock file or a lease, with a token of its own.

    >>> sorted(make_record())
    ['boot', 'host', 'pid', 'since', 'space', 'started', 'token']
    """
    pid, since = os.getpid(), datetime.now(UTC).isoformat(timespec="seconds")
    return {**_place(), "pid": pid, "started": _started(pid), "since": since, "token": new_id()}


def write_record(descriptor: int, record: dict[str, Any]) -> None:
    """Write a record to an open file, in place of what is there."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode(), 0)


def read_record(source: Path | int) -> dict[str, Any]:
    """The record in a file or an open one; {} if there is none."""
    try:
        if isinstance(source, int):
            found = json.loads(os.pread(source, 4096, 0))
        else:
            descriptor = os.open(source, os.O_RDONLY | FLAGS)
            try:
                return read_record(descriptor)
            finally:
                os.close(descriptor)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def take(lease: Path, record: dict[str, Any]) -> bool:
    """Make a lease, or take over one that is over; False if it has another owner.

    Two that take over the same lease at the same moment may both succeed: the first must look again later.
    """
    for _ in range(3):
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(lease, os.O_RDWR | os.O_CREAT | os.O_EXCL | FLAGS, 0o666)
            try:
                write_record(descriptor, record)
            finally:
                os.close(descriptor)
            return True
        holder = read_record(lease)
        if not is_over(lease, holder):
            return False
        aside = lease.with_name(f".{new_id()}.lease")
        with contextlib.suppress(FileNotFoundError):
            lease.rename(aside)
            if read_record(aside) != holder:  # somebody else took it over just now
                with contextlib.suppress(OSError):
                    os.link(aside, lease)
            aside.unlink()
    return False


def is_over(lease: Path, holder: dict[str, Any]) -> bool:
    """Whether a lease is gone, its owner dead, or it was not touched for a long time by the clock of its file system.

    Args:
        lease: its file.
        holder: the record in it.
    """
    pid = holder.get("pid")
    if isinstance(pid, int) and 0 < pid < 2**31 and all(holder.get(key) == value for key, value in _place().items()):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it is that of another user
            pass
        if holder.get("started") != _started(pid):
            return True
    clock = lease.with_name(f".{new_id()}.lease")
    try:
        clock.touch()
        return clock.stat().st_mtime - lease.stat().st_mtime > LEASE
    except FileNotFoundError:
        return True
    finally:
        clock.unlink(missing_ok=True)


def keep(lease: Path, token: str) -> threading.Event:
    """Touch a lease from time to time, in a thread, until the event is set."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(REFRESH):
            with contextlib.suppress(OSError):
                if read_record(lease).get("token") == token:
                    os.utime(lease)

    threading.Thread(target=touch, daemon=True).start()
    return ended


@functools.cache
def _place() -> dict[str, str | None]:
    """Where a process number means something: the machine, since when it is up, and the container."""
    boot, space = None, None
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    return {"host": platform.node(), "boot": boot, "space": space}


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; None if that is not known."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None
