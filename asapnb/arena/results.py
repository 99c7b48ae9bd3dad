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
        mean_scale: the mean of their realised mean scales.
    """

    times: tuple[float | None, ...]
    mean_scale: float

    @property
    def arrived(self) -> int:
        """How many arrived."""
        return sum(time is not None for time in self.times)


@dataclass(frozen=True)
class Score:
    """A contestant in one cell.

    Attributes:
        step: its best step size is 2^(step/8).
        edge: whether the search ended at the edge of the grid.
        best: its runs at that step size.
        equal: its runs at the step size that was best for `constant`.
        seconds: of CPU that all took.
    """

    step: int
    edge: bool
    best: Runs
    equal: Runs
    seconds: float


@dataclass(frozen=True)
class Result:
    """A contestant in the cells of a suite; made by `compete`.

    Attributes:
        name: of the contestant.
        rule: its text.
        settings: of the update.
        knows_staleness: whether the rule knew the staleness from the first update.
        version: of the suite.
        cells: by name, what it did there.
        stable: by scenario, the largest stable step of the quadratic model; None where it is not known.
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
        """Seconds of CPU that all took."""
        return sum(score.seconds for score in self.cells.values())

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON; `from_document` reads it."""
        found: dict[str, Any] = rounded(asdict(self))
        return found


def from_document(document: Mapping[str, Any]) -> Result:
    """The result that `Result.document` wrote down."""

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
