"""`asapnb replay` of a trace: a table of delays, or of who read and applied which version when."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rich.text import Text

from asapnb.config import keys, prepare_replay
from asapnb.errors import UsageError
from asapnb.problems import Problem
from asapnb.record.figures import run_rows
from asapnb.simulator import Schedule, replay
from asapnb.simulator.traces import is_trace

from .running import Job
from .text import pairs


def the_trace(paths: Sequence[str]) -> str | None:
    """The trace that is to be replayed, if it is one; UsageError for one among other files."""
    traces = [path for path in paths if is_trace(path)]
    if traces and len(paths) > 1:
        raise UsageError(f"{traces[0]} is a trace: replay one trace at a time, without run files")
    return traces[0] if traces else None


def trace_job(path: str, chosen: Mapping[str, Any], out: str | None, force: bool) -> Job:
    """The replay of a trace.

    Args:
        path: of its file.
        chosen: the configuration, by key.
        out: the run file to write.
        force: overwrite it.
    """
    made, problem, arguments = prepare_replay({"source": path, **chosen}, force)
    assert isinstance(made, Schedule)
    assert problem is not None
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
