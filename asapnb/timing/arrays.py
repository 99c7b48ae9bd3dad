"""From times to the arrays that compiled loops draw from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from . import sampling
from .laws import weibull_scale
from .sampling import Times
from .times import Time, constant


def compile_times(
    purposes: Sequence[Sequence[Time]], pauses: Sequence[tuple[int, float, float]], workers: int
) -> Times:
    """`purposes[p][w]` is the time of worker w for purpose p; a row of one is for all, a missing row takes none."""
    components = _Components()
    width = workers if any(len(set(row)) > 1 for row in purposes) else 1
    first = np.zeros((6, width), np.int64)
    for p in range(6):
        row = purposes[p] if p < len(purposes) else [constant(0.0)]
        places = [components.place(time) for time in row]
        first[p] = places if len(places) == width else places[0]
    pause_first, intervals = _intervals(pauses, workers)
    numbers = np.array(components.numbers, np.float64)
    table = np.array(components.table or [0.0])
    return Times(np.array(components.kinds, np.int64), numbers, table, first, pause_first, intervals)


class _Components:
    """The components so far; an equal time is the same component."""

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.numbers: list[list[float]] = []
        self.table: list[float] = []
        self._places: dict[Time, int] = {}

    def place(self, time: Time) -> int:
        """The component of a time, made when it is new."""
        low, high = time.support
        if low == high:  # however it is written
            time = constant(low)
        if time not in self._places:
            self._places[time] = self._add(time)
        return self._places[time]

    def _add(self, time: Time) -> int:
        parts = list(_flat(time, 1.0))
        if len(parts) == 1:
            return self._append(*self._law(parts[0][0]))
        places = [self._append(*self._law(part)) for part, _ in parts]  # side by side
        cumulative = np.cumsum([share for _, share in parts])
        start = len(self.table)
        self.table += (cumulative / cumulative[-1]).tolist()
        return self._append(sampling.MIXTURE, start, len(parts), places[0])

    def _append(self, kind: float, *numbers: float) -> int:
        self.kinds.append(int(kind))
        self.numbers.append([*numbers, 0.0, 0.0, 0.0][:4])
        return len(self.kinds) - 1

    def _law(self, time: Time) -> list[float]:
        """Kind and numbers of a time that is no mixture, as `sampling` says what they are."""
        low, high = time.support
        if low == high:  # as a part of a mixture
            return [sampling.CONSTANT, low]
        given = dict(time.parameters)
        match time.name:
            case "exponential":
                return [sampling.EXPONENTIAL, 0.0, given["mean"]]
            case "shifted_exponential":
                return [sampling.EXPONENTIAL, given["shift"], given["mean"]]
            case "uniform":
                return [sampling.UNIFORM, low, high - low]
            case "lognormal":
                spread = 1.0 + given["cv"] ** 2
                return [
                    sampling.LOGNORMAL,
                    given["mean"] / math.sqrt(spread),
                    math.sqrt(math.log1p(given["cv"] ** 2)),
                ]
            case "weibull":
                return [sampling.WEIBULL, weibull_scale(**given), 1.0 / given["shape"]]
            case "pareto":
                return [sampling.PARETO, given["minimum"], 1.0 / given["alpha"]]
            case "gamma":
                inverse = given["cv"] ** 2  # of the shape
                d = 1.0 / inverse - 1.0 / 3.0 + (1.0 if inverse > 1.0 else 0.0)
                rest = inverse if inverse > 1.0 else 0.0
                return [sampling.GAMMA_LAW, given["mean"] * inverse, d, 1.0 / math.sqrt(9.0 * d), rest]
        start = len(self.table)
        self.table += given["values"]
        return [sampling.EMPIRICAL, start, len(given["values"])]


def _flat(time: Time, share: float) -> Iterator[tuple[Time, float]]:
    """The parts of a mixture, of mixtures in it too, with their probabilities; any other time as it is."""
    if time.name != "mixture":
        yield time, share
        return
    given = dict(time.parameters)
    total = math.fsum(given["weights"])
    for part, weight in zip(given["times"], given["weights"], strict=True):
        yield from _flat(part, share * weight / total)


def _intervals(pauses: Sequence[tuple[int, float, float]], workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pauses of each worker begin, and their starts and ends; those that touch are one."""
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
