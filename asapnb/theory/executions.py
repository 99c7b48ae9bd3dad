"""How E[x^2] of delayed gradient descent grows along the schedules of any timing: many executions at once.

A mean of squares depends on rare large executions, which independent ones would miss. So after every few updates the
executions are drawn anew, in proportion to how much they have grown. One that has grown continues several times, and
each copy draws its own times from then on. The mean growth of all is that of E[x^2].
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import aligned
from ..memory import check_memory
from ..rules.tables import table_length
from ..simulator.scheduling import Simulation
from ..simulator.world import ROW
from ..staleness import StalenessDistribution
from .arguments import Array
from .recursion import advance, sizes

_PILOT = 2**16  # updates from which the staleness is known, at least, of which a quarter settles
_PIECE = 2**13  # rows at a time
_ROUND = 8  # updates between two draws, at least
_APART = 4  # updates of each worker between the moments from which two executions go on
_MOST_KEPT = 2**14  # versions that an execution remembers; what is staler reads the oldest
SETTLES = 20  # rounds whose growth is not counted


class Executions:
    """Executions of a timing and a scheme. All continue from moments of one long execution.

    Attributes:
        staleness: the staleness of the long execution after it has settled, with room for staler updates.
        workers: the number of workers.

    Args:
        whole: the long execution, at its beginning.
        replicas: how many executions to make.
        seed: the seed of the moments at which they part.
    """

    def __init__(self, whole: Simulation, replicas: int, seed: int) -> None:
        self._whole, self.workers = whole, whole.workers
        workers = whole.workers
        self._length = max(workers, _ROUND) + whole.margin
        rows, random = aligned(max(_PIECE, _APART * workers) + whole.margin, ROW), np.random.default_rng(seed)
        counts = _count(whole, rows, max(_PILOT, 256 * workers))
        seen = StalenessDistribution.from_counts(counts)
        self.staleness = seen.padded(table_length(workers, seen.support))
        kept = min(max(2 * seen.support, 4 * workers), max(_MOST_KEPT, 8 * workers))
        self._kept = 1 << int(kept).bit_length()
        check_memory(f"{replicas} executions of {workers:,} workers", replicas * (8 * self._kept + 400 * workers),
                     "take fewer replicas")  # fmt: skip
        self._begun = []
        for _ in range(replicas):
            whole.fill(rows[: _APART * workers + whole.margin], _views(whole, rows))
            self._begun.append(whole.forked(random))

    def growth(
        self,
        step: float,
        scales: Array,
        rounds: int,
        seed: int,
        momentum: float = 0.0,
        shared: bool = False,
        direct: float = 0.0,
    ) -> float:
        """The logarithm by which E[x^2] grows per round of `workers` updates, or of 8.

        Args:
            step: a = eta_0 lambda.
            scales: by staleness.
            rounds: how many rounds count; `SETTLES` more come before them.
            seed: the seed of all that happens after the executions have parted.
            momentum: 0 for none.
            shared: whether all workers share one velocity.
            direct: the direct share of momentum.
        """
        random, count = np.random.default_rng(seed), len(self._begun)
        going = [one.forked(random) for one in self._begun]
        past, made = np.ones((count, self._kept)), np.zeros(count, np.int64)
        velocity = np.zeros((count, 1 if shared else self.workers))
        rows, filled = aligned((count, self._length), ROW), np.zeros(count, np.int64)
        views, window = _views(self._whole, rows[0]), min(2 * self.workers, self._kept)
        now, total = np.empty(count), 0.0
        for turn in range(SETTLES + rounds):
            for n, one in enumerate(going):
                filled[n] = one.fill(rows[n], views)
            advance(rows, filled, past, made, velocity, scales, step, momentum, direct)
            sizes(past, made, window, now)
            if not now.any():  # all are at 0 for ever
                return -math.inf
            total += math.log(now.mean()) if turn >= SETTLES else 0.0
            chosen = _drawn(now, random)
            size = np.sqrt(now[chosen])[:, None]  # of each, which is 1 from now on
            past, made, velocity = past[chosen] / size, made[chosen], velocity[chosen] / size
            again = np.diff(chosen, prepend=-1) == 0
            going = [going[n].forked(random) if more else going[n] for n, more in zip(chosen, again, strict=True)]
        return total / rounds


def _views(simulation: Simulation, rows: NDArray[Any]) -> Array:
    return np.empty(len(rows) if simulation.has_views else 0)


def _count(simulation: Simulation, rows: NDArray[Any], updates: int) -> NDArray[np.int64]:
    """Continue for so many updates, and count the staleness of all but the first quarter."""
    counts, done = np.zeros(0, np.int64), 0
    while done < updates or not counts.any():
        some = rows[: simulation.fill(rows, _views(simulation, rows))]
        if 4 * done >= updates:
            new = np.bincount(some["tau"][some["dropped"] == 0], minlength=len(counts))
            new[: len(counts)] += counts
            counts = new
        done += len(some)
    return counts


def _drawn(weights: Array, random: np.random.Generator) -> NDArray[np.intp]:
    """Draw executions, each as often as its share of the weights says, rounded up or down (systematic resampling)."""
    sums, count = np.cumsum(weights), len(weights)
    places = (np.arange(count) + random.random()) * (sums[-1] / count)
    return np.minimum(np.searchsorted(sums, places), count - 1)
