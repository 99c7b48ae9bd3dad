"""How a thread waits for a word to change: it pauses at first, then lets others run.

Checked in tests/test_atomics.py: threads that hold the lock exclude each other.
"""

from ..compiled import part
from .atomics import compare_and_swap, load, pause, store, yield_core
from .types import Words

_SPINS = 100  # pauses before a waiting thread gives up its core; 64 workers on 2 cores lose 1 % by them


@part()
def relax(spins: int) -> int:
    """Wait for one turn of a loop; returns the number of turns so far."""
    if spins < _SPINS:
        pause()
    else:
        yield_core()
    return spins + 1


@part()
def lock(words: Words, place: int) -> None:
    """Take the lock, whose word is 1 while it is held; wait while another has it (test, then test-and-set)."""
    spins = 0
    while not compare_and_swap(words, place, 0, 1):
        while load(words, place) != 0:
            spins = relax(spins)


@part()
def unlock(words: Words, place: int) -> None:
    """Release the lock."""
    store(words, place, 0)
