"""How a gradient changes the parameters, and what is carried on to the next update: each kind of step, once.

`descend`, `descend_from` and `descend_into` make a step of whatever kind, in memory laid out in three ways. Engine
and replay call them with the same words, so they have the same bits. θ are the parameters, g the gradient; a step is
step_size · scale · factor. The *moments* are what a step carries on: the velocity v of momentum, the means of an
optimizer. They are vectors as long as θ, one after the other in one array.

The words `how`: the kind of the step, then its numbers, in the dtype of the problem. See `kinds`.

Twin: `updated` in tests/naive.py.
"""

import math

import numpy as np

from ..compiled import part
from .arithmetic import copy
from .choice import by_number
from .kinds import FIRST, KIND, MOMENTUM, OPTIMIZER, ORDERED, QUASI_HYPERBOLIC, SGD
from .types import Real, Vector

_BLOCK = 4096  # parameters that are copied, then changed: they are in the first-level cache meanwhile


@part()
def descend(
    params: Vector, moments: Vector, gradient: Vector, low: int, high: int, step: Real, how: Vector,
    version: int, read_version: int,
) -> None:  # fmt: skip
    """Make the step that makes a version, in place, of the parameters from `low` to `high`.

    Args:
        params: the parameters.
        moments: what steps carry on, as many vectors as the kind needs.
        gradient: of all parameters.
        low: the first parameter to change.
        high: the first after these.
        step: step_size · scale · factor. If it is 0, parameters and moments of an optimizer stay as they are, even
            where the gradient is not finite; momentum moves on.
        how: the kind of the step, and its numbers.
        version: that is made.
        read_version: of the view of the gradient.
    """
    kind, one, two = how[KIND], how[FIRST], how[FIRST + 1]
    x, v, g = params[low:high], moments[low:high], gradient[low:high]
    if kind == MOMENTUM:
        _momentum(x, v, g, one, step, one, step)
    elif kind == ORDERED:
        _ordered(x, v, g, step, one, int(two), version, read_version)
    elif kind == QUASI_HYPERBOLIC:
        _quasi_hyperbolic(x, v, g, step, one, two)
    elif step == 0:
        return
    elif kind == SGD:
        _plain(x, g, step)
    else:
        _optimize(kind - OPTIMIZER, params, moments, gradient, low, high, step, how, version)


@part()
def descend_from(
    target: Vector, source: Vector, moments: Vector, gradient: Vector, low: int, high: int, step: Real,
    how: Vector, version: int, read_version: int,
) -> None:  # fmt: skip
    """As `descend`, but target = what it makes of the source, which stays; the moments change in place."""
    if how[KIND] == SGD and step != 0:
        _plain_from(target[low:high], source[low:high], gradient[low:high], step)
        return
    for start in range(low, high, _BLOCK):
        end = min(start + _BLOCK, high)
        copy(target[start:end], source[start:end])
        descend(target, moments, gradient, start, end, step, how, version, read_version)


@part()
def descend_into(
    target: Vector, source: Vector, after: Vector, before: Vector, gradient: Vector, low: int, high: int,
    step: Real, how: Vector, version: int, read_version: int,
) -> None:  # fmt: skip
    """As `descend`, but target and after = what it makes of source and before, which stay."""
    block = _BLOCK if before.size > 0 else high - low
    for start in range(low, high, block):
        end = min(start + block, high)
        for vector in range(0, before.size, source.size):
            copy(after[vector + start : vector + end], before[vector + start : vector + end])
        descend_from(target, source, after, gradient, start, end, step, how, version, read_version)


@part()
def _plain(x: Vector, g: Vector, step: Real) -> None:
    """θ ← θ − step·g."""
    for i in range(x.size):
        x[i] -= step * g[i]


@part()
def _plain_from(target: Vector, source: Vector, g: Vector, step: Real) -> None:
    """As `_plain`, to the bit, without a copy before."""
    for i in range(target.size):
        target[i] = source[i] - step * g[i]


@part()
def _momentum(x: Vector, v: Vector, g: Vector, kept: Real, now: Real, moved: Real, whole: Real) -> None:
    """v ← kept·v − now·g, θ ← θ + (moved·v − whole·g), both of v before. Momentum: μ, the step, μ, the step."""
    for i in range(x.size):
        before = v[i]
        v[i] = kept * before - now * g[i]
        x[i] += moved * before - whole * g[i]


@part()
def _quasi_hyperbolic(x: Vector, v: Vector, g: Vector, step: Real, momentum: Real, direct: Real) -> None:
    """v ← μ·v − step·g, θ ← θ + ((1 − d)(1 − μ)·v − d·step·g)."""
    one = x.dtype.type(1)
    weight, now = (one - direct) * (one - momentum), direct * step
    for i in range(x.size):
        v[i] = momentum * v[i] - step * g[i]
        x[i] += weight * v[i] - now * g[i]


