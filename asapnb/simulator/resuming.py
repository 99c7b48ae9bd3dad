"""Go on with a simulated run, to the same bits as if it had never been interrupted."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import RecordError
from ..problems.base import Problem
from ..record import Owner, Run, RunWriter, find_checkpoint
from ..record.checkpoint import sessions_from, take_over
from ..record.schema import EARLY, RUNNING
from ..rules import as_rule
from ..timing import as_timing
from ..training.apart import abandonable
from ..training.arguments import of_resume
from ..training.code import changes
from ..training.evaluation import Evaluation
from ..training.options import resolve
from ..training.reporting import Hooks
from ..training.resuming import check_going_on, check_lost, check_problem, evaluations_of
from .execute import execute
from .execution import SavedReplay
from .replay_state import RESULT
from .run import observation, scheduled

_END_ATTRIBUTES = ("seconds", "mean_scale", "sum_of_steps", "beyond_table", "stopped_by", "replay", "summary")


def resume_simulation(
    run: Run, problem: Problem, arguments: Mapping[str, Any], hooks: Hooks, owner: Owner, force: bool = False
) -> Run:
    """Go on with a run of `simulate` up to the total in `arguments`, which are those of `simulate`.

    The schedule is made again from the seed. With a checkpoint beside the file the run goes on from there. Without
    one, or with another total, it is computed again from its beginning.

    Args:
        run: the run, which has a file.
        problem: what is minimised.
        arguments: by name.
        hooks: functions to call while the run goes on.
        owner: of its file.
        force: go on although the work of the run is lost, or its code has changed; then all is computed again.
    """
    options = resolve("simulate", problem, arguments)
    check_problem(run, problem)
    version = run.made
    if run.status != RUNNING:
        check_going_on(run, version, run.seconds, options)
    observed = {**observation(arguments), "hooks": hooks}
    timing, rule = as_timing(arguments["timing"], options.workers), as_rule(arguments["rule"])
    others = [name for name in of_resume() if arguments.get(name) != run.config.get(name)]  # all is computed again
    execution = replace(
        abandonable(lambda: scheduled(problem, options, rule, timing, observed)),
        start=run.params["initial"],
        reached=None if {"target_loss", "target_accuracy", "target_r2"} & {*others} else _reached(run),
        passed=version - (run.status not in EARLY),
    )
    changed, saved = changes(run, execution.code), None
    if (
        not changed
        and not others
        and options.updates == run.config["updates"]
        and options.max_seconds == run.config.get("max_seconds")
    ):
        saved = _saved(run)
        if saved is None and run.status == RUNNING and not force:
            check_lost(run, version, math.inf, " (they would be computed again, to the same bits)")
    resumed = [*run.attributes.get("resumed", []), {"version": 0, "code": changed}] if changed else None

    def reopen(attributes: dict[str, Any]) -> RunWriter:
        take_over(None if saved is None else saved.checkpoint, run)
        return RunWriter.reopen(
            owner,
            kept=_kept(run, execution.groups, saved),
            groups=execution.groups,
            attributes={
                **dict.fromkeys(_END_ATTRIBUTES),
                **({"resumed": resumed} if resumed else {}),
                **({} if execution.reached else dict.fromkeys(("target_step", "target_seconds"))),
                **{name: attributes[name] for name in ("config", "code")},
                "sessions": sessions_from(run, 0 if saved is None else saved.checkpoint.version, owner.token),
            },
        )

    return execute(execution, reopen, saved)


def _reached(run: Run) -> Evaluation | None:
    """The evaluation in which the run reached its target, None if it did not. It does not stop there again."""
    step, seconds = (run.attributes.get(name) for name in ("target_step", "target_seconds"))
    return None if step is None or seconds is None else Evaluation(step, seconds, math.nan, math.nan, math.nan)


def _saved(run: Run) -> SavedReplay | None:
    """The checkpoint of a run, with the rows and evaluations up to there; None without one."""
    checkpoint = find_checkpoint(run)
    if checkpoint is None or checkpoint.path is None:
        return None
    rows, evaluations = (int(checkpoint.attributes.get(name, 0)) for name in ("rows", "evaluations"))
    tables = int(checkpoint.attributes.get("tables", 0)) if run.is_summary else 0
    lacks = run.rows["rule"] < tables or (not run.is_summary and len(run.updates["loss"]) < rows)
    if not evaluations or lacks or len(run.evals["step"]) < evaluations:
        raise RecordError(
            f"{run.path} does not fit its checkpoint {checkpoint.path}, which was saved after {rows:,} rows and "
            f"{evaluations:,} evaluations: remove the checkpoint to start the run again from its beginning"
        )
    names = RESULT.names or ()
    results = {name: np.empty(0, RESULT[name]) if run.is_summary else run.updates[name][:rows] for name in names}
    return SavedReplay(checkpoint.path, checkpoint, results, evaluations_of(run, evaluations))


def _kept(run: Run, groups: Mapping[str, Any], saved: SavedReplay | None) -> dict[str, int]:
    """The number of rows of each group that the file keeps."""
    if saved is None:
        return dict.fromkeys((*([] if run.is_summary else ["updates"]), "evals", "rule", *groups), 0)
    rows, kept = int(saved.checkpoint.attributes["rows"]), {"evals": len(saved.evaluations)}
    if run.is_summary:
        kept["rule"] = int(saved.checkpoint.attributes["tables"])
    else:
        kept |= {"updates": rows, "rule": int(run.updates["row"][:rows].max(initial=-1)) + 1}
    kept |= dict.fromkeys(groups, rows)
    if "kept" in groups:
        kept["kept"] = int((run.kept_rows <= saved.checkpoint.attributes["version"]).sum())
    if "microscope" in groups:
        kept["microscope"] = int((run.microscope["version"] <= saved.checkpoint.attributes["version"]).sum())
    return kept
