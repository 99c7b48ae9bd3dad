"""The pool of parameter vectors that Leashed-SGD publishes from, without locks and without leaks.

One word, the pointer, names the current vector: version << SLOT_BITS | slot. The version in it keeps a
compare-and-swap from mistaking an old vector in a reused slot for the current one.

Every slot has a header of three words. The number of readers has a cache line of its own. The state, version << 2 |
status, stands in the next line, and behind it the sum of the scales applied up to this vector.

A reader counts itself first, then checks that the vector is still current. Whoever sees a vector stale and without
readers frees it. Both sides put a sequentially consistent operation between writing their word and reading the
other's (Dekker's pattern), so one of them always sees the other.

A worker holds at most one vector to read and one to write, and none while it looks for a free one. So 2m vectors
suffice for m workers (3m where they keep their views for the compensation), and one more for each evaluation that may
wait. The pool has one to spare.

Checked in all interleavings by a model (docs/explanation/model.md), and by threads that publish one chain of
vectors, in tests/test_atomics.py.
"""

from ...compiled import part
from ...kernels.atomics import compare_and_swap, fetch_add, load, store, yield_core
from ...kernels.types import Words
from ..words import CURRENT, FREE, HEADER, OWNED, POINTER, SLOT_BITS, STALE, STATE, SUM


@part()
def set_state(slots: Words, slot: int, version: int, status: int) -> None:
    """Mark a slot. Only its owner, or the worker that replaced it, may do so."""
    store(slots, slot * HEADER + STATE, version << 2 | status)


@part()
def claim(slots: Words, start: int) -> int:
    """Find a free slot, from `start` on, and own it; returns the slot."""
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
def pin(slots: Words, slot: int) -> None:
    """Count as a reader of a slot: one's own, one already pinned, or one that is checked afterwards (`acquire`)."""
    fetch_add(slots, slot * HEADER, 1)


@part()
def release(slots: Words, slot: int) -> None:
    """Stop reading a slot. Free it if it is stale and this was its last reader."""
    fetch_add(slots, slot * HEADER, -1)
    state = load(slots, slot * HEADER + STATE)
    if state & 3 == STALE and load(slots, slot * HEADER) == 0:
        compare_and_swap(slots, slot * HEADER + STATE, state, state & ~3)


@part()
def acquire(control: Words, slots: Words) -> int:
    """Pin the current vector; returns the pointer to it."""
    while True:
        pointer = load(control, POINTER)
        pin(slots, slot_of(pointer))
        if load(control, POINTER) == pointer:
            return pointer
        release(slots, slot_of(pointer))


@part()
def sum_of(slots: Words, pointer: int) -> int:
    """The sum of scale · factor of all updates up to the vector of a pointer, in units of 1 / UNIT."""
    return load(slots, slot_of(pointer) * HEADER + SUM)


@part()
def slot_of(pointer: int) -> int:
    """The slot in a pointer."""
    return pointer & ((1 << SLOT_BITS) - 1)


@part()
def version_of(pointer: int) -> int:
    """The version in a pointer."""
    return pointer >> SLOT_BITS


@part()
def publish(control: Words, slots: Words, pointer: int, mine: int) -> bool:
    """Replace the pinned vector by the owned slot `mine`, as the next version; False if another was faster.

    1. Mark `mine` as current. After the swap another worker may already have made it stale.
    2. Swap the pointer, if it is still the one that was read.
    3. Won: mark the vector that was replaced as stale. Lost: own `mine` again.
    4. Release the pin on the vector that was, or was to be, replaced. This may free it.
    """
    # 1. Mark as current
    version = version_of(pointer) + 1
    set_state(slots, mine, version, CURRENT)
    # 2. Swap
    won = compare_and_swap(control, POINTER, pointer, version << SLOT_BITS | mine)
    # 3. Won or lost
    if won:
        set_state(slots, slot_of(pointer), version - 1, STALE)
    else:
        set_state(slots, mine, version, OWNED)
    # 4. Release
    release(slots, slot_of(pointer))
    return won
