"""Times that differ between workers: a list with one for each, groups of equal workers, or some that are slower."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..numbers import integer, real
from ..text import parse_call
from .laws import as_time, plain
from .times import TIMES, Time


@dataclass(frozen=True, repr=False)
class Groups:
    """What `groups` returns."""

    times: tuple[Time, ...]
    sizes: tuple[int, ...]

    def __repr__(self) -> str:
        return f"groups({', '.join(map(plain, self.times))}, sizes={list(self.sizes)})"


@dataclass(frozen=True, repr=False)
class Slowed:
    """What `slowed` returns."""

    time: PerWorker
    factor: float
    workers: tuple[int, ...]

    def __repr__(self) -> str:
        return f"slowed({text(self.time)}, factor={self.factor}, workers={list(self.workers)})"


PerWorker = Time | tuple[Time, ...] | Groups | Slowed


def groups(*times: Time | float, sizes: Sequence[int]) -> Groups:
    """The first sizes[0] workers take times[0], the next sizes[1] take times[1] …: the nodes of a machine, say.

    Args:
        times: a time for each group, or a number of seconds.
        sizes: how many workers each group has, at least 1. Their sum must be the number of workers of the run.

    >>> for_workers(groups(1.0, 2.0, sizes=[2, 1]), 3, "compute")
    (constant(1.0), constant(1.0), constant(2.0))
    """
    parts = tuple(as_time(time, f"times[{i}] of groups") for i, time in enumerate(times))
    counts = _integers("sizes", sizes, 1)
    if len(counts) != len(parts) or not parts:
        raise UsageError(f"sizes are {list(counts)} for {len(parts)} times: give groups at least one time, and one "
                         "size for each: groups(1.0, 2.0, sizes=[8, 8])")  # fmt: skip
    return Groups(parts, counts)


def slowed(time: Any, factor: float, workers: int | Sequence[int] = (0,)) -> Slowed:
    """`time`, but `factor` times as long for some workers.

    Args:
        time: for all workers or one for each: whatever a field of `Timing` takes.
        factor: from 1e-9 to 1e9.
        workers: the number of the slow worker, or a list of numbers; the first worker is 0.

    >>> from asapnb.timing import exponential
    >>> for_workers(slowed(exponential(1), 4, workers=[2]), 3, "compute")
    (exponential(mean=1.0), exponential(mean=1.0), exponential(mean=4.0))
    """
    return Slowed(as_times(time), real("factor", factor, 1e-9, 1e9), _integers("workers", workers, 0))


# What a text of times may call; a law that is registered later is found, too
HELPERS: MutableMapping[str, Callable[..., Any]] = ChainMap({"groups": groups, "slowed": slowed}, TIMES)


def as_times(value: Any, name: str = "time") -> PerWorker:
    """A time for all workers, or one for each: from a `Time`, a number, a text, or a list of these.

    >>> as_times(["exponential(1)", 2])
    (exponential(mean=1.0), constant(2.0))
    """
    if isinstance(value, Groups | Slowed):
        return value
    if isinstance(value, str):
        return parse_times(value)
    if not isinstance(value, list | tuple | np.ndarray):
        return as_time(value, name)
    if not len(value):
        raise UsageError(f"{name} is an empty list: give one time for all workers, or one for each")
    found = [parse_times(item) if isinstance(item, str) else item for item in value]
    return tuple(as_time(item, f"{name}[{i}]") for i, item in enumerate(found))


def parse_times(text: str) -> PerWorker:
    """The time, or one for each worker, that a text names.

    >>> parse_times("gamma(mean=1, cv=0.5)"), parse_times("[exponential(1), 2]")
    (gamma(mean=1.0, cv=0.5), (exponential(mean=1.0), constant(2.0)))
    """
    return parse_call(f"time({text})", {"time": _read}, "time", HELPERS)


def _read(value: Any) -> PerWorker:
    return parse_call(value, HELPERS, "time", HELPERS) if isinstance(value, str) else as_times(value)  # a bare word


def entries(value: PerWorker) -> tuple[Time, ...]:
    """Every time that occurs, before it is slowed."""
    if isinstance(value, Time):
        return (value,)
    if isinstance(value, Slowed):
        return entries(value.time)
    return value.times if isinstance(value, Groups) else value


def text(value: PerWorker) -> str:
    """As `parse_times` reads it, constants as numbers."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(plain, value))}]"
    return plain(value) if isinstance(value, Time) else repr(value)


def for_workers(value: PerWorker, workers: int, name: str) -> tuple[Time, ...]:
    """The time of each worker.

    Args:
        value: times, as `as_times` returns them.
        workers: how many there are; lists, groups and slow workers must suit them, else UsageError.
        name: of the field, for the error.
    """
    if isinstance(value, Time):
        return (value,) * workers
    if isinstance(value, Slowed):
        if max(value.workers) >= workers:
            raise UsageError(f"{name} slows worker {max(value.workers)} of {workers}: workers count from 0 to "
                             f"{workers - 1}")  # fmt: skip
        usual = for_workers(value.time, workers, name)
        return tuple(time.scaled(value.factor) if w in value.workers else time for w, time in enumerate(usual))
    if isinstance(value, Groups) and sum(value.sizes) == workers:
        value = tuple(time for time, size in zip(value.times, value.sizes, strict=True) for _ in range(size))
    if isinstance(value, Groups) or len(value) != workers:
        count = sum(value.sizes) if isinstance(value, Groups) else len(value)
        raise UsageError(f"{name} has {count:,} times for {workers} workers: give one for each worker, or one "
                         "for all")  # fmt: skip
    return value


def _integers(name: str, values: Any, least: int) -> tuple[int, ...]:
    items = list(values) if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) else [values]
    if not items:
        raise UsageError(f"{name} are empty: give at least one integer, at least {least}")
    return tuple(integer(f"{name}[{i}]", item, least) for i, item in enumerate(items))
