"""Rules whose table is a formula in tau and does not depend on the staleness seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import unknown
from ..staleness import StalenessDistribution
from .framework import Rule, register

_INVERSE = {"shifted": lambda tau: 1.0 / (tau + 1), "floored": lambda tau: 1.0 / np.maximum(tau, 1)}


def _constant(staleness: StalenessDistribution, workers: int) -> NDArray[np.float64]:
    return np.ones(len(staleness))


def _inverse(staleness: StalenessDistribution, workers: int, variant: str = "shifted") -> NDArray[np.float64]:
    return _INVERSE[variant](np.arange(len(staleness)))


@register
def constant() -> Rule:
    """1: every update counts the same, however stale.

    >>> constant()(StalenessDistribution.from_counts([1, 1]), workers=2)
    array([1., 1.])
    """
    return Rule("constant", _constant)


@register
def inverse(variant: str = "shifted") -> Rule:
    """1/(tau + 1), or 1/max(tau, 1) with variant="floored".

    Dampens stale updates without leveraging fresh ones, so the mean step shrinks as workers are added. Zhang et al.,
    Staleness-aware Async-SGD, 2016, arXiv 1511.05950 (the floored variant).

    >>> inverse()(StalenessDistribution.from_counts([1, 1, 1]), workers=3).round(3)
    array([1.   , 0.5  , 0.333])
    """
    if variant not in _INVERSE:
        raise unknown("variant of inverse", variant, _INVERSE)
    return Rule("inverse", _inverse, {} if variant == "shifted" else {"variant": variant})
