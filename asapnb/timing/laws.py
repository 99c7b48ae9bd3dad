"""Mean, variance and support of each law, as functions of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class _Law(NamedTuple):
    """Moments and support as functions of the parameters."""

    mean: Callable[..., float]
    variance: Callable[..., float]
    support: Callable[..., tuple[float, float]]


def weibull_scale(mean: float, shape: float) -> float:
    """The scale at which a Weibull law has this mean."""
    return mean / math.gamma(1.0 + 1.0 / shape)


def _weibull_variance(mean: float, shape: float) -> float:
    return mean**2 * math.expm1(math.lgamma(1.0 + 2.0 / shape) - 2.0 * math.lgamma(1.0 + 1.0 / shape))


def _pareto_mean(minimum: float, alpha: float) -> float:
    if alpha <= 1.0 and minimum > 0.0:
        return math.inf
    return minimum and minimum * alpha / (alpha - 1.0)


def _pareto_variance(minimum: float, alpha: float) -> float:
    if alpha <= 2.0 and minimum > 0.0:
        return math.inf
    return minimum and minimum**2 * alpha / ((alpha - 1.0) ** 2 * (alpha - 2.0))


def _mixture_mean(times: tuple[Any, ...], weights: tuple[float, ...]) -> float:
    return math.fsum(time.mean * share for time, share in zip(times, weights, strict=True)) / math.fsum(weights)


def _mixture_variance(times: tuple[Any, ...], weights: tuple[float, ...]) -> float:
    if not math.isfinite(mean := _mixture_mean(times, weights)):
        return math.inf
    within = (share * (time.variance + (time.mean - mean) ** 2) for time, share in zip(times, weights, strict=True))
    return math.fsum(within) / math.fsum(weights)


def _unbounded(mean: float, cv: float = 1.0, shape: float = 1.0) -> tuple[float, float]:
    return (0.0, math.inf) if mean > 0.0 and cv > 0.0 else (mean, mean)


LAWS = {
    "constant": _Law(lambda value: value, lambda value: 0.0, lambda value: (value, value)),
    "exponential": _Law(lambda mean: mean, lambda mean: mean**2, _unbounded),
    "shifted_exponential": _Law(
        lambda shift, mean: shift + mean,
        lambda shift, mean: mean**2,
        lambda shift, mean: (shift, math.inf if mean > 0.0 else shift),
    ),
    "gamma": _Law(lambda mean, cv: mean, lambda mean, cv: (mean * cv) ** 2, _unbounded),
    "lognormal": _Law(lambda mean, cv: mean, lambda mean, cv: (mean * cv) ** 2, _unbounded),
    "weibull": _Law(lambda mean, shape: mean, _weibull_variance, _unbounded),
    "pareto": _Law(
        _pareto_mean, _pareto_variance, lambda minimum, alpha: (minimum, math.inf if minimum > 0.0 else 0.0)
    ),
    "uniform": _Law(
        lambda low, high: (low + high) / 2, lambda low, high: (high - low) ** 2 / 12, lambda low, high: (low, high)
    ),
    "empirical": _Law(
        lambda values: math.fsum(values) / len(values),
        lambda values: float(np.var(values)),
        lambda values: (values[0], values[-1]),
    ),
    "mixture": _Law(
        _mixture_mean,
        _mixture_variance,
        lambda times, weights: (min(time.support[0] for time in times), max(time.support[1] for time in times)),
    ),
}
