"""Going on with a run: from its end, or from the checkpoint that a killed one left beside its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import RecordError, UsageError
from ..problems.base import Problem
from ..record import Run, RunWriter, checkpoint_path, file_of, load_checkpoint, save_checkpoint
from ..record.schema import ABANDONED, EVALS, RUNNING
from ..rules import as_rule
from ..schemes import parse_scheme
from .monitor import Evaluation, Progress
from .options import Options, resolve
from .run import run_from
from .start import COUNTS, Start

_NEEDED = ("worker", "batch", "version", "tau", "scale", "factor", "loss", "t_apply", "dropped")  # columns
_OF_AN_END = ("seconds", "mean_scale", "sum_of_steps", "target_step", "target_seconds", "pinned", *COUNTS)


def resume_training(
    run: Run,
    problem: Problem,
    arguments: Mapping[str, Any],
    *,
    on_eval: Callable[[Evaluation], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Go on with a run of `train` up to the total in `arguments`, which are those of `train`; see `asapnb.resume`."""
    path = file_of(run)
    rule = as_rule(arguments["rule"])
    options = resolve(problem, **resolvable(arguments))
    check_problem(run, problem)
    start, kept = _start(run, options)
    check_going_on(run, start.version, start.seconds, options)
    had_velocity = start.version == 0 or options.momentum == 0 or start.velocity is not None
    resumed = [entry for entry in run.attributes.get("resumed", []) if entry["version"] < start.version]
    resumed.append({"version": start.version, "velocity": had_velocity})
    changed = {**dict.fromkeys(_OF_AN_END), "resumed": resumed}

    def reopen(attributes: dict[str, Any]) -> RunWriter:
        if run.status != RUNNING:  # the file is about to lose its end: what it holds is put beside it first
            save_checkpoint(path, *_as_checkpoint(start))
        return RunWriter.reopen(path, kept=kept, attributes={**changed, "config": attributes["config"]})

    return run_from(start, problem, options, rule, reopen, on_eval, progress)


def check_problem(run: Run, problem: Problem) -> None:
    """UsageError if a run was not of this problem, as far as its file tells."""
    facts, initial = run.attributes, run.params["initial"]
    data = None if problem.data is None else problem.data.sha256()
    for what, theirs, ours in (
        ("problem", run.config.get("problem"), problem.config.get("problem")),
        ("parameters", len(initial), problem.n_params),
        ("dtype", initial.dtype, problem.dtype),
        ("training samples", facts["n_samples"], problem.n_samples),
        ("data (its SHA-256)", facts.get("data_sha256"), data),
    ):
        if theirs != ours:
            raise UsageError(
                f"{run.path or 'the run'} was made with other {what}: {theirs}, and this is {ours}; "
                "a run goes on, and is replayed, with what it began with"
            )


def resolvable(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `resolve`, from those of a run's configuration."""
    scheme = parse_scheme(arguments["scheme"])
    rest = {name: value for name, value in arguments.items() if name not in ("scheme", "rule")}
    unlimited = dict.fromkeys(("epochs", "updates", "target_loss", "max_seconds"))
    return {**unlimited, **rest, "scheme": scheme}


def check_going_on(run: Run, version: int, seconds: float, options: Options) -> None:
    """UsageError for a run that would end at once, or as it did."""
    if run.status == "diverged":
        raise UsageError(
            f"{run.path} diverged at update {version:,}, and would again: train anew with a smaller step_size "
            f"than {options.step_size:g}"
        )
    if version >= options.updates:
        raise UsageError(
            f"{run.path} has {version:,} updates, and the total is {options.updates:,}: give a larger total, "
            "epochs or updates (--epochs, --updates)"
        )
    limit, before = options.max_seconds, run.config.get("max_seconds", 0.0)
    if limit is not None and (seconds >= limit or (run.status == "timed-out" and limit <= before)):
        raise UsageError(
            f"{run.path} has been trained for {seconds:.3g} s, and max_seconds is {limit:g}: give a larger "
            "total, max_seconds (--max-seconds)"
        )


def _start(run: Run, options: Options) -> tuple[Start, dict[str, int]]:
    """Where a run goes on, and how many rows of each group of its file that keeps."""
    version, params, velocity, facts = _state(run)
    made, rows = run.updates["version"], len(run.updates["version"])
    steps, tables = run.evals["step"], run.rule_tables
    evals, kept_tables = len(steps), len(tables.steps)
    if run.status == RUNNING:  # what came after the checkpoint is cut, gradients given up since then included
        within = np.flatnonzero((run.updates["dropped"] != ABANDONED) & (made <= version))
        rows = int(within[-1]) + 1 if len(within) else 0
        evals, kept_tables = int((steps <= version).sum()), int((tables.steps <= version).sum())
    updates = {name: run.updates[name][:rows] for name in _NEEDED}
    if (updates["dropped"] != ABANDONED).sum() != version * options.rows_per_version:
        raise RecordError(
            f"{run.path} does not hold all updates up to {version:,}, where it would go on"
            + (f": is {checkpoint_path(file_of(run))} of another run?" if run.status == RUNNING else "")
        )
    known = zip(*(run.evals[name][:evals].tolist() for name in EVALS.names or ()), strict=True)
    start = Start(
        params,
        version=version,
        ticket=int(updates["batch"].max(initial=-1)) + 1,
        seconds=float(updates["t_apply"].max(initial=0.0)),
        velocity=velocity,
        updates=updates,
        evaluations=tuple(Evaluation(*values) for values in known),
        tables=tables.scales[:kept_tables],
        **{name: int(facts.get(name, 0)) for name in COUNTS},
    )
    return start, {"updates": rows, "evals": evals, "rule": kept_tables}


def _state(run: Run) -> tuple[int, np.ndarray, np.ndarray | None, Mapping[str, Any]]:
    """Version, parameters and velocities that there are, and the attributes that belong to them."""
    if run.status != RUNNING:
        version = int(run.updates["version"].max(initial=0))
        return version, run.params["final"], run.params.get("velocity"), run.attributes
    checkpoint = load_checkpoint(file_of(run))
    if checkpoint is None:
        return 0, run.params["initial"], None, {}
    arrays, facts = checkpoint.arrays, checkpoint.attributes
    return int(facts["version"]), arrays["params"], arrays.get("velocity"), facts


def _as_checkpoint(start: Start) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and attributes of a checkpoint of this state."""
    arrays = {"params": start.params} | ({} if start.velocity is None else {"velocity": start.velocity})
    return arrays, {"version": start.version, "t": start.seconds, **{name: getattr(start, name) for name in COUNTS}}
