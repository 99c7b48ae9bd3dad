"""`replay`: a schedule or a recorded run, update by update, under any rule."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import KERNEL_PATH
from ..engine.monitor import Evaluation, Progress
from ..engine.options import Options, resolve, whole
from ..engine.resuming import check_problem
from ..errors import RecordError, RuleError, UsageError
from ..problems.base import Problem
from ..problems.text import is_custom, parse_problem
from ..record import Run, checked_target, versions
from ..rules import Rule, as_rule, constant
from ..schemes import Hogwild, parse_scheme
from .execute import execute
from .execution import Execution
from .run import Watch, new_file, scales_for
from .scales import recorded_scales
from .schedules import Schedule
from .world import ROW

# What a replay may change of a run, besides its rule, and what decides which arguments a configuration has for it
_CHANGES = ("step_size", "momentum", "momentum_kind", "weight_decay", "compensation", "worker_tables")
_KEPT = ("workers", "batch_size", "seed", "reshuffle", "divergence_factor", "eval_every", "eval_samples")


def replay(
    source: Run | Schedule,
    problem: Problem | None = None,
    rule: Rule | str | Callable[..., Any] | None = None,
    *,
    step_size: float | None = None,
    momentum: float | None = None,
    momentum_kind: str | None = None,
    weight_decay: float | None = None,
    compensation: float | None = None,
    worker_tables: bool | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    target_loss: float | None = None,
    divergence_factor: float | None = None,
    eval_every: int | None = None,
    eval_samples: int | None = None,
    microscope: int = 0,
    threads: int | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Carry a schedule or a recorded run out again, with true gradients at the views that were read.

    Which update reads which version, with which minibatch, and lands when, is as it was; the rule, the step size and
    the other arguments may differ: so two rules are compared on one and the same execution. A run that is replayed as
    it was, without a rule or other changes, uses the scales it recorded, and gives its final parameters to the bit
    (on the same kernels; the attribute `exact` says so).

    Args:
        source: a `Schedule`, or a run of `train`, `simulate` or `replay`. Runs of Hogwild on real threads cannot be
            replayed: what their views held was never recorded.
        problem: what is minimised; for a run, by default its own, built as its configuration says.
        rule: the step-size rule; for a run, by default the scales that were recorded (a schedule: constant).
        step_size, momentum, momentum_kind, weight_decay, compensation, worker_tables: as of `simulate`; for a run, by
            default as they were.
        batch_size, seed: for a schedule: samples per gradient, and what initial parameters and the order of the data
            follow from (by default the schedule's seed). Those of a run stay as they were.
        target_loss, divergence_factor, eval_every, eval_samples, microscope, threads, out, force, on_eval, progress:
            as of `simulate`; the target is None unless given, so that all of a run is replayed.

    Returns:
        The `Run`, of kind "replay", on the clock of its source.

    Raises:
        UsageError, RuleError, RecordError: before anything is written, for what cannot be replayed.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    >>> run = ab.simulate(problem, scheme=ab.Leashed(), rule="tail", workers=4, updates=100)
    >>> bool((ab.replay(run).params["final"] == run.params["final"]).all())
    True
    >>> other = ab.replay(run, rule="inverse")
    >>> bool((other.updates["tau"] == run.updates["tau"]).all()), bool(other.attributes["mean_scale"] < 1)
    (True, True)
    """
    given = {name: value for name, value in locals().items() if name in (*_CHANGES, *_KEPT) and value is not None}
    if not isinstance(source, Run | Schedule):
        raise UsageError(f"source is {source!r:.80}: must be a Run, such as load_run(path) returns, or a Schedule")
    if out is not None:
        target = checked_target(out, force)
        if isinstance(source, Run) and source.path is not None and target.resolve() == source.path.resolve():
            raise UsageError(f"out is {out}: that is the run to be replayed; give another name")
    watch = Watch(whole("microscope", microscope, 0), threads, on_eval, progress)
    if isinstance(source, Schedule):
        execution = _of_schedule(source, problem, rule, {**given, "target_loss": target_loss}, watch)
    else:
        execution = _of_run(source, problem, rule, {**given, "target_loss": target_loss}, watch)
    return execute(execution, new_file(execution, out, force))


def _of_schedule(
    source: Schedule, problem: Problem | None, rule: Any, given: dict[str, Any], watch: Watch
) -> Execution:
    if problem is None:
        raise UsageError("problem is missing: a schedule needs one, for example replay(schedule, asapnb.lenet(data))")
    defaults = {"step_size": 0.01, "batch_size": 16, "seed": source.seed, "eval_samples": 10_000}
    options = _resolved(problem, source.scheme, {"workers": source.workers, **defaults, **given}, source.updates)
    chosen = as_rule(constant() if rule is None else rule)
    scales = scales_for(source.rows, chosen, options)
    config = {"timing": str(source.timing), "microscope": watch.microscope}
    return Execution(
        problem, options, chosen, source.rows, source.t_view, scales, kind="replay", config=config, **vars(watch)
    )


