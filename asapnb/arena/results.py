"""What a contestant did in each cell, and its document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
        step: its best step size is 2^(step/4).
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
