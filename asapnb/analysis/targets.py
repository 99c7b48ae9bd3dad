"""When a run first reaches a loss, and how a run ended that never did."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, unknown
from ..numbers import real
from .curves import Curve
from .records import CLOCKS, Loss, Record

PLATEAU = 0.95  # of the initial loss: below, a run has left its first plateau
_OUTCOMES = {"diverged": "diverged", "interrupted": "interrupted", "running": "interrupted", "failed": "failed"}


@dataclass(frozen=True)
class Target:
    """A training loss to reach: an absolute `loss`, or a `fraction` of each run's own initial loss.

    A fraction of 0.2 means 20 % of the loss itself, not of its distance to the smallest loss.

    Attributes:
        loss: a finite loss.
        fraction: in (0, 1). Give either this or `loss`.

    Raises:
        UsageError: if none or both are given, or one is out of range.

    >>> print(Target(fraction=0.2)), print(Target(loss=0.5))
    20 % of the initial loss
    loss 0.5
    (None, None)
    """

    loss: float | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        if (self.loss is None) == (self.fraction is None):
            raise UsageError(
                f"a target has a loss or a fraction, but {'none is' if self.loss is None else 'both are'} given"
            )
        if self.fraction is not None:
            share = real("the target fraction", self.fraction, 0, 1, above=True, below=True)
            object.__setattr__(self, "fraction", share)
        if self.loss is not None:
            object.__setattr__(self, "loss", real("the target loss", self.loss))

    def __str__(self) -> str:
        return (
            f"{100 * self.fraction:g} % of the initial loss" if self.fraction is not None else f"loss {self.loss:g}"
        )

    def level(self, record: Record) -> float:
        """The loss that this run has to reach. UsageError if the run starts at or below it."""
        initial = record.initial_loss
        level = self.fraction * initial if self.fraction is not None else float(self.loss or 0.0)
        if not level < initial:
            raise UsageError(
                f"the target, {self}, is not below the initial loss of {record.name}, {initial:.6g}: give a lower "
                "one, or leave the run out (--where)"
            )
        return level


def targets_of(losses: Iterable[float], fractions: Iterable[float]) -> list[Target]:
    """Targets of several losses and fractions."""
    return [*(Target(loss=loss) for loss in losses), *(Target(fraction=fraction) for fraction in fractions)]


@dataclass(frozen=True)
class Crossing:
    """When a run first had a loss at or below a target.

    Attributes:
        outcome: "reached", "diverged", "interrupted" (also killed, or still running), "failed", or "not reached" for
            a run that ended for another reason.
        updates: after how many updates the target was reached, interpolated linearly between the points of the curve;
            None if it was not.
        seconds: the time then; likewise.
        steps: the sum of all step sizes until then; likewise.
        epochs: the epochs until then; likewise.
        end: where the run ended, by clock.
    """

    outcome: str
    updates: float | None
    seconds: float | None
    steps: float | None
    epochs: float | None
    end: dict[str, float]

    @property
    def reached(self) -> bool:
        """Whether the target was reached."""
        return self.outcome == "reached"

    def at(self, clock: str) -> float | None:
        """When the target was reached, in "updates", "seconds", "steps" or "epochs"; None if it was not."""
        if clock not in CLOCKS:
            raise unknown("clock", clock, CLOCKS)
        found: float | None = getattr(self, clock)
        return found

    def time(self, clock: str) -> float:
        """When the target was reached. If it was not, where the run ended, or infinity if it diverged.

        `kaplan_meier` and `restricted_mean` take these times together with `reached`. A run that diverged never
        reaches the target, so its time is infinite.

        Args:
            clock: "updates", "seconds", "steps" or "epochs".
        """
        reached = self.at(clock)
        return reached if reached is not None else math.inf if self.outcome == "diverged" else self.end[clock]


def crossing(record: Record, target: Target, loss: Loss = "evaluated", window: int | None = None) -> Crossing:
    """When a run first reached a target.

    Args:
        record: the run.
        target: the training loss to reach.
        loss: the curve: "evaluated", or "smoothed" from minibatch losses.
        window: how many updates a smoothed loss is the mean of; None for a fifth of an epoch. See `Record.curve`.

    Raises:
        UsageError: for a target that is not below the initial loss, if that is finite.

    >>> import asapnb as ab
    >>> from asapnb.analysis import records
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> (record,) = records(ab.simulate(problem, workers=2, updates=200, step_size=0.1, eval_every=20))
    >>> found = crossing(record, Target(fraction=0.9))
    >>> found.outcome, 0 < found.updates < 200, crossing(record, Target(fraction=0.001)).outcome
    ('reached', True, 'not reached')
    """
    curve, known = record.curve(loss, window), record.crossings
    if (target, loss, window) not in known:
        known[target, loss, window] = _crossing(record, target, curve)
    return known[target, loss, window]


def _crossing(record: Record, target: Target, curve: Curve) -> Crossing:
    end = record.end
    lost = not math.isfinite(record.initial_loss)  # it diverged at once
    at = None if lost else first_at_or_below(curve.loss, target.level(record))
    if at is None:
        return Crossing(_OUTCOMES.get(record.status, "not reached"), None, None, None, None, end)
    updates, seconds, steps = (between(column, *at) for column in (curve.updates, curve.seconds, curve.steps))
    return Crossing("reached", updates, seconds, steps, updates / record.updates_per_epoch, end)


def reaches(record: Record, target: Target, loss: Loss = "evaluated", window: int | None = None) -> bool:
    """Whether a run reached a target: `Crossing.reached`, without when."""
    if not math.isfinite(record.initial_loss):
        return False
    return bool((record.curve(loss, window).loss <= target.level(record)).any())


def escape(record: Record, share: float = PLATEAU, loss: Loss = "evaluated", window: int | None = None) -> Crossing:
    """When a run left the plateau that it started on.

    Args:
        record: the run.
        share: in (0, 1). The run leaves its plateau when its loss first falls to this share of the initial one.
        loss: the curve, as in `crossing`.
        window: as in `crossing`.

    >>> import asapnb as ab
    >>> from asapnb.analysis import records
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> (record,) = records(ab.simulate(problem, workers=2, updates=200, step_size=0.1, eval_every=20))
    >>> escape(record).updates < crossing(record, Target(fraction=0.9)).updates
    True
    """
    return crossing(record, Target(fraction=share), loss, window)


def first_at_or_below(losses: NDArray[Any], level: float) -> tuple[int, float] | None:
    """The first point at or below a level, and where the level lies between the point before (0) and this one (1)."""
    below = losses <= level
    if not below.any():
        return None
    i = int(below.argmax())
    if i == 0:
        return 0, 1.0
    before, after = losses[i - 1 : i + 1]
    return i, float((before - level) / (before - after)) if np.isfinite(before - after) else 1.0


def between(column: NDArray[Any], i: int, part: float) -> float:
    """The value of a column there, interpolated linearly: at what `first_at_or_below` returns."""
    return float(column[i]) if part == 1.0 or i == 0 else float(column[i - 1] + part * (column[i] - column[i - 1]))
