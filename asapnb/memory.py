"""How much memory is available, and an error in advance for what would need more."""

import os
import resource
from contextlib import suppress
from pathlib import Path

from .errors import UsageError

_SMALL = 2**27  # bytes that are never refused, so that small runs need not ask
_CGROUPS = Path("/sys/fs/cgroup")


def check_memory(what: str, needed: int, remedy: str) -> None:
    """UsageError if something needs more memory than is available.

    Args:
        what: what needs the memory, for the error.
        needed: how many bytes it needs.
        remedy: what to do about it, for the error.

    >>> check_memory("a list", 1000, "ask for less")  # there is room
    """
    if needed > _SMALL and needed > (there := available()):
        raise UsageError(f"{what} needs {_size(needed)} of memory, and there are {_size(there)}: {remedy}")


def available() -> int:
    """The bytes that this process can still get, by the machine, its control group and its own limit."""
    with suppress(OSError, ValueError):
        free = _table(Path("/proc/meminfo"), 1024)
        return max(0, min(free["MemAvailable"] + free.get("SwapFree", 0), _of_group(), _of_process()))
    return 2**63  # unknown


def _of_group() -> int:
    """The bytes that the control groups of this process leave, including pages of files, which they could drop."""
    left = 2**63
    with suppress(OSError):
        group = _group()
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # a group without a limit says "max"
                most, used = (int((folder / f"memory.{name}").read_text()) for name in ("max", "current"))
                pages = _table(folder / "memory.stat", 1)
                left = min(left, most - used + pages.get("inactive_file", 0) + pages.get("active_file", 0))
            if folder == _CGROUPS:
                break
    return left


def _group() -> Path:
    """The folder of the control group of this process."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    path = next((line.partition("::")[2] for line in lines if line.startswith("0::")), "")
    return _CGROUPS / path.strip("/")


def _of_process() -> int:
    """What `ulimit -v` leaves."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return 2**63
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return most - used


def _table(path: Path, unit: int) -> dict[str, int]:
    """The numbers of a file of lines "name value", in bytes."""
    pairs = (line.replace(":", " ").split()[:2] for line in path.read_text().splitlines())
    return {name: int(value) * unit for name, value in pairs}


def _size(count: int) -> str:
    """Bytes as text, in megabytes or gigabytes.

    >>> _size(3 * 10**8), _size(2 * 10**12)
    ('300 MB', '2,000 GB')
    """
    return f"{count / 1e6:,.0f} MB" if count < 1e10 else f"{count / 1e9:,.0f} GB"
