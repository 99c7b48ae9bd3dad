"""Workers as iterations of `numba.prange`, against workers as Python threads in compiled code without the GIL.

    python experiments/benchmarks/prange.py

Each of m workers makes updates (some arithmetic of its own, and a number claimed) until the quota is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
from common import Effort, Table, in_threads, interleaved, main, median, seconds_per_step

from asapnb.kernels.atomics import clock, fetch_add, load, nap

PATIENCE = 200_000_000  # nanoseconds in which a worker must have begun to count as being at work
ARITHMETIC = 10_000  # dependent operations in an update: about 30 µs
BEGUN, CLAIMED = 0, 8  # shared words, a cache line apart


@numba.njit(nogil=True)
def work(me, quota, patience, words, seen):
    """Worker `me`: wait until all have begun, or until the patience ends; note how many had; then make updates."""
    fetch_add(words, BEGUN, 1)
    end = clock() + patience
    while load(words, BEGUN) < len(seen) and clock() < end:
        nap(100)
    seen[me] = load(words, BEGUN)
    x = 1.0
    while fetch_add(words, CLAIMED, 1) < quota:
        for _ in range(ARITHMETIC):
            x = 0.5 * x + 1.0
    if x < 0:  # never, but without a use the arithmetic would be left out
        seen[me] = 0


@numba.njit(nogil=True, parallel=True)
def in_prange(quota, patience, words, seen):
    """The workers as iterations."""
    for me in numba.prange(len(seen)):
        work(me, quota, patience, words, seen)


def as_threads(quota: int, patience: int, words: np.ndarray, seen: np.ndarray) -> None:
    """The workers as threads."""
    in_threads(work, [(me, quota, patience, words, seen) for me in range(len(seen))])


def run(team: Callable[..., None], workers: int, quota: int, patience: int = 0) -> int:
    """Run a team to the quota; returns how many workers were at work at once."""
    seen = np.zeros(workers, np.int64)
    team(quota, patience, np.zeros(16, np.int64), seen)
    return int(seen.min())


def measure(effort: Effort) -> list[Table]:
    """How many workers are at work at once, and the updates per second of all."""
    teams, counts, rows = {"prange": in_prange, "threads": as_threads}, (1, 2, 8), []
    at_once = {(name, m): run(team, m, 0, PATIENCE) for name, team in teams.items() for m in counts}
    quota = round(effort.seconds(0.5) / 30e-6)
    cases = {
        (name, m): partial(seconds_per_step, partial(run, team, m), quota)
        for name, team in teams.items()
        for m in counts
    }
    times = interleaved(cases, effort.rounds)
    for m in counts:
        row: dict[str, Any] = {"workers": m}
        row |= {f"at work at once: {name}": at_once[name, m] for name in teams}
        rows.append(row | {f"updates/s: {name}": 1 / median(times[name, m]) for name in teams})
    formats = {f"updates/s: {name}": ",.0f" for name in teams}
    note = f"Numba has {numba.get_num_threads()} threads for the iterations of a prange."
    return [Table("prange against threads", rows, formats, note=note)]


if __name__ == "__main__":
    main(measure, rounds=7)
