"""Exponential and normal deviates by the ziggurat method of Marsaglia and Tsang (2000), with 256 layers.

The area under the density is cut into 256 layers of equal area, x[i] wide. A point in layer i whose abscissa is
below x[i + 1] lies under the density for sure: one draw of 64 bits gives the layer (the lowest 8 bits), the abscissa
(the highest 53) and, for the normal, the sign, and 99 % of the deviates need nothing else. No bit is used twice
(Doornik 2005). What is drawn follows the law itself, to the 53 bits of a double.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import float64, int64, uint64

from ..compiled import part
from ..random import splitmix64

GAMMA = np.uint64(0x9E3779B97F4A7C15)  # what the state of SplitMix64 grows by
_LAYERS = 256
_EXPONENTIAL_EDGE = 7.69711747013104972  # where the lowest layer ends and the tail begins
_NORMAL_EDGE = 3.6541528853610088


def _tables(
    edge: float, tail: float, density: Callable[[float], float], inverse: Callable[[float], float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each layer: its width by 2^53, the abscissa in units of that below which it is accepted, and its foot."""
    area = edge * density(edge) + tail
    x = [area / density(edge), edge]  # the lowest layer is as wide as if its tail were a rectangle too
    while len(x) < _LAYERS:
        x.append(inverse(density(x[-1]) + area / x[-1]))
    x.append(0.0)
    widths = np.array(x[:-1]) * 2.0**-53
    return widths, (np.array(x[1:]) / widths).astype(np.int64), np.array([density(value) for value in x])


_E_WIDTHS, _E_LIMITS, _E_FEET = _tables(
    _EXPONENTIAL_EDGE, math.exp(-_EXPONENTIAL_EDGE), lambda x: math.exp(-x), lambda y: -math.log(y)
)
_N_WIDTHS, _N_LIMITS, _N_FEET = _tables(
    _NORMAL_EDGE,
    math.sqrt(math.pi / 2) * math.erfc(_NORMAL_EDGE / math.sqrt(2)),
    lambda x: math.exp(-x * x / 2),
    lambda y: math.sqrt(-2 * math.log(y)),
)


@part(forceinline=True)
def uniform(state: Any) -> Any:
    """A number in [0, 1) and the new state."""
    return float64(int64(splitmix64(state) >> uint64(11))) * 2.0**-53, state + GAMMA


@part(forceinline=True)
def exponential(state: Any) -> Any:
    """An exponential deviate of mean 1 and the new state."""
    bits = splitmix64(state)
    layer, at = int64(bits & uint64(255)), int64(bits >> uint64(11))
    if at < _E_LIMITS[layer]:
        return at * _E_WIDTHS[layer], state + GAMMA
    return _exponential_beside(layer, at, state + GAMMA)


@part()
def _exponential_beside(layer: int, at: int, state: Any) -> Any:
    """The 1 % that fall beside the layer above."""
    shift = 0.0
    while True:
        x = at * _E_WIDTHS[layer]
        if at < _E_LIMITS[layer]:
            return shift + x, state
        if layer == 0:
            shift += _EXPONENTIAL_EDGE  # the tail is the law again, from the edge on
        else:
            u, state = uniform(state)
            if _E_FEET[layer] + u * (_E_FEET[layer + 1] - _E_FEET[layer]) < math.exp(-x):
                return shift + x, state
        bits = splitmix64(state)
        state += GAMMA
        layer, at = int64(bits & uint64(255)), int64(bits >> uint64(11))


@part()
def normal(state: Any) -> Any:
    """A standard normal deviate and the new state."""
    while True:
        bits = splitmix64(state)
        state += GAMMA
        layer, at = int64(bits & uint64(255)), int64(bits >> uint64(11))
        sign = 1.0 - float64(int64((bits >> uint64(7)) & uint64(2)))
        x = at * _N_WIDTHS[layer]
        if at < _N_LIMITS[layer]:
            return sign * x, state
        if layer == 0:
            while True:  # Marsaglia 1964
                a, state = exponential(state)
                b, state = exponential(state)
                a /= _NORMAL_EDGE
                if 2.0 * b > a * a:
                    return sign * (_NORMAL_EDGE + a), state
        u, state = uniform(state)
        if _N_FEET[layer] + u * (_N_FEET[layer + 1] - _N_FEET[layer]) < math.exp(-0.5 * x * x):
            return sign * x, state
