"""The points of a sweep in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from ..engine.options import cores
from .points import Outcome, carry_out, lost
from .spec import Point

_ATTEMPTS = 2  # of a point beside which a process died


def in_processes(points: Sequence[Point], folder: Path, jobs: int) -> Iterator[Outcome]:
    """The outcome of each point, as they come; the order in which they start is that of `points`.

    Where a process dies (of a lack of memory, say), the points that were running are tried once more, each alone.
    """
    threads = max(1, len(cores()) // jobs)
    waiting, attempts, suspects = deque(points), Counter[str](), deque[Point]()
    while waiting or suspects:
        alone = not waiting
        queue = suspects if alone else waiting
        running: dict[Future[Outcome], Point] = {}
        with _pool(1 if alone else jobs) as pool:
            try:
                while queue or running:
                    while queue and len(running) < (1 if alone else jobs):
                        point = queue.popleft()
                        running[pool.submit(carry_out, point, folder / point.file, threads)] = point
                        attempts[point.name] += 1
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        outcome = future.result()
                        del running[future]
                        yield outcome
            except BrokenProcessPool:
                for point in running.values():
                    if attempts[point.name] < _ATTEMPTS:
                        suspects.append(point)
                    else:
                        yield lost(point, "its process died, for example because memory ran out: try fewer --jobs")


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, however it ends; those of a block that was left early at once."""
    context = multiprocessing.get_context("spawn")  # a process forked beside running threads may hang
    pool = ProcessPoolExecutor(jobs, context, initializer=_prepare)
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    """In a new process: leave Ctrl-C to the one that waits, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
