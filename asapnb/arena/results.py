"""What a contestant did in each cell, and how that is written down."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_DIGITS = 5  # of times


@dataclass(frozen=True)
class Runs:
    """Runs of one contestant, at one step size in one cell.

    Attributes:
        times: for each seed, the updates until the target; None for a run that did not arrive.
        mean_scale: the mean over the runs of their mean scales.
    """

    times: tuple[float | None, ...]
    mean_scale: float

    @property
    def arrived(self) -> int:
        """How many runs reached the target."""
        return sum(time is not None for time in self.times)


@dataclass(frozen=True)
class Score:
    """What a contestant did in one cell.

    Attributes:
        step: an integer; the best step size of the contestant is 2^(step/8).
        edge: whether the search for it ended at the edge of the grid.
        best: the runs at the best step size.
        equal: the runs at the step size that is best for `constant`.
        seconds: CPU seconds that all runs took.
    """

    step: int
    edge: bool
    best: Runs
    equal: Runs
    seconds: float


@dataclass(frozen=True)
class Result:
    """What a contestant did in the cells of a suite; made by `compete`.

    Attributes:
        name: the name of the contestant.
        rule: the text of its rule.
        settings: its settings of the update.
        knows_staleness: whether the rule knew the staleness from the first update.
        version: the version of the suite.
        cells: the `Score` in each cell, by the name of the cell.
        stable: the largest stable step of the quadratic model, by scenario; None where it is not known.
    """

    name: str
    rule: str
    settings: Mapping[str, Any]
    knows_staleness: bool
    version: str
    cells: Mapping[str, Score]
    stable: Mapping[str, float | None]

    @property
    def seconds(self) -> float:
        """CPU seconds that all cells took."""
        return sum(score.seconds for score in self.cells.values())

    def document(self) -> dict[str, Any]:
        """The result as plain data, for JSON. `from_document` reads it again."""
        found: dict[str, Any] = rounded(asdict(self))
        return found


def from_document(document: Mapping[str, Any]) -> Result:
    """The result in plain data of `Result.document`."""

    def real(found: Any) -> Any:
        return None if found is None else 0.0 + found  # TypeError for a text

    def runs(found: Mapping[str, Any]) -> Runs:
        mean = real(found["mean_scale"])
        return Runs(tuple(map(real, found["times"])), math.nan if mean is None else mean)

    cells = {
        name: Score(operator.index(one["step"]), one["edge"], runs(one["best"]), runs(one["equal"]), one["seconds"])
        for name, one in document["cells"].items()
    }
    stable = {name: real(step) for name, step in document["stable"].items()}
    named = {name: f"{document[name]}" for name in ("name", "rule", "version")}
    return Result(**{**document, **named, "settings": {**document["settings"]}, "cells": cells, "stable": stable})


def rounded(value: Any) -> Any:
    """A value with all its numbers rounded to a few digits, and None for NaN, which JSON has not."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value
