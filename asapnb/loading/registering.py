"""What rules and schedules have in common: a function makes one of them known by its own name."""

import re
import sys
from collections.abc import Callable
from typing import Any

from ..errors import UsageError


def check_named(
    kind: str, line: str, builder: Callable[..., Any], example: str, before: Callable[..., Any] | None
) -> None:
    """UsageError unless what a function returns can be known by its name.

    A function of asapnb keeps its name. A user's gives it up, so that a file may be loaded twice.

    Args:
        kind: what the function returns, such as "rule".
        line: what the first line of its docstring is, such as "the formula of the scale".
        builder: the function.
        example: the text of a call of it.
        before: the function that has the name, if there is one.

    >>> def halves(): "1/2."
    >>> check_named("rule", "the formula of the scale", halves, "halves", None)
    Traceback (most recent call last):
    asapnb.errors.UsageError: rule 'halves' has the example 'halves': must be a call of it, such as 'halves()'
    """
    name, about = builder.__name__, first_line(builder)
    if before and before.__module__ != builder.__module__ and before.__module__.startswith("asapnb."):
        raise UsageError(f"there is a {kind} {name!r} already, in {before.__module__}: choose another name")
    if not about.endswith((".", '"')) and sys.flags.optimize < 2:  # python -OO leaves no docstrings
        raise UsageError(
            f"{kind} {name!r} has no description: give its function a docstring whose first line is {line} "
            "and ends with a full stop"
        )
    if not re.fullmatch(rf"{re.escape(name)}\(.*\)", example):
        raise UsageError(f"{kind} {name!r} has the example {example!r}: must be a call of it, such as '{name}()'")


def first_line(function: Callable[..., Any]) -> str:
    """The first line of a function's docstring; empty if it has none."""
    return (function.__doc__ or "").partition("\n")[0]