@part()
def _group(version: int, workers: int) -> int:
    """The group of a version: 0 has its own, and then as many as there are workers make the next."""
    return (version + workers - 1) // workers


@part()
def power(base: float, exponent: int) -> float:
    """base ** exponent, of multiplications alone: so all machines have the same bits. Twin: `power`."""
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@part(error_model="numpy")
def _ordered(
    x: Vector, v: Vector, g: Vector, step: Real, momentum: Real, workers: int, version: int, read_version: int
) -> None:
    """Ordered momentum: each gradient counts as in the group of the version that it was computed at.

    The first update of a group moves by the velocity, θ ← θ + μ·v, v ← μ·v. Then, of a gradient that is l groups old,
    v ← v − μˡ·step·g, θ ← θ − (1 + μ + … + μˡ)·step·g: what it would have done meanwhile.
    """
    group, mu = _group(version - 1, workers), np.float64(momentum)
    begins = version > 1 and _group(version - 2, workers) < group
    late = group - _group(read_version, workers)
    kept, moved = x.dtype.type(1), x.dtype.type(0)
    if begins:
        kept, moved = momentum, momentum
    now = x.dtype.type(power(mu, late)) * step
    whole = x.dtype.type((1 - power(mu, late + 1)) / (1 - mu)) * step
    _momentum(x, v, g, kept, now, moved, whole)


# What each optimizer makes of the parameters from `low` to `high`, in place. `how` has its options from FIRST on, and
# `moments` one vector after the other, each as long as all parameters. To add one:
# see docs/how-to/extending/optimizer.md.
@part(error_model="numpy")
def _adagrad(
    params: Vector, moments: Vector, gradient: Vector, low: int, high: int, step: Real, how: Vector, version: int
) -> None:
    """s ← s + g², θ ← θ − step·g / (√s + ε)."""
    x, s, g, epsilon = params[low:high], moments[low:high], gradient[low:high], how[FIRST]
    for i in range(x.size):
        s[i] += g[i] * g[i]
        x[i] -= step * g[i] / (math.sqrt(s[i]) + epsilon)


@part(error_model="numpy")
def _adam(
    params: Vector, moments: Vector, gradient: Vector, low: int, high: int, step: Real, how: Vector, version: int
) -> None:
    """θ ← θ − step·m̂ / (√v̂ + ε), with the means m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), of version t."""
    rate = params.dtype.type(step / (1 - power(np.float64(how[FIRST]), version)))
    share = params.dtype.type(1 / math.sqrt(1 - power(np.float64(how[FIRST + 1]), version)))
    _by_means(params, moments, gradient, low, high, rate, share, how, False)


@part()
def _amsgrad(
    params: Vector, moments: Vector, gradient: Vector, low: int, high: int, step: Real, how: Vector, version: int
) -> None:
    """θ ← θ − step·m / (√v̂ + ε), where v̂ is the largest v so far."""
    rate, share = params.dtype.type(step), params.dtype.type(1)
    _by_means(params, moments, gradient, low, high, rate, share, how, True)


@part(error_model="numpy")
def _by_means(
    params: Vector, moments: Vector, gradient: Vector, low: int, high: int, rate: Real, share: Real,
    how: Vector, keeps_largest: bool,
) -> None:  # fmt: skip
    """m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², θ ← θ − rate·m / (share·√v + ε), or of the largest v so far.

    Each loop has few vectors, else it is not vectorised; so the parameters are taken in blocks that fit into a cache.
    """
    n, beta1, beta2, epsilon = params.size, how[FIRST], how[FIRST + 1], how[FIRST + 2]
    one = params.dtype.type(1)
    rest1, rest2 = one - beta1, one - beta2
    for start in range(low, high, _BLOCK):
        end = min(start + _BLOCK, high)
        x, g, m, v = params[start:end], gradient[start:end], moments[start:end], moments[n + start : n + end]
        for i in range(x.size):
            m[i] = beta1 * m[i] + rest1 * g[i]
            v[i] = beta2 * v[i] + rest2 * g[i] * g[i]
        if keeps_largest:
            largest = moments[2 * n + start : 2 * n + end]
            for i in range(x.size):
                largest[i] = v[i] if v[i] > largest[i] else largest[i]
            v = largest
        for i in range(x.size):
            x[i] -= rate * m[i] / (share * math.sqrt(v[i]) + epsilon)


# The steps of all optimizers, by name
OPTIMIZERS = {"adam": _adam, "amsgrad": _amsgrad, "adagrad": _adagrad}
_optimize = by_number(list(OPTIMIZERS.values()))
