"""The memory of a tournament of the workers' next events. `loops.tournament` plays it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import aligned
from .words import GROUP, IDLE


class Tournament(NamedTuple):
    """Levels of keys, one after the other: first the keys of the workers, then the least of each group of eight."""

    keys: NDArray[np.int64]
    ids: NDArray[np.int32]  # the worker of each key
    levels: NDArray[np.int64]  # where each level begins; the last level is one key, the least of all


def tournament(workers: int) -> Tournament:
    """A tournament of so many workers, none of which has an event."""
    levels, count, end = [0], workers, 0
    while True:
        end += -(-count // GROUP) * GROUP
        if count == 1:
            break
        levels.append(end)
        count = -(-count // GROUP)
    tree = Tournament(aligned(end, np.int64), aligned(end, np.int32), np.array(levels))
    tree.keys[:] = IDLE + 1 + np.arange(end) % GROUP
    tree.ids[:workers] = np.arange(workers)
    return tree
