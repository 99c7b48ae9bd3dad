"""The rules that are known by name, and `register`, which is all that makes a rule one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..loading import check_named, first_line
from ..numbers import choice

Builder = TypeVar("Builder", bound=Callable[..., object])
CONDITIONS = ("C1", "C2", "C3", "C4")


@dataclass(frozen=True)
class Entry:
    """A rule that is known by name.

    Attributes:
        build: returns the rule; what a text calls.
        example: the text of one.
        conditions: those of C1 to C4 that hold for the example, whatever the staleness.
        source: where the rule is from; empty if nobody said.
    """

    build: Callable[..., object]
    example: str
    conditions: frozenset[str]
    source: str = ""


RULES: dict[str, Entry] = {}


def register(example: str, conditions: str, source: str = "") -> Callable[[Builder], Builder]:
    """Make a function that returns a rule known by its name: a decorator, all that a new rule needs.

    The first line of the function's docstring is the formula of the scale: it is what `available` and the command
    line show. See docs/how-to/extending/rule.md.

    Args:
        example: the text of a rule of that name, such as "power(q=2.0)".
        conditions: those of C1 to C4 (see `check`) that hold for the example under every staleness, such as "C2 C3".
        source: where the rule is from, such as a paper, which `asapnb rules list` shows.

    UsageError where the example or the conditions are missing, or a rule of asapnb has the name. A function that is
    defined again, as when its file is loaded twice, replaces the first.

    >>> @register("tail()", "C2 C3")
    ... def tail(): "1 up to the median staleness, then 0."
    Traceback (most recent call last):
    asapnb.errors.UsageError: there is a rule 'tail' already, in asapnb.rules.profiles: choose another name
    """

    def enter(builder: Builder) -> Builder:
        name = builder.__name__
        check_named("rule", "the formula of the scale", builder, example, builders().get(name))
        held = frozenset(choice(f"condition of rule {name!r}", one, CONDITIONS) for one in conditions.split())
        RULES[name] = Entry(builder, example, held, source)
        return builder

    return enter


def builders() -> dict[str, Callable[..., object]]:
    """The functions that return the registered rules, by name."""
    return {name: entry.build for name, entry in RULES.items()}


def available() -> dict[str, str]:
    """Every registered rule by name, with the first line of its description.

    >>> available()["constant"]
    '1: every update counts the same, however stale.'
    """
    return {name: first_line(RULES[name].build) for name in sorted(RULES)}
