"""The schedules of asapnb. t is the version that an update lands on, from 0; T is how many updates the run makes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, shown
from ..numbers import integer, real
from .registry import register
from .schedule import StepSchedule

Versions = NDArray[np.int64]
Factors = NDArray[np.float64]
_MOST = 2**53  # versions, which a float can tell apart


@register("constant()")
def constant(value: float = 1.0) -> StepSchedule:
    """value: every update has the same factor, 1 by default; value >= 0.

    Args:
        value: the factor; >= 0.

    >>> constant()(np.arange(3), total=3)
    array([1., 1., 1.])
    """
    return StepSchedule("constant", _constant, {"value": real("value", value, 0)}, _at_once)


def _constant(t: Versions, value: float) -> Factors:
    return np.full(t.shape, value)


def _at_once(total: int, **parameters: float) -> int:
    return 0


@register("warmup(n=500)")
def warmup(n: int, start: float = 0.0) -> StepSchedule:
    """start + (1 - start) min(1, (t + 1)/n): rises in a straight line, and is 1 from the n-th update on.

    Args:
        n: how many updates the rise takes; >= 1.
        start: the value at which the line begins, one update before the first; in [0, 1].

    Source: Goyal et al.: Accurate, large minibatch SGD, 2017, arXiv 1706.02677.

    >>> warmup(4)(np.arange(6), total=6)
    array([0.25, 0.5 , 0.75, 1.  , 1.  , 1.  ])
    """
    parameters = {"n": integer("n", n, 1, _MOST), "start": real("start", start, 0, 1)}
    return StepSchedule("warmup", _warmup, parameters, _warmed_up)


def _warmup(t: Versions, n: int, start: float) -> Factors:
    return 1.0 - (1.0 - start) * np.maximum(0, n - 1 - t) / n


def _warmed_up(total: int, n: int, start: float) -> int:
    return n - 1


@register("step_decay(every=1000, rate=0.1)")
def step_decay(every: int | None = None, rate: float = 0.1, at: Sequence[int] = ()) -> StepSchedule:
    """rate^floor(t/every), or rate^(how many of the versions `at` are at most t).

    Give either `every` or `at`.

    Args:
        every: updates between two steps down; >= 1.
        rate: what the factor is multiplied by at each step; >= 0.
        at: the versions at which the steps come, each above 0, such as [500, 800].

    Raises:
        UsageError: if both or none of `every` and `at` are given.

    >>> step_decay(2, rate=0.5)(np.arange(5), total=5), step_decay(at=[1, 4], rate=0.5)(np.arange(5), total=5)
    (array([1.  , 1.  , 0.5 , 0.5 , 0.25]), array([1.  , 0.5 , 0.5 , 0.5 , 0.25]))
    """
    if not isinstance(at, Sequence | np.ndarray) or isinstance(at, str):
        raise UsageError(f"at is {shown(at)}: must be a list of versions, such as [500, 800]")
    steps = tuple(sorted(integer(f"at[{i}]", version, 1, _MOST) for i, version in enumerate(at)))
    if (every is None) == (not steps):
        raise UsageError(
            f"every is {shown(every)} and at is {shown(at)}: give one of them, as in every=1000 or at=[500, 800]"
        )
    between = None if every is None else integer("every", every, 1, _MOST)
    parameters = {"every": between, "rate": real("rate", rate, 0), "at": steps}
    return StepSchedule("step_decay", _step_decay, parameters, _after_steps)


def _step_decay(t: Versions, every: int | None, rate: float, at: tuple[int, ...]) -> Factors:
    count = t // every if every is not None else np.searchsorted(at, t, side="right")
    with np.errstate(under="ignore", over="ignore"):
        return np.asarray(np.float64(rate) ** count)


def _after_steps(total: int, every: int | None, rate: float, at: tuple[int, ...]) -> int:
    return at[-1] if every is None else total


@register("cosine()")
def cosine(length: int | None = None, end: float = 0.0) -> StepSchedule:
    """end + (1 - end) (1 + cos(pi t/length))/2: half a wave, from 1 to end, and end from version `length` on.

    Args:
        length: how many updates the fall takes; >= 1. None for T, the number of updates of the run.
        end: the last factor; >= 0.

    Source: Loshchilov, Hutter: SGDR, ICLR 2017, arXiv 1608.03983.

    >>> cosine(end=0.2)(np.arange(5), total=4).round(3)
    array([1.   , 0.883, 0.6  , 0.317, 0.2  ])
    """
    return StepSchedule("cosine", _cosine, {"length": _length(length), "end": real("end", end, 0)}, _after_length)


def _cosine(t: Versions, length: int | None, end: float, total: int) -> Factors:
    wave = 0.5 + 0.5 * np.cos(np.pi * _progress(t, length, total))
    return np.where(t >= (length or total), end, end + (1.0 - end) * wave)


@register("polynomial(power=2.0)")
def polynomial(power: float = 1.0, length: int | None = None, end: float = 0.0) -> StepSchedule:
    """end + (1 - end) (1 - t/length)^power: from 1 to end, in a straight line by default; end from `length` on.

    Args:
        power: the exponent, above 0. 1 is a straight line; 2 falls fast at first and then slowly.
        length: how many updates the fall takes; >= 1. None for T, the number of updates of the run.
        end: the last factor; >= 0.

    >>> polynomial()(np.arange(5), total=4), polynomial(2, length=2, end=0.2)(np.arange(3), total=4)
    (array([1.  , 0.75, 0.5 , 0.25, 0.  ]), array([1. , 0.4, 0.2]))
    """
    parameters = {
        "power": real("power", power, 0, above=True),
        "length": _length(length),
        "end": real("end", end, 0),
    }
    return StepSchedule("polynomial", _polynomial, parameters, _after_length)


def _polynomial(t: Versions, power: float, length: int | None, end: float, total: int) -> Factors:
    return end + (1.0 - end) * (1.0 - _progress(t, length, total)) ** power


@register("inverse_sqrt(c=0.01)")
def inverse_sqrt(c: float = 1.0) -> StepSchedule:
    """1/sqrt(1 + c t): the classic step size of stochastic approximation; c >= 0, per update.

    The rule `adadelay` is this schedule with t + tau in place of t.

    Args:
        c: how fast the factor falls, per update; >= 0.

    Sources: Robbins, Monro 1951; Bottou, Curtis, Nocedal: Optimization methods for large-scale machine learning,
    2018.

    >>> inverse_sqrt(0.25)(np.array([0, 12, 32]), total=100).round(3)
    array([1.   , 0.5  , 0.333])
    """
    return StepSchedule("inverse_sqrt", inverse_sqrt_at, {"c": real("c", c, 0)}, _unless_it_falls)


def inverse_sqrt_at(t: Versions, c: float) -> Factors:
    """1/sqrt(1 + c t)."""
    return 1.0 / np.sqrt(1.0 + c * t)


def _unless_it_falls(total: int, c: float) -> int:
    return total if c else 0


def _length(given: int | None) -> int | None:
    return None if given is None else integer("length", given, 1, _MOST)


def _progress(t: Versions, length: int | None, total: int) -> Factors:
    """How much of the fall is done, from 0 to 1."""
    return np.minimum(1.0, t / (length or total))


def _after_length(total: int, length: int | None, **parameters: float) -> int:
    return length or total
