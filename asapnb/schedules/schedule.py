"""What a step-size schedule is: a function of the version that an update lands on, and of how long the run is.

The step of an update is step_size · scale · factor. The scale comes from the rule, the factor from here. A schedule
is plain NumPy: it is tabulated before the run begins (see `tabulate`), and workers only look up the table.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RuleError, UsageError, shown
from ..identity import ByValue, Piece, identified
from ..identity.library import library_name
from ..loading import FileFunction, within
from ..numbers import integer, returned
from .registry import SCHEDULES

LARGEST_FACTOR = float(np.finfo(np.float32).max)  # workers hold the table in float32
Settles = Callable[..., int | None]


@dataclass(frozen=True, repr=False)
class StepSchedule(ByValue):
    """A schedule of step sizes: a factor for each version. The product of two schedules is a schedule too.

    The text of a registered schedule is its `repr`, which `parse_schedule` reads.

    Attributes:
        name: the name of a registered schedule; or of a function of your own, with its file if it comes from one.
        function: called as function(t, **parameters) with an array of versions, int64; returns a factor for each. If
            it has a parameter `total`, it also gets the number of updates of the run.
        parameters: further arguments of the function, by name.
        settles: called as settles(total, **parameters); returns the version from which on the factor stays the same.
            None to find this out from the factors of all versions of a run.
        code: identifies code that is not part of asapnb, with a digest; None if all code is.

    >>> from asapnb.schedules import cosine, warmup
    >>> both = warmup(4) * cosine()
    >>> both
    warmup(n=4) * cosine()
    >>> both(np.arange(4), total=8).round(3)
    array([0.25 , 0.481, 0.64 , 0.691])
    """

    name: str
    function: Callable[..., ArrayLike]
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    settles: Settles | None = field(default=None, compare=False)
    code: Piece | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _code(self))

    def __mul__(self, other: object) -> "StepSchedule":
        """The product of two schedules: a schedule whose factors are the products of both."""
        if not isinstance(other, StepSchedule):
            return NotImplemented
        factors = (*factors_of(self), *factors_of(other))
        return StepSchedule(_PRODUCT, product, {"factors": factors}, settled_product)

    def __call__(self, t: ArrayLike, total: int) -> NDArray[np.float64]:
        """The factors of these versions: float64, in the shape of t, finite and >= 0.

        Args:
            t: versions, an array of integers >= 0.
            total: the number of updates of the run; >= 1.

        Raises:
            RuleError: if the factors cannot be used, or if the function raises an exception, which is then the cause.
        """
        versions = np.asarray(t)
        if versions.dtype.kind not in "iu" or (versions < 0).any():
            raise UsageError(f"t is {shown(t)}: must be versions, an array of integers of at least 0")
        versions, total = versions.astype(np.int64), integer("total", total, 1)
        named = {"total": total} if names_total(self.function) else {}
        try:
            result = self.function(versions, **self.parameters, **named)
        except RuleError:
            raise
        except (Exception, SystemExit) as error:
            raise RuleError(
                f"schedule {self} raised {type(error).__name__}: {error}; it is called with an array of versions "
                "and must return a factor for each: choose between them with np.where"
            ) from error
        return self._checked(result, versions)

    def settled(self, total: int) -> int | None:
        """The version from which on the factor stays the same in a run of `total` updates; None if not known."""
        total = integer("total", total, 1)
        inner = within(self.function)
        if isinstance(inner, StepSchedule):  # which is not pickled with this one
            return inner.settled(total)
        return None if self.settles is None else self.settles(total, **self.parameters)

    def _checked(self, result: object, versions: NDArray[np.int64]) -> NDArray[np.float64]:
        factors = returned(f"schedule {self}", result, versions.shape, "factor for each version")
        bad = ~((factors >= 0) & (factors <= LARGEST_FACTOR))
        if bad.any():
            place = np.unravel_index(int(bad.argmax()), bad.shape)
            raise RuleError(
                f"schedule {self} gives the factor {factors[place]} at version {versions[place]:,}: "
                "must be finite and >= 0"
            )
        return factors

    def _identity_(self) -> tuple[Any, ...]:
        return self.function, dict(self.parameters)

    def __repr__(self) -> str:
        if self.name == _PRODUCT:
            return " * ".join(map(repr, factors_of(self)))
        if self.name not in SCHEDULES:
            return self.name
        usual = {key: one.default for key, one in inspect.signature(SCHEDULES[self.name].build).parameters.items()}
        shown = {key: value for key, value in self.parameters.items() if value != usual.get(key)}
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


ScheduleLike: TypeAlias = StepSchedule | str | Callable[..., ArrayLike]  # what `as_schedule` takes
_PRODUCT = "product"


def factors_of(schedule: StepSchedule) -> tuple[StepSchedule, ...]:
    """The schedules that a schedule is the product of; itself alone if it is not a product."""
    return schedule.parameters["factors"] if schedule.name == _PRODUCT else (schedule,)


def product(t: NDArray[np.int64], factors: tuple[StepSchedule, ...], total: int) -> NDArray[np.float64]:
    """The products of several schedules. They are multiplied in a fixed order, so that they commute exactly."""
    found = np.ones(t.shape)
    for one in sorted(factors, key=repr):
        found *= one(t, total)
    return found


def settled_product(total: int, factors: tuple[StepSchedule, ...]) -> int:
    """The version from which on all factors stay the same; the end of the run if one is not known."""
    each = [one.settled(total) for one in factors]
    return max(total if version is None else version for version in each)


def names_total(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter `total`.

    >>> names_total(lambda t: t), names_total(lambda t, total: t / total)
    (False, True)
    """
    function = within(function)
    if isinstance(function, StepSchedule):
        return True
    try:
        return "total" in inspect.signature(function).parameters
    except ValueError:  # some built-in functions have no signature to look at
        return False


def checked_function(name: str, function: Callable[..., Any]) -> None:
    """UsageError if a function cannot be called with an array of versions."""
    try:
        inspect.signature(function).bind(None, **({"total": 1} if names_total(function) else {}))
    except TypeError as error:
        raise UsageError(
            f"schedule {name} must take t, an array of versions, and may take total, the number of updates of the "
            f"run: {error}"
        ) from None
    except ValueError:
        pass


def recorded_schedule(text: str, code: Piece | None) -> StepSchedule:
    """Stand in for a schedule of which only the text and the recorded factors are known. It cannot compute factors.

    Args:
        text: the text of the schedule, as the run file has it.
        code: what the run file says of its code; None if all code is of asapnb.

    >>> recorded_schedule("mine.py:half", None)
    mine.py:half
    """
    schedule = StepSchedule(text, _no_factors)
    object.__setattr__(schedule, "code", code)
    return schedule


def _no_factors(t: NDArray[np.int64]) -> NDArray[np.float64]:
    raise RuleError("only its recorded factors are known")


def _code(schedule: StepSchedule) -> Piece | None:
    """The code of a schedule that is not part of asapnb; None if all of it is."""
    parts: list[Any] = [schedule.function, *schedule.parameters.get("factors", ())]
    homes: list[Any] = [part for part in parts if isinstance(part, FileFunction)]
    homes += [part.code for part in parts if isinstance(part, StepSchedule) and part.code is not None]
    if not homes and library_name(schedule.function) is not None:
        return None
    return identified("schedule", repr(schedule), schedule, homes)
