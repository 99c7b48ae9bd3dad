"""The CPU quota: how much CPU time the control groups of this process, such as a container, allow."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_ROOT = Path("/")


@cache
def cpu_quota(root: Path = _ROOT) -> float | None:
    """The CPU quota of this process, in CPUs: the smallest of its control groups; None if there is none.

    Args:
        root: the root of the file system. The files below proc and sys/fs/cgroup are read, of version 2 (cpu.max) and
            version 1.

    >>> quota = cpu_quota()
    >>> quota is None or quota > 0
    True
    """
    found = [quota for folder in groups(root) for quota in (_version_2(folder), _version_1(folder)) if quota]
    return min(found, default=None)


def groups(root: Path = _ROOT) -> Iterator[Path]:
    """The folders of this process's control groups, from the innermost out, of each kind that can hold a quota."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        names = [name for name in path.split("/") if name and name != ".."]
        mounts = {
            root / "sys/fs/cgroup" / place for place in ((controllers, "cpu") if controllers else ("", "unified"))
        }
        for mount in sorted(mounts):
            for depth in range(len(names), -1, -1):  # in a container only the mount itself may be there
                yield mount.joinpath(*names[:depth])


def _version_2(folder: Path) -> float | None:
    quota = re.fullmatch(r"(\d+) (\d+)", _text(folder / "cpu.max").strip())  # or "max 100000"
    return _share(int(quota[1]), int(quota[2])) if quota else None


def _version_1(folder: Path) -> float | None:
    try:
        return _share(*(int(_text(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period")))
    except ValueError:
        return None


def _share(quota: int, period: int) -> float | None:
    return quota / period if quota > 0 and period > 0 else None  # -1 is no quota


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
