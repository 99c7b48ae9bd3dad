"""What a time is, and the table of the laws of times.

A law of time is declared once, where `register_law` decorates its builder: the checks of the parameters, mean,
variance and support, how the compiled sampler draws it, which parameters are seconds, how it prints, and examples.
Everything else follows: scaling, texts, files, equality, arrays, tests. `laws` has the laws of this package.
"""

from __future__ import annotations

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..memory import check_memory
from ..numbers import choice, integer, real
from .arrays import Component, compile_times
from .sampling import PURPOSES, fill

LONGEST = 1e12  # seconds in a parameter: its square times any count of draws is far from overflow


@dataclass(frozen=True)
class Time:
    """A random time, never negative. Builders such as `exponential` make it.

    Two times are equal if their laws and parameters are.

    Attributes:
        name: the name of the law.
        parameters: pairs of a name and a value. A value is a number, a tuple of numbers, or a tuple of times.

    >>> from asapnb.timing import gamma
    >>> time = gamma(mean=2, cv=0.5)
    >>> time, time.mean, time.variance, time.support
    (gamma(mean=2.0, cv=0.5), 2.0, 1.0, (0.0, inf))
    """

    name: str
    parameters: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, law: str, /, **parameters: Any) -> Time:
        """Make a time of a law. Only builders call this, after they have checked the parameters."""
        return cls(law, tuple(parameters.items()))

    @property
    def law(self) -> Law:
        """The declaration of the law."""
        return LAWS[choice("law of time", self.name, LAWS)]

    @property
    def mean(self) -> float:
        """The expectation, in virtual seconds; infinite for some laws (see `finite_mean`)."""
        return self.law.mean(**dict(self.parameters))

    @property
    def variance(self) -> float:
        """The variance, in virtual seconds squared; infinite for some laws."""
        return self.law.variance(**dict(self.parameters))

    @property
    def support(self) -> tuple[float, float]:
        """The least and the largest possible time, in virtual seconds; equal for a constant."""
        return self.law.support(**dict(self.parameters))

    @property
    def finite_mean(self) -> bool:
        """Whether the mean is finite. If not, averages never settle, however many times are drawn."""
        return math.isfinite(self.mean)

    @property
    def sampler(self) -> Component | Sequence[tuple[Time, float]]:
        """How the compiled sampler draws the time; see `register_law`."""
        return self.law.sampler(**dict(self.parameters))

    def scaled(self, factor: float) -> Time:
        """This time, `factor` times as long; the factor is from 0 to 1e12.

        >>> from asapnb.timing import exponential
        >>> exponential(0.5).scaled(4)
        exponential(mean=2.0)
        """
        by = real("factor", factor, 0, LONGEST)
        law = self.law
        return law.build({key: _times(v, by) if key in law.seconds else v for key, v in self.parameters})

    def sample(self, seed: int, size: int) -> NDArray[np.float64]:
        """Draw `size` independent times in seconds, float64, with the sampler of the compiled loops.

        The same seed gives the same times.

        >>> from asapnb.timing import exponential
        >>> exponential(mean=1).sample(seed=1, size=3).round(4).tolist()
        [2.0107, 0.8962, 0.9669]
        """
        count = integer("size", size)
        check_memory(f"a sample of {count:,} times", 8 * count, "draw fewer")
        out, times = np.empty(count), compile_times([[self]] * len(PURPOSES), [], 1)
        fill(out, times, times.first[0, 0], integer("seed", seed, 0, 2**63 - 1))
        return out

    def __repr__(self) -> str:
        if self.law.text is not None:
            return self.law.text(**dict(self.parameters))
        given = (f"{key}={list(value) if isinstance(value, tuple) else value}" for key, value in self.parameters)
        return f"{self.name}({', '.join(given)})"


@dataclass(frozen=True)
class Law:
    """What is declared of a law.

    Attributes:
        builder: the function that checks parameters and makes the time.
        signature: the signature of the builder.
        mean, variance, support, sampler, seconds, examples, text: as in `register_law`. Functions are called with the
            parameters by name.
    """

    builder: Callable[..., Time]
    signature: inspect.Signature
    mean: Callable[..., float]
    variance: Callable[..., float]
    support: Callable[..., tuple[float, float]]
    sampler: Callable[..., Component | Sequence[tuple[Time, float]]]
    seconds: tuple[str, ...]
    examples: tuple[Mapping[str, Any], ...]
    text: Callable[..., str] | None

    def build(self, parameters: Mapping[str, Any]) -> Time:
        """Make the time of these parameters. The builder checks them."""
        given = inspect.BoundArguments(self.signature, OrderedDict(parameters))
        return self.builder(*given.args, **given.kwargs)


LAWS: dict[str, Law] = {}
TIMES: dict[str, Callable[..., Time]] = {}  # the builders, by name: what texts may call

_Builder = TypeVar("_Builder", bound=Callable[..., Time])


