"""Rules from what users give: a rule, its text, a function, or a name in a file. `scale_table` takes all of these."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RuleError, UsageError, shown
from ..identity import Piece, Recorded, read_as_recorded
from ..loading import FileFunction, Use, is_of_file, load_function, name_of, within
from ..staleness import StalenessDistribution
from ..text import parse_call
from .context import MEANINGS, OUTSIDE, Context
from .framework import Rule, checked_scales
from .refresh import DEFAULT_REFRESH, REFRESHES, checked_refresh
from .registry import RULES

RuleLike: TypeAlias = Rule | str | Callable[..., Rule | ArrayLike]  # what `as_rule` takes


def _helpers() -> dict[str, Callable[..., Any]]:
    return {**REFRESHES, **RULES.builders()}


IN_A_FILE = Use(("staleness", "workers"), tuple(MEANINGS), ("refresh",), _helpers)  # functions that are rules


def examples() -> dict[str, Rule]:
    """An example of every registered rule, by name. Parameters without a default have an example value.

    >>> examples()["exponential"]
    exponential(beta=0.1)
    """
    return {name: parse_rule(RULES[name].example) for name in sorted(RULES)}


def as_rule(rule: object) -> Rule:
    """Make a `Rule` from a rule, its text, or a function f(staleness, workers) -> scales.

    A function becomes a rule with the function's name. Its table is made anew as for `tail`, by every(200,
    half_life=2000). If the function has an attribute `refresh`, that is used instead; None means that the table never
    changes.

    Args:
        rule: what to make a rule from.

    Raises:
        UsageError: if it is none of these, or if its text cannot be read.
        RuleError: if the function needs arguments that nobody gives it.

    >>> def half_life(staleness, workers):
    ...     return 0.5 ** (np.arange(len(staleness)) / workers)
    >>> as_rule(half_life), as_rule("tail(0.5)")
    (half_life, tail(amplitude=0.5))
    """
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        return parse_rule(rule)
    if not callable(rule):
        raise UsageError(
            f"a rule cannot be made from {rule!r}: give a rule such as tail(amplitude=1.0), its text, "
            "or a function f(staleness, workers) that returns scales"
        )
    return parse_rule(str(getattr(rule, "__name__", ""))) if rule in RULES.builders().values() else _own_rule(rule)


def parse_rule(text: str) -> Rule:
    """Read a rule from its text: `name(parameters)`, `path/file.py:name` or `path/file.py:name(parameters)`.

    This is the inverse of `repr`. In the text, only literals and known names are evaluated. A file is run as a Python
    program. Its name may stand for a rule, for a function f(staleness, workers, parameters), or for a class or
    function that returns one of these.

    Args:
        text: the text.

    Raises:
        UsageError: if the text cannot be read, or the file cannot be run.
        RecordError: if the text is from a run file, and the code that it names is not what the run recorded.

    >>> parse_rule("tail"), parse_rule("tail(0.5, refresh=every(1000))")
    (tail(amplitude=1.0), tail(amplitude=0.5, refresh=every(1000)))
    """
    if isinstance(text, Recorded):
        return read_as_recorded(text, "rule", parse_rule)
    if is_of_file(text):
        return _own_rule(load_function(text, IN_A_FILE))
    if ".py:" in text.partition("'")[0].partition('"')[0]:
        raise UsageError(
            f"cannot read the rule {shown(text)}: write path/file.py:name, or with parameters "
            "path/file.py:name(p=0.5). Within another rule, put it in quotes: shuffled('rules.py:mine(p=0.5)')"
        )
    return parse_call(text, RULES.builders(), "rule", _helpers())


def _own_rule(function: Callable[..., Any]) -> Rule:
    """The rule of a user's function, or of a function or rule in a user's file."""
    inner = within(function)
    name = function.text if isinstance(function, FileFunction) else name_of(function)
    if isinstance(inner, Rule):
        return Rule(name, function, {}, inner.refresh, inner.schedule, inner.shuffled)
    refresh = _refresh_of(inner)
    try:
        return Rule(name, function, {}, None if refresh is None else checked_refresh(refresh))
    except UsageError as error:
        raise RuleError(f"rule {name}: {error}, or None") from None


def _refresh_of(function: Any) -> Any:
    """The attribute `refresh` of a function, also of one within a partial."""
    while isinstance(function, functools.partial) and not hasattr(function, "refresh"):
        function = function.func
    return getattr(function, "refresh", DEFAULT_REFRESH)


def recorded_rule(text: str, code: Piece | None) -> Rule:
    """Stand in for a rule of which only the text and the recorded scales are known. It cannot compute scales.

    Args:
        text: the text of the rule, as the run file has it.
        code: what the run file says of its code; None if all code is of asapnb.

    >>> recorded_rule("mine.py:half", None)
    mine.py:half
    """
    rule = Rule(text, _no_scales)
    object.__setattr__(rule, "code", code)
    return rule


def _no_scales(staleness: StalenessDistribution, workers: int) -> NDArray[np.float64]:
    raise RuleError("only its recorded scales are known")


def scale_table(
    rule: RuleLike, staleness: StalenessDistribution, workers: int, context: Context = OUTSIDE
) -> NDArray[np.float64]:
    """The scales of a rule, checked: float64, finite, >= 0, shape (len(staleness),).

    A rule that depends on the staleness seen gives 1 everywhere as long as nothing has been seen.

    Args:
        rule: a rule, its text, or a function (staleness, workers) -> scales.
        staleness: the distribution of the staleness seen.
        workers: the number of workers that the rule is given; >= 1.
        context: what else the rule may see; by default the values of `Context`.

    Raises:
        RuleError: if the scales cannot be used, or if the rule raises an exception, which is then the cause.

    >>> scale_table("inverse", StalenessDistribution.from_counts([1, 1]), workers=2)
    array([1. , 0.5])
    """
    return checked_scales(as_rule(rule), staleness, workers, context)
