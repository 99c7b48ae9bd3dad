"""Go on with a run of `train`: from its end, or, if it was killed, from the checkpoint beside its file."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import RecordError, UsageError
from ..problems.base import Problem
from ..record import Owner, Run, RunWriter, file_of, find_checkpoint, save_checkpoint
from ..record.changes import step_size_of, value_at
from ..record.checkpoint import Checkpoint, sessions_from, take_over
from ..record.schema import ABANDONED, RUNNING, UPDATES
from ..rules import as_rule, constant
from ..training.arguments import of_resume
from ..training.code import changes, pieces
from ..training.options import Options, resolve
from ..training.reporting import Hooks
from ..training.resuming import check_going_on, check_lost, check_problem, evaluations_of
from ..training.words import NEVER
from ..workforce import Workforce, as_workforce
from .initial import COUNTS, InitialState
from .ranks import Ranks
from .remote import work
from .run import run_from

_END_ATTRIBUTES = (
    "seconds",
    "mean_scale",
    "sum_of_steps",
    "target_step",
    "target_seconds",
    "stopped_by",
    "pinned",
    "intervals",
    *COUNTS,
)
_RENEWED = ("config", "code", "ranks", "hosts", "mpi")


def resume_training(
    run: Run, problem: Problem, arguments: Mapping[str, Any], hooks: Hooks, owner: Owner, force: bool = False
) -> Run:
    """Go on with a run of `train` up to the total in `arguments`, which are those of `train`; see `asapnb.resume`.

    Args:
        run: the run, which has a file.
        problem: what is minimised.
        arguments: by name; `comm` is the `Ranks` of a run on MPI, or None.
        hooks: functions to call while the run goes on.
        owner: of its file.
        force: although updates are lost.
    """
    path = file_of(run)
    if run.is_summary:
        raise UsageError(
            f'{path} is a summary (record="summary"): it does not hold the staleness of each update, which a rule on '
            f"threads must see again to go on. {_instead(run)}; a run on threads can go on if it is made with "
            'record="updates"'
        )
    rule = as_rule(arguments["rule"])
    options = resolve("train", problem, arguments)
    check_problem(run, problem)
    checkpoint = find_checkpoint(run) if run.status == RUNNING else None
    start, kept = _start(run, checkpoint, options)
    options = replace(options, workforce=_workforce(start, options))
    if start.version == 0 and not force:
        repeats = options.always_fresh and not options.scheme.drops  # else the machine decides what is given up
        again = " (the same ones would be made again)" if repeats else ""
        check_lost(run, *_extent(run), again)
    check_going_on(run, start.version, start.seconds, options)
    had_velocity = start.version == 0 or options.moments == 0 or start.moments is not None
    resumed = [entry for entry in run.attributes.get("resumed", []) if entry["version"] < start.version]
    entry: dict[str, Any] = {"version": start.version, "velocity": had_velocity}
    if changed := changes(run, pieces(problem, rule, options.schedule, options.scheme)):
        entry["code"] = changed
    entry |= _changed(run, start.version, {**vars(options), "rule": str(rule)})
    sessions = sessions_from(run, start.version, owner.token)
    facts = {**dict.fromkeys(_END_ATTRIBUTES), "resumed": [*resumed, entry], "sessions": sessions}

    def reopen(attributes: dict[str, Any]) -> RunWriter:
        take_over(checkpoint, run)
        if run.status != RUNNING:  # reopening cuts the end of the file, so the state in it is saved first
            save_checkpoint(path, *_as_checkpoint(run, start, options), owner)
        kept_up = {name: attributes[name] for name in _RENEWED if name in attributes}
        return RunWriter.reopen(owner, kept=kept, attributes={**facts, **kept_up}, groups=options.groups(problem))

    return run_from(start, problem, options, rule, reopen, hooks, arguments["comm"])


def resume_work(problem: Problem, arguments: Mapping[str, Any], ranks: Ranks) -> None:
    """Be a worker of a run on MPI that goes on.

    Args:
        problem: what is minimised.
        arguments: those of `train` that workers use, by name.
        ranks: of the run.
    """
    work(problem, resolve("train", problem, {**arguments, "comm": ranks}), constant(), ranks)


def _instead(run: Run) -> str:
    """What the user can do with a summary, which cannot go on."""
    if run.status == RUNNING and find_checkpoint(run) is None:
        return "It was killed before its first checkpoint, so its parameters are lost: make the run again"
    return f"Begin another run where it ended, with start={run.path} (--start)"


def _changed(run: Run, version: int, now: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes another when a run goes on from a version, for its entry of `resumed`; empty if nothing does."""
    values = {name: (value_at(run, name, version), now[name]) for name in ("rule", *of_resume())}
    changed = {name: [before, after] for name, (before, after) in values.items() if before != after}
    if changed.get("eval_every") == [0, NEVER]:
        del changed["eval_every"]
    was = [piece.plain for piece in run.code or () if piece.kind == "rule"] if "rule" in changed else []
    return ({"changed": changed} if changed else {}) | ({"was": was} if was else {})


