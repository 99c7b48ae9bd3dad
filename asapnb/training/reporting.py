"""The totals, evaluations and status of a run while it goes on and at its end, on threads and in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..record.schema import ABANDONED
from ..rules.context import RECENT, recent_loss
from ..staleness import WorkerHistogram
from .evaluation import Evaluation, Progress
from .options import Options
from .stopping import Stopping
from .words import CONVERGED, DIVERGED, FAILED, INTERRUPTED, STOPPED, TIMED_OUT

if TYPE_CHECKING:
    from ..record import RunWriter

FLUSH_SECONDS = 1.0  # between two appends to the run file
REPORT_SECONDS = 0.1  # between two calls of `progress`
STATUS = {
    0: "finished",
    DIVERGED: "diverged",
    CONVERGED: "converged",
    TIMED_OUT: "timed-out",
    INTERRUPTED: "interrupted",
    FAILED: "failed",
    STOPPED: "stopped",
}


@dataclass(frozen=True)
class Hooks:
    """The functions to call while a run goes on: its arguments `on_eval` and `progress`.

    `hurried` says whether its end is to be as quick as possible, `heard` whether all calls so far have returned,
    `stopped_by` which of them has stopped the run, and why, and `failure` what one has raised.
    """

    on_eval: Callable[[Evaluation], object] | None = None
    progress: Callable[[Progress], object] | None = None
    hurried: Callable[[], bool] = lambda: False
    heard: Callable[[], bool] = lambda: True
    stopped_by: Callable[[], str | None] = lambda: None
    failure: Callable[[], BaseException | None] = lambda: None


class Totals:
    """The totals of a run, over its rows in the order in which they are recorded."""

    def __init__(self, workers: int) -> None:
        self.histogram = WorkerHistogram(workers)
        self.version = 0  # the newest
        self.seconds = 0.0  # when the last update was applied
        self.updates = 0  # rows of applied updates: versions, except that a round has one for each gradient
        self.dropped = 0  # rows of gradients that were given up
        self.beyond_table = 0  # updates staler than their table is long
        self.sum_scale = 0.0
        self.table = np.ones(1)  # in force
        self._losses = np.empty(0, np.float32)  # of the last gradients

    def add(self, rows: Mapping[str, NDArray[Any]] | NDArray[Any], lengths: Any = None) -> NDArray[np.bool_]:
        """Add rows, or columns of rows; returns which were applied.

        Args:
            rows: rows, or columns by name.
            lengths: of all tables recorded so far, to count updates staler than their table is long.
        """
        chosen = rows["dropped"] != ABANDONED
        applied = {name: rows[name][chosen] for name in ("version", "t_apply", "scale", "factor", "worker", "tau")}
        self.version = int(applied["version"].max(initial=self.version))
        self.seconds = float(applied["t_apply"].max(initial=self.seconds))
        self.updates += len(applied["tau"])
        self.dropped += len(chosen) - len(applied["tau"])
        self.sum_scale += float((applied["scale"].astype(np.float64) * applied["factor"]).sum())
        self.histogram.observe(applied["worker"], applied["tau"])
        if lengths is not None:
            self.beyond_table += int((applied["tau"] >= np.take(lengths, rows["row"][chosen])).sum())
        self._losses = np.concatenate([self._losses, rows["loss"][-RECENT:]])[-RECENT:]
        return chosen

    @property
    def batch_loss(self) -> float:
        """The mean loss of the last gradients; NaN if there were none."""
        return recent_loss(self._losses)

    @property
    def mean_scale(self) -> float | None:
        """The mean of scale · factor over all applied updates; None if there were none."""
        return self.sum_scale / self.updates if self.updates else None


class Reporter:
    """Records evaluations, judges whether one ends the run, and tells the caller how far the run is."""

    def __init__(
        self,
        options: Options,
        per_epoch: int,
        loss_limit: float,
        writer: RunWriter,
        hooks: Hooks,
        totals: Totals,
        stopping: Stopping,
    ) -> None:
        self._options, self._per_epoch, self._loss_limit = options, per_epoch, loss_limit
        self._writer, self._hooks, self._totals = writer, hooks, totals
        self.stopping = stopping
        self.latest = Evaluation(0, 0.0, math.nan, math.nan, math.nan)

    def record(self, evaluation: Evaluation) -> None:
        """Record an evaluation."""
        self.latest = evaluation
        self._writer.append_eval(**vars(evaluation))

    def judge(self, evaluation: Evaluation) -> int:
        """Why an evaluation ends the run; 0 if it goes on."""
        reached, enough = self.stopping.at_target(evaluation), self.stopping.is_enough(evaluation)
        if not evaluation.train_loss <= self._loss_limit:
            return DIVERGED
        return CONVERGED if reached else STOPPED if enough else 0

    def tell(self, evaluation: Evaluation, seconds: float) -> None:
        """Tell the caller about an evaluation, and how far the run is."""
        if self._hooks.on_eval is not None:
            self._hooks.on_eval(evaluation)
        self.report("running", seconds)

    def report(self, status: str, seconds: float) -> None:
        """Tell the caller how far the run is."""
        if self._hooks.progress is None:
            return
        totals, staleness = self._totals, self._totals.histogram.distribution()
        seen = totals.table[: staleness.support + 1]
        self._hooks.progress(
            Progress(
                status=status,
                seconds=seconds,
                updates=totals.version,
                total_updates=self._options.updates,
                epoch=totals.version / self._per_epoch,
                epochs=self._options.updates / self._per_epoch,
                batch_loss=totals.batch_loss,
                evaluation=self.latest,
                mean_staleness=staleness.mean(),
                staleness_p99=staleness.quantile(0.99),
                scale_range=(float(seen.min()), float(seen.max())) if len(seen) else (math.nan, math.nan),
                dropped=totals.dropped,
            )
        )

    def outcome(self, mean_scale: float | None, step_size: float, status: str) -> dict[str, Any]:
        """The attributes that a run gets at its end.

        Args:
            mean_scale: the realised mean of scale · factor.
            step_size: that of its updates, rounded to their dtype.
            status: with which it ends.
        """
        totals, target = self._totals, self.stopping.reached
        return {
            "seconds": totals.seconds,
            "mean_scale": mean_scale,
            "sum_of_steps": None if mean_scale is None else step_size * mean_scale * totals.version,
            "beyond_table": totals.beyond_table,
            "target_step": None if target is None else target.step,
            "target_seconds": None if target is None else target.t,
            "stopped_by": (self._hooks.stopped_by() or self.stopping.reason) if status == "stopped" else None,
        }
