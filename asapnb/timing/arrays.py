"""From times to the arrays that compiled loops draw from."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import UsageError
from . import sampling
from .sampling import CONSTANT, EMPIRICAL, KINDS, MIXTURE, PURPOSES, Times


@dataclass(frozen=True)
class Component:
    """How the compiled sampler draws times of one law.

    Attributes:
        kind: a kind of `asapnb.timing.sampling`, such as UNIFORM.
        numbers: the numbers of that kind, at most four. `asapnb.timing.sampling` lists them.
        values: for the kind EMPIRICAL only, which has no numbers: the values in seconds, sorted.

    >>> from asapnb.timing import sampling, uniform
    >>> uniform(1, 3).sampler == Component(sampling.UNIFORM, (1.0, 2.0))
    True
    """

    kind: int
    numbers: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


class Drawable(Hashable, Protocol):
    """What a law of time must have to be drawn; `Time` has it."""

    @property
    def support(self) -> tuple[float, float]:
        """The least and the largest time."""

    @property
    def sampler(self) -> Component | Sequence[tuple[Any, float]]:
        """A component; or a list of (law, weight), one of which is drawn each time."""


def compile_times(
    purposes: Sequence[Sequence[Drawable]], pauses: Sequence[tuple[int, float, float]], workers: int
) -> Times:
    """The arrays of these times.

    Args:
        purposes: for each purpose of `sampling`, the time of each worker, or a single one for all workers.
        pauses: (worker, start, length) of each pause; start and length in virtual seconds.
        workers: how many there are.
    """
    components = _Components()
    width = workers if any(len(set(row)) > 1 for row in purposes) else 1
    first = np.empty((len(PURPOSES), width), np.int64)
    for p, row in enumerate(purposes):
        places = [components.place(time) for time in row]
        first[p] = places if len(places) == width else places[0]
    pause_first, intervals = _intervals(pauses, workers)
    numbers = np.array(components.numbers, np.float64)
    table = np.array(components.table or [0.0])
    return Times(np.array(components.kinds, np.int64), numbers, table, first, pause_first, intervals)


class _Components:
    """The components so far. Equal times share one."""

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.numbers: list[list[float]] = []
        self.table: list[float] = []
        self._places: dict[Hashable, int] = {}

    def place(self, time: Drawable) -> int:
        """The component of a time, made when it is new."""
        low, high = time.support
        key = low if low == high else time  # all ways to write a constant are the same component
        if key not in self._places:
            self._places[key] = self._add(time)
        return self._places[key]

    def _add(self, time: Drawable) -> int:
        parts = list(_flat(time, 1.0))
        places = [self._append(component.kind, *self._numbers(component)) for component, _ in parts]  # side by side
        if len(parts) == 1:
            return places[0]
        cumulative = np.cumsum([share for _, share in parts])
        start = len(self.table)
        self.table += (cumulative / cumulative[-1]).tolist()
        return self._append(MIXTURE, start, len(parts), places[0])

    def _numbers(self, component: Component) -> tuple[float, ...]:
        if component.kind not in KINDS or component.kind == MIXTURE:
            raise UsageError(f"a law is drawn by the kind {component.kind}: must be one of asapnb.timing.sampling, "
                             "such as UNIFORM; for a mixture, give a list of (time, weight)")  # fmt: skip
        if component.kind != EMPIRICAL:
            return component.numbers
        self.table += component.values
        return len(self.table) - len(component.values), len(component.values)

    def _append(self, kind: int, *numbers: float) -> int:
        self.kinds.append(kind)
        self.numbers.append([*numbers, 0.0, 0.0, 0.0, 0.0][:4])
        return len(self.kinds) - 1


def _flat(time: Drawable, share: float) -> Iterator[tuple[Component, float]]:
    """The components of a time with their probabilities: several for a mixture, with those of mixtures in it."""
    low, high = time.support
    if low == high:
        yield Component(CONSTANT, (low,)), share
    elif isinstance(sampler := time.sampler, Component):
        yield sampler, share
    else:
        total = math.fsum(weight for _, weight in sampler)
        for part, weight in sampler:
            yield from _flat(part, share * weight / total)


def _intervals(pauses: Sequence[tuple[int, float, float]], workers: int) -> tuple[np.ndarray, np.ndarray]:
    """The first pause of each worker in the second array, and starts and ends. Pauses that touch are one."""
    if not pauses:
        return np.zeros(1, np.int64), np.zeros((0, 2))
    merged: list[list[list[float]]] = [[] for _ in range(workers)]
    for worker, start, length in sorted(pauses):
        own = merged[worker]
        if own and start <= own[-1][1]:
            own[-1][1] = max(own[-1][1], start + length)
        else:
            own.append([start, start + length])
    counts = itertools.accumulate((len(own) for own in merged), initial=0)
    return np.array(list(counts), np.int64), np.array([pause for own in merged for pause in own], np.float64)


def without_branch(*functions: Callable[..., Any]) -> set[int]:
    """The kinds whose names do not occur in these functions, so that none of them can have a branch for it."""
    named = {name for function in functions for name in function.__code__.co_names}
    return set(KINDS) - {vars(sampling)[name] for name in named & vars(sampling).keys()}


if missing := without_branch(sampling.draw.py_func, sampling._draw.py_func):
    raise NotImplementedError(f"the sampler has no branch for the kinds {sorted(missing)}: add it in sampling.py")
