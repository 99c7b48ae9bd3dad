"""The main thread's part of a run: take the rows, refresh the rule, evaluate, write, show progress, stop."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..record.schema import ABANDONED
from ..rules import ScaleTables
from ..schemes import Leashed
from . import shared as words
from .checkpoints import Checkpoints
from .collect import Access
from .ledger import Ledger
from .monitor import Evaluation, Evaluator, Progress
from .options import Options
from .shared import BOXES, LINE, MAIL, RING, TABLES, Shared
from .start import Start

if TYPE_CHECKING:
    from ..record import RunWriter

FLUSH_SECONDS = 1.0
REPORT_SECONDS = 0.1
RECENT = 100  # gradients in the mean minibatch loss
STATUS = {
    0: "finished",
    words.DIVERGED: "diverged",
    words.CONVERGED: "converged",
    words.TIMED_OUT: "timed-out",
    words.INTERRUPTED: "interrupted",
    words.FAILED: "failed",
}


class Controller:
    """Serves the workers of one run: `tick` is called every few milliseconds while they work, then `end`."""

    def __init__(
        self,
        options: Options,
        per_epoch: int,
        shared: Shared,
        access: Access,
        tables: list[ScaleTables],
        first: list[np.ndarray],
        start: Start,
        writer: RunWriter,
        evaluator: Evaluator,
        progress: Callable[[Progress], None] | None,
        on_eval: Callable[[Evaluation], None] | None,
    ) -> None:
        self.options, self.per_epoch, self.shared, self.access = options, per_epoch, shared, access
        self.tables, self.writer, self.evaluator = tables, writer, evaluator
        self.progress, self.on_eval = progress, on_eval
        drops = isinstance(options.scheme, Leashed) and options.scheme.persistence is not None
        self.ledger = Ledger(shared, access, drops=drops, start=start)
        self.always_fresh = options.always_fresh
        known = start.evaluations
        self.latest = known[-1] if known else Evaluation(0, 0.0, math.nan, math.nan, math.nan)
        self.target_reached = next(filter(self._reaches_target, known), None)
        self.clamped = start.beyond_table
        self._asked: dict[int, int] = {}  # mailbox: the version last asked for there
        self._evaluated: dict[int, Evaluation] = {}  # by step, until their turn
        self._due = options.eval_every * (start.version // options.eval_every + 1)
        self._lengths = [start.tables.shape[1]] * len(start.tables)  # of all tables recorded
        self._published = [0] * len(tables)  # how many of each owner
        self._losses = start.updates["loss"][-RECENT:]
        self._begun = start.seconds
        self._checkpoints = Checkpoints(writer)
        self._flushed = self._reported = time.monotonic()
        for owner, table in enumerate(first):
            self._publish(owner, table, start.recorded(table))

    def stop(self, reason: int) -> None:
        """Ask all workers to stop; the first reason given stands."""
        self.access.swap(self.shared.control, words.STOP, 0, reason)

    @property
    def status(self) -> str:
        """The status that the run ends with, as things stand."""
        return STATUS[self.access.get(self.shared.control, words.STOP)]

    @property
    def seconds(self) -> float:
        """Training time now."""
        get, control = self.access.get, self.shared.control
        if get(control, words.GO) == 0:
            return self._begun
        now = get(control, words.PAUSED) or self.access.now()
        return (now - get(control, words.ORIGIN)) * 1e-9

    def tick(self) -> bool:
        """Serve the workers once; True if they should be served again at once."""
        hurry = self._take_rows()
        self._collect_mail()
        self._note_evaluated()
        if self.options.max_seconds is not None and self.seconds > self.options.max_seconds:
            self.stop(words.TIMED_OUT)
        now = time.monotonic()
        if now - self._flushed > FLUSH_SECONDS:
            self.writer.flush()
            self._flushed = time.monotonic()
        self._save_checkpoint()
        if now - self._reported > REPORT_SECONDS:
            self.report("running")
            self._reported = now
        return hurry

    def end(self, final: np.ndarray) -> None:
        """After the workers have ended: take what is left and evaluate the final parameters."""
        while self._take_rows(ended=True):
            pass
        self._collect_mail()
        self._note_evaluated(ended=True)
        if self.latest.step != self.ledger.version:
            self.note(self.evaluator.evaluate(final, self.ledger.version, self.ledger.last_t))

    def salvage(self, *, ended: bool = False) -> None:
        """After a failure: keep the rows that there are."""
        self.writer.append_updates(self.ledger.take(ended=ended))

    def note(self, evaluation: Evaluation) -> None:
        """Record an evaluation and see whether it ends the run."""
        self.latest = evaluation
        self.writer.append_eval(**vars(evaluation))
        if not evaluation.train_loss <= self.shared.numbers[words.LOSS_LIMIT]:
            self.stop(words.DIVERGED)
        if self.target_reached is None and self._reaches_target(evaluation):
            self.target_reached = evaluation
            self.stop(words.CONVERGED)
        if self.on_eval is not None:
            self.on_eval(evaluation)
        self.report("running")

    def report(self, status: str) -> None:
        """Tell the caller how far the run is."""
        if self.progress is None:
            return
        staleness = self.ledger.staleness
        seen = self._in_force[: staleness.support + 1]
        self.progress(
            Progress(
                status=status,
                seconds=self.ledger.last_t if status != "running" else self.seconds,
                updates=self.ledger.version,
                total_updates=self.options.updates,
                epoch=self.ledger.version / self.per_epoch,
                epochs=self.options.updates / self.per_epoch,
                batch_loss=float(self._losses.mean()) if len(self._losses) else math.nan,
                evaluation=self.latest,
                mean_staleness=staleness.mean(),
                staleness_p99=staleness.quantile(0.99),
                scale_range=(float(seen.min()), float(seen.max())) if len(seen) else (math.nan, math.nan),
                dropped=self.ledger.dropped,
            )
        )

    def _reaches_target(self, evaluation: Evaluation) -> bool:
        target = self.options.target_loss
        return target is not None and evaluation.train_loss <= target

    def _take_rows(self, *, ended: bool = False) -> bool:
        """Take rows once; True if there were so many that the next should be taken at once."""
        rows = self.ledger.take(ended=ended)
        if not len(rows):
            return False
        self.writer.append_updates(rows)
        applied = rows[rows["dropped"] != ABANDONED]
        self.clamped += int((applied["tau"] >= np.take(self._lengths, applied["row"])).sum())
        self._losses = np.concatenate([self._losses, rows["loss"]])[-RECENT:]
        if not self.always_fresh and not ended:
            for owner, tables in enumerate(self.tables):
                own = applied if len(self.tables) == 1 else applied[applied["worker"] == owner]
                table = tables.observe(own["tau"])
                if table is not None:
                    self._publish(owner, table)
        return len(rows) > RING // 2

    def _publish(self, owner: int, table: np.ndarray, recorded: int | None = None) -> None:
        """Write a table of one worker, or of all, into a fresh place, then make that the one in force.

        It is recorded unless it stands in the record already.
        """
        self._in_force = table = table[: self.shared.scales.shape[1]]
        tables, number = self.shared.tables[owner], self._published[owner]
        slot = number % TABLES
        self.shared.scales[owner * TABLES + slot, : len(table)] = table
        if recorded is None:
            recorded = len(self._lengths)
            self._lengths.append(0)
            self.writer.append_table(self.ledger.version, table)
        self._lengths[recorded] = len(table)
        tables[words.LENGTHS + slot], tables[words.RECORDED + slot] = len(table), recorded
        self._published[owner] += 1
        self.access.put(tables, words.NEWEST, number)

    def _collect_mail(self) -> None:
        """Hand the evaluations that workers ask for to the evaluator."""
        for box in range(MAIL, MAIL + BOXES * LINE, LINE):
            version = self.access.get(self.shared.control, box)
            if version not in (words.EMPTY, words.CLAIMED, self._asked.get(box)):
                self._asked[box] = version
                self._submit(version, box)

    def _submit(self, version: int, box: int) -> None:
        shared = self.shared
        n = shared.control[words.N_PARAMS]
        done = functools.partial(self.access.put, shared.control, box, words.EMPTY)
        if self.always_fresh:
            params = shared.state[words.PARAMS, :n]
        elif isinstance(self.options.scheme, Leashed):
            slot = int(shared.control[box + 2])
            params = shared.state[slot, :n]
            done = functools.partial(self._release, slot, box)
        else:
            params = shared.state[words.EXTRA + (box - MAIL) // LINE, :n]
        t = float(shared.control[box + 1]) * 1e-9
        self._checkpoints.offer(version, t, params)
        self.evaluator.submit(params, version, t, done)

    def _note_evaluated(self, *, ended: bool = False) -> None:
        """Record what has been evaluated in the order of versions: workers may ask out of turn."""
        self._evaluated |= {evaluation.step: evaluation for evaluation in self.evaluator.finished(wait=ended)}
        while self._due in self._evaluated or (ended and self._evaluated):
            step = min(self._evaluated) if ended else self._due
            self.note(self._evaluated.pop(step))
            self._due = step + self.options.eval_every

    def _save_checkpoint(self) -> None:
        """Save the parameters kept, if any, once the evaluation of their version and its rows are known."""
        complete = min(self.latest.step, self.ledger.updates // self.options.rows_per_version)
        waited = self.access.get(self.shared.control, words.WAITED)
        self._checkpoints.save(complete, beyond_table=self.clamped, waited_for_room=waited)

    def _release(self, slot: int, box: int) -> None:
        self.access.release(self.shared.slots, slot)
        self.access.put(self.shared.control, box, words.EMPTY)
