"""Carry out a plan from its start, or from a checkpoint, to its end, and leave a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import shared as words
from ..engine.monitor import Evaluator
from ..engine.options import cores, updates_per_epoch, whole
from ..engine.run import loss_limit, run_attributes
from ..engine.team import interruptible
from ..record import Run, RunWriter, save_checkpoint
from ..record.schema import ABANDONED
from ..schemes import Hogwild
from .crew import Crew, compile_work
from .director import Director, Stop
from .execution import Execution, Past, digest
from .microscope import Microscope
from .plan import plan_blocks, plan_versions
from .stage import make_stage


def execute(execution: Execution, record: Callable[[dict[str, Any]], RunWriter], past: Past | None = None) -> Run:
    """Carry it out; `record` makes the writer of these attributes, once all has been compiled."""
    problem, options = execution.problem, execution.options
    threads = len(cores()) if execution.threads is None else whole("threads", execution.threads, 1, 1024)
    problem.compile()
    loop = compile_work(problem.dtype, problem.inputs.dtype)
    evaluator = Evaluator(problem, options.eval_samples)
    first = evaluator.evaluate(execution.initial, 0, 0.0) if past is None else past.evaluations[0]
    if execution.t_view is None:
        plan = plan_versions(execution.rows, execution.scales.dropped, options.rows_per_version)
    else:
        blocks = options.scheme.blocks if isinstance(options.scheme, Hogwild) else 1
        plan = plan_blocks(execution.rows, execution.t_view, blocks)
    limit = loss_limit(options, first)
    stage = make_stage(execution, plan, limit, threads)
    if past is not None:
        past.check(digest(execution, stage))
    writer = record(_attributes(execution))
    per_epoch = updates_per_epoch(problem, options.scheme, options.workers, options.batch_size)
    crew = Crew(problem, options.batch_size, stage, loop, threads)
    director = Director(execution, stage, crew, per_epoch, writer, evaluator)
    if past is not None:
        director.go_on_from(past)
    begun = time.perf_counter()
    with interruptible(director):
        status = "failed"
        try:
            if past is None:
                director.note(first)
            if director.status == "finished":  # so far
                director.run(_stops(execution, director)[director.looks :])
            director.end()
            status = director.status
            if status == "finished" and execution.timed_out:
                status = "timed-out"
        finally:
            evaluator.close()
            if status == "failed":
                director.salvage()
            work = {"threads": threads, "wall_seconds": time.perf_counter() - begun}
            checkpoint = director.checkpoint() if status == "interrupted" else None
            final = director.params.copy() if director.final is None else director.final
            run = writer.finish(status, final, director.journal.counts, {**_outcome(director), "replay": work})
            if checkpoint is not None and run.path is not None:
                save_checkpoint(run.path, *checkpoint)
    director.report(status)
    return run


def _attributes(execution: Execution) -> dict[str, Any]:
    """What is known of a run before it begins."""
    found = run_attributes(execution.problem, execution.options, execution.rule)
    config = {name: value for name, value in found["config"].items() if name != "pin_workers"}
    return {**found, "config": {**config, **execution.config}, "clock": execution.clock, **execution.attributes}


def _stops(execution: Execution, director: Director) -> list[Stop]:
    """Where parameters are evaluated, and where the microscope looks, in order.

    A version is evaluated as soon as it and all before it have been made, which under Hogwild may take longer.
    """
    options, rows, stage = execution.options, execution.rows, director.stage
    making = np.flatnonzero(execution.scales.dropped != ABANDONED)
    making = making[options.rows_per_version - 1 :: options.rows_per_version]  # the row that makes each version
    stops = []
    if options.eval_every != words.NEVER:
        ends = np.maximum.accumulate(stage.steps["ends"])
        applied = np.where(execution.scales.dropped == ABANDONED, 0.0, rows["t_apply"])
        seconds = np.maximum.accumulate(applied)
        for row in making[options.eval_every - 1 :: options.eval_every].tolist():
            look = director.evaluate_at(int(rows["version"][row]), row + 1, float(seconds[row]))
            stops.append(Stop(int(ends[row]), look))
    if execution.microscope:
        microscope = Microscope(execution, stage, director.journal.seen)
        stops += map(microscope.stop_at, making[execution.microscope - 1 :: execution.microscope].tolist())
    return sorted(stops, key=lambda stop: stop.operations)


def _outcome(director: Director) -> dict[str, Any]:
    """What is known of a run after it has ended."""
    target, journal, mean_scale = director.target_reached, director.journal, director.journal.mean_scale
    step_size = float(director.stage.numbers[words.STEP_SIZE])
    return {
        "seconds": journal.seconds,
        "mean_scale": mean_scale,
        "sum_of_steps": None if mean_scale is None else step_size * mean_scale * journal.version,
        "beyond_table": journal.beyond_table,
        "target_step": None if target is None else target.step,
        "target_seconds": None if target is None else target.t,
    }
