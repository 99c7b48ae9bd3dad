"""The points of a sweep: checked before anything runs, and run by any process."""

import hashlib
import platform
import time
import traceback
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import RUNS, keys, prepare
from ..data.options import files_of
from ..errors import AsapnbError, UsageError
from ..problems import Problem
from ..problems.text import code_of
from ..record import Run
from ..record.schema import FAILED, UNENDED
from ..rules import Rule, ScaleTables, as_rule
from ..schedules import as_schedule
from ..signals import Terminated
from ..simulator.run import observation
from ..simulator.scheduling import Simulation
from ..text import to_json
from ..timing import as_timing
from ..training.options import check_seen, expected_staleness, resolve
from ..training.steps import step_tables
from . import replays
from .replays import SOURCE
from .spec import Point, describe

_MOST_TEXT = 100_000  # bytes of each file that a manifest keeps


@dataclass(frozen=True)
class Outcome:
    """What came of a point.

    Attributes:
        point: the name of the point.
        status: the status of its run, or "failed".
        seconds: how long it took, in real seconds.
        finished_utc: when it ended.
        host: where it ended.
        error: why it failed; "" if it did not.
        asapnb: the version of asapnb that ran it; None if unknown.
        file: the state of its file, as `record.noted.noted` has it.
        synopsis: the synopsis of its run, as `record.noted.noted` has it.
    """

    point: str
    status: str
    seconds: float
    finished_utc: str
    host: str
    error: str | None = None
    asapnb: str | None = None
    file: list[int] | None = field(default=None, repr=False)
    synopsis: str | None = field(default=None, repr=False)

    @property
    def done(self) -> bool:
        """Whether the run came to its end."""
        return self.status not in UNENDED

    @property
    def gist(self) -> str:
        """The most telling line of the error: the last of a traceback, else the first; "" without an error.

        >>> Outcome("p", "failed", 0.0, "", "", "Traceback:\\n  ...\\nKeyError: 5").gist
        'KeyError: 5'
        """
        lines = (self.error or "").strip().splitlines() or [""]
        return lines[-1 if lines[0].startswith("Traceback") else 0]


def check_points(points: Iterable[Point]) -> None:
    """Raise an error for the first point that cannot run or that equals another."""
    groups: dict[str, list[Point]] = {}  # by problem, so that only one problem is in memory at a time
    for point in points:
        groups.setdefault(to_json([point.config.get(name) for name in ("data", "problem", SOURCE)]), []).append(point)
    seen: dict[str, Point] = {}
    for group in groups.values():
        made: dict[Hashable, Any] = {}
        for point in group:
            try:
                same = _resolved(point, made)
            except AsapnbError as error:
                raise type(error)(f"the point {describe(point.axes)}: {error}") from None
            if same in seen:
                raise UsageError(
                    f"two points of the sweep are equal: {describe(seen[same].axes)} and {describe(point.axes)}; "
                    "take one of the values out"
                )
            seen[same] = point


