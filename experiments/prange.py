"""How many of m workers `numba.prange` starts at once: each waits until all have begun, for half a second at most.

python experiments/prange.py
"""

import numba
import numpy as np

from asapnb.engine.atomics import clock, fetch_add, load

NANOSECONDS = 500_000_000


@numba.njit(parallel=True)
def work(workers: int, begun: np.ndarray, seen: np.ndarray) -> None:
    """Worker i notes in seen[i] how many had begun while it waited."""
    for i in numba.prange(workers):
        fetch_add(begun, 0, 1)
        end = clock() + NANOSECONDS
        while True:
            seen[i] = load(begun, 0)
            if seen[i] == workers or clock() > end:
                break


if __name__ == "__main__":
    for workers in (1, 2, 4, 8, 16):
        begun, seen = np.zeros(1, np.int64), np.zeros(workers, np.int64)
        work(workers, begun, seen)
        print(f"{workers} workers, {numba.get_num_threads()} threads of Numba: {seen.min()} were at work at once")
