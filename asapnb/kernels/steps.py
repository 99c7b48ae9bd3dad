"""How a gradient changes the parameters, and what is carried on to the next update: each kind of step, once.

`descend`, `descend_from` and `descend_into` make a step of whatever kind, in memory laid out in three ways. Engine
and replay call them with the same words, so they have the same bits. θ are the parameters, g the gradient; a step is
step_size · scale · factor. The *moments* are what a step carries on: the velocity v of momentum, the means of an
optimizer. They are vectors as long as θ, one after the other in one array.

The words `how`: the kind of the step, then its numbers, in the dtype of the problem. See `kinds`.

Twin: `updated` in tests/naive.py.
"""

from ..compiled import part
from .arithmetic import copy
from .kinds import FIRST, KIND, MOMENTUM, QUASI_HYPERBOLIC, SGD
from .types import Real, Vector

_BLOCK = 4096  # parameters that are copied, then changed: they are in the first-level cache meanwhile


@part()
def descend(
    params: Vector,
    moments: Vector,
    gradient: Vector,
    low: int,
    high: int,
    step: Real,
    how: Vector,
    version: int,
    read_version: int,
) -> None:
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
    kind, one = how[KIND], how[FIRST]
    x, g = params[low:high], gradient[low:high]
    if kind == MOMENTUM:
        _momentum(x, moments[low:high], g, step, one)
    elif kind == QUASI_HYPERBOLIC:
        _quasi_hyperbolic(x, moments[low:high], g, step, one, how[FIRST + 1])
    elif step != 0:
        _plain(x, g, step)


@part()
def descend_from(
    target: Vector,
    source: Vector,
    moments: Vector,
    gradient: Vector,
    low: int,
    high: int,
    step: Real,
    how: Vector,
    version: int,
    read_version: int,
) -> None:
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
    target: Vector,
    source: Vector,
    after: Vector,
    before: Vector,
    gradient: Vector,
    low: int,
    high: int,
    step: Real,
    how: Vector,
    version: int,
    read_version: int,
) -> None:
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
def _momentum(x: Vector, v: Vector, g: Vector, step: Real, momentum: Real) -> None:
    """v ← μ·v − step·g, θ ← θ + v."""
    for i in range(x.size):
        v[i] = momentum * v[i] - step * g[i]
        x[i] += v[i]


@part()
def _quasi_hyperbolic(x: Vector, v: Vector, g: Vector, step: Real, momentum: Real, direct: Real) -> None:
    """v ← μ·v − step·g, θ ← θ + ((1 − d)(1 − μ)·v − d·step·g)."""
    one = x.dtype.type(1)
    weight, now = (one - direct) * (one - momentum), direct * step
    for i in range(x.size):
        v[i] = momentum * v[i] - step * g[i]
        x[i] += weight * v[i] - now * g[i]
