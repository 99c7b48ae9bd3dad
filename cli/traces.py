"""`asapnb replay` of a trace: a table of delays, or of who read and applied which version when."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from rich.text import Text

from asapnb.config import keys, prepare
from asapnb.errors import UsageError
from asapnb.problems import Problem
from asapnb.record.figures import run_rows
from asapnb.simulator import Schedule, replay, schedule_from
from asapnb.simulator.traces import is_trace

from .flags import said
from .running import Job
from .text import pairs

OF_A_TRACE = ("problem", "data", "scheme", "workers", "batch_size", "seed")  # what a run file says itself


def the_trace(runs: tuple[str, ...], own: Mapping[str, Any]) -> str | None:
    """The trace that is to be replayed; None for run files, for which nothing of `own` may be given."""
    traces = [path for path in runs if is_trace(path)]
    if traces and len(runs) > 1:
        raise UsageError(f"{traces[0]} is a trace: replay one at a time, or run files alone")
    for name, value in own.items():
        if value is not None and not traces:
            raise UsageError(
                f"--{name.replace('_', '-')} is {value}: only a trace, such as delays.csv, needs it; of a run the "
                f"{name.replace('_', ' ')} stays what it was"
            )
    return traces[0] if traces else None


def trace_job(path: str, own: Mapping[str, Any], chosen: Mapping[str, Any], out: str | None, force: bool) -> Job:
    """The replay of a trace.

    Args:
        path: of its file.
        own: the flags of `OF_A_TRACE`.
        chosen: the arguments of the replay, by key.
        out: the run file to write.
        force: overwrite it.
    """
    given = said(own, "simulate")
    made = schedule_from(path, given.pop("scheme", None), workers=given.pop("workers", None))
    problem, more = prepare(given, "simulate", force)
    arguments = {**more, **chosen}
    return Job(
        header=lambda: _header(problem, made, arguments),
        run=partial(replay, made, problem, **arguments, out=out, force=force),
        clock="virtual",
    )


def _header(problem: Problem, made: Schedule, arguments: Mapping[str, Any]) -> Text:
    """What is going to run."""
    config: dict[str, Any] = {name: key.default for name, key in keys("simulate").items()} | {
        "problem": problem.name,
        "data": problem.data and problem.data.name,
        "scheme": made.scheme,
        "trace": made.origin,
        **arguments,
    }
    del config["timing"]
    facts = {"n_params": problem.n_params, "n_samples": problem.n_samples, "workers": made.workers}
    tau = made.staleness
    spread = f"mean {tau.mean():.2f}, 99th percentile {tau.quantile(0.99):,.0f}, largest {tau.support:,}"
    return pairs([*run_rows(config, facts, f"{made.updates:,} updates"), ("staleness", spread)])
