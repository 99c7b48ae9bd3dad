"""Registries of what texts can name, such as the rules. A function that returns a rule gives it its name."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import UsageError


@dataclass(frozen=True)
class Entry:
    """Something that texts can name.

    Attributes:
        build: the function of that name, which a text calls.
        example: a text that calls it.
    """

    build: Callable[..., Any]
    example: str


E = TypeVar("E", bound=Entry)


class Registry(dict[str, E]):
    """All entries of one kind, by name, in the order in which they were registered.

    Args:
        kind: what the functions return, such as "rule".
        line: what the first line of their docstrings says, such as "the formula of the scale".
    """

    def __init__(self, kind: str, line: str) -> None:
        super().__init__()
        self._kind, self._line = kind, line

    def enter(self, entry: E) -> None:
        """Register a function under its name. UsageError if that is not possible.

        The name of a function of asapnb is taken. A user's function is replaced, so that a file may be loaded twice.

        >>> def halves(): "1/2."
        >>> Registry("rule", "the formula of the scale").enter(Entry(halves, "halves"))
        Traceback (most recent call last):
        asapnb.errors.UsageError: rule 'halves' has the example 'halves': must be a call of it, such as 'halves()'
        """
        name, home = entry.build.__name__, entry.build.__module__
        named = f"{self._kind} {name!r}"
        if name in self and (before := self[name].build.__module__) != home and before.startswith("asapnb."):
            raise UsageError(f"there is a {named} already, in {before}: choose another name")
        if not _first_line(entry.build).endswith((".", '"')) and sys.flags.optimize < 2:  # -OO leaves no docstrings
            raise UsageError(
                f"{named} has no description: give its function a docstring whose first line is {self._line} "
                "and ends with a full stop"
            )
        if not re.fullmatch(rf"{re.escape(name)}\(.*\)", entry.example):
            raise UsageError(f"{named} has the example {entry.example!r}: must be a call of it, such as '{name}()'")
        self[name] = entry

    def builders(self) -> dict[str, Callable[..., Any]]:
        """The functions that texts may call, by name."""
        return {name: entry.build for name, entry in self.items()}

    def lines(self) -> dict[str, str]:
        """The first lines of their docstrings, by name."""
        return {name: _first_line(entry.build) for name, entry in self.items()}


def _first_line(function: Callable[..., Any]) -> str:
    """The first line of a function's docstring; empty if it has none."""
    return (function.__doc__ or "").partition("\n")[0]