def _of_run(source: Run, problem: Problem | None, rule: Any, given: dict[str, Any], watch: Watch) -> Execution:
    config, scheme = source.config, parse_scheme(source.config["scheme"])
    for name in ("batch_size", "seed"):
        if name in given:
            raise UsageError(f"{name} is {given[name]}: the minibatches of a run stay what they were; leave it out")
    if isinstance(scheme, Hogwild) and "t_view" not in source.updates:
        raise UsageError(
            f"{source.path or 'the run'} is of {scheme} on real threads: which parts of which updates its views held "
            "was never recorded, so it cannot be replayed; simulate Hogwild instead, or train lock-based or leashed"
        )
    if problem is None:
        if is_custom(config["problem"]):
            raise UsageError(
                f"the problem of {source.path or 'the run'} is one's own, {config['problem']}: build it in Python "
                "and give it, as asapnb.replay(run, problem)"
            )
        problem = parse_problem(config["problem"], config.get("data", ""))
    check_problem(source, problem)
    rows = _rows_of(source)
    own = {name: config[name] for name in (*_CHANGES, *_KEPT) if name in config}
    options = _resolved(problem, scheme, own | given, int(rows["version"].max(initial=0)))
    rows = rows[: len(rows) - len(rows) % options.rows_per_version]  # whole rounds
    as_it_was = rule is None and not given.keys() & {"worker_tables"}
    chosen = _known_rule(source) if rule is None else as_rule(rule)
    _check_velocity(source, options)
    exact = source.attributes["machine"].get("kernels") == KERNEL_PATH and source.attributes["versions"] == versions()
    if isinstance(scheme, Hogwild) and source.status not in ("finished", "timed-out"):
        exact = False  # its parameters may hold parts of updates that have no row yet
    replayed = {"path": source.path, "kind": source.kind, "created_utc": source.attributes["created_utc"]}
    return Execution(
        problem,
        options,
        chosen,
        rows,
        source.updates["t_view"][: len(rows)] if "t_view" in source.updates else None,
        recorded_scales(source, len(rows)) if as_it_was else scales_for(rows, chosen, options),
        kind="replay",
        config={name: config[name] for name in ("timing",) if name in config} | {"microscope": watch.microscope},
        attributes={"replayed": replayed, "exact": exact},
        start=source.params["initial"],
        clock=source.attributes["clock"],
        **vars(watch),
    )


def _known_rule(source: Run) -> Rule:
    """The rule of a run: its scales are recorded, so one that is known by name only will do."""
    try:
        return as_rule(source.config["rule"])
    except (UsageError, RuleError):
        return Rule(source.config["rule"], lambda staleness, workers: np.ones(len(staleness)))


def _resolved(problem: Problem, scheme: Any, arguments: dict[str, Any], updates: int) -> Options:
    if updates == 0:
        raise UsageError("there is nothing to replay: no update was applied")
    defaults: dict[str, Any] = {
        "momentum": 0.0, "momentum_kind": "per_worker", "weight_decay": 0.0, "compensation": 0.0, "reshuffle": True,
        "divergence_factor": 10.0, "eval_every": None, "worker_tables": False, "target_loss": None,
    }  # fmt: skip
    if arguments.get("eval_samples") == "none":
        arguments["eval_samples"] = None
    fixed = {"scheme": scheme, "updates": updates, "epochs": None, "max_seconds": None, "simulated": True}
    return resolve(problem, **{**defaults, **arguments, **fixed})


def _rows_of(run: Run) -> NDArray[Any]:
    try:
        columns = {name: run.updates[name] for name in ROW.names or ()}
    except RecordError as error:
        raise RecordError(f"{error}: a run without this column cannot be replayed") from error
    rows = np.zeros(len(columns["worker"]), ROW)
    for name, column in columns.items():
        rows[name] = column
    rows["dropped"] &= 1  # what the rule zeroed is not dropped
    return rows


def _check_velocity(run: Run, options: Options) -> None:
    """UsageError where a run of real threads went on without the velocities that it had."""
    lost = [entry["version"] for entry in run.attributes.get("resumed", []) if not entry.get("velocity", True)]
    if lost and options.momentum != 0:
        raise UsageError(
            f"{run.path} was killed and went on at version {lost[0]:,} with its velocities lost, so with momentum it "
            "cannot be replayed; replay it with momentum=0"
        )
