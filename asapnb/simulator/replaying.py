"""`replay`: a schedule or a recorded run, update by update, under any rule."""

import os
from collections.abc import Callable, Set
from contextlib import nullcontext
from typing import Any

from ..compiled import KERNEL_PATH
from ..data.recorded import trusted
from ..errors import UsageError
from ..identity import Piece, check_piece, plain_text
from ..optimizers import Optimizer
from ..problems.base import Problem
from ..problems.text import code_of, is_custom, parse_problem
from ..record import Run, checked_target, claim, versions
from ..record.changes import changes_of, in_words, step_sizes
from ..rules import Rule, as_rule, constant
from ..schedules import StepSchedule, as_schedule
from ..schemes import Scheme, parse_scheme
from ..training.apart import abandonable
from ..training.arguments import documented, of_replay
from ..training.code import pieces, same_rule
from ..training.drawing import shards_facts
from ..training.evaluation import Evaluation
from ..training.options import KeptParams, Monitor, Options, Record, resolve
from ..training.prior import PriorLike
from ..training.resuming import check_problem
from ..training.watching import ProgressHook
from ..workforce import as_workforce
from .execute import execute
from .execution import Execution
from .operations import whole
from .recorded import check_views, known_rule, known_schedule, refactored, rows_of, total
from .run import new_file, numbered, observation, scales_for, unfactored
from .scales import recorded_scales
from .schedules import Schedule

RECORDED = "recorded"  # in place of a rule, or a schedule: the scales, or factors, that a run recorded
# The arguments that a replay takes over from a run. A target or a time limit is not among them.
_WATCHED_FOR = ("target_loss", "target_accuracy", "target_r2", "patience", "monitor", "keep_params", "record")
_TAKEN_OVER = (*of_replay("changed", "kept"), "divergence_factor", "eval_every", "eval_samples")


@documented("replay")
def replay(
    source: Run | Schedule,
    problem: Problem | None = None,
    rule: Rule | str | Callable[..., Any] | None = None,
    *,
    schedule: StepSchedule | str | Callable[..., Any] | None = None,
    step_size: float | None = None,
    optimizer: Optimizer | str | None = None,
    momentum: float | None = None,
    momentum_kind: str | None = None,
    direct_share: float | None = None,
    weight_decay: float | None = None,
    compensation: float | None = None,
    clip: float | None = None,
    worker_tables: bool | None = None,
    prior: PriorLike | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    local_steps: int | None = None,
    shards: str | None = None,
    target_loss: float | None = None,
    target_accuracy: float | None = None,
    target_r2: float | None = None,
    patience: int | None = None,
    monitor: Monitor | None = None,
    divergence_factor: float | None = None,
    eval_every: int | None = None,
    eval_samples: int | None = None,
    keep_params: KeptParams | None = None,
    record: Record = "updates",
    microscope: int = 0,
    threads: int | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], object] | None = None,
    progress: ProgressHook = None,
) -> Run:
    """Carry out a schedule or a recorded run again, with true gradients at the views that were read.

    Each update reads the same version, uses the same minibatch and lands at the same time. The rule, the schedule of
    the step size, the step size and other arguments may differ. So you can compare two rules on one execution.

    A replay without such changes uses the recorded scales and factors, and gives the final parameters of the run to
    the bit on the same kernels; its attribute `exact` says so. If you give `schedule`, its factors are made for the
    total of updates that the run had. If you give only a rule, the factors stay as recorded.

    Args:
        source: a `Schedule`, or a run of `train`, `simulate` or `replay`. A run of Hogwild on real threads cannot be
            replayed, because nobody recorded what its views held.
        problem: what is minimised. A schedule needs one. The default for a run is its own problem, built as its
            configuration says.
        {arguments}

    Defaults for a run: `step_size`, `optimizer`, `momentum`, `momentum_kind`, `direct_share`, `weight_decay`,
    `compensation`, `clip`, `worker_tables`, `prior`, `divergence_factor`, `eval_every` and `eval_samples` are those
    of the run. `batch_size`, `seed`, `local_steps` and `shards` cannot be changed.

    Defaults for a schedule: `local_steps` and, if the schedule has one, the seed are those of the schedule. All other
    defaults are those of `simulate`.

    Targets and `patience` are off unless you give them, so a replay covers the whole run.

    Returns:
        The `Run`, of kind "replay". Its times are those of its source.

    Raises:
        UsageError, RuleError, RecordError: for what cannot be replayed; nothing has been written then.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    >>> run = ab.simulate(problem, scheme=ab.Leashed(), rule="tail", workers=4, updates=100)
    >>> bool((ab.replay(run).params["final"] == run.params["final"]).all())
    True
    >>> other = ab.replay(run, rule="inverse")
    >>> bool((other.updates["tau"] == run.updates["tau"]).all()), bool(other.attributes["mean_scale"] < 1)
    (True, True)
    """
    given = {name: value for name, value in locals().items() if name in _TAKEN_OVER and value is not None}
    given |= {name: value for name, value in locals().items() if name in _WATCHED_FOR}
    if schedule is not None and schedule != RECORDED:
        given["schedule"] = as_schedule(plain_text(schedule) if force else schedule)
    if not isinstance(source, Run | Schedule):
        raise UsageError(f"source is {source!r:.80}: must be a Run, such as load_run(path) returns, or a Schedule")
    clock = "recorded" if isinstance(source, Run) and not source.is_virtual else "virtual"
    observed = observation(locals(), clock)
    if out is not None:
        target = checked_target(out, force)
        if isinstance(source, Run) and source.path is not None and target.resolve() == source.path.resolve():
            raise UsageError(f"out is {out}: that is the run to be replayed; give another name")
    make = _of_schedule if isinstance(source, Schedule) else _of_run
    with nullcontext() if out is None else claim(out, force) as owner:
        execution = abandonable(lambda: make(source, problem, rule, given, observed, force))  # type: ignore[arg-type]
        return execute(execution, new_file(execution, owner, force))


