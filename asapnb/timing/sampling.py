"""The times of a `Timing` as arrays, and what a compiled loop draws from them.

A component is one law: a kind and up to four numbers. `component` finds the one of a purpose and a worker, once for a
run; `draw` draws from it. Every worker has a stream of its own for each purpose, a state of SplitMix64 that the loop
keeps, so what a worker draws does not depend on what others do.

A loop that calls these should count no references, as by default: counting the arrays of `Times` up and down takes
ten times as long as an exponential deviate.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import float64, int64, types, uint64

from ..compiled import kernel, part
from ..random import splitmix64
from .ziggurat import GAMMA, exponential, normal, uniform

# What a time is for: rows of `Times.first`, and the purpose of a stream (a loop may use larger ones for its own)
COMPUTE, READ, UPDATE, NETWORK, JOIN, RETRY = PURPOSES = range(6)

# Kinds of component, and what their numbers are. `draw` has a branch for each.
# CONSTANT     value
# EXPONENTIAL  shift, mean of the rest
# UNIFORM      low, high - low
# LOGNORMAL    median, sigma
# WEIBULL      scale, 1 / shape
# PARETO       minimum, 1 / alpha
# GAMMA_LAW    scale, d and c of Marsaglia and Tsang, 1 / shape where it is below 1, else 0
# EMPIRICAL    where its values begin in the table, how many there are
# MIXTURE      where its cumulative weights begin in the table, how many, the first of as many components
CONSTANT, EXPONENTIAL, UNIFORM, LOGNORMAL, WEIBULL, PARETO, GAMMA_LAW, EMPIRICAL, MIXTURE = KINDS = range(9)


class Times(NamedTuple):
    """The arrays of a `Timing` for a number of workers, as compiled loops use them. A component is one law.

    Attributes:
        kinds: the kind of each component, one of `KINDS`; (components,) int64.
        numbers: the numbers of each component, whose meaning depends on the kind; (components, 4) float64.
        table: values of empirical components, and cumulative weights of mixtures; float64.
        first: the component of each purpose and worker; (6, workers) int64, or (6, 1) if workers do not differ.
        pause_first: the place in `pauses` of each worker's first pause; (workers + 1,) int64, or (1,) without pauses.
        pauses: start and end of each pause in seconds, by worker and then by time; (pauses, 2) float64. The pauses of
            a worker do not overlap.

    >>> from asapnb.timing import Timing
    >>> Timing(compute=2.0).compiled(workers=4).first.shape
    (6, 1)
    """

    kinds: np.ndarray
    numbers: np.ndarray
    table: np.ndarray
    first: np.ndarray
    pause_first: np.ndarray
    pauses: np.ndarray


def times_type() -> types.Type:
    """The Numba type of `Times`.

    >>> times_type().instance_class.__name__
    'Times'
    """
    words, reals, pairs = types.Array(int64, 1, "C"), types.Array(float64, 1, "C"), types.Array(float64, 2, "C")
    return types.NamedTuple((words, pairs, reals, types.Array(int64, 2, "C"), words, pairs), Times)


@part(forceinline=True)
def component(times: Any, purpose: int, worker: int) -> int:
    """The component of a purpose (a row of `Times.first`) for a worker, from 0 on."""
    return times.first[purpose, worker if times.first.shape[1] > 1 else 0]


@part()
def stream(seed: int, purpose: int, worker: int) -> Any:
    """The state at which the stream of this worker and purpose begins."""
    return splitmix64(splitmix64(splitmix64(uint64(seed)) + uint64(purpose)) + uint64(worker))


@part(forceinline=True)
def draw(times: Any, component: int, state: Any) -> Any:
    """Seconds drawn from a component, and the new state of the stream; a constant leaves the state as it is."""
    c = uint64(component)  # an index that cannot be negative costs no check
    kind = times.kinds[c]
    if kind == CONSTANT:
        return times.numbers[c, 0], state
    if kind == EXPONENTIAL:
        e, state = exponential(state)
        return times.numbers[c, 0] + times.numbers[c, 1] * e, state
    if kind == MIXTURE:
        u, state = uniform(state)
        c = uint64(int64(times.numbers[c, 2]) + _place(times.table, times.numbers[c, 0], times.numbers[c, 1], u))
        kind = times.kinds[c]
    if kind == EMPIRICAL:
        i, state = uniform_integer(state, int64(times.numbers[c, 1]))
        return times.table[int64(times.numbers[c, 0]) + i], state
    return _draw(kind, times.numbers[c, 0], times.numbers[c, 1], times.numbers[c, 2], times.numbers[c, 3], state)


@part()
def _draw(kind: int, a: float, b: float, c: float, d: float, state: Any) -> Any:
    """Seconds of a kind with the numbers a, b, c, d, and the new state; NaN for a kind without a branch."""
    if kind == CONSTANT:
        return a, state
    if kind == UNIFORM:
        u, state = uniform(state)
        return a + b * u, state
    if kind == LOGNORMAL:
        z, state = normal(state)
        return a * math.exp(b * z), state
    if kind == GAMMA_LAW:
        return _gamma(a, b, c, d, state)
    e, state = exponential(state)
    if kind == WEIBULL:
        return a * e**b, state
    if kind == PARETO:
        return a * math.exp(b * e), state
    if kind == EXPONENTIAL:
        return a + b * e, state
    return math.nan, state


@part()
def _gamma(scale: float, d: float, c: float, inverse: float, state: Any) -> Any:
    """Marsaglia and Tsang 2000; a shape below 1 by way of shape + 1, with a factor U^(1/shape)."""
    while True:
        z, state = normal(state)
        y = c * z
        if y <= -1.0:
            continue
        u, state = uniform(state)
        if u < 1.0 - 0.0331 * (z * z) * (z * z):  # most are accepted without a logarithm
            break
        # d (v - 1 - log v) for v = (1 + y)^3, without the cancellation when y is small
        if -math.log(u) > d * (3.0 * (y - math.log1p(y)) + y * y * (3.0 + y)) - 0.5 * z * z:
            break
    time = scale * d * (1.0 + y) * (1.0 + y) * (1.0 + y)
    if inverse == 0.0:
        return time, state
    e, state = exponential(state)
    return time * math.exp(-e * inverse), state


@part(forceinline=True)
def _place(table: Any, start: float, count: float, u: float) -> int:
    """Which of the cumulative weights is the first above u."""
    begin, low, high = int64(start), int64(0), int64(count) - 1
    while low < high:
        middle = (low + high) >> 1
        if u < table[begin + middle]:
            high = middle
        else:
            low = middle + 1
    return low


@part(forceinline=True)
def uniform_integer(state: Any, n: int) -> Any:
    """An integer in [0, n), all exactly as likely, and the new state; for n from 1 to 2^32 - 1 (Lemire 2019)."""
    range_, mask = uint64(n), uint64(0xFFFFFFFF)
    product = (splitmix64(state) >> uint64(32)) * range_
    state += GAMMA
    if (product & mask) < range_:
        uneven = (mask + uint64(1)) % range_
        while (product & mask) < uneven:
            product = (splitmix64(state) >> uint64(32)) * range_
            state += GAMMA
    return int64(product >> uint64(32)), state


@part()
def finish(times: Any, worker: int, start: float, duration: float) -> float:
    """The second at which a computation ends.

    Args:
        times: the arrays, with the pauses.
        worker: from 0 on.
        start: the second at which it begins.
        duration: seconds that it takes, the pauses of this worker not counted.
    """
    end = start + duration
    if times.pause_first.size == 1:
        return end
    low, last = times.pause_first[worker], times.pause_first[worker + 1]
    high = last
    while low < high:  # the first pause that ends after the start
        middle = (low + high) >> 1
        if times.pauses[middle, 1] > start:
            high = middle
        else:
            low = middle + 1
    while low < last and times.pauses[low, 0] < end:
        end += times.pauses[low, 1] - max(times.pauses[low, 0], start)
        low += 1
    return end


@kernel()
def fill(out: Any, times: Any, component: int, seed: int) -> None:
    """Fill `out` (float64) with draws of a component, from the stream of worker 0 for COMPUTE."""
    state = stream(seed, COMPUTE, 0)
    for i in range(out.size):
        out[i], state = draw(times, component, state)
