"""What is said of a run while it goes on: a line of figures for each evaluation, and how far it is."""

import math
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from ..formatting import NONE, fixed, loss, measured
from ..record.schema import METRICS, Metric
from .evaluation import Evaluation, Progress

_METRIC = "accuracy"  # or what else the problem has
COLUMNS = {  # of a line, each with its width, 80 in all
    "time": 7,
    "epoch": 7,
    "upd/s": 8,
    "train loss": 12,
    "batch loss": 12,
    _METRIC: 10,
    "mean τ": 8,
    "p99": 6,
    "scale": 10,
}
_CLOCKS = {  # headings of columns by clock
    "": {},
    "virtual": {"time": "virt. s", "upd/s": "upd/vs"},
    "recorded": {"time": "rec. s", "upd/s": "upd/rs"},
}


@dataclass(frozen=True)
class Standing:
    """How far a run is: the share that is done, its figures, a cell for each column, and the same in words."""

    done: float
    cells: tuple[str, ...]
    text: str


class Following:
    """Follows a run by its evaluations and reports.

    Args:
        max_seconds: the limit of time of the run, if it has one.
        clock: whose seconds its times are: "" for real ones, "virtual" or "recorded".
    """

    def __init__(self, max_seconds: float | None = None, clock: str = "") -> None:
        self._max_seconds, self._clock = max_seconds, clock
        self._started: tuple[float, float] | None = None  # real time of the first report, and the share done then
        self._waiting: list[Evaluation] = []
        self._reports: deque[Progress] = deque()  # since the last evaluation told
        self._before: Evaluation | None = None
        self._metric = METRICS[0]  # that has a column
        self.begun = False  # whether there was an evaluation

    @property
    def heads(self) -> list[str]:
        """The headings of the columns."""
        names = _CLOCKS[self._clock] | {_METRIC: self._metric.title.removeprefix("test ")}
        return [names.get(name, name) for name in COLUMNS]

    @property
    def unit(self) -> str:
        """Of its times."""
        return f"{self._clock} s".strip()

    def evaluated(self, evaluation: Evaluation) -> None:
        """Take an evaluation; its line comes with the next report, which has the staleness and the scales."""
        if not self.begun:
            self.begun, self._metric = True, _metric(evaluation)
        self._waiting.append(evaluation)

    def reported(self, now: Progress) -> list[tuple[str, ...]]:
        """Take a report; returns the lines of the evaluations that waited for it, each a cell for each column."""
        self._reports.append(now)
        lines = []
        for evaluation in self._waiting:
            lines.append(self._line(evaluation, now))
            self._before = evaluation
        self._waiting = []
        return lines

    def standing(self, now: Progress) -> Standing:
        """How far the run is at a report."""
        done = now.updates / now.total_updates
        if self._max_seconds is not None:
            done = min(1.0, max(done, now.seconds / self._max_seconds))
        whole = self._whole(now, done)
        left = f", {_clock(whole * (1 - done))} left" if whole is not None else ""
        rate = now.updates / now.seconds if now.seconds > 0 else None
        cells = _cells(now.seconds, now.epoch, rate, now.evaluation, now)
        return Standing(done, cells, f"epoch {now.epoch:.1f} of {now.epochs:.4g}{left}")

    def _line(self, evaluation: Evaluation, now: Progress) -> tuple[str, ...]:
        """The line of an evaluation, with the figures of when its version was made: evaluations may lag behind."""
        while len(self._reports) > 1 and self._reports[0].updates < evaluation.step:
            self._reports.popleft()
        epoch = evaluation.step * now.epochs / now.total_updates
        return _cells(
            evaluation.t, epoch, self._rate(evaluation), evaluation, self._reports[0], known=evaluation.step > 0
        )

    def _rate(self, evaluation: Evaluation) -> float | None:
        """Updates per second since the evaluation before."""
        before = self._before
        if before is None or evaluation.t <= before.t:
            return None
        return (evaluation.step - before.step) / (evaluation.t - before.t)

    def _whole(self, now: Progress, done: float) -> float | None:
        """An estimate of the real seconds that the whole run takes; None if there is none yet."""
        if not self._clock:
            return now.seconds / done if done else None
        if self._started is None:
            self._started = time.perf_counter(), done
        begun, before = self._started
        return (time.perf_counter() - begun) / (done - before) if done > before else None


def row(cells: Iterable[str], widths: Iterable[int]) -> str:
    """The cells in columns of these widths, flush right: a line of a table that is printed as it grows."""
    return "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _cells(
    t: float, epoch: float, rate: float | None, evaluation: Evaluation, now: Progress, *, known: bool = True
) -> tuple[str, ...]:
    """One line of the table; unless `known`, with dashes for minibatches, staleness and scales."""
    metric = _metric(evaluation)
    low, high = now.scale_range if known else (math.nan, math.nan)
    scale = "–".join(f"{value:.2f}" if value < 10 else f"{value:.3g}" for value in sorted({low, high}))
    return (
        _time(t),
        f"{epoch:.2f}",
        fixed(rate),
        loss(evaluation.train_loss),
        loss(measured(now.batch_loss) if known else None),
        fixed(getattr(evaluation, metric.column), metric.pattern),
        fixed(now.mean_staleness if known else None, ".2f"),
        fixed(now.staleness_p99 if known else None),
        NONE if math.isnan(low) else scale,
    )


def _metric(evaluation: Evaluation) -> Metric:
    """The first metric that the problem has; the accuracy if it has none."""
    there = (metric for metric in METRICS if not math.isnan(getattr(evaluation, metric.column)))
    return next(there, METRICS[0])


def _time(t: float) -> str:
    """A time in at most seven characters."""
    if t < 1000:
        return f"{t:.2g}" if 0 < t < 0.005 else f"{t:.2f}"
    return f"{t:.0f}" if t < 9.9e6 else f"{t:.2g}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
