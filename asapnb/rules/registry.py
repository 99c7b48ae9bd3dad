"""The rules that are known by name, and `register`, which is all that makes a rule one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..loading import Entry, Registry
from ..numbers import choice

Builder = TypeVar("Builder", bound=Callable[..., object])
# The conditions of ASAP.SGD that `check` knows.
CONDITIONS = ("C1", "C2", "C3", "C4")


@dataclass(frozen=True)
class RuleEntry(Entry):
    """A rule that is known by name.

    Attributes:
        conditions: those of C1 to C4 that hold for the example, whatever the staleness.
        source: where the rule is from; empty if nobody said.
    """

    conditions: frozenset[str]
    source: str


RULES: Registry[RuleEntry] = Registry("rule", "the formula of the scale")


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
        named = f"condition of rule {builder.__name__!r}"
        held = frozenset(choice(named, one, CONDITIONS) for one in conditions.split())
        RULES.enter(RuleEntry(builder, example, held, source))
        return builder

    return enter


def available() -> dict[str, str]:
    """Every registered rule by name, with the first line of its description.

    >>> available()["constant"]
    '1: every update counts the same, however stale.'
    """
    return dict(sorted(RULES.lines().items()))
