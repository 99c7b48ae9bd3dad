"""Going on with a simulated run: to the same bits as one that was never interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..engine.monitor import Evaluation, Progress
from ..engine.options import resolve
from ..engine.resuming import check_going_on, check_problem, resolvable
from ..problems.base import Problem
from ..record import Run, RunWriter, file_of, load_checkpoint
from ..record.schema import EVALS
from ..rules import as_rule
from ..timing import as_timing
from .director import Past
from .execute import execute
from .run import Watch, scheduled

_OF_AN_END = ("seconds", "mean_scale", "sum_of_steps", "target_step", "target_seconds", "beyond_table", "replay")


def resume_simulation(
    run: Run,
    problem: Problem,
    arguments: Mapping[str, Any],
    *,
    on_eval: Callable[[Evaluation], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Go on with a run of `simulate` up to the total in `arguments`, which are those of `simulate`.

    The schedule is made again, as it is a function of the seed. From the checkpoint beside the file the run goes on
    where it was; without one, or with another total, it is computed again from its beginning.
    """
    path = file_of(run)
    watched = {name: arguments[name] for name in ("microscope", "threads") if name in arguments}
    rest = {name: value for name, value in arguments.items() if name not in ("timing", *watched)}
    options = resolve(problem, **resolvable(rest), simulated=True)
    check_problem(run, problem)
    version = int(run.updates["version"].max(initial=0))
    if run.status != "running":
        check_going_on(run, version, float(run.updates["t_apply"].max(initial=0.0)), options)
    watch = Watch(**watched, on_eval=on_eval, progress=progress)
    timing = as_timing(arguments["timing"], options.workers)
    execution = scheduled(problem, options, as_rule(arguments["rule"]), timing, watch)
    past = None
    if options.updates == run.config["updates"] and options.max_seconds == run.config.get("max_seconds"):
        past = _past(run, options.eval_every)

    def reopen(attributes: dict[str, Any]) -> RunWriter:
        return RunWriter.reopen(
            path,
            kept=_kept(run, execution.groups, past),
            attributes={**dict.fromkeys(_OF_AN_END), "config": attributes["config"]},
        )

    return execute(execution, reopen, past)


def _past(run: Run, eval_every: int) -> Past | None:
    """What the run left: the checkpoint beside its file, and what is in the file up to there; None without one."""
    checkpoint = load_checkpoint(file_of(run))
    if checkpoint is None or len(run.updates["loss"]) < checkpoint.attributes["rows"]:
        return None
    version, steps = checkpoint.attributes["version"], run.evals["step"]
    kept = (steps <= version) & (steps % eval_every == 0)  # not the one at an interrupted end
    known = zip(*(run.evals[name][kept].tolist() for name in EVALS.names or ()), strict=True)
    seen = run.microscope["version"] if "version" in run.microscope else np.empty(0, np.int64)
    return Past(
        checkpoint,
        run.updates["loss"][: checkpoint.attributes["rows"]],
        tuple(Evaluation(*values) for values in known),
        seen[seen <= version + 1],
    )


def _kept(run: Run, groups: Mapping[str, Any], past: Past | None) -> dict[str, int]:
    """How many rows of each group of the file stand."""
    if past is None:
        return dict.fromkeys(("updates", "evals", "rule", *groups), 0)
    rows = int(past.checkpoint.attributes["rows"])
    tables = int(run.updates["row"][:rows].max(initial=-1)) + 1
    kept = {"updates": rows, "evals": len(past.evaluations), "rule": tables}
    return kept | {name: len(past.microscope) if name == "microscope" else rows for name in groups}
