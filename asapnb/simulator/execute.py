"""Replay a simulated run from its start, or from a checkpoint, to its end, and leave a run."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..record import Run, RunWriter
from ..record.schema import ABANDONED
from ..training.apart import Session, abandonable, apart
from ..training.attributes import loss_limit, run_attributes
from ..training.cores import at_once
from ..training.evaluation import Evaluator
from ..training.stopping import check_measured
from ..training.words import NEVER
from .execution import Execution, SavedReplay
from .late_scales import Moments
from .microscope import Microscope
from .operations import Operations, makes_version, of_blocks, of_versions
from .replay_state import ReplayState, make_replay_state
from .replayer import Pause, Replayer, identity, saved_parts
from .threads import LOOP, ReplayThreads, compile_loop


def execute(
    execution: Execution, record: Callable[[dict[str, Any]], RunWriter], saved: SavedReplay | None = None
) -> Run:
    """Replay an execution, from its start or from a checkpoint.

    Args:
        execution: the inputs of the run.
        record: makes the writer of the run from its attributes; called once all has been compiled.
        saved: the checkpoint to go on from; None starts at the beginning.
    """
    problem, options = execution.problem, execution.options
    count = at_once() if execution.threads is None else execution.threads
    problem.compile()
    loop = compile_loop(LOOP, problem.dtypes)
    evaluator = Evaluator(problem, options.eval_samples)
    first = evaluator.evaluate(execution.initial, 0, 0.0) if saved is None else saved.evaluations[0]
    check_measured(options, first)
    limit = loss_limit(options, first)
    if execution.scales.late is not None:
        execution.scales.late.begin(execution.scales, first.train_loss)
    replay = abandonable(lambda: make_replay_state(execution, _operations(execution), limit, count))
    if saved is not None:
        saved.check(identity(execution, replay), *saved_parts(replay, problem.n_params))
    per_epoch = options.per_epoch(problem.n_samples)
    threads = ReplayThreads(problem, options, replay, loop, count)

    def work(session: Session[Run]) -> Run:
        told = replace(execution, hooks=session.hooks)
        writer = record(_attributes(execution))
        replayer = Replayer(told, replay, threads, per_epoch=per_epoch, writer=writer, evaluator=evaluator)
        pauses = _pauses(execution, replayer)
        if saved is not None:
            replayer.go_on_from(saved, pauses)
        begun = time.perf_counter()
        session.attach(replayer)
        status = "failed"
        try:
            with evaluator:
                if saved is None:
                    replayer.note(first)
                if replayer.status == "finished":  # so far
                    replayer.run(pauses[replayer.looks :])
                replayer.end()
            session.settle()
            status = replayer.status
            if status == "finished" and execution.timed_out:
                status = "timed-out"
        finally:
            if status == "failed":
                replayer.salvage()
            took = {"threads": count, "wall_seconds": time.perf_counter() - begun}
            checkpoint = replayer.checkpoint() if replayer.can_go_on and status != "failed" else None
            final = replayer.params.copy() if replayer.final is None else replayer.final
            outcome = {**replayer.outcome(), "replay": took}
            summed = {} if execution.options.keeps_rows else replayer.rows.summed(execution)
            run = writer.finish(
                status,
                final,
                replayer.rows.counts,
                outcome,
                checkpoint=checkpoint,
                **summed,
                hurried=session.hooks.hurried,
            )
        replayer.report(status)
        return run

    return apart(work, execution.hooks)


def _operations(execution: Execution) -> Operations:
    """The operations that replay the rows of an execution."""
    options = execution.options
    if execution.t_view is None:
        dropped = execution.scales.columns["dropped"]
        return of_versions(execution.rows, dropped, options.rows_per_version, options.table)
    return of_blocks(execution.rows, execution.t_view, options.scheme.pieces, execution.problem.n_params)


def _attributes(execution: Execution) -> dict[str, Any]:
    """The attributes of the file of a run, as far as they are known before it begins."""
    found = run_attributes(execution.problem, execution.options, execution.rule, execution.code)
    config = {name: value for name, value in found["config"].items() if name != "pin_workers"}
    return {**found, "config": {**config, **execution.config}, "clock": execution.clock, **execution.attributes}


def _pauses(execution: Execution, replayer: Replayer) -> list[Pause]:
    """The pauses in which tables are made, parameters are evaluated or the microscope looks, in order.

    A version is evaluated once it and all versions before it have been made. Under Hogwild they are written in
    another order, so later ones may have been written by then.
    """
    options, rows, replay = execution.options, execution.rows, replayer.replay
    abandoned = execution.scales.columns["dropped"] == ABANDONED
    making = np.flatnonzero(makes_version(rows["version"], abandoned))
    pauses = _of_tables(execution, replay)
    if options.eval_every != NEVER:
        ends = np.maximum.accumulate(replay.tasks["ends"])
        seconds = np.maximum.accumulate(np.where(abandoned, 0.0, rows["t_apply"]))
        for row in making[options.eval_every - 1 :: options.eval_every].tolist():
            look = replayer.evaluate_at(int(rows["version"][row]), row + 1, float(seconds[row]))
            pauses.append(Pause(int(ends[row]), look))
    if execution.microscope:
        microscope = Microscope(execution, replay, replayer.rows.seen)
        pauses += map(microscope.pause_at, making[execution.microscope - 1 :: execution.microscope].tolist())
    return sorted(pauses, key=lambda pause: pause.operations)


def _of_tables(execution: Execution, replay: ReplayState) -> list[Pause]:
    """The pauses in which a rule that sees the loss makes its tables."""
    late, pauses = execution.scales.late, []
    if late is not None:
        moments = Moments(replay, execution.options.workers)
        for row, owner in late.dues():

            def look(row: int = row, owner: int = owner) -> None:
                made = late.make(owner, row, moments.losses(row))
                replay.tasks["scale"][made] = execution.scales.columns["scale"][made]

            pauses.append(Pause(moments.operations(row), look, again=True))
    return pauses
