"""The part of a run beside its workers: take the rows, refresh the rule, evaluate, write, show progress, stop."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.arrays import LINE
from ..rules import Context, Pace, ScaleTables
from ..rules.changes import Change
from ..training.attributes import first_table
from ..training.evaluation import Evaluation, Evaluator
from ..training.options import Options, expected_staleness, refreshes
from ..training.reporting import FLUSH_SECONDS, REPORT_SECONDS, STATUS, Hooks, Reporter, Totals
from ..training.stopping import Stopping
from ..training.words import LOSS_LIMIT, STEP_SIZE, STOPPED, TIMED_OUT
from . import words
from .adapting import Adapting
from .checkpoints import Checkpoints
from .collect import Access
from .elastic import Elastic
from .initial import InitialState
from .rows import RowCollector
from .shared import Shared
from .summed import Summed
from .words import BOXES, MAILBOXES, RING, TABLES

if TYPE_CHECKING:
    from ..record import RunWriter


class Controller:
    """Serves the workers of one run: `tick` is called every few milliseconds while they work, then `end`."""

    def __init__(
        self,
        options: Options,
        shared: Shared,
        access: Access,
        *,
        start: InitialState,
        tables: list[ScaleTables],
        first: list[np.ndarray],
        writer: RunWriter,
        evaluator: Evaluator,
        pace: Pace,
        hooks: Hooks,
    ) -> None:
        self.options, self.shared, self.access = options, shared, access
        self.tables, self.writer, self.evaluator, self.pace = tables, writer, evaluator, pace
        self._refreshes = refreshes(tables[0].rule, options)
        self._goes_on = any(one.first_made is not None for one in tables)
        scheme, sums = options.scheme, options.scheme.sums(options.workers) > 0
        self.rows = RowCollector(shared, access, drops=scheme.drops, sums=sums, version=start.version)
        self.totals = Totals(options.workers)
        self.totals.add(start.updates)
        self.totals.beyond_table = start.beyond_table
        self._steps_before, self._scales_before = start.steps, self.totals.sum_scale
        limit = float(shared.numbers[LOSS_LIMIT])
        known, stopping = start.evaluations, Stopping(options)
        stopping.take_up(known)
        self.reporter = Reporter(options, pace.per_epoch, limit, writer, hooks, self.totals, stopping)
        self.reporter.latest = known[-1] if known else self.reporter.latest
        self._asked: dict[int, int] = {}  # mailbox: the version last asked for there
        self._held: dict[int, np.ndarray] = {}  # parameters to keep, by version, until they have been evaluated
        self._evaluated: dict[int, Evaluation] = {}  # by version, until their turn
        self._due = options.eval_every * (start.version // options.eval_every + 1)
        self._lengths = [start.tables.shape[1]] * len(start.tables)  # of all tables recorded
        self._made_at = list(start.made_at)  # and after how many updates
        self._published = [0] * len(tables)  # how many of each owner
        self._observed = start.version  # the rule has seen the updates up to here
        self._seconds_before = start.seconds
        self._checkpoints = Checkpoints(writer, options.keeps_rows)
        self._carried = options.moments if options.shares_moments else 0  # vectors after the parameters
        self.summed = None if options.keeps_rows else Summed(options, tables)
        adapts = options.scheme.adapts
        self._elastic = Elastic(shared, access, options, start.version)
        self._adapting = Adapting(shared.control, access, start, options.workers) if adapts else None
        self.hurried, self.failure = hooks.hurried, hooks.failure
        self._flushed = self._reported = time.monotonic()
        for owner, table in enumerate(first):
            self._publish(owner, table, start.recorded(table))

    def stop(self, reason: int) -> None:
        """Ask all workers to stop; the first reason given stands."""
        self.access.swap(self.shared.control, words.STOP, 0, reason)

    @property
    def status(self) -> str:
        """The status with which the run would end now."""
        stop = self.access.get(self.shared.control, words.STOP)
        return STATUS[0 if stop == STOPPED and self.totals.version == self.options.updates else stop]

    @property
    def seconds(self) -> float:
        """Training time so far."""
        get, control = self.access.get, self.shared.control
        if get(control, words.GO) == 0:
            return self._seconds_before
        now = get(control, words.PAUSED) or self.access.now()
        return (now - get(control, words.ORIGIN)) * 1e-9

    def tick(self) -> bool:
        """Serve the workers once; True if they should be served again at once."""
        hurry = self._take_rows()
        self._collect_mail()
        self._note_evaluated()
        if self.options.max_seconds is not None and self.seconds > self.options.max_seconds:
            self.stop(TIMED_OUT)
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
        """After the workers have ended: take the last rows and evaluate the final parameters, unless in a hurry."""
        while self._take_rows(ended=True):
            pass
        made, control = self.totals.version, self.shared.control
        claimed = self.access.get(control, words.VERSION)  # of Leashed it may lag, of Hogwild go beyond the end
        if made < min(claimed, control[words.QUOTA]):
            raise RuntimeError(
                f"a loop has made {claimed:,} versions, and handed in the rows of {made:,}: see `hand_in`"
            )
        each, added = self.options.rows_per_version, self.access.get(control, words.CLOSED)
        if self.options.scheme.sums(self.options.workers) and added != claimed * each:
            raise RuntimeError(
                f"a loop has made {claimed:,} versions of {each:,} gradients each, and {added:,} gradients were "
                "added up for them: see `groups.add`"
            )
        self._collect_mail()
        self._note_evaluated(ended=True)
        if self.reporter.latest.step != self.totals.version and not self.hurried():
            self.evaluator.submit(final, self.totals.version, self.totals.seconds)
            for evaluation in self.evaluator.finished(wait=True, unless=self.hurried):
                self.note(evaluation)

    def salvage(self, *, ended: bool = False) -> None:
        """Keep all finished rows, after a failure."""
        self._count(self._recorded_rows(ended), ended=True)

    def note(self, evaluation: Evaluation) -> None:
        """Record an evaluation and stop if it ends the run."""
        self.reporter.record(evaluation)
        if reason := self.reporter.judge(evaluation):
            self.stop(reason)
        self.reporter.tell(evaluation, self.seconds)

    def report(self, status: str) -> None:
        """Tell the caller how far the run is."""
        self.reporter.report(status, self.seconds if status == "running" else self.totals.seconds)

    def outcome(self) -> dict[str, Any]:
        """The attributes that the run gets at its end."""
        facts = self.reporter.outcome(self.totals.mean_scale, float(self.shared.numbers[STEP_SIZE]), self.status)
        if self._steps_before is not None and facts["mean_scale"] is not None:
            more = (self.totals.sum_scale - self._scales_before) / self.options.rows_per_version
            facts["sum_of_steps"] = self._steps_before + float(self.shared.numbers[STEP_SIZE]) * more
        if self._refreshes and not self._goes_on:
            made = [one.first_made for one in self.tables if one.first_made is not None]
            facts["first_table"] = first_table(self.options, self.tables[0].rule) | {
                "due": max(made) if len(made) == len(self.tables) else None  # a little later than planned, or never
            }
        return {
            **facts,
            "intervals": self._lengths_of_intervals(),
            "in_force": self._in_force(),
            "waited_for_room": self.access.get(self.shared.control, words.WAITED),
        }

    def _take_rows(self, *, ended: bool = False) -> bool:
        """Take rows once; True if there were so many that more should be taken at once."""
        rows = self._recorded_rows(ended)
        self._count(rows, ended)
        return len(rows) > RING // 2

    def _count(self, rows: np.ndarray, ended: bool) -> None:
        """Add rows to the totals, and let the rule see them."""
        for part in [rows] if self.summed is None else self.summed.parts(rows):
            if len(part):
                self._count_part(part, ended)

    def _count_part(self, rows: np.ndarray, ended: bool) -> None:
        chosen = self.totals.add(rows, self._lengths)
        if self.summed is not None:
            self.summed.add(rows, chosen, self._made_at, self._published)
        if self._adapting is not None and not ended:
            self._adapting.observe(rows)
        applied = rows[chosen]
        if not ended:
            self._elastic.observe(applied)
        if self._refreshes and not ended:
            for change in self._changes(applied["version"]):
                count = int(np.searchsorted(applied["version"], change.version, "right"))
                self._observe(applied[:count], change)
                applied = applied[count:]
            self._observe(applied)

    def _changes(self, versions: np.ndarray) -> list[Change]:
        """The changes of the number of workers at these versions and since the last ones."""
        before, self._observed = self._observed, int(versions.max(initial=self._observed))
        found = self._elastic.workforce.within(before, self._observed)
        return [Change(*one, prior=expected_staleness(self.options, one[1])) for one in found]

    def _observe(self, applied: np.ndarray, change: Change | None = None) -> None:
        """Let the rule see rows of applied updates, and then the number of workers that is in force."""
        for owner, tables in enumerate(self.tables):
            own = applied if len(self.tables) == 1 else applied[applied["worker"] == owner]
            sight = functools.partial(self._context, owner)
            table = tables.observe(own["tau"], sight)
            if change is not None:
                table = tables.change(change, at=sight)
            if table is not None:
                self._publish(owner, table)

    def _context(self, owner: int, seen: int) -> Context:
        """What the rule sees now, for the table of a worker, or of all."""
        return self.pace.context(self.totals.version, loss=self.totals.batch_loss, worker=owner)

    def _recorded_rows(self, ended: bool) -> np.ndarray:
        """The next rows. They leave the ring once the writer has them, so that no exception loses any."""
        rows = self.rows.take(ended=ended)
        self._elastic.workforce.check_reads(rows["worker"], rows["read_version"])
        if len(rows):
            self.writer.append_updates(rows)
        self.rows.acknowledge()
        return rows

    def _publish(self, owner: int, table: np.ndarray, recorded: int | None = None) -> None:
        """Write a table of one worker, or of all, into the next place, then make it the table in force.

        `recorded` is its row of /rule, if it has one already; else it gets the next. The fence lets nobody see the
        new entries before the table that was put in force last: see `choose_step`.
        """
        self.totals.table = table = table[: self.shared.scales.shape[1]]
        tables, number = self.shared.tables[owner], self._published[owner]
        slot = number % TABLES
        self.access.fence()
        self.shared.scales[owner * TABLES + slot, : len(table)] = table
        if recorded is None:
            recorded = len(self._lengths)
            self._lengths.append(0)
            self._made_at.append(self.totals.version)
            self.writer.append_table(self.totals.version, table)
        self._lengths[recorded] = len(table)
        tables[words.LENGTHS + slot], tables[words.RECORDED + slot] = len(table), recorded
        self._published[owner] += 1
        self.access.put(tables, words.NEWEST, number)

    def _collect_mail(self) -> None:
        """Collect the mailboxes in which workers ask for an evaluation."""
        for box in range(MAILBOXES, MAILBOXES + BOXES * LINE, LINE):
            version = self.access.get(self.shared.control, box + words.BOX_VERSION)
            if version not in (words.EMPTY, words.CLAIMED, self._asked.get(box)):
                self._asked[box] = version
                self._submit(version, box)

    def _submit(self, version: int, box: int) -> None:
        """Give the vector that a mailbox names to the evaluator."""
        control = self.shared.control
        vector = int(control[box + words.BOX_VECTOR])
        n = control[words.N_PARAMS]
        params = self.shared.state[vector, :n]
        t = float(control[box + words.BOX_TIME]) * 1e-9
        carried = self.shared.state[vector, n : n * (1 + self._carried)].reshape(-1, n)
        self._checkpoints.offer(version, t, params, **({self.options.moments_name: carried} if self._carried else {}))
        if self.options.keep_params is not None:
            self._held[version] = params.copy()
        done = functools.partial(self._empty, box, vector if control[box + words.BOX_PINNED] else None)
        self.evaluator.submit(params, version, t, done)

    def _empty(self, box: int, pinned: int | None) -> None:
        """Free a mailbox, and the vector that was pinned for it."""
        if pinned is not None:
            self.access.release(self.shared.slots, pinned)
        self.access.put(self.shared.control, box + words.BOX_VERSION, words.EMPTY)

    def _note_evaluated(self, *, ended: bool = False) -> None:
        """Record finished evaluations in the order of versions. Workers may ask in another order."""
        self._evaluated |= {
            evaluation.step: evaluation for evaluation in self.evaluator.finished(wait=ended, unless=self.hurried)
        }
        while self._due in self._evaluated or (ended and self._evaluated):
            version = min(self._evaluated) if ended else self._due
            if version in self._held:
                self.writer.append_params(version, self._held.pop(version))
            self.note(self._evaluated.pop(version))
            self._due = version + self.options.eval_every

    def _save_checkpoint(self) -> None:
        """Save a checkpoint, if there is one, once its evaluation and all rows up to its version are known."""
        complete = min(self.reporter.latest.step, self.totals.updates // self.options.rows_per_version)
        waited = self.access.get(self.shared.control, words.WAITED)
        counts = {"beyond_table": self.totals.beyond_table, "waited_for_room": waited}
        self._checkpoints.save(complete, **counts, intervals=self._lengths_of_intervals(), in_force=self._in_force())

    def _in_force(self) -> str | None:
        """How many workers were in force from which version on, if that is adapted, as a table."""
        force = self._elastic.workforce
        return None if force.adapts_to is None else str(force.until(self.totals.version))

    def _lengths_of_intervals(self) -> list[dict[str, int]] | None:
        """All lengths of intervals so far, if they are adapted: after how many finished gradients each began."""
        if self._adapting is None:
            return None
        return [{"after": after, "length": length} for after, length in self._adapting.history]
