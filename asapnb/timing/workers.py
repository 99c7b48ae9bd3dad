"""Times that differ between workers: a list with one for each, groups of equal workers, or some that are slower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..text import parse_call
from .times import TIMES, Time, as_time, number, plain


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
    """`time`, but `factor` times as much for these workers (counted from 0).

    >>> from asapnb.timing import exponential
    >>> for_workers(slowed(exponential(1), 4, workers=[2]), 3, "compute")
    (exponential(mean=1.0), exponential(mean=1.0), exponential(mean=4.0))
    """
    listed = workers if isinstance(workers, Sequence | np.ndarray) else [workers]
    return Slowed(as_times(time), number("factor", factor, 1e-9, 1e9), _integers("workers", listed, 0))


HELPERS: dict[str, Callable[..., Any]] = {**TIMES, "groups": groups, "slowed": slowed}


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
    found: PerWorker = parse_call(f"time({text})", {"time": _read}, "time", HELPERS)
    return found


def _read(value: Any) -> PerWorker:
    if isinstance(value, str):  # a bare word
        found: PerWorker = parse_call(value, HELPERS, "time", HELPERS)
        return found
    return as_times(value)


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
    """The time of each of so many workers; `name` says in an error what it was for."""
    if isinstance(value, Time):
        return (value,) * workers
    if isinstance(value, Slowed):
        if max(value.workers) >= workers:
            raise UsageError(f"{name} slows worker {max(value.workers)} of {workers}: workers count from 0 to "
                             f"{workers - 1}")  # fmt: skip
        usual = for_workers(value.time, workers, name)
        return tuple(time.scaled(value.factor) if w in value.workers else time for w, time in enumerate(usual))
    if isinstance(value, Groups):
        value = tuple(time for time, size in zip(value.times, value.sizes, strict=True) for _ in range(size))
    if len(value) != workers:
        raise UsageError(f"{name} has {len(value)} times for {workers} workers: give one for each worker, or one "
                         "for all")  # fmt: skip
    return value


def _integers(name: str, values: Any, least: int) -> tuple[int, ...]:
    items = list(values) if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) else [values]
    for item in items:
        if not isinstance(item, int | np.integer) or isinstance(item, bool) or item < least:
            raise UsageError(f"{name} are {values!r:.80}: must be integers, at least {least}")
    if not items:
        raise UsageError(f"{name} are empty: give at least one integer, at least {least}")
    return tuple(int(item) for item in items)