def _of_schedule(
    source: Schedule, problem: Problem | None, rule: Any, given: dict[str, Any], observed: dict[str, Any], force: bool
) -> Execution:
    if problem is None:
        raise UsageError("problem is missing: a schedule needs one, for example replay(schedule, asapnb.lenet(data))")
    options = options_for(source, problem, given)
    chosen = as_rule(constant() if rule is None else rule)
    code = pieces(problem, chosen, options.schedule, source.scheme, source.timing)
    rows = numbered(source.rows, options)
    scales = scales_for(rows, chosen, problem, options)
    config = {**source.facts, "microscope": observed["microscope"]}
    return Execution(
        problem, options, chosen, rows, source.t_view, scales, kind="replay", config=config, code=code, **observed
    )


def options_for(source: Schedule, problem: Problem, given: dict[str, Any]) -> Options:
    """The checked arguments of a replay of a schedule.

    Args:
        source: the schedule.
        problem: what is minimised.
        given: the arguments that are given.
    """
    seed = {} if source.seed is None else {"seed": source.seed}
    arguments = {"workers": source.workforce or source.workers, "local_steps": source.local_steps, **seed, **given}
    return _resolved(problem, source.scheme, arguments, source.updates)


def check_replayable(source: Run, problem: Problem | None = None) -> None:
    """UsageError for a run that cannot be replayed, whatever is changed.

    Args:
        source: the run.
        problem: what is minimised, if it is given.
    """
    check_views(source)
    text = source.config["problem"]
    if problem is None and is_custom(text):
        raise UsageError(
            f"the problem of {source.path or 'the run'} is your own, {text}: build it in Python "
            "and pass it, as in asapnb.replay(run, problem)"
        )


def options_of(source: Run, problem: Problem, given: dict[str, Any]) -> Options:
    """The checked arguments of a replay. An argument that is not given is that of the run.

    Args:
        source: the run.
        problem: what is minimised.
        given: the arguments that are given.
    """
    own = {name: source.config[name] for name in _TAKEN_OVER if name in source.config}
    own["schedule"] = known_schedule(source)
    if as_workforce(own.get("workers", 1)).adapts_to is not None:  # a run that was killed does not say
        own["workers"] = source.attributes.get("in_force") or source.attributes["workers"]
    updates = int(source.updates["version"].max(initial=0))
    return _resolved(problem, parse_scheme(source.config["scheme"]), own | given, updates)


def holds_parts(scheme: Scheme, status: str) -> bool:
    """Whether the final parameters may hold parts of updates without a row, because the run ended amidst them."""
    return not scheme.consistent and status not in ("finished", "timed-out")


