"""Compiled access to shared words and rings, for the controller. Plain Python reads have no memory ordering.

Checked in tests/test_engine_rows.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from ..compiled import kernel, specialise
from ..kernels.arrays import LINE, array_type
from ..kernels.atomics import clock, compare_and_swap, fence, load, store
from ..kernels.types import Rows, Words
from ..training.words import NEVER
from .loops.pool import release
from .words import READING, RING, WORKERS


@kernel()
def _get(array: Words, position: int) -> int:
    return load(array, position)


@kernel()
def _put(array: Words, position: int, value: int) -> None:
    store(array, position, value)


@kernel()
def _swap(array: Words, position: int, expected: int, new: int) -> bool:
    return compare_and_swap(array, position, expected, new)


@kernel()
def _fence() -> None:
    fence()


@kernel()
def _release(slots: Words, slot: int) -> None:
    release(slots, slot)


@kernel()
def _now() -> int:
    return clock()


@kernel()
def _oldest_view(control: Words) -> int:
    oldest = NEVER
    for worker in range(control[WORKERS]):
        oldest = min(oldest, load(control, READING + worker * LINE))
    return oldest


@kernel()
def _copy(first: int, ring: int, rows: Rows, written: Words, out: Rows) -> int:
    """Copy finished rows of ring 0 or 1, in order from number `first` on, to `out`; returns how many."""
    count = 0
    while count < out.size:
        place = ring * RING + (first + count) % RING
        if load(written, place) != first + count + 1:
            break
        out[count] = rows[place]
        count += 1
    return count


class Access(NamedTuple):
    """The compiled operations on shared words and rings."""

    get: Callable[[np.ndarray, int], int]
    put: Callable[[np.ndarray, int, int], None]
    swap: Callable[[np.ndarray, int, int, int], bool]
    fence: Callable[[], None]
    release: Callable[[np.ndarray, int], None]
    now: Callable[[], int]
    oldest_view: Callable[[np.ndarray], int]
    copy: Callable[[int, int, np.ndarray, np.ndarray, np.ndarray], int]


def compile_access(rows: np.dtype[Any]) -> Access:
    """Compile the operations, or load them from the cache, for rings of this dtype."""
    words, ring, number = array_type(np.int64), array_type(rows), types.int64
    return Access(
        get=specialise(_get, words, number),
        put=specialise(_put, words, number, number),
        swap=specialise(_swap, words, number, number, number),
        fence=specialise(_fence),
        release=specialise(_release, words, number),
        now=specialise(_now),
        oldest_view=specialise(_oldest_view, words),
        copy=specialise(_copy, number, number, ring, words, ring),
    )
