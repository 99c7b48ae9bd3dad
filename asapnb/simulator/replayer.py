"""The part of a replay beside its threads: run segments, evaluate between them, write, show progress, stop.

An evaluation goes on beside the next segment. If it ends the run, later work is discarded: so the result does not
depend on how fast the evaluation was.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import LINE
from ..record import RunWriter
from ..record.schema import MICROSCOPE
from ..training.evaluation import Evaluation, Evaluator
from ..training.reporting import FLUSH_SECONDS, REPORT_SECONDS, STATUS, Reporter
from ..training.stopping import Stopping
from ..training.words import DIVERGED, INTERRUPTED, LOSS_LIMIT, STEP_SIZE, STOPPED
from .execution import Execution, SavedReplay, Wanted, digest
from .replay_state import ReplayState
from .rows import ReplayedRows
from .threads import ReplayThreads
from .words import CLAIM, DONE, FIRST, FREE, JUDGED, STOP, WINDOW

CHECKPOINT_SECONDS = 30.0  # of real time, at least, between two checkpoints


class Pause(NamedTuple):
    """A pause after so many operations, to look at the parameters."""

    operations: int
    look: Callable[[], None]
    again: bool = False  # whether a run that goes on has to look again, as what came of it is in no checkpoint


class Replayer:
    """Replays one run, segment by segment, and records it."""

    def __init__(
        self,
        execution: Execution,
        replay: ReplayState,
        threads: ReplayThreads,
        *,
        per_epoch: int,
        writer: RunWriter,
        evaluator: Evaluator,
    ) -> None:
        self.problem, self.options, self.replay, self.threads = execution.problem, execution.options, replay, threads
        self.writer, self.evaluator = writer, evaluator
        self.rows = ReplayedRows(execution, replay, writer)
        limit = float(replay.numbers[LOSS_LIMIT])
        stopping = Stopping(execution.options, execution.reached, execution.passed)
        self.reporter = Reporter(
            execution.options, per_epoch, limit, writer, execution.hooks, self.rows.totals, stopping
        )
        self._step_sizes = execution.step_sizes
        self._heard, self._passed = execution.hooks.heard, execution.passed
        self._reports = execution.hooks.progress is not None
        self._last = int(execution.rows["version"].max(initial=0))
        self.final: NDArray[Any] | None = None  # the parameters at the end
        self.looks = 0  # pauses made so far
        self._evaluations = 0  # recorded so far, except at the end of an interrupted run, which may go on
        self._ended = 0  # the reason for which an evaluation has ended the run; 0 if none has
        self._waiting: tuple[int, NDArray[Any]] | None = None  # rows and parameters of the pending evaluation
        self._identity = "" if writer.path is None else identity(execution, replay)
        self._hurried = execution.hooks.hurried
        self._flushed = self._reported = self._saved = time.monotonic()

    def stop(self, reason: int) -> None:
        """Ask the threads to leave; the first reason given stands."""
        self.threads.stop(reason)

    @property
    def status(self) -> str:
        """The status with which the run would end now."""
        if self._ended:  # whatever came at the same time
            return STATUS[self._ended]
        over, stop = int(self.replay.control[DONE]) == len(self.replay.operations), int(self.replay.control[STOP])
        return STATUS[0 if over and stop in (INTERRUPTED, STOPPED) else stop]

    @property
    def params(self) -> NDArray[Any]:
        """The parameters as they stand (a view)."""
        done = int(self.replay.control[DONE])
        slot = self.replay.operations[done - 1]["target"] if done else 0
        return self.replay.state[slot, : self.problem.n_params]

    def run(self, pauses: list[Pause]) -> None:
        """Carry out all operations, with these pauses, in order."""
        for place in [*pauses, None]:
            self._segment(len(self.replay.operations) if place is None else place.operations)
            self._settle(wait=True)
            if self.replay.control[STOP] != 0 or place is None:
                return
            if self._save_due:
                self._save()
            self.looks += 1
            place.look()

    def evaluate_at(self, version: int, rows: int, seconds: float) -> Callable[[], None]:
        """The look of a pause that evaluates the parameters.

        Args:
            version: the version that they are.
            rows: the rows done by then.
            seconds: when the version was made, in virtual seconds.
        """

        def look() -> None:
            params = self.params.copy()
            self._waiting = rows, params
            self.evaluator.submit(params, version, seconds)

        return look

    def end(self) -> None:
        """Evaluate the final parameters, unless that has been done or in a hurry; what stopped the run stands."""
        self._commit(self.threads.rows_done)
        if self.final is None:
            self.final = self.params.copy()
            if self.reporter.latest.step != self.rows.totals.version and not self._hurried():
                at_its_end = self.status == "finished"
                self.evaluator.submit(self.final, self.rows.totals.version, self.rows.totals.seconds)
                for evaluation in self.evaluator.finished(wait=True, unless=self._hurried):
                    self.note(evaluation, may_end=at_its_end)

    def salvage(self) -> None:
        """Keep all rows done, and the parameters that they make, after a failure."""
        if self._waiting is not None:  # the evaluation might have ended the run before later rows
            rows, self.final = self._waiting
            self._commit(rows)
        self._commit(self.threads.rows_done)

    def note(self, evaluation: Evaluation, *, may_end: bool = True) -> None:
        """Record an evaluation and see whether it ends the run."""
        self.reporter.record(evaluation)
        if may_end:
            self._evaluations += 1
            reason = self.reporter.judge(evaluation)
            if reason and not (reason == STOPPED and evaluation.step == self._last):
                self._ended = self.replay.control[STOP] = reason  # it precedes whatever later rows did
        if evaluation.step > self._passed:
            self.reporter.tell(evaluation, self.rows.totals.seconds)
            self._wait_for_answer(evaluation)

    def _wait_for_answer(self, evaluation: Evaluation) -> None:
        """If `on_eval` stops the run, it ends at this very version. Its threads may go on meanwhile, in vain then."""
        while not self._heard():
            time.sleep(0.0005)
        if self.replay.control[STOP] == STOPPED and evaluation.step < self._last:
            self._ended = self._ended or STOPPED

    @property
    def can_go_on(self) -> bool:
        """Whether it was left in a state to go on from, and not at an evaluation that later work has passed."""
        return not self._ended and self.status in ("interrupted", "stopped")

    def report(self, status: str) -> None:
        """Tell the caller how far the run is."""
        self.reporter.report(status, self.rows.totals.seconds)

    def outcome(self) -> dict[str, Any]:
        """The attributes that the run gets at its end."""
        facts = self.reporter.outcome(self.rows.mean_scale, float(self.replay.numbers[STEP_SIZE]), self.status)
        if self._step_sizes:
            facts["sum_of_steps"] = self.rows.sum_of_steps(self._step_sizes)
        return facts

    def checkpoint(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The arrays and numbers to go on from. No thread may be at work, and no evaluation pending."""
        replay, n, committed = self.replay, self.problem.n_params, self.rows.committed
        begin = committed if self.options.keeps_rows else 0  # results before are in the file
        seen_rows, seen = self.rows.sightings
        first, window = int(replay.control[FIRST]), int(replay.control[WINDOW])
        arrays = {
            "state": replay.state[:, :n],
            "moments": replay.moments,
            "total": replay.total,
            **tabled(replay),
            **{name: replay.results[name][begin : first + window] for name in replay.results.dtype.names or ()},
            "seen_rows": seen_rows,
            "seen": seen,
        }
        counts = {
            "rows": committed,
            "version": self.rows.totals.version,
            "looks": self.looks,
            "evaluations": self._evaluations,
            "tables": self.rows.tables,
        }
        return arrays, {"operations": int(replay.control[DONE]), "plan": self._identity, **counts}

    def go_on_from(self, saved: SavedReplay, pauses: list[Pause]) -> None:
        """Restore the state of a checkpoint. `pauses` are all of the run."""
        self.reporter.latest, self._evaluations = saved.evaluations[-1], len(saved.evaluations)
        self.reporter.stopping.take_up(saved.evaluations)
        n, replay, arrays = self.problem.n_params, self.replay, saved.checkpoint.arrays
        rows, done, self.looks = (int(saved.checkpoint.attributes[name]) for name in ("rows", "operations", "looks"))
        window, ends = int(replay.control[WINDOW]), replay.tasks["ends"]
        replay.state[:, :n], replay.moments[:], replay.total[:] = arrays["state"], arrays["moments"], arrays["total"]
        for name, array in tabled(replay).items():
            array[:] = arrays[name]
        first = rows
        while first < len(ends) and ends[first] <= done:  # rows of a round that is not complete
            first += 1
        replay.control[DONE], replay.control[[FIRST, CLAIM]], replay.control[JUDGED] = done, first, rows
        for row in range(first, first + window):
            over = row < len(ends) and ends[row] <= done  # it was done before rows that began earlier
            replay.ring[row % window * LINE] = (row + window * over) << 2 | FREE
        begin = rows if self.options.keeps_rows else 0
        for name in replay.results.dtype.names or ():
            replay.results[name][:begin] = saved.results[name]
            replay.results[name][begin : begin + len(arrays[name])] = arrays[name]
        for pause in pauses[: self.looks]:
            if pause.again:
                pause.look()
        seen = {row: arrays["seen"][i : i + 1] for i, row in enumerate(arrays["seen_rows"].tolist())}
        self.rows.take_up(rows, seen)

    @property
    def _save_due(self) -> bool:
        return self.writer.path is not None and time.monotonic() - self._saved > CHECKPOINT_SECONDS

    def _save(self) -> None:
        """Save a checkpoint beside the file, if all rows before it are in the file."""
        self._commit(self.threads.rows_done)
        if self.writer.flush():
            self.writer.save_checkpoint(*self.checkpoint())
        self._saved = time.monotonic()  # also if that was not possible: try again later

    def _segment(self, until: int) -> None:
        """Carry out the operations up to number `until`, unless the run is stopped before."""
        while True:
            self.threads.carry_out(until, self._tick)
            if self.threads.errors:
                self._settle(wait=True)  # an evaluation that ends the run precedes the error
                if not self._ended:
                    raise self.threads.errors[0]
            self._keep_divergence()
            if self.replay.control[STOP] != 0 or self.replay.control[DONE] >= until:
                break
            self._settle(wait=True)
            if self.replay.control[STOP] == 0:
                self._save()
        self._tick()

    def _tick(self) -> None:
        """Now and then record and write the rows done, and tell the caller how far the run is."""
        self._settle(wait=False)
        if self._save_due:
            self.threads.pause()
        now = time.monotonic()
        reports = self._reports and now - self._reported > REPORT_SECONDS
        if reports or now - self._flushed > FLUSH_SECONDS:
            self._commit(self.threads.rows_done)
        if now - self._flushed > FLUSH_SECONDS:
            self.writer.flush()
            self._flushed = time.monotonic()
        if reports:
            self.report("running")
            self._reported = now

    def _settle(self, *, wait: bool) -> None:
        """If the pending evaluation has finished, record it and see whether it ends the run."""
        for evaluation in self.evaluator.finished(wait=wait):
            rows, params = self._waiting or (0, None)
            if self._reports:
                self._commit(rows)
            self._waiting = None
            if params is not None:
                self.writer.append_params(evaluation.step, params)
            self.note(evaluation)
            if self._ended:
                self.rows.commit(rows)
                self.final = params

    def _keep_divergence(self) -> None:
        """Divergence takes precedence over what came from outside at the same time."""
        rows = self.threads.rows_done
        before = self.rows.whole(rows - 1)
        losses = self.replay.results["loss"][before:rows]
        diverged = self.rows.whole(rows) == rows and not (losses <= self.replay.numbers[LOSS_LIMIT]).all()
        if diverged and self.replay.control[STOP] in (INTERRUPTED, STOPPED):
            self.replay.control[STOP] = DIVERGED

    def _commit(self, rows: int) -> None:
        """Record the first rows, but none past the pending evaluation, which may still end the run."""
        if not self._ended or self._waiting is not None:
            self.rows.commit(rows if self._waiting is None else min(rows, self._waiting[0]))


def tabled(replay: ReplayState) -> dict[str, NDArray[Any]]:
    """The arrays of a gradient table, if there is one."""
    return {"table": replay.table, "counts": replay.counts} if replay.counts.size else {}


def identity(execution: Execution, replay: ReplayState) -> str:
    """The digest that identifies a run, from its state before the first operation."""
    return digest(execution, replay.operations, replay.tasks, replay.state[0])


def saved_parts(replay: ReplayState, n: int) -> tuple[dict[str, Wanted], dict[str, int]]:
    """The dtype and shape of each array of a checkpoint, and the largest value of each of its numbers."""
    whole = {"state": replay.state[:, :n], "moments": replay.moments, "total": replay.total, **tabled(replay)}
    rows = {name: replay.results.dtype[name] for name in replay.results.dtype.names or ()}
    listed = {**rows, "seen_rows": np.dtype(np.int64), "seen": MICROSCOPE}
    wanted: dict[str, Wanted] = {name: (array.dtype, array.shape) for name, array in whole.items()}
    wanted |= {name: (dtype, (None,)) for name, dtype in listed.items()}
    return wanted, {"rows": len(replay.results), "operations": len(replay.operations), "looks": 2**62}
