"""Where a run was made: the machine and the versions. A fact that the platform does not tell is None."""

import os
import platform
import uuid
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

from ..quota import cpu_quota

_PACKAGES = ("numpy", "numba", "llvmlite", "h5py")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "ASAPNB_KERNELS",
)
_SYSTEM = Path("/sys/devices/system")


def versions() -> dict[str, str]:
    """The versions of asapnb, Python and the packages on which results depend.

    >>> sorted(versions())
    ['asapnb', 'h5py', 'llvmlite', 'numba', 'numpy', 'python']
    """
    from .. import __version__

    return {"asapnb": __version__, "python": platform.python_version(), **_packages()}


@cache
def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def new_id() -> str:
    """A new unique id: 32 hexadecimal digits.

    >>> len(new_id())
    32
    """
    return uuid.uuid4().hex


def process() -> dict[str, Any]:
    """The id of this process and the name of its machine."""
    return {"pid": os.getpid(), "host": platform.node()}


def spans(numbers: Iterable[int]) -> str:
    """Whole numbers as text, as Linux writes lists of CPUs.

    >>> spans([0, 1, 2, 3, 8, 10, 11])
    '0-3,8,10-11'
    """
    runs = [[number for _, number in run] for _, run in groupby(enumerate(sorted(numbers)), lambda at: at[1] - at[0])]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def machine(kernel_path: str | None = None) -> dict[str, Any]:
    """The CPU, its cores, the memory in bytes, the platform, variables that set threads, and the kernels used.

    >>> machine("portable")["kernels"]
    'portable'
    """
    return {
        "cpu": _cpu_model(),
        **topology(),
        "memory": _memory(),
        "platform": platform.platform(),
        "threads": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
        "kernels": kernel_path,
    }


def topology(system: Path = _SYSTEM) -> dict[str, Any]:
    """The layout of the machine: numbers of CPUs, cores and sockets, the CPU quota, and the CPUs of NUMA nodes.

    `cpus` counts logical CPUs, `allowed` those that this process may use, and `cores` physical cores. `quota` is that
    of the container, in CPUs.

    >>> sorted(topology())
    ['allowed', 'cores', 'cpus', 'numa_nodes', 'quota', 'sockets']
    """
    return {
        "cpus": os.cpu_count(),
        "allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "quota": cpu_quota(),
        **_places(system),
    }


@cache
def _places(system: Path) -> dict[str, Any]:
    """What does not change while a process lives."""
    known = list(core_of_each(system).values())
    nodes = sorted(system.glob("node/node[0-9]*"), key=lambda node: int(node.name[4:]))
    return {
        "cores": len(set(known)) or None,
        "sockets": len({socket for socket, _ in known}) or None,
        "numa_nodes": [_read(node / "cpulist") for node in nodes] or None,
    }


def core_of_each(system: Path = _SYSTEM) -> dict[int, tuple[str, str]]:
    """The socket and the core of each CPU; without those of which the platform does not tell.

    CPUs of the same core are its hardware threads.

    >>> core_of_each(Path("no system"))
    {}
    """
    places = {
        int(cpu.parent.name[3:]): (_read(cpu / "physical_package_id"), _read(cpu / "core_id"))
        for cpu in system.glob("cpu/cpu[0-9]*/topology")
    }
    return {cpu: (socket, core) for cpu, (socket, core) in places.items() if socket is not None and core is not None}


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None


@cache
def _cpu_model() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
