"""Which contestant is faster than which: speed-ups over `constant`, ranks, and their intervals.

The score of a contestant is the geometric mean, over the cells, of the ratio of mean times: constant / contestant. A
run that did not arrive counts as its budget (a restricted mean). Intervals are bootstrap percentiles over seeds,
drawn jointly for all contestants and cells, because for a seed all contestants had the same schedules, initial
parameters and minibatches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.resampling import Interval, percentiles, resampled
from ..errors import UsageError
from .cells import SUITE
from .contestants import BASELINE
from .results import Result, Runs
from .suite import Cell, Suite, step_size

_GRID_ERROR = math.log(1.02)


@dataclass(frozen=True)
class Speed:
    """How many times as fast as `constant` a contestant is, with an interval; None if there is one seed only."""

    ratio: float
    interval: Interval | None

    def __str__(self) -> str:
        found = f"{self.ratio:.2f}"
        return found if self.interval is None else f"{found} ({self.interval.low:.2f}–{self.interval.high:.2f})"


@dataclass(frozen=True)
class Place:
    """The place of a contestant among the others.

    Attributes:
        result: what the contestant did.
        rank: from 1, by the speed-up at the best step size.
        ranks: the interval of the rank; None if there is one seed only.
        alike: the names of contestants that it cannot be told apart from. The interval of the ratio of their
            speed-ups, each at its best step size, then comes within 2 % of 1. The grid of step sizes alone may cause
            2 %.
        best: the speed-up over all cells, each contestant at its own best step size.
        equal: the speed-up over all cells, all contestants at the step size that is best for `constant`.
        arrived: the share of runs that reached the target: at the best step size, and at the equal one.
        mean_scale: the mean scale of the runs at the best step size, averaged over the cells.
        step: the best step size divided by that of `constant`, as a geometric mean over the cells.
        stable: the largest stable step divided by that of `constant`, as a geometric mean over the scenarios; None if
            it is known for no scenario.
        by_cell: the speed-up in each cell, at the best step size.
        equal_by_cell: the speed-up in each cell, at the equal step size.
    """

    result: Result
    rank: int
    ranks: Interval | None
    alike: tuple[str, ...]
    best: Speed
    equal: Speed
    arrived: tuple[float, float]
    mean_scale: float
    step: float
    stable: float | None
    by_cell: Mapping[str, Speed]
    equal_by_cell: Mapping[str, Speed]


@dataclass(frozen=True)
class Standings:
    """The contestants in order; made by `standings`.

    Attributes:
        suite: the cells and seeds that are compared.
        places: a `Place` for each contestant, the fastest first.
    """

    suite: Suite
    places: tuple[Place, ...]

    def __getitem__(self, name: str) -> Place:
        """The place of a contestant, by its name."""
        return next(place for place in self.places if place.result.name == name)


def standings(results: Sequence[Result], suite: Suite = SUITE, confidence: float = 0.95) -> Standings:
    """Compare contestants by the runs that all of them have.

    Args:
        results: results from `compete` and `load_builtin`. One of them must be that of `constant`.
        suite: the cells and seeds to compare: the suite of the results, or a part of it.
        confidence: of all intervals, in (0, 1).

    Returns:
        The `Standings`.

    Raises:
        UsageError: for results of another version of the suite, without `constant`, or with cells or seeds missing.

    >>> from asapnb.arena import SUITE, compete
    >>> part = SUITE.only(["geometric"], ["quadratic"]).quickly()
    >>> found = standings([compete(rule, suite=part) for rule in ("constant", "tail")], part)
    >>> found["constant"].best.ratio, found["constant"].rank + found["tail"].rank
    (1.0, 3)
    """
    _check(results, suite)
    best, equal = (_gains(results, suite, which, confidence) for which in ("best", "equal"))
    return Standings(
        suite,
        tuple(
            sorted((_place(i, results, suite, best, equal) for i in range(len(results))), key=lambda one: one.rank)
        ),
    )


@dataclass(frozen=True)
class _Gains:
    """Logarithms of speed-ups over `constant` at its best step size, as they are and in bootstrap samples."""

    once: NDArray[np.float64]  # (contestants, cells)
    drawn: NDArray[np.float64] | None  # (samples, contestants, cells); None from one seed
    seeds: int
    confidence: float

    def interval(self, values: NDArray[Any]) -> Interval:
        """Of a value that each sample has."""
        return percentiles(values, self.seeds, self.confidence)

    def speed(self, i: int, cells: slice = slice(None)) -> Speed:
        """The speed-up of contestant i over these cells."""
        ratio = float(np.exp(self.once[i, cells].mean()))
        if self.drawn is None:
            return Speed(ratio, None)
        return Speed(ratio, Interval(*np.exp(self.interval(self.drawn[:, i, cells].mean(axis=1))).tolist()))

    def alike(self, i: int) -> list[int]:
        """The other contestants that contestant i is not told apart from."""
        if self.drawn is None:
            return []
        scores = self.drawn.mean(axis=2)
        apart = (self.interval(scores[:, i] - scores[:, j]) for j in range(scores.shape[1]))
        return [
            j for j, found in enumerate(apart) if j != i and found.low <= _GRID_ERROR and found.high >= -_GRID_ERROR
        ]

    def rank(self, i: int) -> tuple[int, Interval | None]:
        """The rank of contestant i, and its interval."""
        scores = self.once.mean(axis=1)
        rank = 1 + int((scores > scores[i]).sum())
        if self.drawn is None:
            return rank, None
        drawn = self.drawn.mean(axis=2)
        return rank, self.interval(1 + (drawn > drawn[:, i : i + 1]).sum(axis=1))


def _gains(results: Sequence[Result], suite: Suite, which: str, confidence: float) -> _Gains:
    seeds = len(suite.seeds)
    base = _times(next(one for one in results if one.name == BASELINE), suite, "best")
    times = np.array([_times(one, suite, which) for one in results])
    weights = np.ones((1, seeds), np.int64) if seeds < 2 else resampled([seeds])[0]

    def logarithms(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        means = np.log(np.maximum(times @ weights.T, np.finfo(float).tiny))
        return np.moveaxis(np.log(base @ weights.T) - means, -1, 0)

    drawn = None if seeds < 2 else logarithms(weights)
    return _Gains(logarithms(np.ones((1, seeds), np.int64))[0], drawn, seeds, confidence)


def _times(one: Result, suite: Suite, which: str) -> NDArray[np.float64]:
    """The times of a contestant, (cells, seeds); a run that did not arrive took its budget."""
    return np.array(
        [
            [cell.task.budget if time is None else time for time in _runs(one, cell, which, suite).times]
            for cell in suite.cells
        ],
        dtype=np.float64,
    )


def _runs(one: Result, cell: Cell, which: str, suite: Suite) -> Runs:
    """Those of the seeds that are compared."""
    found: Runs = getattr(one.cells[cell.name], which)
    return replace(found, times=found.times[: len(suite.seeds)])


def _place(i: int, results: Sequence[Result], suite: Suite, best: _Gains, equal: _Gains) -> Place:
    one, cells = results[i], suite.cells
    base = next(one for one in results if one.name == BASELINE)
    rank, ranks = best.rank(i)
    runs = {which: [_runs(one, cell, which, suite) for cell in cells] for which in ("best", "equal")}
    arrived, equally = (float(np.mean([some.arrived for some in runs[which]])) / len(suite.seeds) for which in runs)
    steps = [one.cells[cell.name].step - base.cells[cell.name].step for cell in cells]
    names = [scenario.name for scenario in suite.scenarios]
    limits = [(one.stable.get(name), limit) for name in names if (limit := base.stable.get(name))]
    ratios = [math.log(own / limit) for own, limit in limits if own]
    return Place(
        one,
        rank,
        ranks,
        alike=tuple(results[j].name for j in best.alike(i)),
        best=best.speed(i),
        equal=equal.speed(i),
        arrived=(arrived, equally),
        mean_scale=float(np.mean([some.mean_scale for some in runs["best"]])),
        step=step_size(float(np.mean(steps))),
        stable=math.exp(np.mean(ratios)) if ratios and len(ratios) == len(limits) else None,
        by_cell={cell.name: best.speed(i, slice(n, n + 1)) for n, cell in enumerate(cells)},
        equal_by_cell={cell.name: equal.speed(i, slice(n, n + 1)) for n, cell in enumerate(cells)},
    )


def _check(results: Sequence[Result], suite: Suite) -> None:
    for one in results:
        if one.version != suite.version:
            raise UsageError(
                f"{one.name} ran in version {one.version} of the suite, but this is version {suite.version}: run it "
                "again"
            )
        if lacking := [cell.name for cell in suite.cells if cell.name not in one.cells]:
            raise UsageError(f"{one.name} did not run in {', '.join(lacking)}: compare a part of the suite")
        if any(len(one.cells[cell.name].best.times) < len(suite.seeds) for cell in suite.cells):
            raise UsageError(f"{one.name} ran with fewer than {len(suite.seeds)} seeds: compare SUITE.quickly()")
    if BASELINE not in [one.name for one in results]:
        raise UsageError(f"{BASELINE} is missing among the results: add it, because all speed-ups are over it")
    if len({one.name for one in results}) < len(results):
        raise UsageError("two of the results have the same name: give each contestant its own")
