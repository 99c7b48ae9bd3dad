"""`simulate`: a schedule, then its replay with true gradients."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..engine.ahead import compiling_beside
from ..engine.monitor import Evaluation, Progress
from ..engine.options import MomentumKind, Options, resolve, whole
from ..problems.base import Problem
from ..record import Run, RunWriter, checked_target
from ..rules import Rule, as_rule, constant
from ..schemes import LockBased, Scheme, parse_scheme
from ..timing import Timing, as_timing, exponential
from .crew import compile_ahead
from .events import schedule
from .execute import execute
from .execution import Execution
from .scales import Scales, scales_of


def simulate(
    problem: Problem,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    rule: Rule | str | Callable[..., Any] = constant(),  # noqa: B008 (frozen)
    workers: int | None = None,
    step_size: float = 0.01,
    batch_size: int = 16,
    *,
    timing: Timing | str | dict = Timing(exponential(1)),  # noqa: B008 (frozen)
    epochs: int | None = None,
    updates: int | None = None,
    seed: int = 0,
    momentum: float = 0.0,
    momentum_kind: MomentumKind = "per_worker",
    weight_decay: float = 0.0,
    compensation: float = 0.0,
    reshuffle: bool = True,
    target_loss: float | None = None,
    max_seconds: float | None = None,
    divergence_factor: float = 10.0,
    eval_every: int | None = None,
    eval_samples: int | None = 10_000,
    worker_tables: bool = False,
    microscope: int = 0,
    threads: int | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Minimise a problem with any number of workers in virtual time: the same bits on any number of threads.

    First the schedule is made: who reads which version, and when it is applied. Then the true gradients are computed
    at the true views and applied in that order, with the very functions of `train`. Every table of a rule is made at
    its exact update number.

    Args:
        problem: what is minimised, for example `lenet(data)`.
        scheme: how the workers share the parameters; also `ParameterServer`, and options that `train` has not.
        rule: the staleness-adaptive step size: a rule, its text, or a function f(staleness, workers) → scales.
        workers: simulated workers, 1 to 16 million; default 16 (Sequential: one). Memory goes with the gradients in
            flight, one vector of parameters for each.
        step_size: η₀ > 0.
        batch_size: samples per gradient, at most the training samples.
        timing: how long gradients, reads, updates and messages take: a `Timing`, its text, such as
            "compute=lognormal(mean=1, cv=0.3), update=0.01", or a file made by `asapnb calibrate`.
        epochs: stop after this many passes over the data (default 1): epochs × batches per epoch updates
            (a synchronous update takes the batches of its round).
        updates: stop after exactly this many applied updates; instead of `epochs`. Synchronous: rounds.
        seed: initial parameters, the order of the data and all times follow from it.
        momentum: μ in v ← μ·v − step·g, x ← x + v.
        momentum_kind: one velocity "per_worker", or one "shared" with the parameters.
        weight_decay: λ; λ·view is added to every gradient.
        compensation: κ of DC-ASGD; κ·g·g·(x − view) is added to every gradient g when it is applied to x.
        reshuffle: a fresh order of the data in every epoch, rather than the same.
        target_loss: stop with status "converged" when an evaluated training loss is at most this.
        max_seconds: stop with status "timed-out" after so much virtual time.
        divergence_factor: stop with status "diverged" when a loss is not finite or above this multiple of the
            initial training loss (where that is positive).
        eval_every: updates between evaluations; default one epoch, 0 for the start and the end only.
        eval_samples: training samples used for the evaluated training loss, evenly spaced; None for all.
        worker_tables: give each worker a table of its own, made from the staleness of its own updates.
        microscope: look at every n-th update: how far its view is from the parameters, and what that does to its
            gradient (see `Run.microscope`). 0 looks at none.
        threads: real threads that compute gradients; default one per core. The result does not depend on it.
        out: the run file to write (HDF5). Without it the run stays in memory.
        force: overwrite `out` if it exists.
        on_eval: called with each `Evaluation` as it is made.
        progress: called with a `Progress` a few times a second.

    Returns:
        The `Run`, of kind "simulate": all its times are virtual seconds. An interrupted one with a file can go on to
        the same bits; see `asapnb.resume`.

    Raises:
        UsageError, RuleError, RecordError: before anything is written, for arguments that cannot be used.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(32,))
    >>> run = ab.simulate(problem, workers=64, timing="lognormal(mean=1, cv=0.3)", step_size=1e-3, updates=300)
    >>> run.status, len(run.updates["tau"]), run.staleness.support < 300
    ('finished', 300, True)
    """
    options = resolve(
        problem,
        scheme=parse_scheme(scheme) if isinstance(scheme, str) else scheme,
        workers=workers,
        step_size=step_size,
        batch_size=batch_size,
        epochs=epochs,
        updates=updates,
        seed=seed,
        momentum=momentum,
        momentum_kind=momentum_kind,
        weight_decay=weight_decay,
        compensation=compensation,
        reshuffle=reshuffle,
        target_loss=target_loss,
        max_seconds=max_seconds,
        divergence_factor=divergence_factor,
        eval_every=eval_every,
        eval_samples=eval_samples,
        worker_tables=worker_tables,
        simulated=True,
    )
    if out is not None:
        checked_target(out, force)  # before anything takes time
    watch = Watch(whole("microscope", microscope, 0), threads, on_eval, progress)
    with compiling_beside(compile_ahead, problem):
        execution = scheduled(problem, options, as_rule(rule), as_timing(timing, options.workers), watch)
        problem.compile()
    return execute(execution, new_file(execution, out, force))


@dataclass(frozen=True)
class Watch:
    """How a run is watched, and by how many threads it is computed: nothing that the result depends on."""

    microscope: int = 0
    threads: int | None = None
    on_eval: Callable[[Evaluation], None] | None = None
    progress: Callable[[Progress], None] | None = None


def scheduled(problem: Problem, options: Options, rule: Rule, timing: Timing, watch: Watch) -> Execution:
    """What is carried out: a schedule, as far as the time goes, and the scale of each of its rows."""
    made = schedule(timing, options.scheme, options.workers, options.updates, options.seed)
    rows, views = made.rows, made.t_view
    late = rows["t_apply"] > (math.inf if options.max_seconds is None else options.max_seconds)
    if late.any():
        count = int(late.argmax())
        rows, views = rows[:count], None if views is None else views[:count]
    return Execution(
        problem,
        options,
        rule,
        rows,
        views,
        scales_for(rows, rule, options),
        kind="simulate",
        config={"timing": str(timing), "microscope": watch.microscope},
        timed_out=bool(late.any()),
        **vars(watch),
    )


def scales_for(rows: Any, rule: Rule, options: Options) -> Scales:
    """The scale of each row, as these options say."""
    return scales_of(
        rows,
        rule,
        options.workers,
        per_worker=options.worker_tables,
        always_fresh=options.always_fresh,
        seed=options.seed,
    )


def new_file(
    execution: Execution, out: str | os.PathLike[str] | None, force: bool
) -> Callable[[dict[str, Any]], RunWriter]:
    """What makes the writer of a run that begins."""

    def create(attributes: dict[str, Any]) -> RunWriter:
        return RunWriter(
            out,
            kind=execution.kind,
            attributes=attributes,
            initial=execution.initial,
            layout=execution.problem.layout,
            workers=execution.options.workers,
            force=force,
            groups=execution.groups,
        )

    return create
