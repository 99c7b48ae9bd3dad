"""Times that differ from worker to worker: a list, groups, some slower ones, or the workers of a machine.

A field of `Timing` holds a `Time`, a tuple of them, or one of the frozen classes here. Each class says which times
occur in it (`entries`), and which time each worker has (`spread`).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..numbers import integer, real
from ..text import parse_call
from .laws import as_time, lognormal, plain
from .times import TIMES, Time


@dataclass(frozen=True, repr=False)
class Groups:
    """What `groups` returns."""

    times: tuple[Time, ...]
    sizes: tuple[int, ...]

    def entries(self) -> tuple[Time, ...]:
        """Every time that occurs."""
        return self.times

    def spread(self, workers: int, name: str) -> tuple[Time, ...]:
        """The time of each worker. UsageError, with the `name` of the field, if that many workers do not fit."""
        each = tuple(time for time, size in zip(self.times, self.sizes, strict=True) for _ in range(size))
        return for_workers(each, workers, name)

    def __repr__(self) -> str:
        return f"groups({', '.join(map(plain, self.times))}, sizes={list(self.sizes)})"


@dataclass(frozen=True, repr=False)
class Slowed:
    """What `slowed` returns."""

    time: PerWorker
    factor: float
    workers: tuple[int, ...]

    def entries(self) -> tuple[Time, ...]:
        """Every time that occurs."""
        return entries(self.time)

    def spread(self, workers: int, name: str) -> tuple[Time, ...]:
        """The time of each worker. UsageError, with the `name` of the field, if that many workers do not fit."""
        if max(self.workers) >= workers:
            raise UsageError(f"{name} slows worker {max(self.workers)} of {workers}: workers have the numbers 0 to "
                             f"{workers - 1}")  # fmt: skip
        usual = for_workers(self.time, workers, name)
        return tuple(time.scaled(self.factor) if w in self.workers else time for w, time in enumerate(usual))

    def __repr__(self) -> str:
        return f"slowed({text(self.time)}, factor={self.factor}, workers={list(self.workers)})"


@dataclass(frozen=True, repr=False)
class Machine:
    """What `machine` returns."""

    cores: int
    smt: float
    cv: float
    mean: float

    def entries(self) -> tuple[Time, ...]:
        """Every time that occurs."""
        return (lognormal(self.mean, self.cv),)

    def spread(self, workers: int, name: str) -> tuple[Time, ...]:
        """The time of each worker. UsageError, with the `name` of the field, if that many workers do not fit."""
        if workers > 2 * self.cores:
            raise UsageError(f"{name} is of a machine with {self.cores} cores for {workers} workers: at most "
                             f"{2 * self.cores} fit, two on each core; give more cores")  # fmt: skip
        alone = lognormal(self.mean, self.cv)
        sharing = 2 * max(workers - self.cores, 0)
        return (alone,) * (workers - sharing) + (alone.scaled(self.smt),) * sharing

    def __repr__(self) -> str:
        return f"machine(cores={self.cores}, smt={self.smt}, cv={self.cv}, mean={self.mean})"


PerWorker = Time | tuple[Time, ...] | Groups | Slowed | Machine


def groups(*times: Time | float, sizes: Sequence[int]) -> Groups:
    """Groups of workers, such as those of different machines. The first sizes[0] workers take times[0], and so on.

    Args:
        times: a time for each group, or a number of seconds.
        sizes: how many workers each group has, at least 1. The sum must be the number of workers of the run.

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
    """A time that is `factor` times as long for some workers.

    Args:
        time: one time for all workers, or one for each: whatever a field of `Timing` takes.
        factor: how many times as long; from 1e-9 to 1e9.
        workers: the number of the slow worker, or a list of numbers; the first worker is 0.

    >>> from asapnb.timing import exponential
    >>> for_workers(slowed(exponential(1), 4, workers=[2]), 3, "compute")
    (exponential(mean=1.0), exponential(mean=1.0), exponential(mean=4.0))
    """
    return Slowed(as_times(time), real("factor", factor, 1e-9, 1e9), _integers("workers", workers, 0))


