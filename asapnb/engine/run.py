"""`train`: put the pieces together, run the workers, leave a run."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..compiled import KERNEL_PATH
from ..errors import UsageError
from ..problems.base import Problem
from ..record import UPDATES, Run, RunWriter, checked_target, machine
from ..rules import Rule, ScaleTables, as_rule, constant, scale_table
from ..schemes import LockBased, Scheme, parse_scheme
from ..staleness import StalenessDistribution
from . import shared as words
from .ahead import compile_rest, compiling_beside
from .collect import compile_access
from .controller import Controller
from .memory import allocate, final_parameters, final_velocity
from .monitor import Evaluation, Evaluator, Progress
from .options import MomentumKind, Options, resolve, updates_per_epoch
from .start import Start
from .team import Team, compile_loop, interruptible


def train(
    problem: Problem,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    rule: Rule | str | Callable[..., Any] = constant(),  # noqa: B008 (frozen)
    workers: int | None = None,
    step_size: float = 0.01,
    batch_size: int = 16,
    *,
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
    pin_workers: bool = False,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Minimise a problem with asynchronous SGD on real threads and record every update.

    The update is x ← x − step_size · scale(tau) · gradient(view), where the scale comes from the rule's table in
    force and tau is the exact number of updates applied since the view was read.

    Args:
        problem: what is minimised, for example `lenet(data)`.
        scheme: how the workers share the parameters: Sequential, Synchronous, LockBased, Hogwild or Leashed, or
            the text of one, such as "leashed(persistence=1)".
        rule: the staleness-adaptive step size: a rule, its text, or a function f(staleness, workers) → scales.
        workers: threads, 1 to 1024; more than cores is fine. By default one per core (Sequential: one).
        step_size: η₀ > 0.
        batch_size: samples per gradient, at most the training samples.
        epochs: stop after this many passes over the data (default 1): epochs × batches per epoch updates
            (a synchronous update takes `workers` batches).
        updates: stop after exactly this many applied updates; instead of `epochs`. Synchronous: rounds.
        seed: initial parameters and the order of the data follow from it.
        momentum: μ in v ← μ·v − step·g, x ← x + v.
        momentum_kind: one velocity "per_worker", or one "shared" with the parameters.
        weight_decay: λ; λ·view is added to every gradient.
        compensation: κ of DC-ASGD (Zheng et al., ICML 2017); κ·g·g·(x − view) is added to every gradient g when it
            is applied to x, elementwise: the gradient at x to first order, with g·g in the place of the Hessian.
            Not for Hogwild in place, which keeps no view.
        reshuffle: a fresh order of the data in every epoch, rather than the same.
        target_loss: stop with status "converged" when an evaluated training loss is at most this.
        max_seconds: stop with status "timed-out" after so much training time.
        divergence_factor: stop with status "diverged" when a loss is not finite or above this multiple of the
            initial training loss (where that is positive).
        eval_every: updates between evaluations; default one epoch, 0 for the start and the end only.
        eval_samples: training samples used for the evaluated training loss, evenly spaced; None for all.
        worker_tables: give each worker a table of its own, made from the staleness of its own updates (which
            `refresh` then counts), as suits workers of unequal speed.
        pin_workers: pin worker i to the i-th core, round and round.
        out: the run file to write (HDF5). Without it the run stays in memory.
        force: overwrite `out` if it exists.
        on_eval: called with each `Evaluation` as it is made.
        progress: called with a `Progress` a few times a second.

    Returns:
        The `Run`: status, every update, evaluations, staleness, rule tables, parameters. Its status is "finished",
        "converged", "diverged", "timed-out", or "interrupted" after Ctrl-C: that, too, returns a valid run. One with
        a file can go on later; see `asapnb.resume`.

    Raises:
        UsageError, RuleError, RecordError: before anything is written, for arguments that cannot be used.

    Sequential and Synchronous give the same bits for the same seed. The others are not reproducible by nature:
    which update lands first is up to the machine. Compilation and, for Sequential and Synchronous, evaluation are
    not on the training clock; the other schemes evaluate in a thread beside the workers.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(32,))
    >>> run = ab.train(problem, scheme=ab.LockBased(), workers=2, step_size=0.1, batch_size=50, updates=120, seed=1)
    >>> run.status, len(run.updates["tau"])
    ('finished', 120)
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
        pin_workers=pin_workers,
    )
    rule = as_rule(rule)
    if rule.shuffled:
        raise UsageError(f"rule is {rule}: which scales there will be must be known; use it in simulate or replay")
    if out is not None:
        checked_target(out, force)  # before anything takes time

    def create(attributes: dict[str, Any]) -> RunWriter:
        return RunWriter(
            out,
            kind="train",
            attributes=attributes,
            initial=start.params,
            layout=problem.layout,
            workers=options.workers,
            force=force,
        )

    start = Start(problem.init(options.seed))
    return run_from(start, problem, options, rule, create, on_eval, progress)


def run_from(
    start: Start,
    problem: Problem,
    options: Options,
    rule: Rule,
    record: Callable[[dict[str, Any]], RunWriter],
    on_eval: Callable[[Evaluation], None] | None,
    progress: Callable[[Progress], None] | None,
) -> Run:
    """Do a run, or what is left of it; `record` makes the writer of its attributes, once all has been compiled."""
    tables, first = _tables(start, options, rule)
    begun = time.perf_counter()
    with compiling_beside(compile_rest, problem, type(options.scheme).__name__):
        problem.compile()
    access, loop = compile_access(UPDATES), compile_loop(type(options.scheme), problem.dtype, problem.inputs.dtype)
    compile_seconds = time.perf_counter() - begun

    evaluator = Evaluator(problem, options.eval_samples)
    initial = start.evaluations[0] if start.evaluations else evaluator.evaluate(start.params, 0, 0.0)
    shared = allocate(problem, options, rule.schedule, start, loss_limit(options, initial))
    writer = record({**run_attributes(problem, options, rule), "compile_seconds": compile_seconds})
    controller = Controller(
        options,
        updates_per_epoch(problem, options.scheme, options.workers, options.batch_size),
        shared,
        access,
        tables,
        first,
        start,
        writer,
        evaluator,
        progress,
        on_eval,
    )
    team = Team(problem, options, shared, loop, start)
    with interruptible(controller):
        status = "failed"
        try:
            if start.evaluations:
                controller.report("running")
            else:
                controller.note(initial)
            team.work(controller)
            controller.end(final_parameters(problem, options, shared))
            status = controller.status
        finally:
            evaluator.close()
            run = writer.finish(
                status,
                final_parameters(problem, options, shared),
                controller.ledger.histogram.counts,
                _outcome(controller, team),
                final_velocity(options, shared, team.owns),
            )
    controller.report(status)
    return run


def _tables(start: Start, options: Options, rule: Rule) -> tuple[list[ScaleTables], list[np.ndarray]]:
    """The tables of all workers or of each, and the first that is in force of each.

    Where the scheme makes nothing stale, the rule is told so from the start: the result must not depend on when the
    controller happens to look.
    """
    past, owners = start.applied("worker", "tau"), options.workers if options.worker_tables else 1
    tables = [ScaleTables(rule, options.workers) for _ in range(owners)]
    if options.always_fresh:
        fresh = StalenessDistribution.from_counts([1]).padded(len(tables[0].current))
        return tables, [scale_table(rule, fresh, options.workers)] * owners
    for owner, one in enumerate(tables):
        one.catch_up(past["tau"] if owners == 1 else past["tau"][past["worker"] == owner])
    return tables, [one.current for one in tables]


def loss_limit(options: Options, initial: Evaluation) -> float:
    """The loss above which a run counts as diverged: a multiple of the initial one has a meaning if that is > 0."""
    largest = float(np.finfo(np.float32).max)
    return min(options.divergence_factor * initial.train_loss, largest) if initial.train_loss > 0 else largest


def run_attributes(problem: Problem, options: Options, rule: Rule) -> dict[str, Any]:
    """What is known of a run before it begins."""
    config = {**problem.config, "rule": rule, **vars(options)}
    if options.eval_every == words.NEVER:
        config["eval_every"] = 0
    if options.eval_samples is None:
        config["eval_samples"] = "none"  # which would otherwise come back as the default
    return {
        "command": shlex.join(sys.argv),
        "seed": options.seed,
        "config": {key: _plain(value) for key, value in config.items() if value is not None},
        "machine": machine(KERNEL_PATH),
        "n_params": problem.n_params,
        "n_samples": problem.n_samples,
        "batches_per_epoch": problem.batches_per_epoch(options.batch_size),
        "data_sha256": None if problem.data is None else problem.data.sha256(),
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)


def _outcome(controller: Controller, team: Team) -> dict[str, Any]:
    """What is known of a run after it has ended."""
    ledger, target = controller.ledger, controller.target_reached
    mean_scale = ledger.sum_scale / ledger.updates if ledger.updates else None
    step_size = float(controller.shared.numbers[words.STEP_SIZE])
    return {
        "seconds": ledger.last_t,
        "mean_scale": mean_scale,
        "sum_of_steps": None if mean_scale is None else step_size * mean_scale * ledger.version,
        "beyond_table": controller.clamped,
        "waited_for_room": controller.access.get(controller.shared.control, words.WAITED),
        "target_step": None if target is None else target.step,
        "target_seconds": None if target is None else target.t,
        "pinned": team.pinned or None,
    }
