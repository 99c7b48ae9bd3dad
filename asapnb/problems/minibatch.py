"""Minibatch order: a permutation that follows from seed and epoch, so that no worker ever waits for a shuffle.

Ticket t counts minibatches over all epochs: epoch t // ceil(n / batch_size), of which the last minibatch may be
ragged. Position p of an epoch holds sample E(p). E is a bijection of [0, n): four rounds of add, multiply by an odd
number and xor-shift, on the next power of two. A value beyond n goes through E again until it falls below n (cycle
walking; above 128 samples fewer than two steps on average).
"""

from typing import Any

import numpy as np
from numba import int64, uint64
from numpy.typing import NDArray

from ..compiled import kernel, part
from ..random import splitmix64

_MIN_BITS = 8  # on a smaller domain four rounds have too few distinct keys to look random


@part()
def _round(x: np.uint64, key: np.uint64, mask: np.uint64, shift: np.uint64) -> np.uint64:
    x = ((x + (key >> uint64(32))) * (key | uint64(1))) & mask
    return x ^ (x >> shift)


@part()
def hand_over_ticket(workspace: NDArray[Any], ticket: int, seed: int) -> None:
    """Write ticket and seed where a gradient that asks for them reads them: the first two int64 of its workspace."""
    words = workspace[: 16 // workspace.itemsize].view(np.int64)
    words[0], words[1] = ticket, seed


@part()
def own_seed(seed: int, worker: int) -> int:
    """The seed of the order of a worker's own part of the data."""
    return int64(splitmix64(splitmix64(uint64(seed)) + uint64(worker)))


@kernel()
def draw_batch(
    indices: NDArray[np.int64], ticket: int, n_samples: int, batch_size: int, seed: int, reshuffle: bool
) -> int:
    """Write the samples of a minibatch into `indices`; returns how many there are.

    Every epoch visits each sample exactly once. Worker loops and `Problem.batches` call the very same code.

    1. From the ticket, the epoch and the positions in it.
    2. The domain: the next power of two, of 8 bits at least.
    3. The keys of the four rounds, from seed and epoch.
    4. For each position, walk through the permutation until it gives a sample.

    Args:
        indices: room for `batch_size` samples.
        ticket: number of the minibatch, counted over all epochs from 0.
        n_samples: number of training samples.
        batch_size: samples per minibatch; the last one of an epoch may have fewer.
        seed: of the run.
        reshuffle: False to give every epoch the order of epoch 0.

    >>> import numpy as np
    >>> indices = np.empty(4, np.int64)
    >>> [indices[: draw_batch(indices, ticket, 6, 4, 1, True)].tolist() for ticket in range(2)]
    [[5, 2, 3, 4], [1, 0]]
    """
    # 1.
    per_epoch = (n_samples + batch_size - 1) // batch_size
    epoch = ticket // per_epoch
    first = (ticket - epoch * per_epoch) * batch_size
    count = min(batch_size, n_samples - first)
    bits = _MIN_BITS  # 2.
    while (1 << bits) < n_samples:
        bits += 1
    n, mask, shift = uint64(n_samples), uint64((1 << bits) - 1), uint64((bits + 1) // 2)
    # 3.
    state = splitmix64(uint64(seed)) + uint64(epoch if reshuffle else 0)
    a = splitmix64(state)
    b = splitmix64(a)
    c = splitmix64(b)
    d = splitmix64(c)
    for i in range(count):  # 4.
        x = uint64(first + i)
        while True:
            x = _round(_round(_round(_round(x, a, mask, shift), b, mask, shift), c, mask, shift), d, mask, shift)
            if x < n:
                break
        indices[i] = int64(x)
    return count
