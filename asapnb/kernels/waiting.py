"""How a thread waits for a word to change: it pauses at first, then lets others run.

Checked in tests/test_atomics.py: threads that hold the lock exclude each other.
"""

from ..compiled import part
from .atomics import compare_and_swap, load, pause, sleep_while, store, yield_core
from .types import Words

CROWDED = 1  # so far behind a word that threads wait for: 1 if there are more of them than cores, else 0
_SPINS = 100  # pauses before a waiting thread gives up its core; 64 workers on 2 cores lose 1 % by them
_YIELDS = 6  # how often it then does so before it sleeps, in `doze`: waking a thread takes longer than a short wait
_SLEEP = 5000  # microseconds after which it looks again, if nobody has woken it


@part()
def relax(spins: int) -> int:
    """Wait for one turn of a loop; returns the number of turns so far."""
    if spins < _SPINS:
        pause()
    else:
        yield_core()
    return spins + 1


@part()
def doze(words: Words, place: int, value: int, spins: int) -> int:
    """As `relax`, for more threads than cores that wait while a word is `value`: sleep at last, until `wake`.

    Dozens of threads that let each other run again and again keep the cores from those that have something to do.
    """
    if spins < _SPINS + _YIELDS:
        return relax(spins)
    sleep_while(words, place, value, _SLEEP)
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
