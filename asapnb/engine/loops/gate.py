"""The gate of Interval-Asynchrony: a gradient begins to read only when all of earlier intervals are finished.

Gradients are numbered in the order in which they begin. The gate admits those whose number is below a word, CLOSES.
The worker that finishes the last of them moves it on by the length of the next interval. Nobody else writes it
meanwhile, because no other gradient is under way. Without intervals CLOSES is NEVER: the gate is always open.

Run one by one in tests/test_intervals.py. Twin: `Gate` in tests/naive_simulator.py.

Source: Garby, Tsigas, "Interval-Asynchrony: Delimited Intervals of Localised Asynchrony for Fast Parallel SGD",
Euro-Par 2025.
"""

from ...compiled import part
from ...kernels.atomics import fetch_add, load, store, wake
from ...kernels.types import Words
from ...kernels.waiting import doze, relax
from ...training.words import NEVER
from .. import words as at


@part()
def admitted(control: Words, ticket: int) -> bool:
    """Wait until the gradient of this ticket may begin to read; False if the run ends before."""
    number, spins = ticket - control[at.LOST], 0
    closes = load(control, at.CLOSES)
    while number >= closes:
        if is_over(control):
            return False
        spins = relax(spins) if control[at.CROWDED] == 0 else doze(control, at.CLOSES, closes, spins)
        closes = load(control, at.CLOSES)
    return True


@part()
def is_over(control: Words) -> bool:
    """Whether the run is being stopped or has reached its quota.

    Published vectors are counted in their pointer: `VERSION` may lag behind it for ever.
    """
    quota = control[at.QUOTA]
    made = load(control, at.VERSION) >= quota or load(control, at.POINTER) >> at.SLOT_BITS >= quota
    return made or load(control, at.STOP) != 0


@part()
def finish(control: Words) -> None:
    """Count a gradient as finished: written to the end, or given up. The last of an interval opens the next."""
    closes = load(control, at.CLOSES)
    if closes != NEVER and fetch_add(control, at.FINISHED, 1) + 1 == closes:
        length = length_from(control, closes)
        if length != load(control, at.LENGTH):
            store(control, at.SINCE, closes)
            store(control, at.LENGTH, length)
        store(control, at.CLOSES, closes + length)
        if control[at.CROWDED] != 0:
            wake(control, at.CLOSES, control[at.WORKERS])


@part()
def length_from(control: Words, finished: int) -> int:
    """The length of the interval that begins after so many finished gradients. Compared with `schemes.length_at`.

    Where lengths are adapted there is one, which the controller changes.
    """
    place = at.INTERVALS
    while control[place + 2] <= finished:
        place += 2
    return load(control, place + 1)
