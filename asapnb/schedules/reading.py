"""Schedules from their texts and from functions: `warmup(500) * cosine()`, `path/file.py:name`, f(t)."""

from collections.abc import Callable
from functools import reduce
from operator import mul
from typing import Any

from ..errors import UsageError, shown
from ..identity import Recorded, read_as_recorded
from ..loading import FileFunction, Use, is_of_file, load_function, name_of, within
from ..text import LONGEST_CALL, parse_call
from .registry import SCHEDULES
from .schedule import StepSchedule, checked_function


def _helpers() -> dict[str, Callable[..., Any]]:
    return SCHEDULES.builders()


IN_A_FILE = Use(("t",), ("total",), (), _helpers)  # functions that are schedules
_MOST = 50  # factors of a product
_OPEN, _CLOSE = "([{", ")]}"


def as_schedule(schedule: object) -> StepSchedule:
    """Make a `StepSchedule` from a schedule, its text, or a function f(t) -> factors.

    Args:
        schedule: what to make it from. A function is called with t, an array of versions, int64. If it has a
            parameter `total`, it also gets the number of updates of the run.

    Raises:
        UsageError: if it is none of these, or if its text cannot be read.

    >>> def halves(t):
    ...     return 0.5 ** (t // 1000)
    >>> as_schedule(halves), as_schedule("warmup(500) * cosine()")
    (halves, warmup(n=500) * cosine())
    """
    if isinstance(schedule, StepSchedule):
        return schedule
    if isinstance(schedule, str):
        return parse_schedule(schedule)
    if not callable(schedule):
        raise UsageError(
            f"schedule is {shown(schedule)}: give a text such as 'warmup(500) * cosine()', a schedule of "
            "asapnb.schedules, or a function f(t) that returns a factor for each version in the array t"
        )
    return parse_schedule(name_of(schedule)) if schedule in SCHEDULES.builders().values() else _own(schedule)


def parse_schedule(text: str) -> StepSchedule:
    """Read a schedule from its text: `name(parameters)`, `path/file.py:name(parameters)`, or a product of these.

    This is the inverse of `repr`. In the text, only literals and known names are evaluated. A file is run as a Python
    program. Its name may stand for a schedule, for a function f(t, parameters) or f(t, total, parameters), or for a
    class or function that returns one of these.

    Args:
        text: the text.

    Raises:
        UsageError: if the text cannot be read, or the file cannot be run.
        RecordError: if the text is from a run file, and the code that it names is not what the run recorded.

    >>> parse_schedule("constant"), parse_schedule("warmup(10, start=0.5)*inverse_sqrt(c=0.1)")
    (constant(), warmup(n=10, start=0.5) * inverse_sqrt(c=0.1))
    """
    if isinstance(text, Recorded):
        return read_as_recorded(text, "schedule", parse_schedule)
    if len(text) > LONGEST_CALL:
        raise UsageError(f"the schedule {shown(text, 40)} has {len(text):,} characters: at most {LONGEST_CALL:,}")
    parts = _parts(text)
    if len(parts) > _MOST:
        raise UsageError(f"the schedule {shown(text, 40)} is a product of {len(parts):,} factors: at most {_MOST}")
    if not all(parts):
        raise UsageError(f"cannot read the schedule {shown(text)}: write a product as 'warmup(500) * cosine()'")
    return reduce(mul, map(_factor, parts))


def _factor(text: str) -> StepSchedule:
    """One factor of a product."""
    if not is_of_file(text):
        return parse_call(text, SCHEDULES.builders(), "schedule")
    return _own(load_function(text, IN_A_FILE))


def _own(function: Callable[..., Any]) -> StepSchedule:
    """The schedule of a user's function, or of a function or schedule in a user's file."""
    name = function.text if isinstance(function, FileFunction) else name_of(function)
    checked_function(name, within(function))
    return StepSchedule(name, function)


def _parts(text: str) -> list[str]:
    """The factors of a product. Stars within brackets or quotes do not separate factors."""
    parts, begin, depth, quote = [], 0, 0, ""
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in _OPEN:
            depth += 1
        elif letter in _CLOSE:
            depth -= 1
        elif letter == "*" and not depth:
            parts.append(text[begin:i].strip())
            begin = i + 1
    return [*parts, text[begin:].strip()]


def examples() -> dict[str, StepSchedule]:
    """An example of every registered schedule, by name. Parameters without a default have an example value.

    >>> examples()["warmup"]
    warmup(n=500)
    """
    return {name: parse_schedule(SCHEDULES[name].example) for name in sorted(SCHEDULES)}