def _extent(run: Run) -> tuple[int, float]:
    """How many updates a file has, and the training time of the last one, in seconds."""
    return int(run.updates["version"].max(initial=0)), float(run.updates["t_apply"].max(initial=0.0))


def _start(run: Run, checkpoint: Checkpoint | None, options: Options) -> tuple[InitialState, dict[str, int]]:
    """The state that a run goes on from, and how many rows of each group its file keeps."""
    version, params, moments, facts = _state(run, checkpoint, options)
    made, rows = run.updates["version"], len(run.updates["version"])
    steps, tables = run.evals["step"], run.rule_tables
    evals, kept_tables = len(steps), len(tables.steps)
    if run.status == RUNNING:  # rows after the checkpoint are cut, those of dropped gradients included
        within = np.flatnonzero((run.updates["dropped"] != ABANDONED) & (made <= version))
        rows = int(within[-1]) + 1 if len(within) else 0
        evals, kept_tables = int((steps <= version).sum()), int((tables.steps <= version).sum())
    updates = {name: run.updates[name][:rows] for name in UPDATES.names or ()}
    if (updates["dropped"] != ABANDONED).sum() != version * options.rows_per_version:
        raise RecordError(
            f"{run.path} does not hold all updates up to {version:,}, where it would go on"
            + (f": is {checkpoint.path} of another run?" if checkpoint else "")
        )
    start = InitialState(
        params,
        version=version,
        ticket=int(updates["batch"].max(initial=-1)) + 1,
        seconds=float(updates["t_apply"].max(initial=0.0)),
        moments=moments,
        updates=updates,
        evaluations=evaluations_of(run, evals),
        tables=tables.scales[:kept_tables],
        made_at=tuple(tables.steps[:kept_tables].tolist()),
        steps=_steps(run, updates, options),
        lengths=tuple((one["after"], one["length"]) for one in facts.get("intervals") or () if one["after"] <= rows),
        in_force=facts.get("in_force"),
        **{name: int(facts.get(name, 0)) for name in COUNTS},
    )
    kept = {"updates": rows, "evals": evals, "rule": kept_tables}
    if "kept" in run.rows:
        kept["kept"] = int((run.kept_rows <= version).sum())
    return start, kept


def _workforce(start: InitialState, options: Options) -> Workforce:
    """The workers of a run that goes on: those that adapt go on from the number that was in force."""
    force = options.workforce
    if force.adapts_to is None or start.in_force is None:
        return force
    return replace(as_workforce(start.in_force).until(start.version), adapts_to=force.adapts_to)


def _steps(run: Run, updates: Mapping[str, np.ndarray], options: Options) -> float | None:
    """The sum of the steps so far if they were of another size; else None."""
    applied = updates["dropped"] != ABANDONED
    sizes = step_size_of(run, updates["version"][applied])
    if (sizes == options.step_size).all():
        return None
    scales = updates["scale"][applied].astype(np.float64) * updates["factor"][applied]
    return float((sizes * scales).sum()) / options.rows_per_version


def _state(
    run: Run, checkpoint: Checkpoint | None, options: Options
) -> tuple[int, np.ndarray, np.ndarray | None, Mapping[str, Any]]:
    """The version, parameters and moments to go on from, and the attributes saved with them."""
    name = options.moments_name
    if run.status != RUNNING:
        version = int(run.updates["version"].max(initial=0))
        return version, run.params["final"], run.params.get(name), run.attributes
    if checkpoint is None:
        return 0, run.params["initial"], None, {}
    arrays, initial = checkpoint.arrays, run.params["initial"]
    params, moments = arrays.get("params", initial[:0]), arrays.get(name)
    for array in (params, params if moments is None else moments):
        if array.dtype != initial.dtype or array.shape[-1:] != initial.shape:
            raise RecordError(
                f"the checkpoint {checkpoint.path} does not hold {len(initial):,} parameters: remove it"
            )
    return checkpoint.version, params, moments, checkpoint.attributes


def _as_checkpoint(run: Run, start: InitialState, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and attributes of a checkpoint of this state."""
    arrays = {"params": start.params} | ({} if start.moments is None else {options.moments_name: start.moments})
    identity = {name: run.attributes.get(name) for name in ("run_id", "token")}
    counts = {name: getattr(start, name) for name in COUNTS}
    lengths = [{"after": after, "length": length} for after, length in start.lengths]
    adapted = {"intervals": lengths, "in_force": start.in_force}
    return arrays, {"version": start.version, "t": start.seconds, **counts, **adapted, **identity}
