"""The pool of parameter vectors that Leashed-SGD publishes from, without locks and without leaks.

One pointer says which vector is current: version << SLOT_BITS | slot, so that a compare-and-swap can never mistake an
old vector in a reused slot for the current one. Every slot has a header of two words, a cache line apart: the
number of readers, and its state, version << 2 | status; behind the state stands the sum of the scales applied. A
reader announces itself first and then checks that the vector is still current; a vector is freed by whoever sees it
stale and without readers. Between the two stands a sequentially consistent operation on either side (Dekker's
pattern): one of them always sees the other.

A worker holds at most one vector to read and one to write, so 2m + 1 vectors suffice (3m + 1 where it keeps its view
for the compensation), and one more for each evaluation that may wait.
"""

from __future__ import annotations

from typing import Any

from ...compiled import part
from ...kernels.atomics import compare_and_swap, fetch_add, load, store, yield_core
from ..words import CURRENT, FREE, HEADER, OWNED, POINTER, SLOT_BITS, STALE, STATE, SUM


@part()
def set_state(slots: Any, slot: int, version: int, status: int) -> None:
    """Mark a slot; only its owner, or who replaced it, does so."""
    store(slots, slot * HEADER + STATE, version << 2 | status)


@part()
def claim(slots: Any, start: int) -> int:
    """Own a free slot; the search begins at `start`."""
    count = slots.size // HEADER
    slot = start
    while True:
        state = load(slots, slot * HEADER + STATE)
        if state & 3 == FREE and compare_and_swap(slots, slot * HEADER + STATE, state, state | OWNED):
            return slot
        slot += 1
        if slot == count:
            slot = 0
            yield_core()


@part()
def pin(slots: Any, slot: int) -> None:
    """Count as a reader of a slot that cannot be freed meanwhile: one's own, or one already read."""
    fetch_add(slots, slot * HEADER, 1)


@part()
def release(slots: Any, slot: int) -> None:
    """Stop reading; free the slot if it is stale and this was its last reader."""
    fetch_add(slots, slot * HEADER, -1)
    state = load(slots, slot * HEADER + STATE)
    if state & 3 == STALE and load(slots, slot * HEADER) == 0:
        compare_and_swap(slots, slot * HEADER + STATE, state, state & ~3)


@part()
def acquire(control: Any, slots: Any) -> int:
    """Pin the current vector; returns the pointer to it."""
    while True:
        pointer = load(control, POINTER)
        pin(slots, slot_of(pointer))
        if load(control, POINTER) == pointer:
            return pointer
        release(slots, slot_of(pointer))


@part()
def sum_of(slots: Any, pointer: int) -> int:
    """The sum of the scales that were applied up to the vector that a pointer leads to."""
    return load(slots, slot_of(pointer) * HEADER + SUM)


@part()
def slot_of(pointer: int) -> int:
    """The slot that a pointer leads to."""
    return pointer & ((1 << SLOT_BITS) - 1)


@part()
def version_of(pointer: int) -> int:
    """The version that a pointer leads to."""
    return pointer >> SLOT_BITS


@part()
def publish(control: Any, slots: Any, pointer: int, mine: int) -> bool:
    """Replace the pinned vector by the owned slot `mine`, as the next version; False if another was faster.

    Either way the pin on it is released, and on failure `mine` is owned as before.
    """
    version = version_of(pointer) + 1
    set_state(slots, mine, version, CURRENT)  # before the swap: afterwards it may already be stale
    won = compare_and_swap(control, POINTER, pointer, version << SLOT_BITS | mine)
    if won:
        set_state(slots, slot_of(pointer), version - 1, STALE)
    else:
        set_state(slots, mine, version, OWNED)
    release(slots, slot_of(pointer))
    return won
