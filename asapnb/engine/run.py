"""`train`: put the pieces together, run the workers, leave a run."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from ..errors import UsageError
from ..identity import plain_text
from ..optimizers import SGD, Optimizer
from ..problems.base import Problem
from ..record import Run, RunWriter, claim
from ..rules import Context, Rule, ScaleTables, as_rule, constant
from ..rules.changes import Change
from ..rules.context import OUTSIDE
from ..schedules import StepSchedule
from ..schedules import constant as unscheduled
from ..schemes import LockBased, Scheme
from ..training.apart import Session, apart
from ..training.arguments import documented
from ..training.attributes import loss_limit, run_attributes
from ..training.code import pieces
from ..training.compiling import compiled
from ..training.evaluation import Evaluation, Evaluator
from ..training.options import (
    KeptParams,
    MomentumKind,
    Monitor,
    Options,
    Record,
    check_seen,
    expected_staleness,
    pace,
    refreshes,
    resolve,
)
from ..training.prior import PriorLike
from ..training.reporting import Hooks
from ..training.steps import step_tables
from ..training.stopping import check_measured
from ..training.warm_start import StartLike
from ..training.watching import ProgressHook, watched
from ..workforce import WorkersLike
from .controller import Controller
from .initial import InitialState
from .memory import allocate, check_fits, final_moments, final_parameters
from .ranks import Ranks, joining, of_rank
from .remote import work
from .serving import server
from .team import threads


@documented("train")
def train(
    problem: Problem,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    rule: Rule | str | Callable[..., Any] = constant(),  # noqa: B008 (frozen)
    workers: WorkersLike | None = None,
    step_size: float = 0.01,
    batch_size: int = 16,
    *,
    schedule: StepSchedule | str | Callable[..., Any] = unscheduled(),  # noqa: B008 (frozen)
    epochs: int | None = None,
    updates: int | None = None,
    seed: int = 0,
    start: StartLike | None = None,
    optimizer: Optimizer | str = SGD(),  # noqa: B008 (frozen)
    momentum: float = 0.0,
    momentum_kind: MomentumKind = "per_worker",
    direct_share: float = 0.0,
    weight_decay: float = 0.0,
    compensation: float = 0.0,
    clip: float | None = None,
    reshuffle: bool = True,
    local_steps: int = 1,
    shards: str | None = None,
    target_loss: float | None = None,
    target_accuracy: float | None = None,
    target_r2: float | None = None,
    patience: int | None = None,
    monitor: Monitor | None = None,
    max_seconds: float | None = None,
    divergence_factor: float = 10.0,
    eval_every: int | None = None,
    eval_samples: int | None = 10_000,
    keep_params: KeptParams | None = None,
    record: Record = "updates",
    worker_tables: bool = False,
    prior: PriorLike | None = None,
    pin_workers: bool = False,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], object] | None = None,
    progress: ProgressHook = None,
    comm: Any = None,
) -> Run:
    """Minimise a problem with asynchronous SGD on real threads, or on processes of MPI, and record every update.

    The update is x ← x − step_size · scale(tau) · factor(t) · gradient(view). Here tau is the staleness, the exact
    number of updates applied since the view was read. The scale comes from the rule's table that is in force. The
    factor comes from the schedule, and t is the version that the update lands on.

    Args:
        problem: what is minimised, for example `lenet(data)`.
        {arguments}

    Returns:
        The `Run`: status, every update, evaluations, staleness, rule tables, parameters. Its status is "finished",
        "converged", "stopped", "diverged", "timed-out" or, after Ctrl-C, "interrupted". An interrupted run is a
        valid run, too. A run with a file can go on later; see `asapnb.resume`. On MPI rank 0 returns the run, and the
        other ranks return None.

    Raises:
        UsageError, RuleError, RecordError: for arguments that cannot be used; nothing has been written then.
        RankError: for a rank of MPI that has failed, or no longer answers.

    Sequential, and Synchronous without `wait_for`, give the same bits for the same seed. The other schemes cannot be
    reproduced: the machine decides which update lands first. The training clock does not count compilation. It does
    not count evaluation either: those two schemes stop the clock for it, and the others evaluate in a thread beside
    the workers.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(32,))
    >>> run = ab.train(problem, scheme=ab.LockBased(), workers=2, step_size=0.1, batch_size=50, updates=120, seed=1)
    >>> run.status, len(run.updates["tau"])
    ('finished', 120)
    """
    given = locals()
    with joining(comm) as ranks:
        options = resolve("train", problem, {**of_rank(ranks, given), "comm": ranks})
        rule = as_rule(plain_text(rule) if force else rule)
        if rule.shuffled:
            raise UsageError(f"rule is {rule}: it needs all scales in advance; use it in simulate or replay")
        if ranks is not None and not ranks.serves:
            work(problem, options, rule, ranks)
            return None  # type: ignore[return-value]
        hooks = watched(on_eval, progress, max_seconds=options.max_seconds)
        with nullcontext() if out is None else claim(out, force) as owner:

            def create(attributes: dict[str, Any]) -> RunWriter:
                return RunWriter(
                    owner,
                    kind="train",
                    attributes=attributes,
                    initial=state.params,
                    layout=problem.layout,
                    workers=options.workers,
                    force=force,
                    groups=options.groups(problem),
                    record=options.record,
                )

            state = InitialState(options.initial(problem))
            return run_from(state, problem, options, rule, create, hooks, ranks)


def run_from(
    start: InitialState,
    problem: Problem,
    options: Options,
    rule: Rule,
    record: Callable[[dict[str, Any]], RunWriter],
    hooks: Hooks,
    ranks: Ranks | None = None,
) -> Run:
    """Train from a given state to the end.

    Args:
        start: the state of a new run, or of one that goes on.
        problem: what is minimised.
        options: the checked arguments.
        rule: the step-size rule.
        record: makes the writer of the run from its attributes; called once everything has been compiled.
        hooks: functions to call while the run goes on.
        ranks: the ranks of a run on MPI, whose server this is; None on threads.
    """
    check_fits(problem, options)
    code = pieces(problem, rule, options.schedule, options.scheme)  # before any of it has been called
    check_seen(rule, options, threaded=True)
    tables, first = _tables(start, problem, options, rule, OUTSIDE.loss)
    steps = step_tables(options.schedule, rule, options.updates)
    begun = time.perf_counter()
    crew = threads(options.scheme) if ranks is None else server(options.scheme, ranks)
    access, loop = compiled(crew.compile, crew.loop, problem)
    compile_seconds = time.perf_counter() - begun

    evaluator = Evaluator(problem, options.eval_samples)
    initial = start.evaluations[0] if start.evaluations else evaluator.evaluate(start.params, 0, 0.0)
    check_measured(options, initial)
    if "loss" in rule.sees:
        tables, first = _tables(start, problem, options, rule, initial.train_loss)
    shared = allocate(problem, options, steps, start, loss_limit(options, initial))
    team = crew.team(problem, options, shared, loop, start)
    attributes = {**run_attributes(problem, options, rule, code), "compile_seconds": compile_seconds}
    if ranks is not None:
        ranks.meet(problem, options, rule, code)
        attributes |= ranks.facts()

    def work(session: Session[Run]) -> Run:
        writer = record(attributes)
        controller = Controller(
            options,
            shared,
            access,
            start=start,
            tables=tables,
            first=first,
            writer=writer,
            evaluator=evaluator,
            pace=pace(problem, options),
            hooks=session.hooks,
        )
        session.attach(controller)
        status = "failed"
        try:
            with evaluator:
                if start.evaluations:
                    controller.report("running")
                else:
                    controller.note(initial)
                team.work(controller)
                controller.end(final_parameters(problem, options, shared))
            session.settle()
            status = controller.status
        finally:
            run = writer.finish(
                status,
                final_parameters(problem, options, shared),
                controller.totals.histogram.counts,
                {**controller.outcome(), "pinned": team.pinned or None},
                final_moments(options, shared, team.owns),
                **({} if controller.summed is None else controller.summed.stored()),
                hurried=session.hooks.hurried,
            )
        controller.report(status)
        return run

    return apart(work, hooks)


def _tables(
    start: InitialState, problem: Problem, options: Options, rule: Rule, loss: float
) -> tuple[list[ScaleTables], list[np.ndarray]]:
    """The rule's tables, one for all workers or one for each, and from each the scales that are first in force.

    `loss` is the training loss at the start.

    If the scheme makes nothing stale, the rule sees only staleness 0 from the start. So the result does not depend on
    when the controller takes rows, unless the rule sees how far the run is.
    """
    past, owners = start.applied("worker", "tau", "version"), options.workers if options.worker_tables else 1
    going, first = pace(problem, options), options.workforce.at(0)
    prior = expected_staleness(options, first)
    tables = [ScaleTables(rule, first, prior, Context(loss=loss, worker=owner)) for owner in range(owners)]
    for owner, one in enumerate(tables if refreshes(rule, options) else ()):
        own = np.flatnonzero(past["worker"] == owner) if owners > 1 else np.arange(len(past["tau"]))

        def at(seen: int, own: Any = own, owner: int = owner) -> Context:
            version = int(past["version"][own[seen - 1]])
            return going.context(version, loss=start.recent_loss(version), worker=owner)

        for version, number in options.workforce.within(0, start.version):
            before = own[past["version"][own] <= version]
            one.catch_up(past["tau"][before], at)
            own = own[len(before) :]
            seen = going.context(version, loss=start.recent_loss(version), worker=owner)
            change = Change(version, number, prior=expected_staleness(options, number))
            one.change(change, at=partial(_seen, seen))
        one.catch_up(past["tau"][own], at)
    return tables, [one.current for one in tables]


def _seen(context: Context, updates: int) -> Context:
    return context
