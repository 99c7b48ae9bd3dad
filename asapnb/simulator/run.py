"""`simulate`: a schedule, then its replay with true gradients."""

import math
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from ..identity import plain_text
from ..optimizers import SGD, Optimizer
from ..problems.base import Problem
from ..record import Owner, Run, RunWriter, claim
from ..rules import Rule, as_rule, constant
from ..schedules import StepSchedule
from ..schedules import constant as unscheduled
from ..schemes import LockBased, Scheme
from ..timing import Timing, as_timing, exponential
from ..training.apart import abandonable
from ..training.arguments import checked_argument, documented
from ..training.code import pieces
from ..training.compiling import compiling_beside
from ..training.drawing import own_numbers
from ..training.evaluation import Evaluation
from ..training.options import (
    KeptParams,
    MomentumKind,
    Monitor,
    Options,
    Record,
    check_seen,
    expected_staleness,
    pace,
    resolve,
)
from ..training.prior import PriorLike
from ..training.steps import step_tables
from ..training.warm_start import StartLike
from ..training.watching import ProgressHook, watched
from ..workforce import WorkersLike
from .execute import execute
from .execution import Execution
from .operations import whole
from .scales import Scales, factored, scales_of
from .schedules import Schedule
from .scheduling import check_rows, make_schedule
from .threads import LOOP, compile_loop

_ROW = 350  # bytes that a row takes at least, from schedule to run, as measured


@documented("simulate")
def simulate(
    problem: Problem,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    rule: Rule | str | Callable[..., Any] = constant(),  # noqa: B008 (frozen)
    workers: WorkersLike | None = None,
    step_size: float = 0.01,
    batch_size: int = 16,
    *,
    schedule: StepSchedule | str | Callable[..., Any] = unscheduled(),  # noqa: B008 (frozen)
    timing: Timing | str | dict = Timing(exponential(1)),  # noqa: B008 (frozen)
    epochs: int | None = None,
    updates: int | None = None,
    seed: int = 0,
    timing_seed: int | None = None,
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
    microscope: int = 0,
    threads: int | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], object] | None = None,
    progress: ProgressHook = None,
) -> Run:
    """Minimise a problem with any number of workers in virtual time.

    First `simulate` makes the schedule: who reads which version, and when the gradient is applied. Then it computes
    the true gradients at the true views and applies them in that order, with the same compiled functions as `train`.
    Every table of a rule is made at its exact update number. The result has the same bits on any number of threads.

    Args:
        problem: what is minimised, for example `lenet(data)`.
        {arguments}

    Returns:
        The `Run`, of kind "simulate". All its times are virtual seconds. An interrupted run with a file can go on and
        ends with the same bits; see `asapnb.resume`.

    Raises:
        UsageError, RuleError, RecordError: for arguments that cannot be used; nothing has been written then.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(32,))
    >>> run = ab.simulate(problem, workers=64, timing="lognormal(mean=1, cv=0.3)", step_size=1e-3, updates=300)
    >>> run.status, len(run.updates["tau"]), run.staleness.support < 300
    ('finished', 300, True)
    """
    given = locals()
    options = resolve("simulate", problem, given)
    observed = observation(given)
    with nullcontext() if out is None else claim(out, force) as owner:
        with compiling_beside(compile_loop, LOOP, problem):
            chosen, timing = as_rule(plain_text(rule) if force else rule), as_timing(timing, options.workers)
            execution = abandonable(lambda: scheduled(problem, options, chosen, timing, observed))
            problem.compile()
        return execute(execution, new_file(execution, owner, force))


def observation(given: Mapping[str, Any], clock: str = "virtual") -> dict[str, Any]:
    """The checked arguments that do not change a run's rows: how it is observed, and how many threads compute it.

    Args:
        given: arguments by name.
        clock: whose seconds the times of the run are: "virtual" or "recorded".
    """
    names = ("microscope", "threads")
    checked = {name: checked_argument("simulate", name, given[name]) for name in names if name in given}
    hooks = watched(given.get("on_eval"), given.get("progress"), clock, given.get("max_seconds"))
    return {**checked, "hooks": hooks}


def scheduled(
    problem: Problem, options: Options, rule: Rule, timing: Timing, observed: Mapping[str, Any]
) -> Execution:
    """The inputs of a run: a schedule, up to the time limit, and the scale of each of its rows.

    Args:
        problem: what is minimised.
        options: the checked arguments.
        rule: the step-size rule.
        timing: of the schedule.
        observed: further fields of `Execution`, as `observation` makes them.
    """
    check_rows(options.updates * options.rows_per_version, _ROW)
    code = pieces(problem, rule, options.schedule, options.scheme, timing)  # before any of it has been called
    made = schedule_of(timing, options)
    rows, views = numbered(made.rows, options), made.t_view
    late = rows["t_apply"] > (math.inf if options.max_seconds is None else options.max_seconds)
    if late.any():
        count = int(late.argmax())
        count = whole(rows[:count], rows["dropped"][:count] != 0, options.rows_per_version, options.table)
        rows, views = rows[:count], None if views is None else views[:count]
    return Execution(
        problem,
        options,
        rule,
        rows,
        views,
        scales_for(rows, rule, problem, options),
        kind="simulate",
        config={"timing": str(timing), "microscope": observed.get("microscope", 0)},
        timed_out=bool(late.any()),
        code=code,
        **observed,
    )


def schedule_of(timing: Timing, options: Options) -> Schedule:
    """The schedule of a run with these options, made in this thread."""
    seed = options.seed if options.timing_seed is None else options.timing_seed
    return make_schedule(
        timing, options.scheme, options.workforce, options.updates, seed, local_steps=options.local_steps
    )


def numbered(rows: Any, options: Options) -> Any:
    """The rows of a schedule; if the data have parts, their minibatches are numbered among those of their workers."""
    if options.shards is None:
        return rows
    rows = rows.copy()
    rows["batch"] = own_numbers(rows["worker"], rows["batch"])
    return rows


def scales_for(rows: Any, rule: Rule, problem: Problem, options: Options) -> Scales:
    """The scale and the factor of each row under a rule and a schedule, with the options of a run."""
    steps = step_tables(options.schedule, rule, options.updates)
    return factored(unfactored(rows, rule, problem, options, options.updates), rows, steps)


def unfactored(rows: Any, rule: Rule, problem: Problem, options: Options, updates: int) -> Scales:
    """The scale of each row under a rule, with the options of a run of so many updates; all factors are 1."""
    check_seen(rule, options)
    return scales_of(
        rows,
        rule,
        options.workforce,
        per_worker=options.worker_tables,
        always_fresh=options.always_fresh,
        prior=partial(expected_staleness, options),
        seed=options.seed,
        pace=replace(pace(problem, options), updates=updates),
    )


def new_file(execution: Execution, owner: Owner | None, force: bool) -> Callable[[dict[str, Any]], RunWriter]:
    """A function that makes the writer of a new run from its attributes.

    Args:
        execution: the inputs of the run.
        owner: of the run file; None for a run in memory.
        force: replace an existing file.
    """

    def create(attributes: dict[str, Any]) -> RunWriter:
        return RunWriter(
            owner,
            kind=execution.kind,
            attributes=attributes,
            initial=execution.initial,
            layout=execution.problem.layout,
            workers=execution.options.workers,
            force=force,
            groups=execution.groups,
            record=execution.options.record,
        )

    return create
