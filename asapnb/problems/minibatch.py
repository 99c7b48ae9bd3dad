"""Minibatch order: a keyed permutation of (seed, epoch, position), so that no worker ever waits for a shuffle.

Ticket t counts minibatches over all epochs: epoch t // ceil(n / batch_size), of which the last minibatch may be
ragged. Position p of an epoch holds sample E(p), where E is a bijection of [0, n) made of four rounds of
add, multiply by an odd number and xor-shift on the next power of two; values beyond n are walked on until
they fall below it (cycle walking; above 128 samples fewer than two steps on average).
"""

from __future__ import annotations

from typing import Any

from numba import int64, uint64

from ..compiled import kernel, part
from ..random import splitmix64

_MIN_BITS = 8  # on a smaller domain four rounds have too few distinct keys to look random


@part()
def _round(x: Any, key: Any, mask: Any, shift: Any) -> Any:
    x = ((x + (key >> uint64(32))) * (key | uint64(1))) & mask
    return x ^ (x >> shift)


@kernel()
def draw_batch(indices: Any, ticket: int, n_samples: int, batch_size: int, seed: int, reshuffle: bool) -> int:
    """Write the samples of minibatch `ticket` into `indices` (int64, capacity >= batch_size); returns how many.

    Every epoch visits each of the `n_samples` samples exactly once. With `reshuffle` false every epoch has the
    order of epoch 0. Called from compiled worker loops and, as the very same code, by `Problem.batches`.

    >>> import numpy as np
    >>> indices = np.empty(4, np.int64)
    >>> [indices[: draw_batch(indices, ticket, 6, 4, 1, True)].tolist() for ticket in range(2)]
    [[5, 2, 3, 4], [1, 0]]
    """
    per_epoch = (n_samples + batch_size - 1) // batch_size
    epoch = ticket // per_epoch
    first = (ticket - epoch * per_epoch) * batch_size
    count = min(batch_size, n_samples - first)
    bits = _MIN_BITS
    while (1 << bits) < n_samples:
        bits += 1
    n, mask, shift = uint64(n_samples), uint64((1 << bits) - 1), uint64((bits + 1) // 2)
    state = splitmix64(uint64(seed)) + uint64(epoch if reshuffle else 0)
    a = splitmix64(state)
    b = splitmix64(a)
    c = splitmix64(b)
    d = splitmix64(c)
    for i in range(count):
        x = uint64(first + i)
        while True:
            x = _round(_round(_round(_round(x, a, mask, shift), b, mask, shift), c, mask, shift), d, mask, shift)
            if x < n:
                break
        indices[i] = int64(x)
    return count
