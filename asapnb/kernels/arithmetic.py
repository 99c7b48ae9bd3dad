"""The arithmetic of an update: of every scheme, on threads, in virtual time and in a replay.

It is compiled without fastmath and has the same expressions in the same order wherever an update is made. So a replay
gives the bits of the run. Here stands what is done to a gradient g, at parameters θ; the step itself is in `steps`.

Twin, in tests/naive.py: `corrected`.
"""

import math

import numpy as np

from ..compiled import part
from .types import Real, Vector


@part()
def copy(target: Vector, source: Vector) -> None:
    """target = source, of one-dimensional arrays. A loop is vectorised better than an assignment to a slice."""
    for i in range(target.size):
        target[i] = source[i]


@part()
def add(target: Vector, source: Vector) -> None:
    """target += source."""
    for i in range(target.size):
        target[i] += source[i]


@part()
def step_into(target: Vector, source: Vector, gradient: Vector, step: Real) -> None:
    """target = source − step·g."""
    for i in range(target.size):
        target[i] = source[i] - step * gradient[i]


@part()
def clip_norm(gradient: Vector, most: Real) -> float:
    """g ← g·min(1, most/|g|); returns |g| from before. Eight sums at once, as one waits for each of its additions."""
    a = b = c = d = e = f = g = h = 0.0
    whole = gradient.size // 8 * 8
    for i in range(0, whole, 8):
        a += np.float64(gradient[i]) ** 2
        b += np.float64(gradient[i + 1]) ** 2
        c += np.float64(gradient[i + 2]) ** 2
        d += np.float64(gradient[i + 3]) ** 2
        e += np.float64(gradient[i + 4]) ** 2
        f += np.float64(gradient[i + 5]) ** 2
        g += np.float64(gradient[i + 6]) ** 2
        h += np.float64(gradient[i + 7]) ** 2
    for i in range(whole, gradient.size):
        a += np.float64(gradient[i]) ** 2
    norm = math.sqrt(((a + b) + (c + d)) + ((e + f) + (g + h)))
    if norm > most:
        share = gradient.dtype.type(most / norm)
        for i in range(gradient.size):
            gradient[i] *= share
    return norm


@part()
def add_decay(gradient: Vector, view: Vector, decay: Real) -> None:
    """g += λ·view."""
    for i in range(gradient.size):
        gradient[i] += decay * view[i]


@part()
def compensate(target: Vector, gradient: Vector, params: Vector, view: Vector, strength: Real) -> None:
    """target = g + κ·g·g·(θ − view): the gradient at θ to first order, with g·g as the Hessian."""
    for i in range(gradient.size):
        g = gradient[i]
        target[i] = g + strength * g * g * (params[i] - view[i])


@part()
def accumulate(total: Vector, gradient: Vector, weight: Real, first: bool) -> None:
    """total ← weight·g for the first gradient of a sum, else total += weight·g; a weight of 0 adds nothing."""
    if weight == 0:  # even where the gradient is not finite
        for i in range(total.size if first else 0):
            total[i] = 0
    elif first:
        for i in range(total.size):
            total[i] = weight * gradient[i]
    else:
        for i in range(total.size):
            total[i] += weight * gradient[i]


@part()
def divide(total: Vector, count: int) -> None:
    """total ← total·(1/count), of a sum of so many gradients."""
    share = total.dtype.type(1) / total.dtype.type(count)
    for i in range(total.size):
        total[i] *= share
