"""The rules that are known by name, and `register`, which adds one."""

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
        conditions: which of C1 to C4 hold for the example, under every staleness.
        source: where the rule is from; may be empty.
    """

    conditions: frozenset[str]
    source: str


RULES: Registry[RuleEntry] = Registry("rule", "the formula of the scale")


def register(example: str, conditions: str, source: str = "") -> Callable[[Builder], Builder]:
    """Register a function that returns a rule, so that texts can name it. Use this as a decorator.

    A new rule needs nothing else. The first line of the function's docstring is the formula of the scale, which
    `available` and the command line show. If a function is defined again, as when its file is loaded twice, it
    replaces the first one. See docs/how-to/extending/rule.md.

    Args:
        example: a text that calls the function, such as "power(q=2.0)".
        conditions: which of C1 to C4 (see `check`) hold for the example under every staleness, such as "C2 C3".
        source: where the rule is from, such as a paper. `asapnb rules list` shows it.

    Raises:
        UsageError: if the example, the conditions or the docstring are missing, or if a rule of asapnb has this name.

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
    """All registered rules: the name of each, and the first line of its docstring.

    >>> available()["constant"]
    '1: every update counts the same, however stale.'
    """
    return dict(sorted(RULES.lines().items()))
