"""The laws of time. Each builder returns a `Time`; its `repr` is a text that `parse_times` reads.

Wherever a time is expected, a number stands for a constant time.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import integer, real, reals
from .arrays import Component
from .sampling import CONSTANT, EMPIRICAL, EXPONENTIAL, GAMMA_LAW, LOGNORMAL, PARETO, UNIFORM, WEIBULL
from .times import LONGEST, Time, register_law, seconds

KEPT = 1024  # values of an empirical time


def plain(time: Time) -> str:
    """A time as text, a constant as its number."""
    return str(time.mean) if time.name == "constant" else repr(time)


def as_time(value: Any, name: str) -> Time:
    """A time as it is, or a number of seconds as a constant; `name` stands in the error."""
    return value if isinstance(value, Time) else constant(seconds(name, value, ", or a time such as exponential(1)"))


def quantile_parts(
    quantile: Callable[[NDArray[np.float64]], ArrayLike], parts: int = 1024
) -> list[tuple[Time, float]]:
    """Approximate a law of bounded support by many uniform ones, as a `sampler` for `register_law`.

    The uniform laws are equally likely. So what is drawn is the straight-line interpolation of the quantiles, and the
    mean is off by about 1 / parts^2.

    Args:
        quantile: the inverse of the distribution function, from an array of probabilities to seconds.
        parts: how many uniform laws to use.

    Returns:
        A list of (time, weight).

    >>> quantile_parts(lambda u: 2 * u, parts=2)
    [(uniform(low=0.0, high=1.0), 1.0), (uniform(low=1.0, high=2.0), 1.0)]
    """
    parts = integer("parts", parts, 1)
    edges = np.maximum.accumulate(reals("quantile", quantile(np.linspace(0, 1, parts + 1)), 0, LONGEST))
    return [(uniform(low, high), 1.0) for low, high in pairwise(edges.tolist())]


# --- constant and exponential --------------------------------------------------------------------------------------


def _unbounded(mean: float, cv: float = 1.0, shape: float = 1.0) -> tuple[float, float]:
    return (0.0, math.inf) if mean > 0.0 and cv > 0.0 else (mean, mean)


@register_law(
    mean=lambda value: value,
    variance=lambda value: 0.0,
    support=lambda value: (value, value),
    sampler=lambda value: Component(CONSTANT, (value,)),
    seconds=["value"],
    examples=[{"value": 0.0}, {"value": 2.5}],
    text=lambda value: f"constant({value})",
)
def constant(value: float) -> Time:
    """Always the same time.

    Args:
        value: the time in seconds; from 0 to 1e12.

    >>> constant(0.05).sample(seed=1, size=2)
    array([0.05, 0.05])
    """
    return Time.of("constant", value=seconds("value", value))


@register_law(
    mean=lambda mean: mean,
    variance=lambda mean: mean**2,
    support=_unbounded,
    sampler=lambda mean: Component(EXPONENTIAL, (0.0, mean)),
    seconds=["mean"],
    examples=[{"mean": 2.0}],
)
def exponential(mean: float) -> Time:
    """P(X > x) = exp(-x / mean): the time that remains does not depend on the time that has passed.

    Args:
        mean: the mean in seconds; from 0 to 1e12.

    >>> exponential(2).variance
    4.0
    """
    return Time.of("exponential", mean=seconds("mean", mean))


@register_law(
    mean=lambda shift, mean: shift + mean,
    variance=lambda shift, mean: mean**2,
    support=lambda shift, mean: (shift, math.inf if mean > 0.0 else shift),
    sampler=lambda shift, mean: Component(EXPONENTIAL, (shift, mean)),
    seconds=["shift", "mean"],
    examples=[{"shift": 0.5, "mean": 2.0}],
)
def shifted_exponential(shift: float, mean: float) -> Time:
    """`shift` seconds plus an exponential time of mean `mean`. The mean of the sum is shift + mean.

    This is the usual model of stragglers.

    Args:
        shift: the fixed part, in seconds; from 0 to 1e12.
        mean: the mean of the exponential part, in seconds; from 0 to 1e12.

    Source: Lee et al. 2018, Speeding Up Distributed Machine Learning Using Codes.

    >>> shifted_exponential(shift=1, mean=0.5).mean
    1.5
    """
    return Time.of("shifted_exponential", shift=seconds("shift", shift), mean=seconds("mean", mean))


# --- by mean and coefficient of variation --------------------------------------------------------------------------


def _cv(value: Any) -> float:
    cv = real("cv", value, 0, 1000)
    if 0.0 < cv < 1e-6:
        raise UsageError(f"cv is {cv}: must be 0, or from 1e-06 to 1000")
    return cv


def _gamma_component(mean: float, cv: float) -> Component:
    inverse = cv**2  # of the shape
    d = 1.0 / inverse - 1.0 / 3.0 + (1.0 if inverse > 1.0 else 0.0)
    return Component(GAMMA_LAW, (mean * inverse, d, 1.0 / math.sqrt(9.0 * d), inverse if inverse > 1.0 else 0.0))


@register_law(
    mean=lambda mean, cv: mean,
    variance=lambda mean, cv: (mean * cv) ** 2,
    support=_unbounded,
    sampler=_gamma_component,
    seconds=["mean"],
    examples=[{"mean": 2.0, "cv": 0.3}, {"mean": 2.0, "cv": 1.5}, {"mean": 2.0, "cv": 0.0}],
)
def gamma(mean: float, cv: float) -> Time:
    """The gamma law. Its shape is 1 / cv^2: cv = 1 is exponential, cv = 1 / sqrt(k) a sum of k exponential times.

    Args:
        mean: the mean in seconds; from 0 to 1e12.
        cv: the coefficient of variation, which is standard deviation / mean: 0 (constant), or from 1e-6 to 1000.

    >>> gamma(mean=1, cv=0.5).variance
    0.25
    """
    return Time.of("gamma", mean=seconds("mean", mean), cv=_cv(cv))


@register_law(
    mean=lambda mean, cv: mean,
    variance=lambda mean, cv: (mean * cv) ** 2,
    support=_unbounded,
    sampler=lambda mean, cv: Component(LOGNORMAL, (mean / math.sqrt(1.0 + cv**2), math.sqrt(math.log1p(cv**2)))),
    seconds=["mean"],
    examples=[{"mean": 2.0, "cv": 0.5}, {"mean": 2.0, "cv": 0.0}],
)
def lognormal(mean: float, cv: float) -> Time:
    """The lognormal law: exp(Z), where Z is normal of variance log(1 + cv^2), scaled to this mean.

    Args:
        mean: the mean in seconds; from 0 to 1e12.
        cv: the coefficient of variation, which is standard deviation / mean: 0 (constant), or from 1e-6 to 1000.

    >>> lognormal(mean=2, cv=0.5).variance
    1.0
    """
    return Time.of("lognormal", mean=seconds("mean", mean), cv=_cv(cv))


# --- by shape ------------------------------------------------------------------------------------------------------


@register_law(
    mean=lambda mean, shape: mean,
    variance=lambda mean, shape: (
        mean**2 * math.expm1(math.lgamma(1.0 + 2.0 / shape) - 2.0 * math.lgamma(1.0 + 1.0 / shape))
    ),
    support=_unbounded,
    sampler=lambda mean, shape: Component(WEIBULL, (mean / math.gamma(1.0 + 1.0 / shape), 1.0 / shape)),
    seconds=["mean"],
    examples=[{"mean": 2.0, "shape": 0.6}, {"mean": 2.0, "shape": 5.0}],
)
def weibull(mean: float, shape: float) -> Time:
    """The Weibull law, P(X > x) = exp(-(x / scale)^shape). The scale follows from the mean.

    Below shape 1, the tail is longer than that of the exponential law; above 1, it is shorter.

    Args:
        mean: the mean in seconds; from 0 to 1e12.
        shape: the shape, from 0.05 to 1000; 1 is exponential.

    >>> weibull(mean=1, shape=1).variance.__round__(9)
    1.0
    """
    return Time.of("weibull", mean=seconds("mean", mean), shape=real("shape", shape, 0.05, 1000))


def _pareto_mean(minimum: float, alpha: float) -> float:
    if alpha <= 1.0 and minimum > 0.0:
        return math.inf
    return minimum and minimum * alpha / (alpha - 1.0)


def _pareto_variance(minimum: float, alpha: float) -> float:
    if alpha <= 2.0 and minimum > 0.0:
        return math.inf
    return minimum and minimum**2 * alpha / ((alpha - 1.0) ** 2 * (alpha - 2.0))


@register_law(
    mean=_pareto_mean,
    variance=_pareto_variance,
    support=lambda minimum, alpha: (minimum, math.inf if minimum > 0.0 else 0.0),
    sampler=lambda minimum, alpha: Component(PARETO, (minimum, 1.0 / alpha)),
    seconds=["minimum"],
    examples=[{"minimum": 2.0, "alpha": 5.0}, {"minimum": 2.0, "alpha": 1.5}, {"minimum": 2.0, "alpha": 0.8}],
)
def pareto(minimum: float, alpha: float) -> Time:
    """The Pareto law, P(X > x) = (minimum / x)^alpha for x >= minimum: some times are extremely long.

    The mean is infinite for alpha <= 1, and the variance for alpha <= 2.

    Args:
        minimum: the shortest time, in seconds; from 0 to 1e12.
        alpha: how fast the tail falls, from 0.1 to 1e6.

    >>> pareto(minimum=1, alpha=3).mean, pareto(minimum=1, alpha=1).mean
    (1.5, inf)
    """
    return Time.of("pareto", minimum=seconds("minimum", minimum), alpha=real("alpha", alpha, 0.1, 1e6))


@register_law(
    mean=lambda low, high: (low + high) / 2,
    variance=lambda low, high: (high - low) ** 2 / 12,
    support=lambda low, high: (low, high),
    sampler=lambda low, high: Component(UNIFORM, (low, high - low)),
    seconds=["low", "high"],
    examples=[{"low": 1.0, "high": 4.0}],
)
def uniform(low: float, high: float) -> Time:
    """Every time from `low` to `high` seconds, with the same density.

    Args:
        low: the shortest time, in seconds; from 0 to 1e12.
        high: the longest time, in seconds; >= low.

    >>> uniform(1, 3).mean
    2.0
    """
    low, high = seconds("low", low), seconds("high", high)
    if low > high:
        raise UsageError(f"uniform from {low} to {high}: low must not be above high")
    return Time.of("uniform", low=low, high=high)


# --- by values and by parts ----------------------------------------------------------------------------------------


@register_law(
    mean=lambda values: math.fsum(values) / len(values),
    variance=lambda values: float(np.var(values)),
    support=lambda values: (values[0], values[-1]),
    sampler=lambda values: Component(EMPIRICAL, values=values),
    seconds=["values"],
    examples=[{"values": [3.0, 1.0, 1.0, 0.25]}],
)
def empirical(values: ArrayLike) -> Time:
    """One of these values, all equally likely: for times that were measured.

    From more than 1,024 values, 1,024 are kept: evenly spaced ones of the sorted values, scaled so that the mean
    stays the same.

    Args:
        values: seconds, one axis, such as run.updates["t_ready"] - run.updates["t_read"].

    >>> empirical([3, 1, 1])
    empirical(values=[1.0, 1.0, 3.0])
    """
    times = np.sort(reals("values", values, 0, LONGEST, axes=None).ravel())
    if (n := times.size) > KEPT:
        kept = times[((np.arange(KEPT) + 0.5) * (n / KEPT)).astype(np.int64)]
        if kept[-1] == 0.0:  # nearly all values are 0: let one stand for those that are not
            kept[-1] = times[-1]
        times = kept * (times.mean() / kept.mean()) if kept.any() else kept
    return Time.of("empirical", values=tuple(times.tolist()))


def _mixture_mean(times: tuple[Time, ...], weights: tuple[float, ...]) -> float:
    return math.fsum(time.mean * share for time, share in zip(times, weights, strict=True)) / math.fsum(weights)


def _mixture_variance(times: tuple[Time, ...], weights: tuple[float, ...]) -> float:
    if not math.isfinite(mean := _mixture_mean(times, weights)):
        return math.inf
    within = (share * (time.variance + (time.mean - mean) ** 2) for time, share in zip(times, weights, strict=True))
    return math.fsum(within) / math.fsum(weights)


@register_law(
    mean=_mixture_mean,
    variance=_mixture_variance,
    support=lambda times, weights: (min(time.support[0] for time in times), max(time.support[1] for time in times)),
    sampler=lambda times, weights: tuple(zip(times, weights, strict=True)),
    seconds=["times"],
    examples=[{"times": (0.5, exponential(5.0), uniform(0.0, 1.0)), "weights": [5, 1, 4]}],
    text=lambda times, weights: f"mixture({', '.join(map(plain, times))}, weights={list(weights)})",
)
def mixture(*times: Time | float, weights: Sequence[float] | None = None) -> Time:
    """One of several laws, chosen anew for each draw: law i with probability weights[i] / sum(weights).

    Args:
        times: the laws, or numbers of seconds.
        weights: a number > 0 for each law; None for equal weights.

    >>> mixture(0.1, exponential(mean=5), weights=[0.9, 0.1]).mean.__round__(9)
    0.59
    """
    parts = tuple(as_time(time, f"times[{i}] of mixture") for i, time in enumerate(times))
    shares = [1.0] * len(parts) if weights is None else reals("weights", weights, 1e-12).tolist()
    if len(shares) != len(parts) or not parts:
        raise UsageError(f"weights are {weights} for {len(parts)} times: give mixture at least one time, and one "
                         "weight > 0 for each: mixture(1.0, exponential(5), weights=[9, 1])")  # fmt: skip
    return Time.of("mixture", times=parts, weights=tuple(shares))
