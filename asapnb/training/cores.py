"""The cores that a run may use, in the order in which workers are pinned to them."""

import itertools
import math
import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..quota import cpu_quota
from ..record import core_of_each


def cores() -> list[int]:
    """The cores this process may run on. A quota of its container may allow fewer at a time: see `at_once`."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def pin_order(cpus: Sequence[int], core_of: Mapping[int, Any]) -> list[int]:
    """The order in which workers are pinned to CPUs: one of each physical core first, then the threads beside them.

    Args:
        cpus: those that may be used.
        core_of: the physical core of each CPU, as far as that is known.

    >>> pin_order([0, 1, 2, 3], {0: "a", 1: "a", 2: "b", 3: "b"})
    [0, 2, 1, 3]
    """
    threads: dict[Any, list[int]] = {}
    for cpu in cpus:
        threads.setdefault(core_of.get(cpu, cpu), []).append(cpu)
    return [cpu for rank in itertools.zip_longest(*threads.values()) for cpu in rank if cpu is not None]


def pinning() -> list[int]:
    """The CPU of each worker that is pinned, round and round."""
    return pin_order(cores(), core_of_each())


def places() -> list[Hashable]:
    """The physical core of each CPU in `pinning`; where that is not known, each has one of its own."""
    known = core_of_each()
    return [known.get(cpu, cpu) for cpu in pinning()]


def at_once() -> int:
    """How many threads may run at the same time: one for each core, or what the quota of the container allows."""
    quota = cpu_quota()
    return len(cores()) if quota is None else min(len(cores()), max(1, math.ceil(quota)))


def quota_note() -> str:
    """What there is to say of a quota that is less than the cores; "" without one."""
    quota, count = cpu_quota(), len(cores())
    if quota is None or quota >= count:
        return ""
    return f"a CPU quota of {quota:g} for {count} cores: all threads together are suspended when it is used up"