def _of_run(
    source: Run, problem: Problem | None, rule: Any, given: dict[str, Any], observed: dict[str, Any], force: bool
) -> Execution:
    rule = None if isinstance(rule, str) and rule == RECORDED else rule
    for name in ("batch_size", "seed", "local_steps", "shards"):
        if name in given:
            raise UsageError(f"{name} is {given[name]}: a replay keeps the minibatches of its run; leave it out")
    problem = _problem_of(source, problem, force)
    rows = rows_of(source)
    options = options_of(source, problem, given)
    _check_shards(source, problem, options)
    rows = rows[: whole(rows, rows["dropped"] != 0, options.rows_per_version, options.table)]
    as_it_was = rule is None and not given.keys() & {"worker_tables", "prior"}
    changed = {name for _, name, _, _ in changes_of(source)}
    if rule is None and "rule" in changed and given.keys() & {"worker_tables", "prior", "schedule"}:
        raise UsageError(
            f"{source.path or 'the run'} changed its rule when it went on ({in_words(source)}), so its own scales "
            "cannot be made again: give a rule, or replay it as it was"
        )
    sizes = {} if "step_size" in given or "step_size" not in changed else step_sizes(source)
    if rule is None:
        chosen = known_rule(source) if as_it_was else same_rule(source, None, force)
    else:
        chosen = as_rule(rule)
    scales = (
        recorded_scales(source, len(rows)) if as_it_was else unfactored(rows, chosen, problem, options, total(source))
    )
    if not as_it_was or "schedule" in given:
        scales = refactored(source, scales, rows, None if rule is None else chosen, given.get("schedule"), force)
    _check_velocity(source, options)
    names = {*given} if rule is None else {*given, "rule"}
    timing = {name: source.config[name] for name in ("timing", "timing_seed", "trace") if name in source.config}
    return Execution(
        problem,
        options,
        chosen,
        rows,
        source.updates["t_view"][: len(rows)] if "t_view" in source.updates else None,
        scales,
        kind="replay",
        config={**timing, "microscope": observed["microscope"]},
        code=_code(source, problem, chosen, options.schedule),
        attributes=_attributes(source, options, names, as_it_was),
        step_sizes=sizes,
        start=source.params["initial"],
        clock=source.attributes["clock"],
        **observed,
    )


def _problem_of(source: Run, problem: Problem | None, force: bool) -> Problem:
    """The problem of a run: the one given, or the one that its file names; an error if the run had another."""
    check_replayable(source, problem)
    text = source.config["problem"]
    if problem is None:
        problem = parse_problem(text, trusted(source.config.get("data", ""), force))
    check_problem(source, problem, force)
    if not force:
        check_piece(text, "problem", code_of(problem))
    return problem


def _attributes(source: Run, options: Options, given: Set[str], as_it_was: bool) -> dict[str, Any]:
    """The attributes of a replay that follow from its run; `given` are the names of the arguments that are."""
    exact = source.attributes["machine"].get("kernels") == KERNEL_PATH and source.attributes["versions"] == versions()
    exact &= not holds_parts(options.scheme, source.status)
    replayed = {"path": source.path, "kind": source.kind, "created_utc": source.attributes["created_utc"]}
    if (asked := total(source)) != options.updates:
        replayed["updates"] = asked
    kept = {} if "rule" in given else {"rule_factor": source.attributes.get("rule_factor")}
    if as_it_was:
        kept["first_table"] = source.attributes.get("first_table")
    start = source.attributes.get("start")
    return {"replayed": replayed, "exact": exact, "start": start, **kept, **_kept_changes(source, given)}


def _kept_changes(source: Run, given: Set[str]) -> dict[str, Any]:
    """The attribute `resumed` of a replay: what its run changed on the way, and what is not given."""
    kept = [
        {"version": version, "changed": {name: [before, after]}}
        for version, name, before, after in changes_of(source)
        if name in ("step_size", "rule") and name not in given
    ]
    return {"resumed": kept} if kept else {}


def _code(source: Run, problem: Problem, rule: Rule, schedule: StepSchedule) -> list[Piece]:
    """The code of a replay: its rule, schedule, problem, and what the run recorded of its scheme and laws of time."""
    kept = [piece for piece in source.code or () if piece.kind not in ("rule", "schedule", "problem")]
    return [piece for piece in (rule.code, schedule.code, code_of(problem)) if piece is not None] + kept


def _resolved(problem: Problem, scheme: Any, arguments: dict[str, Any], updates: int) -> Options:
    if updates == 0:
        raise UsageError("there is nothing to replay: no update was applied")
    if arguments.get("eval_samples") == "none":
        arguments["eval_samples"] = None
    return resolve("simulate", problem, {**arguments, "scheme": scheme, "updates": updates})


def _check_shards(run: Run, problem: Problem, options: Options) -> None:
    """UsageError if the parts of the data are not those that the run had."""
    before, now = run.attributes.get("shards"), shards_facts(problem, options)
    if now is not None and before is not None and before["sha256"] != now["sha256"]:
        raise UsageError(
            f"shards {options.shards} and the seed now give other parts of the data than {run.path or 'the run'} "
            "had: with another version of NumPy, or on another machine, random numbers may differ. The run was made "
            f"with NumPy {run.attributes['versions'].get('numpy', 'unknown')}"
        )


def _check_velocity(run: Run, options: Options) -> None:
    """UsageError with momentum if a run of real threads lost its velocities when it went on."""
    lost = [entry["version"] for entry in run.attributes.get("resumed", []) if not entry.get("velocity", True)]
    if lost and options.momentum != 0:
        raise UsageError(
            f"{run.path} was killed and went on at version {lost[0]:,} with its velocities lost, so with momentum it "
            "cannot be replayed; replay it with momentum=0"
        )
