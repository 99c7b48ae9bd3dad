"""Times of work by distribution, in virtual seconds: what is drawn each time a worker computes, reads or updates.

Each builder returns a `Time`, which knows its mean, variance and support exactly and prints as the text that
`parse_times` reads. A plain number serves as a constant everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .laws import LAWS

LONGEST = 1e12  # seconds in a parameter: its square times any count of draws is far from overflow
KEPT = 1024  # values of an empirical time
_IN_SECONDS = ("value", "mean", "shift", "minimum", "low", "high")


@dataclass(frozen=True)
class Time:
    """A non-negative random time; made by the functions of this module, equal when name and parameters are.

    >>> time = gamma(mean=2, cv=0.5)
    >>> time, time.mean, time.variance, time.support
    (gamma(mean=2.0, cv=0.5), 2.0, 1.0, (0.0, inf))
    """

    name: str
    parameters: tuple[tuple[str, Any], ...]

    @property
    def mean(self) -> float:
        """The expectation, in virtual seconds; infinite for some (see `finite_mean`)."""
        return LAWS[self.name].mean(**dict(self.parameters))

    @property
    def variance(self) -> float:
        """The variance; may be infinite."""
        return LAWS[self.name].variance(**dict(self.parameters))

    @property
    def support(self) -> tuple[float, float]:
        """The least and the largest time; both equal where nothing is random."""
        return LAWS[self.name].support(**dict(self.parameters))

    @property
    def finite_mean(self) -> bool:
        """Whether averages over many draws settle at all."""
        return math.isfinite(self.mean)

    def scaled(self, factor: float) -> Time:
        """The law of `factor` times this time.

        >>> exponential(0.5).scaled(4)
        exponential(mean=2.0)
        """
        factor = number("factor", factor)
        given = dict(self.parameters)
        if self.name == "mixture":
            return mixture(*(part.scaled(factor) for part in given["times"]), weights=given["weights"])
        if self.name == "empirical":
            return empirical([factor * value for value in given["values"]])
        return TIMES[self.name](**{key: v * factor if key in _IN_SECONDS else v for key, v in given.items()})

    def sample(self, seed: int, size: int) -> NDArray[np.float64]:
        """Independent draws, a function of the seed, by the sampler that compiled loops use.

        >>> exponential(mean=1).sample(seed=1, size=3).round(4).tolist()
        [2.0107, 0.8962, 0.9669]
        """
        from .arrays import compile_times
        from .sampling import fill

        out, times = np.empty(size), compile_times([[self]], [], 1)
        fill(out, times, times.first[0, 0], seed)
        return out

    def __repr__(self) -> str:
        given = dict(self.parameters)
        if self.name == "constant":
            return f"constant({given['value']})"
        if self.name == "mixture":
            return f"mixture({', '.join(map(plain, given['times']))}, weights={list(given['weights'])})"
        shown = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in shown.items())})"


def plain(time: Time) -> str:
    """A time as text, a constant as its number."""
    return str(time.mean) if time.name == "constant" else repr(time)


def constant(value: float) -> Time:
    """Always `value`, >= 0.

    >>> constant(0.05).sample(seed=1, size=2)
    array([0.05, 0.05])
    """
    return Time("constant", (("value", number("value", value)),))


def exponential(mean: float) -> Time:
    """P(X > x) = exp(-x / mean), for a mean >= 0: what is left does not depend on what has passed.

    >>> exponential(2).variance
    4.0
    """
    return Time("exponential", (("mean", number("mean", mean)),))


def shifted_exponential(shift: float, mean: float) -> Time:
    """`shift` + an exponential time of mean `mean`, so that the mean of both is shift + mean.

    The usual model of stragglers: Lee et al. 2018, Speeding Up Distributed Machine Learning Using Codes.

    >>> shifted_exponential(shift=1, mean=0.5).mean
    1.5
    """
    return Time("shifted_exponential", (("shift", number("shift", shift)), ("mean", number("mean", mean))))


def gamma(mean: float, cv: float) -> Time:
    """The gamma law of this mean and coefficient of variation cv = standard deviation / mean, shape 1 / cv^2.

    cv = 1 is exponential, cv = 1 / sqrt(k) the sum of k exponential times (Erlang), 0 constant; else cv is from 1e-6
    to 1000.

    >>> gamma(mean=1, cv=0.5).variance
    0.25
    """
    return Time("gamma", (("mean", number("mean", mean)), ("cv", _cv(cv))))


def lognormal(mean: float, cv: float) -> Time:
    """exp(Z) with Z normal of variance log(1 + cv^2), scaled to this mean; cv is 0 or from 1e-6 to 1000.

    >>> lognormal(mean=2, cv=0.5).variance
    1.0
    """
    return Time("lognormal", (("mean", number("mean", mean)), ("cv", _cv(cv))))


def weibull(mean: float, shape: float) -> Time:
    """P(X > x) = exp(-(x / scale)^shape), the scale such that this is the mean; shape is from 0.05 to 1000.

    Below shape 1 the tail is longer than the exponential's, above it shorter.

    >>> weibull(mean=1, shape=1).variance.__round__(9)
    1.0
    """
    return Time("weibull", (("mean", number("mean", mean)), ("shape", number("shape", shape, 0.05, 1000.0))))


def pareto(minimum: float, alpha: float) -> Time:
    """P(X > x) = (minimum / x)^alpha for x >= minimum; alpha is from 0.1 to 1e6.

    The mean is infinite for alpha <= 1, the variance for alpha <= 2.

    >>> pareto(minimum=1, alpha=3).mean, pareto(minimum=1, alpha=1).mean
    (1.5, inf)
    """
    return Time("pareto", (("minimum", number("minimum", minimum)), ("alpha", number("alpha", alpha, 0.1, 1e6))))


def uniform(low: float, high: float) -> Time:
    """Every time from `low` to `high` with the same density.

    >>> uniform(1, 3).mean
    2.0
    """
    low, high = number("low", low), number("high", high)
    if low > high:
        raise UsageError(f"uniform from {low} to {high}: low must not be above high")
    return Time("uniform", (("low", low), ("high", high)))


def empirical(values: ArrayLike) -> Time:
    """One of these values, each as likely: measured times, such as run.updates["t_ready"] - run.updates["t_read"].

    Of more than 1,024 values, 1,024 evenly spaced order statistics are kept, and scaled so that the mean stays.

    >>> empirical([3, 1, 1])
    empirical(values=[1.0, 1.0, 3.0])
    """
    try:
        seconds = np.sort(np.asarray(values, np.float64).ravel())
    except (TypeError, ValueError):
        raise UsageError(f"values are {values!r:.80}: give an array of times >= 0") from None
    if not seconds.size:
        raise UsageError("values are empty: give at least one time >= 0")
    for value in (seconds[0], seconds[-1]):  # NaN is sorted to the end
        number("a value of empirical", value)
    if (n := seconds.size) > KEPT:
        kept = seconds[((np.arange(KEPT) + 0.5) * (n / KEPT)).astype(np.int64)]
        if kept[-1] == 0.0:  # nearly all values are 0: let one stand for those that are not
            kept[-1] = seconds[-1]
        seconds = kept * (seconds.mean() / kept.mean()) if kept.any() else kept
    return Time("empirical", (("values", tuple(seconds.tolist())),))


def mixture(*times: Time | float, weights: Sequence[float] | None = None) -> Time:
    """Each time one of these, chosen with probability weights[i] / sum(weights); equal weights unless given.

    >>> mixture(0.1, exponential(mean=5), weights=[0.9, 0.1]).mean.__round__(9)
    0.59
    """
    parts = tuple(as_time(time, f"times[{i}] of mixture") for i, time in enumerate(times))
    shares = [1.0] * len(parts) if weights is None else weights
    if not isinstance(shares, Sequence | np.ndarray) or len(shares) != len(parts) or not parts:
        raise UsageError(f"weights are {weights} for {len(parts)} times: give mixture at least one time, and one "
                         "weight > 0 for each: mixture(1.0, exponential(5), weights=[9, 1])")  # fmt: skip
    shares = tuple(number(f"weights[{i}]", share, 1e-12) for i, share in enumerate(shares))
    return Time("mixture", (("times", parts), ("weights", shares)))


def as_time(value: Any, name: str) -> Time:
    """A time, or a number as a constant; `name` says in an error what it was for."""
    if isinstance(value, Time):
        return value
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return constant(number(name, value))
    raise UsageError(f"{name} is {value!r:.80}: must be a number of seconds or a time such as exponential(1)")


def number(name: str, value: Any, least: float = 0.0, largest: float = LONGEST) -> float:
    """`value` as a float from `least` to `largest`."""
    if (
        not isinstance(value, int | float | np.integer | np.floating)
        or isinstance(value, bool)
        or not least <= value <= largest
    ):
        raise UsageError(f"{name} is {value!r}: must be a number from {least:g} to {largest:g}")
    return float(value)


def _cv(value: Any) -> float:
    cv = number("cv", value, 0.0, 1000.0)
    if 0.0 < cv < 1e-6:
        raise UsageError(f"cv is {cv}: must be 0, or from 1e-06 to 1000")
    return cv


TIMES: dict[str, Callable[..., Time]] = {
    builder.__name__: builder
    for builder in (
        constant,
        exponential,
        shifted_exponential,
        gamma,
        lognormal,
        weibull,
        pareto,
        uniform,
        empirical,
        mixture,
    )
}
