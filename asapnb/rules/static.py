"""Rules whose scale is a formula in tau. Only `fleet` depends on the staleness seen, by its percentile.

All but `constant` scale stale updates down and no update up. So the mean step shrinks, unless `preserve` keeps it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..numbers import choice, integer, real
from ..staleness import StalenessDistribution
from .framework import Rule
from .refresh import Every, Once, checked_refresh
from .registry import register

_INVERSE = {"shifted": lambda tau: 1.0 / (tau + 1), "floored": lambda tau: 1.0 / np.maximum(tau, 1)}
_BEYOND = ("scale", "drop")


def _constant(staleness: StalenessDistribution, workers: int) -> NDArray[np.float64]:
    return np.ones(len(staleness))


def _inverse(staleness: StalenessDistribution, workers: int, variant: str = "shifted") -> NDArray[np.float64]:
    return _INVERSE[variant](np.arange(len(staleness)))


def _exponential(staleness: StalenessDistribution, workers: int, beta: float) -> NDArray[np.float64]:
    return np.exp(-beta * np.arange(len(staleness)))


def _fleet(staleness: StalenessDistribution, workers: int, percentile: float | None) -> NDArray[np.float64]:
    threshold = workers + 1 if percentile is None else staleness.quantile(percentile / 100)
    half = threshold / 2
    return _exponential(staleness, workers, math.log1p(half) / half if half else 1.0)


def _polynomial(staleness: StalenessDistribution, workers: int, a: float) -> NDArray[np.float64]:
    return np.arange(1.0, len(staleness) + 1) ** -a


def _hinge(staleness: StalenessDistribution, workers: int, a: float, b: float) -> NDArray[np.float64]:
    return 1.0 / (a * np.maximum(np.arange(len(staleness)) - b, 0.0) + 1.0)


def _delay_adaptive(
    staleness: StalenessDistribution, workers: int, threshold: float | None = None, beyond: str = "scale"
) -> NDArray[np.float64]:
    tau, most = np.arange(len(staleness)), workers if threshold is None else threshold
    return np.where(tau <= most, 1.0, most / np.maximum(tau, 1) if beyond == "scale" else 0.0)


def _concurrency(staleness: StalenessDistribution, workers: int) -> NDArray[np.float64]:
    return workers / np.maximum(workers, np.arange(len(staleness)) + 1)


def _ringmaster(staleness: StalenessDistribution, workers: int, R: int) -> NDArray[np.float64]:
    return np.where(np.arange(len(staleness)) < R, 1.0, 0.0)


@register("constant()", "C1 C2 C3 C4", "plain asynchronous SGD")
def constant() -> Rule:
    """1: every update counts the same, however stale.

    >>> constant()(StalenessDistribution.from_counts([1, 1]), workers=2)
    array([1., 1.])
    """
    return Rule("constant", _constant)


@register("inverse()", "C2 C3", "Zhang et al. 2016, arXiv 1511.05950")
def inverse(variant: str = "shifted") -> Rule:
    """1/(tau + 1), or 1/max(tau, 1) with variant="floored".

    The mean step shrinks as workers are added: for m workers with exponential compute times, E[1/(tau + 1)] is
    ln m / (m - 1).

    Args:
        variant: "shifted" for 1/(tau + 1), or "floored" for 1/max(tau, 1).

    Source: Zhang et al., Staleness-aware Async-SGD, 2016, arXiv 1511.05950 (the floored variant).

    >>> inverse()(StalenessDistribution.from_counts([1, 1, 1]), workers=3).round(3)
    array([1.   , 0.5  , 0.333])
    """
    form = choice("variant of inverse", variant, _INVERSE)
    return Rule("inverse", _inverse, {} if form == "shifted" else {"variant": form})


@register("exponential(beta=0.1)", "C2 C3", "Chan, Lane 2014")
def exponential(beta: float) -> Rule:
    """exp(-beta tau), for a beta >= 0.

    Args:
        beta: how fast the scale falls, per update of staleness; >= 0.

    Source: Chan, Lane: Distributed asynchronous optimization of convolutional neural networks, Interspeech 2014.

    >>> exponential(0.5)(StalenessDistribution.from_counts([1, 1, 1]), workers=3).round(3)
    array([1.   , 0.607, 0.368])
    """
    return Rule("exponential", _exponential, {"beta": real("beta", beta, 0)})


@register("fleet(percentile=99.7)", "C2 C3", "Damaskinos et al. 2020")
def fleet(percentile: float | None = 99.7, refresh: Once | Every | None = None) -> Rule:
    """exp(-beta tau) with beta = (2/T) ln(1 + T/2), T a percentile of the staleness seen: 1/(T/2 + 1) at tau = T/2.

    If T is 0, beta is 1, the limit of the formula.

    Args:
        percentile: which percentile of the staleness seen T is, in [0, 100]. None for T = workers + 1, whatever the
            staleness.
        refresh: when a new table is made; None for every(200, half_life=2000). Only with a percentile.

    Source: Damaskinos et al.: FLeet, Middleware 2020.

    >>> fleet(None)(StalenessDistribution.from_counts([1, 1, 1]), workers=3).round(3)
    array([1.   , 0.577, 0.333])
    """
    if percentile is not None:
        share = real("percentile", percentile, 0, 100)
        return Rule("fleet", _fleet, {"percentile": share}, checked_refresh(refresh))
    if refresh is not None:
        raise UsageError(
            f"refresh is {refresh!r}: with percentile=None nothing depends on the staleness seen, so omit it"
        )
    return Rule("fleet", _fleet, {"percentile": None})


@register("polynomial(a=0.5)", "C2 C3", "Xie et al. 2019, arXiv 1903.03934")
def polynomial(a: float = 0.5) -> Rule:
    """(tau + 1)^-a, for an a >= 0.

    Args:
        a: the exponent; >= 0. 1 is `inverse`.

    Source: Xie, Koyejo, Gupta: Asynchronous federated optimization (FedAsync), 2019, arXiv 1903.03934.

    >>> polynomial()(StalenessDistribution.from_counts([1, 1, 1, 1]), workers=3).round(3)
    array([1.   , 0.707, 0.577, 0.5  ])
    """
    return Rule("polynomial", _polynomial, {"a": real("a", a, 0)})


@register("hinge(a=10.0, b=4.0)", "C2 C3", "Xie et al. 2019, arXiv 1903.03934")
def hinge(a: float = 10.0, b: float = 4.0) -> Rule:
    """1 for tau <= b, then 1/(a (tau - b) + 1); a, b >= 0.

    Args:
        a: how fast the scale falls beyond b, per update of staleness; >= 0.
        b: the largest staleness that is not scaled down, in updates; >= 0.

    Source: Xie, Koyejo, Gupta: Asynchronous federated optimization (FedAsync), 2019, arXiv 1903.03934.

    >>> hinge(a=1, b=1)(StalenessDistribution.from_counts([1, 1, 1, 1]), workers=3).round(3)
    array([1.   , 1.   , 0.5  , 0.333])
    """
    return Rule("hinge", _hinge, {"a": real("a", a, 0), "b": real("b", b, 0)})


@register("delay_adaptive()", "C2 C3", "Koloskova et al. 2022, arXiv 2206.08307")
def delay_adaptive(threshold: float | None = None, beyond: str = "scale") -> Rule:
    """1 for tau <= threshold, then threshold/tau, or 0 with beyond="drop"; threshold None is the number of workers.

    Args:
        threshold: the largest staleness that is not scaled down, in updates; None for the number of workers.
        beyond: "scale" to scale staler updates down, or "drop" to drop them.

    Source: Koloskova, Stich, Jaggi: Sharper convergence guarantees for asynchronous SGD, 2022, arXiv 2206.08307.

    >>> delay_adaptive(2)(StalenessDistribution.from_counts([1, 1, 1, 1, 1]), workers=8).round(3)
    array([1.   , 1.   , 1.   , 0.667, 0.5  ])
    """
    limit = {} if threshold is None else {"threshold": real("threshold", threshold, 0)}
    way = {} if choice("way beyond the threshold", beyond, _BEYOND) == "scale" else {"beyond": beyond}
    return Rule("delay_adaptive", _delay_adaptive, {**limit, **way})


@register("concurrency()", "C2 C3", "Mishchenko et al. 2022, arXiv 2206.07638")
def concurrency() -> Rule:
    """m / max(m, tau + 1), with m workers.

    Source: Mishchenko, Bach, Even, Woodworth: Asynchronous SGD beats minibatch SGD under arbitrary delays, 2022,
    arXiv 2206.07638.

    >>> concurrency()(StalenessDistribution.from_counts([1, 1, 1, 1]), workers=2).round(3)
    array([1.   , 1.   , 0.667, 0.5  ])
    """
    return Rule("concurrency", _concurrency)


@register("ringmaster(R=16)", "C2 C3", "Maranjyan et al. 2025, arXiv 2501.16168")
def ringmaster(R: int) -> Rule:
    """1 for tau < R, else 0: the update is dropped. R >= 1.

    Here a dropped update still makes a version; its row has dropped = 2. The paper does not count such an update.

    Args:
        R: the least staleness that is dropped, in updates; >= 1. The paper takes max(1, ceil(sigma^2/epsilon)).

    Source: Maranjyan, Tyurin, Richtárik: Ringmaster ASGD, 2025, arXiv 2501.16168.

    >>> ringmaster(2)(StalenessDistribution.from_counts([1, 1, 1, 1]), workers=2)
    array([1., 1., 0., 0.])
    """
    return Rule("ringmaster", _ringmaster, {"R": integer("R", R, 1)})
