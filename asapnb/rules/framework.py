"""What a step-size rule is: a function from the staleness seen so far to a table of scales.

A scale is eta(tau) / eta_0. An update of staleness tau is applied with the scale `table[min(tau, len(table) - 1)]`. A
rule is plain NumPy. The controlling thread evaluates it now and then; workers only look up the table.
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RuleError, UsageError
from ..identity import ByValue, Piece, identified
from ..identity.library import library_name
from ..loading import FileFunction, name_of, within
from ..numbers import integer, returned
from ..schedules import StepSchedule
from ..staleness import StalenessDistribution
from .context import MEANINGS, OUTSIDE, Context, known, named
from .refresh import DEFAULT_REFRESH, Refresh
from .registry import RULES
from .schedules import OwnFactor, checked_factor

LARGEST_SCALE = float(np.finfo(np.float32).max)  # workers hold the table in float32


@dataclass(frozen=True, repr=False)
class Rule(ByValue):
    """A step-size rule: a function from the staleness seen so far to a table of scales.

    Calling a rule gives its scales. Two rules are equal if all their attributes are. The text of a registered rule is
    its `repr`, which `parse_rule` reads.

    Attributes:
        name: the name of a registered rule; or of a function of your own, with its file if it comes from one.
        function: called as function(staleness, workers, **parameters). It returns one scale for each entry of the
            staleness distribution. If it has parameters named in `MEANINGS`, such as `progress`, it gets these too.
        parameters: further arguments of the function, by name.
        refresh: when a new table is made: `once`, `every`, or None for a table that never changes.
        schedule: an extra factor for each update: `AdaDelay`, `Budget`, a schedule of `asapnb.schedules`, its text,
            or a function f(t) of the version. The schedule of the run still applies. None for the factor 1.
        shuffled: whether `simulate` and `replay` permute the scales over the updates.
        code: identifies code that is not part of asapnb, with a digest; None if all code is.
        sees: the names in `MEANINGS` that the rule, or a rule within it, has parameters for.

    >>> from asapnb.rules import tail
    >>> rule = tail(amplitude=0.5)
    >>> rule
    tail(amplitude=0.5)
    >>> rule(StalenessDistribution.from_pmf([0.5, 0.5]), workers=2)
    array([1.25, 0.75])
    """

    name: str
    function: Callable[..., ArrayLike]
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    refresh: Refresh | None = None
    schedule: OwnFactor | None = None
    shuffled: bool = False
    code: Piece | None = field(init=False, compare=False)
    sees: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", checked_factor(self.name, self.schedule))
        object.__setattr__(self, "sees", _seen_by(self))
        _check_arguments(self)
        if self.refresh is None and {*self.sees} - {"worker"}:
            raise RuleError(
                f"rule {self.name} depends on {' and '.join(self.sees)}, but its table never changes: say when a new "
                "one is made, as with refresh=every(200)"
            )
        object.__setattr__(self, "code", _code(self))

    def _identity_(self) -> tuple[Any, ...]:
        schedule = self.schedule if getattr(self.schedule, "code", None) is not None else repr(self.schedule)
        return self.function, dict(self.parameters), repr(self.refresh), schedule, self.shuffled

    def __call__(self, staleness: StalenessDistribution, workers: int, **context: Any) -> NDArray[np.float64]:
        """The scales of the rule, checked: float64, shape (len(staleness),). See `scale_table`.

        Args:
            staleness: the distribution of the staleness seen.
            workers: the number of workers that the rule is given; >= 1.
            context: other values that the rule sees, by name, such as progress=0.5. `Context` has the defaults.
        """
        return checked_scales(self, staleness, workers, Context(**{name: context[name] for name in known(context)}))

    def __repr__(self) -> str:
        if self.name not in RULES:
            return self.name
        shown = dict(self.parameters)
        if self.refresh not in (None, DEFAULT_REFRESH) and not self.shuffled:  # the rule inside shows it
            shown["refresh"] = self.refresh
        return f"{self.name}({', '.join(f'{key}={_shown(value)}' for key, value in shown.items())})"

    def mean_scale(self, staleness: StalenessDistribution, workers: int) -> float:
        """The mean scale, E[scale(tau)]. 1 means that the mean step is kept; NaN means that nothing has been seen.

        This is about the scale table alone: the factors of a `schedule` are left out.

        >>> from asapnb.rules import inverse
        >>> inverse().mean_scale(StalenessDistribution.from_pmf([0.5, 0.5]), workers=2)
        0.75
        """
        return mean_of(self(staleness, workers), staleness)

    def effective_delay(self, staleness: StalenessDistribution, workers: int) -> float:
        """The mean staleness of what is applied, E[scale tau] / E[scale], in updates. NaN if every scale is 0.

        This is about the scale table alone: the factors of a `schedule` are left out.

        >>> from asapnb.rules import tail
        >>> tail().effective_delay(StalenessDistribution.from_pmf([0.5, 0.5]), workers=2)
        0.25
        """
        scales = self(staleness, workers)
        mean = mean_of(scales, staleness)
        return mean_of(scales * np.arange(len(scales)), staleness) / mean if mean else math.nan

    def scale_variance(self, staleness: StalenessDistribution, workers: int) -> float:
        """The variance of the scale, Var[scale(tau)]. NaN if nothing has been seen.

        This is about the scale table alone: the factors of a `schedule` are left out.

        >>> from asapnb.rules import tail
        >>> tail().scale_variance(StalenessDistribution.from_pmf([0.5, 0.5]), workers=2)
        0.25
        """
        scales = self(staleness, workers)
        return mean_of((scales - mean_of(scales, staleness)) ** 2, staleness)


def _shown(value: object) -> str:
    """The text of a parameter; `parse_rule` reads it where possible."""
    if isinstance(value, Rule):
        return repr(value) if value.name in RULES else repr(value.name)
    if isinstance(value, functools.partial) or type(value).__repr__ is object.__repr__ or hasattr(value, "__name__"):
        return name_of(value)  # its repr has an address
    return repr(value)


def _seen_by(rule: Rule) -> tuple[str, ...]:
    """What a rule, and the rules within it, see besides the staleness and the workers."""
    function = within(rule.function)
    inner = {name for part in (function, *rule.parameters.values()) if isinstance(part, Rule) for name in part.sees}
    own = () if isinstance(function, Rule) else named(function, rule.parameters)
    return tuple(name for name in MEANINGS if name in own or name in inner)


def _check_arguments(rule: Rule) -> None:
    """RuleError if the function of a rule needs arguments that it is not given."""
    function = within(rule.function)
    try:
        given = {**dict.fromkeys(named(function)), **rule.parameters}
        inspect.signature(function).bind(None, None, **given)
    except TypeError as error:
        raise RuleError(
            f"rule {rule.name} is called with (staleness, workers), which it does not take: {error}. Further "
            f"parameters may be {', '.join(MEANINGS)}. Give any other a value, as in {rule.name}(p=0.5) of a file, "
            f"Rule(name, {name_of(function)}, {{'p': 0.5}}), or functools.partial({name_of(function)}, p=0.5)"
        ) from None
    except ValueError:  # some built-in functions have no signature to look at
        pass


def _code(rule: Rule) -> Piece | None:
    """The code of a rule that is not part of asapnb; None if all of it is."""
    parts = [rule.function, *rule.parameters.values()]
    parts += [rule.schedule] if isinstance(rule.schedule, StepSchedule) else []
    if not any(map(_is_own, parts)):
        return None
    homes: list[FileFunction | Piece] = [part for part in parts if isinstance(part, FileFunction)]
    homes += [part.code for part in parts if isinstance(part, Rule | StepSchedule) and part.code is not None]
    return identified("rule", repr(rule), rule, homes)


def _is_own(part: Any) -> bool:
    """Whether a part of a rule is code from outside asapnb, or data that its text does not hold."""
    if isinstance(part, Rule | StepSchedule):
        return part.code is not None
    if isinstance(part, tuple | list):
        return any(map(_is_own, part))
    return not (part is None or isinstance(part, bool | int | float | str) or library_name(part) is not None)


def mean_of(values: NDArray[np.float64], staleness: StalenessDistribution) -> float:
    """E[values[tau]], right to a few roundings: numpy adds in pairs. NaN when nothing has been seen."""
    return math.nan if staleness.is_empty else float((values * staleness.pmf).sum())


def with_mean_one(scales: NDArray[np.float64], staleness: StalenessDistribution) -> NDArray[np.float64]:
    """scales / E[scale]; RuleError where every update seen has scale 0."""
    mean = mean_of(scales, staleness)
    if mean == 0:
        raise RuleError(
            f"all updates seen are dropped, so the mean scale is 0 and cannot be divided by (for {staleness!r})"
        )
    return scales / mean


def checked_scales(
    rule: Rule, staleness: StalenessDistribution, workers: int, context: Context = OUTSIDE
) -> NDArray[np.float64]:
    """The scales of a rule, as `scale_table` gives them: the one place where they are checked."""
    scales = raw_scales(rule, staleness, workers, context)
    bad = ~((scales >= 0) & (scales <= LARGEST_SCALE))
    if bad.any():
        tau = int(bad.argmax())
        given = f"rule {rule} gives scale {scales[tau]} at tau = {tau}"
        raise RuleError(f"{given}: must be finite and >= 0 (for {staleness!r})")
    return scales


def raw_scales(
    rule: Rule, staleness: StalenessDistribution, workers: int, context: Context = OUTSIDE
) -> NDArray[np.float64]:
    """The scales of a rule as `scale_table` gives them, but without a check of their values.

    The shape is still checked. A scale may be negative or infinite here, which `check` needs to see.

    Args:
        rule: the rule.
        staleness: the distribution of the staleness seen.
        workers: the number of workers that the rule is given; >= 1.
        context: what else the rule sees; by default the values of `Context`.

    Raises:
        RuleError: if the rule fails, or returns something else than len(staleness) numbers.

    >>> rule = Rule("line", lambda staleness, workers: 1.0 - np.arange(len(staleness)))
    >>> raw_scales(rule, StalenessDistribution.from_counts([1, 1, 1]), workers=2)
    array([ 1.,  0., -1.])
    """
    if not isinstance(staleness, StalenessDistribution):
        raise UsageError(
            f"staleness is {staleness!r:.80}: must be a StalenessDistribution, for example "
            "StalenessDistribution.from_counts(counts)"
        )
    workers = integer("workers", workers, 1)
    if rule.refresh is not None and staleness.is_empty:
        return np.ones(len(staleness))
    try:
        result = rule.function(staleness, workers, **_arguments(rule, context))
    except RuleError as error:
        raise RuleError(f"rule {rule}: {error}") from error
    except (Exception, SystemExit) as error:
        raise RuleError(f"rule {rule} raised {type(error).__name__}: {error} (for {staleness!r})") from error
    return returned(f"rule {rule}", result, (len(staleness),), "scale for each tau")


def _arguments(rule: Rule, context: Context) -> Mapping[str, Any]:
    """The arguments of the function of a rule besides the first two. A rule within it sees what it sees."""
    if not rule.sees:
        return rule.parameters
    function = within(rule.function)
    names = function.sees if isinstance(function, Rule) else named(function, rule.parameters)
    parameters = {
        name: functools.partial(checked_scales, part, context=context)
        if isinstance(part, Rule) and part.sees
        else part
        for name, part in rule.parameters.items()
    }
    return {name: getattr(context, name) for name in names} | parameters
