"""`resume`: continue a run in its file, on threads, on MPI or in virtual time."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .config import RUNS, check_keys, merge, prepare
from .engine.ranks import Ranks, joining
from .engine.reports import of_workers
from .engine.resuming import resume_training, resume_work
from .errors import UsageError, shown
from .identity import Recorded, check_piece
from .problems import Problem
from .problems.text import code_of, is_custom
from .record import Owner, Run, file_of, load_run, own
from .rules import Rule
from .schedules import StepSchedule
from .simulator.resuming import resume_simulation
from .training.arguments import Command, of_resume
from .training.code import checked, next_rule, no_change, same_schedule
from .training.evaluation import Evaluation
from .training.options import Monitor
from .training.reporting import Hooks
from .training.resuming import check_columns, check_problem
from .training.warm_start import start_of
from .training.watching import ProgressHook, watched


def resume(
    run: Run | str | os.PathLike[str],
    *,
    epochs: int | None = None,
    updates: int | None = None,
    max_seconds: float | None = None,
    problem: Problem | None = None,
    step_size: float | None = None,
    rule: Rule | str | Callable[..., Any] | None = None,
    schedule: StepSchedule | Callable[..., Any] | None = None,
    target_loss: float | None = None,
    target_accuracy: float | None = None,
    target_r2: float | None = None,
    patience: int | None = None,
    monitor: Monitor | None = None,
    divergence_factor: float | None = None,
    eval_every: int | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], object] | None = None,
    progress: ProgressHook = None,
    comm: Any = None,
) -> Run:
    """Continue a run in its file from where it ended, as if it had never been interrupted.

    A run that ended continues from its last update, whatever its status is, except "diverged". A run that was killed
    continues from the checkpoint beside its file, `RUN.h5.checkpoint`; rows after the checkpoint are cut. If the
    checkpoint is missing, the run starts again from version 0. This needs `force`, unless there is little to lose.

    Args:
        run: a run file, or a run that has one.
        epochs: the new total of passes over the data, which includes those already done. By default the total stays
            what it was.
        updates: the new total of updates; give it instead of `epochs`.
        max_seconds: the new total of training time, in seconds; by default it stays what it was.
        problem: the run's problem, if it is your own. Any other problem is built as the file says.
        step_size: the step size from here on; only for a run on threads or MPI. The attribute `resumed` of the run
            says which arguments changed, and at which version. A replay of the run follows these changes, to the bit.
        rule: the run's rule, if it is a function of your own; by default the rule that the file names. A function in
            a file is called only if the file is what the run recorded. For a run on threads or MPI it may be another
            rule, which holds from here on, and sees the staleness of all updates.
        schedule: the run's schedule, if it is a function of your own; by default the one that the file names. A
            schedule that depends on the total of updates, such as "cosine()", follows the new total from here on;
            "cosine(length=1000)" does not change.
        target_loss, target_accuracy, target_r2, patience, monitor, divergence_factor, eval_every: as for `train`; a
            given value holds from here on. If you give one, a simulated run is computed again from its beginning.
        force: continue although updates are lost, because there is no checkpoint. Also continue although your own
            code (the rule, a module that it imports, the problem) is not what the run recorded; the file then keeps
            what has changed.
        on_eval: called with each new `Evaluation` as it is made.
        progress: called with a `Progress` a few times a second; None, True and False mean the same as for `train`.
        comm: the communicator of a run on MPI, as for `train`. Only rank 0 reads and writes the file, and tells the
            other ranks what they must know. Pass a problem of your own on every rank.

    Returns:
        The `Run`, with the rows from before and those made now. None on a worker of MPI.

    Raises:
        UsageError, RecordError, RuleError: for a run that cannot continue like this; its file is left as it was.

    The training clock, versions, minibatches, momentum and the staleness that the rule has seen continue, too. Under
    Sequential, under Synchronous without `wait_for`, and in every simulated run, the updates are those of an
    uninterrupted run, to the bit.

    A simulated run with another total is computed again from its beginning. Its schedule and scales are made in
    advance for the whole run, so it refuses another step size or rule. Begin a new run with `start=` instead.

    >>> import tempfile, asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = ab.train(problem, workers=2, updates=20, out=f"{folder}/run.h5")
    ...     run = ab.resume(run, updates=50)
    ...     run.status, run.updates["version"][[0, -1]], run.evals["step"]
    ('finished', array([ 1, 50]), array([ 0, 20, 50]))
    """
    arguments = locals()
    given = {name: arguments[name] for name in ("epochs", "updates", "max_seconds", *of_resume())}
    changed = {name: value for name, value in given.items() if value is not None}
    with joining(comm) as ranks:
        if ranks is not None and not ranks.serves:
            resume_work(*_prepared(problem, ranks.share(_call(changed), dict), "train", force), ranks)
            return None  # type: ignore[return-value]
        file = file_of(run) if isinstance(run, Run) else Path(run)
        found = load_run(file)
        hooks = watched(on_eval, progress, "virtual" if found.is_virtual else "", max_seconds)
        with own(file.resolve()) as owner:
            return _go_on(load_run(file), changed, problem, rule, schedule, hooks, owner, force, ranks)


def _call(changed: Mapping[str, Any]) -> str:
    """A call of `resume`, which must be the same on all ranks."""
    return f"resume({', '.join(f'{name}={shown(value)}' for name, value in changed.items())})"


def _go_on(
    run: Run,
    changed: Mapping[str, Any],
    problem: Problem | None,
    rule: Rule | str | Callable[..., Any] | None,
    schedule: StepSchedule | Callable[..., Any] | None,
    hooks: Hooks,
    owner: Owner,
    force: bool,
    ranks: Ranks | None,
) -> Run:
    """Go on with a run as it is now, which nobody else can change."""
    check_columns(run)
    run.check()
    kinds, where = (RUNS, "") if ranks is None else (["train"], "on MPI ")
    if run.kind not in kinds:
        raise UsageError(f"{run.path} is of kind {run.kind}: {where}only runs of {' and '.join(kinds)} can go on")
    config = {**merge(run.config, check_keys(changed, run.kind)), "problem": run.config["problem"]}
    arguments = check_keys(
        {name: value for name, value in config.items() if name not in ("rule", "schedule")}, run.kind
    )
    if ranks is not None:
        ranks.share(_call(changed), partial(of_workers, arguments))
    problem, arguments = _prepared(problem, arguments, run.kind, force, run)
    if "start" in arguments:
        arguments["start"] = start_of(run)
    if run.kind == "simulate" and "step_size" in changed and changed["step_size"] != run.config["step_size"]:
        raise no_change(run, "step_size", changed["step_size"])
    arguments |= {"rule": next_rule(run, rule, force), "schedule": same_schedule(run, schedule, force)}
    if run.kind == "simulate":
        return resume_simulation(run, problem, arguments, hooks, owner, force)
    return resume_training(run, problem, {**arguments, "comm": ranks}, hooks, owner, force)


def _prepared(
    problem: Problem | None, config: Mapping[str, Any], kind: Command, force: bool, run: Run | None = None
) -> tuple[Problem, dict[str, Any]]:
    """As `prepare`, for a run that continues, with the given problem. A worker of MPI does not have the run."""
    text = config["problem"]
    if problem is None and is_custom(text):
        where = f"of {text.where} " if isinstance(text, Recorded) else ""
        raise UsageError(
            f"the problem {where}is your own, {text}: build it in Python and pass it, as in "
            "asapnb.resume(path, problem=problem)"
        )
    if problem is None:
        return prepare(config, kind, force)
    if run is not None:
        check_problem(run, problem)
    if not force and isinstance(text, Recorded):
        check_piece(text, "problem", code_of(problem))
    return problem, checked({name: value for name, value in config.items() if name not in ("data", "problem")}, force)
