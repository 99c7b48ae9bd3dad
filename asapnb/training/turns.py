"""Whose gradient makes a version, where each worker makes one in turn: the state machine of a gradient table.

A round has n workers and makes n versions. First the table waits until every worker has a gradient in it; the one
that completes it makes the first version. Then the next gradient of each other worker makes one. Gradients of workers
that have made theirs are for the table of the next round. All of this follows from the order of the workers alone.

Twin: `Table` in tests/naive.py.
"""

import numpy as np
from numpy.typing import NDArray

from ..compiled import part
from ..kernels.types import Words

# Words of the state; then for each worker the rounds in which it has made its version, and those in which the table
# has a gradient of it, counted from 1
ROUND = 0  # rounds that are over
MADE = 1  # versions of this round
FILLED, FILLED_NEXT = 2, 3  # workers that have a gradient in the table of this round, and of the next
_WORKERS = 4  # from here on

# What becomes of a gradient: bits
MAKES = 1  # it makes a version
FIRST = 2  # it is the first of its worker in its table
ODD = 4  # its table is that of a round 1, 3, 5, … Rounds use two tables by turns.


def new_turns(workers: int) -> NDArray[np.int64]:
    """The state before the first gradient; 0 workers: none."""
    return np.zeros(_WORKERS + 2 * workers if workers else 0, np.int64)


@part()
def take_turn(turns: Words, worker: int) -> int:
    """Put a gradient of a worker into a table; returns bits.

    A round cannot end with a full table for the next: who makes its last version has no gradient there.
    """
    workers = (turns.size - _WORKERS) // 2
    made, filled = _WORKERS + worker, _WORKERS + workers + worker
    late = turns[made] > turns[ROUND]  # it has made its version of this round
    number = turns[ROUND] + 1 if late else turns[ROUND]
    found = ODD if number % 2 != 0 else 0
    if turns[filled] <= number:
        turns[filled] = number + 1
        turns[FILLED_NEXT if late else FILLED] += 1
        found |= FIRST
    if late or turns[FILLED] < workers:
        return found
    turns[made] = number + 1
    turns[MADE] += 1
    if turns[MADE] == workers:
        turns[ROUND], turns[MADE] = number + 1, 0
        turns[FILLED], turns[FILLED_NEXT] = turns[FILLED_NEXT], 0
    return found | MAKES
