"""The points of a sweep: checked before anything runs, and carried out in whatever process they fall to."""

from __future__ import annotations

import inspect
import platform
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..config import keys, prepare, run_config
from ..engine.options import resolve
from ..errors import AsapnbError, UsageError
from ..problems import Problem
from ..record.schema import RUNNING
from ..rules import as_rule
from ..schemes import parse_scheme
from ..timing import as_timing
from .spec import Point, describe

FAILED, INTERRUPTED = "failed", "interrupted"
UNDONE = (FAILED, INTERRUPTED, RUNNING)  # statuses of points that a resumed sweep does again


@dataclass(frozen=True)
class Outcome:
    """What came of a point: the status of its run, or "failed" with the error; its seconds, when and where."""

    point: str
    status: str
    seconds: float
    finished_utc: str
    host: str
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether there is a run to look at."""
        return self.status not in UNDONE


def check_points(points: Iterable[Point]) -> None:
    """Raise what is wrong with the first point that cannot run, or that is the same as another, before any does."""
    problems: dict[str, Problem] = {}
    seen: dict[str, Point] = {}
    for point in points:
        try:
            same = _resolved(point, problems)
        except AsapnbError as error:
            raise type(error)(f"the point {describe(point.axes)}: {error}") from None
        if same in seen:
            raise UsageError(
                f"two points of the sweep are equal: {describe(seen[same].axes)} and {describe(point.axes)}; "
                "take one of the values out"
            )
        seen[same] = point


def _resolved(point: Point, problems: dict[str, Problem]) -> str:
    """All that a run of this point depends on, as text, its arguments checked; `problems`: those made so far."""
    what = {name: value for name, value in point.config.items() if name in ("data", "problem")}
    if str(what) not in problems:
        problems[str(what)] = prepare(what, point.kind)[0]
    arguments = {name: key.default for name, key in keys(point.kind).items()} | dict(point.config)
    scheme, rule = arguments["scheme"], as_rule(arguments["rule"])
    arguments["scheme"] = parse_scheme(scheme) if isinstance(scheme, str) else scheme
    taken = inspect.signature(resolve).parameters.keys() & arguments.keys() - {"problem"}
    options = resolve(
        problems[str(what)], **{name: arguments[name] for name in taken}, simulated=point.kind == "simulate"
    )
    timing = as_timing(arguments["timing"], options.workers) if "timing" in arguments else None
    return str((what, options, rule, timing, arguments.get("microscope")))


def carry_out(point: Point, out: Path, threads: int | None = None) -> Outcome:
    """Make the run of a point and its file; an error is part of the outcome. `threads`: of a simulation."""
    started = time.monotonic()
    config = dict(point.config)
    if threads is not None and point.kind == "simulate":
        config.setdefault("threads", threads)
    status, error = FAILED, None
    try:
        status = run_config(config, point.kind, out=out, force=True).status
    except AsapnbError as problem:
        error = str(problem)
    except Exception:  # one point that fails must not end the others
        error = traceback.format_exc()
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return Outcome(point.name, status, time.monotonic() - started, finished, platform.node(), error)


def lost(point: Point, why: str) -> Outcome:
    """The outcome of a point whose process did not live to say."""
    return Outcome(point.name, FAILED, 0.0, datetime.now(UTC).isoformat(timespec="seconds"), platform.node(), why)
