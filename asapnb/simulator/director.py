"""The main thread's part of a replay: have segments carried out, evaluate between them, write, show progress, stop.

An evaluation goes on beside the next segment. If it ends the run, what has been done since is forgotten, so that the
result does not depend on how fast it was.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..compiled import specialise
from ..engine import shared as words
from ..engine.controller import FLUSH_SECONDS, RECENT, REPORT_SECONDS, STATUS
from ..engine.monitor import Evaluation, Evaluator, Progress
from ..engine.options import Options
from ..engine.shared import LINE
from ..errors import RecordError
from ..problems.base import Problem, gradient_signature
from ..record import Checkpoint, RunWriter, save_checkpoint
from ..record.schema import ABANDONED, MICROSCOPE, UPDATES, VIEWS, VIRTUAL
from ..rules import Rule
from ..staleness import WorkerHistogram
from .loops.replay import work
from .scales import Scales
from .stage import CLAIM, DONE, FIRST, FREE, STOP, UNTIL, WINDOW, Own, Stage, own_buffers, stage_types
from .world import ROW

CHECKPOINT_SECONDS = 30.0  # of real time, at least, between two checkpoints
_COUNTS = 2**24  # entries of the table of staleness by worker, at most
_POLL_SECONDS = 0.005
_INLINE_SECONDS = 0.01  # a segment that is expected to take less is not worth a thread


def compile_work(dtype: np.dtype[Any], inputs: np.dtype[Any]) -> Callable[..., None]:
    """The loop of the threads for problems of these dtypes."""
    return specialise(work, types.FunctionType(gradient_signature(dtype, inputs)), *stage_types(dtype, inputs))


def compile_ahead(dtype: str, inputs: str) -> None:
    """Fill the cache on disk."""
    compile_work(np.dtype(dtype), np.dtype(inputs))


@dataclass(frozen=True)
class Execution:
    """What is carried out: rows in virtual time, each with its scale, and how it is watched."""

    problem: Problem
    options: Options
    rule: Rule
    rows: NDArray[Any]  # ROW
    t_view: NDArray[np.float64] | None  # of Hogwild
    scales: Scales
    kind: str
    config: Mapping[str, Any]  # besides options, problem and rule
    timed_out: bool = False  # whether rows after max_seconds have been left out
    clock: str = VIRTUAL
    attributes: Mapping[str, Any] = field(default_factory=dict)  # further ones of its file
    start: NDArray[Any] | None = None  # the parameters that it begins with, if not as the problem's seed says
    reached: Evaluation | None = None  # the target, by an earlier part of it, which need not stop there again
    microscope: int = 0
    threads: int | None = None
    on_eval: Callable[[Evaluation], None] | None = None
    progress: Callable[[Progress], None] | None = None

    @property
    def groups(self) -> dict[str, np.dtype[Any]]:
        """The groups of its file besides those of every run."""
        views = {} if self.t_view is None else {"views": VIEWS}
        return views | ({"microscope": MICROSCOPE} if self.microscope else {})

    @cached_property
    def initial(self) -> NDArray[Any]:
        """The parameters that it begins with."""
        return self.problem.init(self.options.seed) if self.start is None else self.start


@dataclass(frozen=True)
class Past:
    """What there is of a run that goes on from a checkpoint."""

    path: Path  # of the checkpoint
    checkpoint: Checkpoint
    losses: NDArray[np.float32]  # of the rows before it
    evaluations: tuple[Evaluation, ...]

    def check(self, plan: str) -> None:
        """RecordError unless the checkpoint is of this very run."""
        if self.checkpoint.attributes.get("plan") != plan:
            raise RecordError(
                f"the checkpoint {self.path} is of another run, or of another version of asapnb: remove it to start "
                "the run again from its beginning"
            )


class Stop(NamedTuple):
    """A place to stop at for a moment: after so many operations."""

    operations: int
    look: Callable[[], None]


def digest(execution: Execution, stage: Stage) -> str:
    """What tells the plan of this run, at its start, from that of any other."""
    options = [f"{name}={value!r}" for name, value in sorted(vars(execution.options).items())]
    found = hashlib.blake2b("\n".join([*options, str(execution.microscope)]).encode(), digest_size=16)
    for array in (stage.operations, stage.steps, stage.state[0]):
        found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()


class Director:
    """Carries out the plan of one run and records it."""

    def __init__(
        self,
        execution: Execution,
        stage: Stage,
        loop: Callable[..., None],
        threads: int,
        per_epoch: int,
        writer: RunWriter,
        evaluator: Evaluator,
    ) -> None:
        self.problem, self.options = execution.problem, execution.options
        self.rows, self.t_view, self.scales = execution.rows, execution.t_view, execution.scales
        self.on_eval, self.progress = execution.on_eval, execution.progress
        self.stage, self.loop, self.per_epoch, self.writer, self.evaluator = stage, loop, per_epoch, writer, evaluator
        self.latest = Evaluation(0, 0.0, math.nan, math.nan, math.nan)
        self.target_reached = execution.reached
        self.final: NDArray[Any] | None = None  # the parameters at the end
        self.looks = 0  # stops that have been made
        self._evaluations = 0  # but for one at an end that may not be the end
        self._seen: dict[int, NDArray[Any]] = {}  # by row: what the microscope saw, until the row is committed
        self._ended = False  # by an evaluation
        self.committed = 0  # rows given to the writer
        self.version = 0  # made by the last of them
        self.seconds = 0.0
        self.histogram = WorkerHistogram(self.options.workers)
        self.updates, self.beyond_table = 0, 0  # of the applied rows among them
        self._lengths = np.array([len(table) for table in self.scales.tables])
        self._owns = [own_buffers(self.problem, self.options.batch_size) for _ in range(threads)]
        self._errors: list[BaseException] = []
        self._waiting: tuple[int, NDArray[Any]] | None = None  # rows, parameters: of the evaluation that goes on
        self._tables = 0  # given to the writer
        self._saved = time.monotonic()
        self._averaged = self.options.rows_per_version
        self._plan = "" if writer.path is None else digest(execution, stage)
        self._pace = math.inf  # seconds per operation, last seen
        self._flushed = self._reported = time.monotonic()

    def stop(self, reason: int) -> None:
        """Ask the threads to leave; the first reason given stands."""
        if self.stage.control[STOP] == 0:
            self.stage.control[STOP] = reason

    @property
    def status(self) -> str:
        """The status that the run ends with, as things stand."""
        stop = int(self.stage.control[STOP])
        over = int(self.stage.control[DONE]) == len(self.stage.operations)
        return STATUS[0 if over and stop == words.INTERRUPTED else stop]

    @property
    def mean_scale(self) -> float | None:
        """Of the applied rows committed; None if there are none."""
        scales, low = self.scales, slice(self.committed)
        applied = scales.dropped[low] != ABANDONED
        steps = scales.scale[low][applied].astype(np.float64) * scales.factor[low][applied]
        return float(steps.mean()) if len(steps) else None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Each worker's counts of staleness; left out where there are so many workers that the table is too large."""
        workers, longest = self.options.workers, int(self.rows["tau"][: self.committed].max(initial=0)) + 1
        return self.histogram.counts if workers * longest <= _COUNTS else np.zeros((workers, 0), np.int64)

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
            self._settle(wait=True)
            self._commit(int(self.stage.control[FIRST]))
            if self.stage.control[STOP] != 0 or place is None:
                return
            if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
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

    def saw(self, row: int, what: NDArray[Any]) -> None:
        """Keep what the microscope saw of a row until that is committed."""
        self._seen[row] = what

    def end(self) -> None:
        """Evaluate the final parameters, unless that has been done; what stopped the run stands."""
        if self.final is None:
            self.final = self.params.copy()
            if self.latest.step != self.version:
                at_its_end = self.status == "finished"
                self.note(self.evaluator.evaluate(self.final, self.version, self.seconds), may_end=at_its_end)

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
        staleness, row = self.histogram.distribution(), self.scales.row[max(0, self.committed - 1) :][:1]
        seen = self.scales.tables[row[0] if len(row) else 0][: staleness.support + 1]
        losses = self.stage.steps["loss"][max(0, self.committed - RECENT) : self.committed]
        self.progress(
            Progress(
                status=status,
                seconds=self.seconds,
                updates=self.version,
                total_updates=self.options.updates,
                epoch=self.version / self.per_epoch,
                epochs=self.options.updates / self.per_epoch,
                batch_loss=float(losses.mean()) if len(losses) else math.nan,
                evaluation=self.latest,
                mean_staleness=staleness.mean(),
                staleness_p99=staleness.quantile(0.99),
                scale_range=(float(seen.min()), float(seen.max())) if len(seen) else (math.nan, math.nan),
                dropped=self.committed - self.updates,
            )
        )

    def checkpoint(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The arrays and numbers to go on from, when no thread is at work and nothing waits for an evaluation."""
        stage, n, rows = self.stage, self.problem.n_params, np.array(sorted(self._seen), np.int64)
        first, window = int(stage.control[FIRST]), int(stage.control[WINDOW])
        arrays = {
            "state": stage.state[:, :n],
            "velocity": stage.velocity[:, :n],
            "total": stage.total,
            "loss": stage.steps["loss"][self.committed : first + window],
            "seen_rows": rows,
            "seen": np.concatenate([np.empty(0, MICROSCOPE), *(self._seen[row] for row in rows.tolist())]),
        }
        counts = {"rows": self.committed, "looks": self.looks, "evaluations": self._evaluations}
        return arrays, {"operations": int(stage.control[DONE]), "version": self.version, "plan": self._plan, **counts}

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
        self._seen = {row: arrays["seen"][i : i + 1] for i, row in enumerate(arrays["seen_rows"].tolist())}
        self._count(self._part(0, rows))
        self.committed, self._tables = rows, int(self.scales.row[:rows].max(initial=-1)) + 1

    def _save(self) -> None:
        """Leave a checkpoint beside the file, once everything before it is in the file."""
        if self.writer.path is not None and self.writer.flush():
            save_checkpoint(self.writer.path, *self.checkpoint())
            self._saved = time.monotonic()

    def _segment(self, until: int) -> None:
        """Have the operations carried out up to number `until`, unless the run is stopped before."""
        control = self.stage.control
        control[UNTIL] = until
        begun, before = time.perf_counter(), int(control[DONE])
        if (until - before) * self._pace < _INLINE_SECONDS:
            self._work(self._owns[0])
        else:
            threads = [threading.Thread(target=self._work, args=(own,), daemon=True) for own in self._owns]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    while thread.is_alive():
                        thread.join(_POLL_SECONDS)
                        self._tick()
            except BaseException:
                self.stop(words.FAILED)
                for thread in threads:
                    thread.join()
                raise
        if self._errors:
            self._settle(wait=True)  # an evaluation that ends the run comes before
            if not self._ended:
                raise self._errors[0]
        self._keep_divergence()
        self._pace = (time.perf_counter() - begun) / max(1, int(control[DONE]) - before)
        self._tick()

    def _work(self, own: Own) -> None:
        try:
            self.loop(self.problem.gradient, self.stage, own)
        except BaseException as error:
            self._errors.append(error)
            self.stop(words.FAILED)

    def _tick(self) -> None:
        """Record what is done, write it now and then, and say how far the run is."""
        self._settle(wait=False)
        self._commit(int(self.stage.control[FIRST]))
        now = time.monotonic()
        if now - self._flushed > FLUSH_SECONDS:
            self.writer.flush()
            self._flushed = time.monotonic()
        if now - self._reported > REPORT_SECONDS:
            self.report("running")
            self._reported = now

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
        rows = int(self.stage.control[FIRST])
        losses = self.stage.steps["loss"][max(0, rows - self._averaged) : rows]
        diverged = rows % self._averaged == 0 and not (losses <= self.stage.numbers[words.LOSS_LIMIT]).all()
        if diverged and self.stage.control[STOP] == words.INTERRUPTED:
            self.stage.control[STOP] = words.DIVERGED

    def _commit(self, rows: int) -> None:
        """Give the first rows to the writer, as far as no evaluation may still make an end before them."""
        if self._ended and self._waiting is None:
            return
        rows = rows if self._waiting is None else min(rows, self._waiting[0])
        rows -= rows % self._averaged  # whole rounds
        if rows <= self.committed:
            return
        part = self._part(self.committed, rows)
        self._count(part)
        for number in range(self._tables, int(part["row"].max()) + 1):
            self.writer.append_table(self.scales.steps[number], self.scales.tables[number])
            self._tables += 1
        self.writer.append_updates(part)
        if self.t_view is not None:
            self.writer.append("views", np.array(self.t_view[self.committed : rows], VIEWS))
        for row in sorted(row for row in self._seen if row < rows):
            self.writer.append("microscope", self._seen.pop(row))
        self.committed = rows

    def _count(self, part: NDArray[Any]) -> None:
        """Add rows to what is known of the run."""
        applied = part[part["dropped"] != ABANDONED]
        self.histogram.observe(applied["worker"], applied["tau"])
        self.beyond_table += int((applied["tau"] >= self._lengths[applied["row"]]).sum())
        self.updates += len(applied)
        self.version = int(applied["version"].max(initial=self.version))
        self.seconds = float(applied["t_apply"].max(initial=self.seconds))

    def _part(self, low: int, high: int) -> NDArray[Any]:
        """Rows as a run file has them."""
        part = np.zeros(high - low, UPDATES)
        for name in ROW.names or ():
            part[name] = self.rows[name][low:high]
        for name in ("row", "scale", "factor", "dropped"):
            part[name] = getattr(self.scales, name)[low:high]
        part["loss"] = self.stage.steps["loss"][low:high]
        return part
