"""What a step-size rule is: a function from the staleness seen so far to a table of scales.

A scale is eta(tau) / eta_0; an update of staleness tau is applied with `table[min(tau, len(table) - 1)]`. A rule is
plain NumPy, evaluated now and then by the controlling thread, never by a worker.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RuleError, UsageError
from ..staleness import StalenessDistribution
from .refresh import DEFAULT_REFRESH, Refresh
from .schedules import Schedule

RULES: dict[str, Callable[..., Rule]] = {}
LARGEST_SCALE = float(np.finfo(np.float32).max)  # workers hold the table in float32


@dataclass(frozen=True, repr=False)
class Rule:
    """A step-size rule: its name, its parameters, its function, and when its table is made anew.

    `function(staleness, workers, **parameters)` returns one scale for each of the len(staleness) entries.
    `refresh` is None for a static table, which does not depend on the staleness seen. A `schedule` multiplies each
    scale by a factor of that very update. Two rules are equal when all five are; the text of a built-in rule is what
    `parse_rule` reads.

    >>> from asapnb.rules import tail
    >>> rule = tail(amplitude=0.5)
    >>> rule
    tail(amplitude=0.5)
    >>> rule(StalenessDistribution.from_pmf([0.5, 0.5]), workers=2)
    array([1.25, 0.75])
    """

    name: str
    function: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    refresh: Refresh | None = None
    schedule: Schedule | None = None

    def __call__(self, staleness: StalenessDistribution, workers: int) -> NDArray[np.float64]:
        """The scales, float64, exactly len(staleness) of them, validated; see `scale_table`."""
        return scale_table(self, staleness, workers)

    def __repr__(self) -> str:
        if self.name not in RULES:
            return self.name
        shown = dict(self.parameters)
        if self.refresh not in (None, DEFAULT_REFRESH):
            shown["refresh"] = self.refresh
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A function loaded from a file stands in no module, so it is pickled as the text that loads it.
        if ".py:" in self.name:
            from .parse import parse_rule

            return parse_rule, (self.name,)
        return Rule, (self.name, self.function, dict(self.parameters), self.refresh, self.schedule)


def register(builder: Callable[..., Rule]) -> Callable[..., Rule]:
    """Make a function that returns a rule known by its name (a decorator)."""
    RULES[builder.__name__] = builder
    return builder


def available() -> dict[str, str]:
    """Every built-in rule by name, with the first line of its description.

    >>> list(available())
    ['constant', 'inverse', 'tail']
    """
    return {name: (RULES[name].__doc__ or "").partition("\n")[0] for name in sorted(RULES)}


def as_rule(rule: object) -> Rule:
    """A Rule from a Rule, its text, or a function f(staleness, workers) -> scales.

    A function becomes the rule of its name, refreshed as tail is by default, or as its attribute `refresh` says
    (None: its table never changes).

    >>> def half_life(staleness, workers):
    ...     return 0.5 ** (np.arange(len(staleness)) / workers)
    >>> as_rule(half_life), as_rule("tail(0.5)")
    (half_life, tail(amplitude=0.5))
    """
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        from .parse import parse_rule

        return parse_rule(rule)
    if not callable(rule):
        raise UsageError(
            f"a rule cannot be made from {rule!r}: give a rule such as tail(amplitude=1.0), its text, "
            "or a function f(staleness, workers) that returns scales"
        )
    return rule() if rule in RULES.values() else _own_rule(rule)


def _own_rule(function: Callable[..., Any], name: str | None = None) -> Rule:
    """The rule of a user's function."""
    name = name or str(getattr(function, "__name__", type(function).__name__))
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise RuleError(f"rule {name} is called with (staleness, workers), which it does not take: {error}") from None
    except ValueError:  # some built-in functions have no signature to look at
        pass
    refresh = getattr(function, "refresh", DEFAULT_REFRESH)
    if not isinstance(refresh, Refresh | None):
        raise RuleError(f"rule {name} has refresh = {refresh!r}: must be once(…), every(…) or None")
    return Rule(name, function, {}, refresh)


def scale_table(rule: object, staleness: StalenessDistribution, workers: int) -> NDArray[np.float64]:
    """The validated scales of a rule: float64, finite, >= 0, one for each entry of `staleness`.

    A rule that depends on the staleness seen gives 1 everywhere while nothing has been seen. RuleError names the
    rule and what is wrong with its scales; an exception inside a rule is chained to it.
    """
    rule = as_rule(rule)
    scales = raw_scales(rule, staleness, workers)
    bad = ~((scales >= 0) & (scales <= LARGEST_SCALE))
    if bad.any():
        tau = int(bad.argmax())
        raise RuleError(f"rule {rule} gives scale {scales[tau]} at tau = {tau}: must be finite and >= 0")
    return scales


def raw_scales(rule: Rule, staleness: StalenessDistribution, workers: int) -> NDArray[np.float64]:
    """What a rule returns, as float64 of the right length, whatever the values: for judging it; see `scale_table`."""
    if not isinstance(staleness, StalenessDistribution):
        raise UsageError(
            f"staleness is {staleness!r:.80}: must be a StalenessDistribution, for example "
            "StalenessDistribution.from_counts(counts)"
        )
    if not isinstance(workers, int | np.integer) or workers < 1:
        raise UsageError(f"workers is {workers!r}: must be an integer, at least 1")
    if rule.refresh is not None and staleness.is_empty:
        return np.ones(len(staleness))
    try:
        result = rule.function(staleness, workers, **rule.parameters)
    except Exception as error:
        raise RuleError(f"rule {rule} raised {type(error).__name__}: {error}") from error
    return _one_each(rule, result, len(staleness))


def _one_each(rule: Rule, result: object, length: int) -> NDArray[np.float64]:
    try:
        scales = np.asarray(result)
    except ValueError as error:  # a ragged list
        raise RuleError(f"rule {rule} returned no array: {error}") from None
    if scales.dtype.kind not in "biuf":
        raise RuleError(f"rule {rule} returned {scales.dtype}, not numbers: give {length} scales >= 0")
    if scales.shape != (length,):
        raise RuleError(f"rule {rule} returned shape {scales.shape}: must be ({length},), one scale for each tau")
    return np.array(scales, dtype=np.float64)  # a copy: the rule may keep its own