def machine(cores: int = 36, smt: float = 1.66, cv: float = 0.03, mean: float = 1.0) -> Machine:
    """The workers of one machine. They are about equally fast as long as each has a core of its own.

    If there are more workers than cores, the last 2 (m - cores) of the m workers share cores in pairs, and are
    slower. With the defaults, the staleness looks like that of a real machine of 36 cores; docs/reference/timing.md
    compares both.

    Args:
        cores: how many physical cores there are, at least 1. A core has two threads, so at most twice as many workers
            fit.
        smt: how many times as long a worker takes that shares its core; from 1 to 1,000.
        cv: the coefficient of variation of every time, which is lognormal: 0, or from 1e-6 to 1000.
        mean: the mean time of a worker that has a core of its own, in seconds.

    >>> [time.mean for time in for_workers(machine(cores=3), 4, "compute")]
    [1.0, 1.0, 1.66, 1.66]
    >>> machine()
    machine(cores=36, smt=1.66, cv=0.03, mean=1.0)
    """
    alone = dict(lognormal(mean, cv).parameters)
    return Machine(integer("cores", cores, 1), real("smt", smt, 1, 1000), alone["cv"], alone["mean"])


# What a text of times may call; a law that is registered later is found, too
HELPERS: MutableMapping[str, Callable[..., Any]] = ChainMap(
    {"groups": groups, "slowed": slowed, "machine": machine}, TIMES
)


def as_times(value: Any, name: str = "time") -> PerWorker:
    """Make a time for all workers, or one for each, from a `Time`, a number, a text, or a list of these.

    >>> as_times(["exponential(1)", 2])
    (exponential(mean=1.0), constant(2.0))
    """
    if isinstance(value, Groups | Slowed | Machine):
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
    """Read a time from its text, or a list of times, one for each worker.

    Args:
        text: such as "exponential(1)" or "[exponential(1), 2]".

    Raises:
        UsageError: if the text cannot be read.

    >>> parse_times("gamma(mean=1, cv=0.5)"), parse_times("[exponential(1), 2]")
    (gamma(mean=1.0, cv=0.5), (exponential(mean=1.0), constant(2.0)))
    """
    return parse_call(f"time({text})", {"time": _read}, "time", HELPERS)


def _read(value: Any) -> PerWorker:
    return parse_call(value, HELPERS, "time", HELPERS) if isinstance(value, str) else as_times(value)  # a bare word


def entries(value: PerWorker) -> tuple[Time, ...]:
    """Every time that occurs, before it is slowed."""
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, Time) else value.entries()


def text(value: PerWorker) -> str:
    """The text of a time or times, with constants as numbers. `parse_times` reads it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(plain, value))}]"
    return plain(value) if isinstance(value, Time) else repr(value)


def for_workers(value: PerWorker, workers: int, name: str) -> tuple[Time, ...]:
    """The time of each worker.

    Args:
        value: times, as `as_times` returns them.
        workers: how many workers there are. Lists, groups, slow workers and machines must fit this number.
        name: the name of the field, for the error.

    Raises:
        UsageError: if they do not fit.
    """
    if isinstance(value, Time):
        return (value,) * workers
    if not isinstance(value, tuple):
        return value.spread(workers, name)
    if len(value) != workers:
        raise UsageError(f"{name} has {len(value):,} times for {workers} workers: give one for each worker, or one "
                         "for all")  # fmt: skip
    return value


def _integers(name: str, values: Any, least: int) -> tuple[int, ...]:
    items = list(values) if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) else [values]
    if not items:
        raise UsageError(f"{name} are empty: give at least one integer, at least {least}")
    return tuple(integer(f"{name}[{i}]", item, least) for i, item in enumerate(items))