def _resolved(point: Point, made: dict[Hashable, Any]) -> str:
    """Check the arguments of a point; returns all that its run depends on, as text.

    The problem, rules and timings are made once for all points that share them, and kept in `made`.
    """

    def once(key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in made:
            made[key] = make()
        return made[key]

    if point.kind == "replay":
        return replays.check_point(point.config, once)
    of_problem = {name: value for name, value in point.config.items() if name in ("data", "problem")}
    problem: Problem = once("problem", lambda: prepare(of_problem, point.kind)[0])
    arguments = {name: key.default for name, key in keys(point.kind).items()} | dict(point.config)
    text = arguments["schedule"]
    arguments["schedule"] = schedule = once(("schedule", text), lambda: as_schedule(text))
    options = resolve(point.kind, problem, arguments)
    rule: Rule = once(("rule", arguments["rule"]), lambda: as_rule(arguments["rule"]))
    factors = ("factors", repr(schedule), repr(rule.schedule), options.updates)  # an error, if they cannot be used
    once(factors, lambda: len(step_tables(schedule, rule, options.updates).schedule))
    check_seen(rule, options, threaded=point.kind == "train")
    for number in {number for _, number in options.workforce.changes}:
        expected = str(options.prior), str(options.scheme), number, options.local_steps
        prior = once(("prior", *expected), partial(expected_staleness, options, number))
        if not options.always_fresh:  # raises RuleError for scales that cannot be used
            once(("tables", repr(rule), *expected), partial(ScaleTables, rule, number, prior))
    if point.kind == "train":
        if rule.shuffled:
            raise UsageError(f'rule is {rule}: real threads cannot shuffle scales; take kind = "simulate"')
        return str((problem.config, options, rule))
    given = arguments["timing"]
    timing = once(("timing", str(given), options.workers), lambda: as_timing(given, options.workers))
    world = timing, options.scheme, options.workforce
    once(("world", str(world)), lambda: Simulation(*world, options.updates, options.seed))
    return str((problem.config, options, rule, timing, observation({**arguments, "progress": False})))


def sources(points: Sequence[Point]) -> dict[str, str]:
    """The files that points need, each with its SHA-256: data, code and what it imports, timings, runs to replay."""
    texts, schedules, timings, priors = (
        {str(point.config.get(name, "")).strip() for point in points}
        for name in ("rule", "schedule", "timing", "prior")
    )
    files = {text for text in timings | priors if text.endswith((".toml", ".h5"))}
    files |= {file for data in {str(point.config.get("data", "")) for point in points} for file in files_of(data)}
    codes = [as_rule(text).code for text in {*texts, *timings} if ".py:" in text]
    codes += [as_schedule(text).code for text in schedules if ".py:" in text]
    files |= {file for code in codes if code is not None for file in code.files}
    files |= {point.config[SOURCE] for point in points if SOURCE in point.config}
    return {file: digest_of(file) for file in sorted(files)}


def texts_of(files: Iterable[str]) -> dict[str, str]:
    """The text of each file of code, for a difference if it changes."""
    code = [file for file in files if file.endswith((".py", ".toml"))]
    return {file: Path(file).read_bytes()[:_MOST_TEXT].decode("utf-8", "replace") for file in code}


def is_run(file: str) -> bool:
    """Whether a file is a run file, by its name."""
    return file.endswith(".h5")


def needs(files: Mapping[str, str]) -> Callable[[Point], dict[str, str]]:
    """A function that tells which of these files a point needs, without a look at all of them."""
    common = {file: digest for file, digest in files.items() if not is_run(file)}

    def of(point: Point) -> dict[str, str]:
        source = str(point.config.get(SOURCE, ""))
        return common | ({source: files[source]} if source in files else {})

    return of


def differing(files: Mapping[str, str]) -> str | None:
    """The first of these files that cannot be read here or has another SHA-256; None if all are the same."""
    for file, digest in files.items():
        with suppress(UsageError):
            if digest_of(file) == digest:
                continue
        return file
    return None


def digest_of(file: str) -> str:
    """The SHA-256 of a file; UsageError if it cannot be read."""
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None


class Problems:
    """The last problem that a process has made: points that have the same need not make it, and its data, again."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._problem: Problem | None = None

    def prepared(self, config: Mapping[str, Any], kind: str) -> tuple[Problem, dict[str, Any]]:
        """As `config.prepare`. Code of one's own is made anew each time, as it may keep something."""
        key = config.get("problem"), config.get("data")
        problem, arguments = prepare(config, kind, force=True, problem=self._problem if key == self._key else None)
        self._key, self._problem = key, None if code_of(problem) else problem
        return problem, arguments


def carry_out(point: Point, out: Path, threads: int | None = None, problems: Problems | None = None) -> Outcome:
    """Make the run of a point and its file; an error becomes part of the outcome.

    Args:
        point: the point.
        out: its run file, which is replaced if it exists.
        threads: how many a simulation uses, unless its configuration says.
        problems: that of an earlier point, if its files are known to be the same.
    """
    started = time.monotonic()
    config = dict(point.config)
    if threads is not None and point.kind != "train":
        config.setdefault("threads", threads)
    status, error = FAILED, None
    try:
        if point.kind == "replay":
            run = replays.carry_out(config, out)
        else:
            problem, arguments = (problems or Problems()).prepared(config, point.kind)
            run = RUNS[point.kind](problem, **arguments, out=out, force=True)
        if run.path == out.resolve():
            status = run.status
        else:
            error = f"{out} could not be written; the run, which is {run.status}, is in {run.path or 'no file'}"
    except AsapnbError as why:
        error = str(why)
    except Terminated:
        raise
    except (Exception, SystemExit):  # a point that fails must not end the others
        error = traceback.format_exc()
    return _outcome(point, status, time.monotonic() - started, error)


def failed(point: Point, why: str) -> Outcome:
    """The outcome of a point that failed for this reason, outside of its run."""
    return _outcome(point, FAILED, 0.0, why)


def _outcome(point: Point, status: str, seconds: float, error: str | None) -> Outcome:
    return Outcome(point.name, status, seconds, now(), platform.node(), error, __version__)


def outcome_of(point: Point, run: Run) -> Outcome:
    """The outcome of a run found in a file; its time is now, as the file does not hold when the run ended."""
    facts = run.attributes
    seconds = facts.get("replay", {}).get("wall_seconds", facts.get("seconds", 0.0))
    return Outcome(point.name, run.status, seconds, now(), facts["host"], None, facts["versions"]["asapnb"])


def now() -> str:
    """The time in UTC, as run files and manifests write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