def register_law(
    *,
    mean: Callable[..., float],
    variance: Callable[..., float],
    support: Callable[..., tuple[float, float]],
    sampler: Callable[..., Component | Sequence[tuple[Time, float]]],
    seconds: Sequence[str],
    examples: Sequence[Mapping[str, Any]],
    text: Callable[..., str] | None = None,
) -> Callable[[_Builder], _Builder]:
    """Declare a law of time by decorating its builder.

    The builder checks the parameters and returns `Time.of(its own name, **parameters)`. From then on texts may name
    the law, and it can be scaled, mixed, saved and simulated like any other. Another process must run the
    declaration too, before it reads such a time from a file or a pickle.

    Args:
        mean: the mean in seconds. This and the next three are functions of the parameters, by name.
        variance: the variance in seconds squared.
        support: the least and the largest possible time, in seconds.
        sampler: how times are drawn. Return a `Component`, of one of the kinds in `asapnb.timing.sampling`; or a list
            of (time, weight), one of which is drawn each time. For a law of bounded support, `quantile_parts` makes
            such a list from the inverse of the distribution function. If the support is a single time, this is not
            called.
        seconds: the names of the parameters that are seconds. They are multiplied when a time is scaled.
        examples: sets of arguments of the builder, at least one. Each is checked at once.
        text: returns the text that makes such a time again. None if that is "name(parameter=value, …)".

    Raises:
        UsageError: if an example contradicts the declaration, such as a mean that does not double when all `seconds`
            do; or if another law has the name.

    >>> from asapnb.numbers import real
    >>> from asapnb.timing import parse_times, quantile_parts
    >>> @register_law(
    ...     mean=lambda high: high / 2,
    ...     variance=lambda high: high**2 / 8,
    ...     support=lambda high: (0.0, high),
    ...     sampler=lambda high: quantile_parts(lambda u: high * np.sin(np.pi / 2 * u) ** 2),
    ...     seconds=["high"],
    ...     examples=[{"high": 3.0}],
    ... )
    ... def sine(high: float) -> Time:
    ...     '''The arcsine law from 0 to `high`.'''
    ...     return Time.of("sine", high=real("high", high, 0, 1e12))
    >>> parse_times("sine(2)").scaled(3), sine(2).sample(seed=1, size=2).round(3).tolist()
    (sine(high=6.0), [1.936, 1.874])
    >>> del LAWS["sine"], TIMES["sine"]  # this example leaves no trace
    """

    def register(builder: _Builder) -> _Builder:
        name, signature = builder.__name__, inspect.signature(builder)
        law = Law(builder, signature, mean, variance, support, sampler, tuple(seconds), tuple(examples), text)
        if name in LAWS and LAWS[name].builder.__module__ != builder.__module__:
            raise UsageError(f"the law {name!r} exists, in {LAWS[name].builder.__module__}: choose another name")
        LAWS[name], TIMES[name] = law, builder
        try:
            _check(name, law)
        except BaseException:
            del LAWS[name], TIMES[name]
            raise
        return builder

    return register


def seconds(name: str, value: Any, note: str = "") -> float:
    """Check a parameter of a builder that is seconds, from 0 to 1e12, and return it as a float.

    Args:
        name: the name of the parameter, for the error.
        value: the value that was given.
        note: the end of the error message.

    >>> seconds("mean", 2)
    2.0
    """
    return real(name, value, 0, LONGEST, note=f" seconds{note}")


def _times(value: Any, factor: float) -> Any:
    """A parameter that is seconds, times `factor`."""
    if isinstance(value, tuple):
        return tuple(_times(one, factor) for one in value)
    return value.scaled(factor) if isinstance(value, Time) else value * factor


def _check(name: str, law: Law) -> None:
    """UsageError unless the examples agree with what is declared."""
    if not law.examples:
        raise UsageError(f"the law {name!r} has no examples: give at least one set of arguments")
    for example in law.examples:
        time = law.build(example)
        if time.name != name or [key for key, _ in time.parameters] != list(law.signature.parameters):
            raise UsageError(f"the builder of {name!r} made {time.name}{dict(time.parameters)}: must return Time.of("
                             f"{name!r}, …) with the parameters {', '.join(law.signature.parameters)}")  # fmt: skip
        low, high = time.support
        if not (0 <= low <= high and low * (1 - 1e-9) <= time.mean <= high * (1 + 1e-9) and time.variance >= 0):
            raise UsageError(f"{time} has mean {time.mean}, variance {time.variance} and support {time.support}: the "
                             "mean must lie within the support, and nothing may be negative")  # fmt: skip
        twice = time.scaled(2.0)
        for what, once, doubled in (
            ("mean", 2 * time.mean, twice.mean),
            ("variance", 4 * time.variance, twice.variance),
            ("least time", 2 * low, twice.support[0]),
            ("largest time", 2 * high, twice.support[1]),
        ):
            if not math.isclose(once, doubled, rel_tol=1e-9):
                raise UsageError(f"{time} scaled by 2 is {twice}, of {what} {doubled}: must be {once}; name every "
                                 "parameter that is seconds in `seconds`")  # fmt: skip
        compile_times([[time]] * len(PURPOSES), [], 1)
