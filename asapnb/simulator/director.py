"""The main thread's part of a replay: have segments carried out, evaluate between them, write, show progress, stop.

An evaluation goes on beside the next segment. If it ends the run, what has been done since is forgotten, so that the
result does not depend on how fast it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..engine import shared as words
from ..engine.controller import FLUSH_SECONDS, REPORT_SECONDS, STATUS
from ..engine.monitor import Evaluation, Evaluator, Progress
from ..engine.shared import LINE
from ..record import RunWriter, save_checkpoint
from .crew import Crew
from .execution import Execution, Past, digest
from .journal import Journal
from .stage import CLAIM, DONE, FIRST, FREE, STOP, WINDOW, Stage

CHECKPOINT_SECONDS = 30.0  # of real time, at least, between two checkpoints


class Stop(NamedTuple):
    """A place to stop at for a moment: after so many operations."""

    operations: int
    look: Callable[[], None]


class Director:
    """Carries out the plan of one run and records it."""

    def __init__(
        self,
        execution: Execution,
        stage: Stage,
        crew: Crew,
        per_epoch: int,
        writer: RunWriter,
        evaluator: Evaluator,
    ) -> None:
        self.problem, self.options, self.stage, self.crew = execution.problem, execution.options, stage, crew
        self.on_eval, self.progress = execution.on_eval, execution.progress
        self.per_epoch, self.writer, self.evaluator = per_epoch, writer, evaluator
        self.journal = Journal(execution, stage, writer)
        self.latest = Evaluation(0, 0.0, math.nan, math.nan, math.nan)
        self.target_reached = execution.reached
        self.final: NDArray[Any] | None = None  # the parameters at the end
        self.looks = 0  # stops that have been made
        self._evaluations = 0  # but for one at an end that may not be the end
        self._ended = False  # by an evaluation
        self._waiting: tuple[int, NDArray[Any]] | None = None  # rows, parameters: of the evaluation that goes on
        self._plan = "" if writer.path is None else digest(execution, stage)
        self._flushed = self._reported = self._saved = time.monotonic()

    def stop(self, reason: int) -> None:
        """Ask the threads to leave; the first reason given stands."""
        self.crew.stop(reason)

    @property
    def status(self) -> str:
        """The status that the run ends with, as things stand."""
        stop = int(self.stage.control[STOP])
        over = int(self.stage.control[DONE]) == len(self.stage.operations)
        return STATUS[0 if over and stop == words.INTERRUPTED else stop]

    @property
    def params(self) -> NDArray[Any]:
        """The parameters as they stand (a view)."""
        done = int(self.stage.control[DONE])
        slot = self.stage.operations[done - 1]["target"] if done else 0
        return self.stage.state[slot, : self.problem.n_params]

    def run(self, stops: list[Stop]) -> None:
        """Carry everything out, with these stops in order."""
        for place in [*stops, None]:
            self._segment(len(self.stage.operations) if place is None else place.operations)
            self._rest()
            if self.stage.control[STOP] != 0 or place is None:
                return
            if self._save_due:
                self._save()
            self.looks += 1
            place.look()

    def evaluate_at(self, version: int, rows: int, seconds: float) -> Callable[[], None]:
        """What evaluates the parameters as they stand, when so many rows and this version have been made."""

        def look() -> None:
            params = self.params.copy()
            self._waiting = rows, params
            self.evaluator.submit(params, version, seconds, lambda: None)

        return look

    def end(self) -> None:
        """Evaluate the final parameters, unless that has been done; what stopped the run stands."""
        if self.final is None:
            self.final = self.params.copy()
            if self.latest.step != self.journal.version:
                at_its_end = self.status == "finished"
                evaluation = self.evaluator.evaluate(self.final, self.journal.version, self.journal.seconds)
                self.note(evaluation, may_end=at_its_end)

    def salvage(self) -> None:
        """After a failure: keep the rows that there are, and the parameters that they make."""
        if self._waiting is not None:  # what came of later rows may not have been
            rows, self.final = self._waiting
            self._commit(rows)
        self._commit(int(self.stage.control[FIRST]))

    def note(self, evaluation: Evaluation, *, may_end: bool = True) -> None:
        """Record an evaluation and see whether it ends the run."""
        self.latest = evaluation
        self.writer.append_eval(**vars(evaluation))
        if may_end:
            self._evaluations += 1
            self._judge(evaluation)
        if self.on_eval is not None:
            self.on_eval(evaluation)
        self.report("running")

    def report(self, status: str) -> None:
        """Tell the caller how far the run is."""
        if self.progress is None:
            return
        journal, staleness = self.journal, self.journal.histogram.distribution()
        seen = journal.table[: staleness.support + 1]
        self.progress(
            Progress(
                status=status,
                seconds=journal.seconds,
                updates=journal.version,
                total_updates=self.options.updates,
                epoch=journal.version / self.per_epoch,
                epochs=self.options.updates / self.per_epoch,
                batch_loss=journal.batch_loss,
                evaluation=self.latest,
                mean_staleness=staleness.mean(),
                staleness_p99=staleness.quantile(0.99),
                scale_range=(float(seen.min()), float(seen.max())) if len(seen) else (math.nan, math.nan),
                dropped=journal.committed - journal.updates,
            )
        )

    def checkpoint(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The arrays and numbers to go on from, when no thread is at work and nothing waits for an evaluation."""
        stage, n, committed = self.stage, self.problem.n_params, self.journal.committed
        seen_rows, seen = self.journal.sightings
        first, window = int(stage.control[FIRST]), int(stage.control[WINDOW])
        arrays = {
            "state": stage.state[:, :n],
            "velocity": stage.velocity[:, :n],
            "total": stage.total,
            "loss": stage.steps["loss"][committed : first + window],
            "seen_rows": seen_rows,
            "seen": seen,
        }
        counts = {
            "rows": committed,
            "version": self.journal.version,
            "looks": self.looks,
            "evaluations": self._evaluations,
        }
        return arrays, {"operations": int(stage.control[DONE]), "plan": self._plan, **counts}

    def go_on_from(self, past: Past) -> None:
        """Take up the state that a run was left in."""
        self.latest, self._evaluations = past.evaluations[-1], len(past.evaluations)
        n, stage, arrays = self.problem.n_params, self.stage, past.checkpoint.arrays
        rows, done, self.looks = (int(past.checkpoint.attributes[name]) for name in ("rows", "operations", "looks"))
        window, ends = int(stage.control[WINDOW]), stage.steps["ends"]
        stage.state[:, :n], stage.velocity[:, :n] = arrays["state"], arrays["velocity"]
        stage.total[:] = arrays["total"]
        first = rows
        while first < len(ends) and ends[first] <= done:  # of a round that is not complete
            first += 1
        stage.control[DONE], stage.control[[FIRST, CLAIM]] = done, first
        for row in range(first, first + window):
            over = row < len(ends) and ends[row] <= done  # before others that began earlier
            stage.ring[row % window * LINE] = (row + window * over) << 2 | FREE
        stage.steps["loss"][:rows] = past.losses
        stage.steps["loss"][rows : rows + len(arrays["loss"])] = arrays["loss"]
        seen = {row: arrays["seen"][i : i + 1] for i, row in enumerate(arrays["seen_rows"].tolist())}
        self.journal.take_up(rows, seen)

    @property
    def _save_due(self) -> bool:
        return self.writer.path is not None and time.monotonic() - self._saved > CHECKPOINT_SECONDS

    def _save(self) -> None:
        """Leave a checkpoint beside the file, once everything before it is in the file."""
        if self.writer.path is not None and self.writer.flush():
            save_checkpoint(self.writer.path, *self.checkpoint())
        self._saved = time.monotonic()  # or tried: a reader may have the file locked

    def _segment(self, until: int) -> None:
        """Have the operations carried out up to number `until`, unless the run is stopped before."""
        while True:
            self.crew.carry_out(until, self._tick)
            if self.crew.errors:
                self._settle(wait=True)  # an evaluation that ends the run comes before
                if not self._ended:
                    raise self.crew.errors[0]
            self._keep_divergence()
            if self.stage.control[STOP] != 0 or self.stage.control[DONE] >= until:
                break
            self._rest()
            if self.stage.control[STOP] == 0:
                self._save()
        self._tick()

    def _tick(self) -> None:
        """Record what is done, write it now and then, and say how far the run is."""
        self._settle(wait=False)
        self._commit(int(self.stage.control[FIRST]))
        if self._save_due:
            self.crew.pause()
        now = time.monotonic()
        if now - self._flushed > FLUSH_SECONDS:
            self.writer.flush()
            self._flushed = time.monotonic()
        if now - self._reported > REPORT_SECONDS:
            self.report("running")
            self._reported = now

    def _rest(self) -> None:
        """Between segments: wait for the evaluation that goes on, and record all that is done."""
        self._settle(wait=True)
        self._commit(int(self.stage.control[FIRST]))

    def _settle(self, *, wait: bool) -> None:
        """See whether the evaluation that goes on has finished, and whether it ends the run."""
        for evaluation in self.evaluator.finished(wait=wait):
            rows, params = self._waiting or (0, None)
            self._commit(rows)
            self._waiting = None
            self.note(evaluation)
            if self._ended:
                self.final = params

    def _judge(self, evaluation: Evaluation) -> None:
        """See whether an evaluation ends the run, whatever came of later rows."""
        target, reason = self.options.target_loss, 0
        if target is not None and self.target_reached is None and evaluation.train_loss <= target:
            self.target_reached, reason = evaluation, words.CONVERGED
        if not evaluation.train_loss <= self.stage.numbers[words.LOSS_LIMIT]:
            reason = words.DIVERGED
        if reason:
            self.stage.control[STOP], self._ended = reason, True

    def _keep_divergence(self) -> None:
        """Of a row that diverged and an interruption in the same moment, the row stands: nothing comes after it."""
        rows, averaged = int(self.stage.control[FIRST]), self.options.rows_per_version
        losses = self.stage.steps["loss"][max(0, rows - averaged) : rows]
        diverged = rows % averaged == 0 and not (losses <= self.stage.numbers[words.LOSS_LIMIT]).all()
        if diverged and self.stage.control[STOP] == words.INTERRUPTED:
            self.stage.control[STOP] = words.DIVERGED

    def _commit(self, rows: int) -> None:
        """Record the first rows, as far as no evaluation may still make an end before them."""
        if not self._ended or self._waiting is not None:
            self.journal.commit(rows if self._waiting is None else min(rows, self._waiting[0]))
