"""What a busy Python thread beside a run takes from it, and what a busy process takes.

    python experiments/benchmarks/busy.py

Whoever is busy needs a core by itself. What a thread costs beyond a process is the doing of the GIL.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import product

from common import Effort, Table, interleaved, main, median
from networks import ASYNCHRONOUS, CORES, engine_step, networks

AIM = 0.1


@contextmanager
def busy_thread() -> Iterator[None]:
    """Pure Python at work in a thread of this process."""
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def busy_process() -> Iterator[None]:
    """Pure Python at work in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


COMPANY = {"alone": nullcontext, "thread": busy_thread, "process": busy_process}


def beside(company: Callable[[], AbstractContextManager[None]], step: Callable[[], float]) -> Callable[[], float]:
    """Measures a step beside somebody busy."""

    def measure() -> float:
        with company():
            return step()

    return measure


def measure(effort: Effort) -> list[Table]:
    """Alone, beside a thread, beside a process: with a core to spare, and without."""
    problem = networks()["MLP"]
    places = list(product(effort.some(ASYNCHRONOUS), sorted({max(1, CORES - 1), CORES})))
    cases: dict[tuple[str, int, str], Callable[[], float]] = {}
    for scheme, workers in places:
        step = engine_step(problem, 16, ASYNCHRONOUS[scheme], workers, effort.seconds(0.5))
        cases |= {(scheme, workers, kind): beside(company, step) for kind, company in COMPANY.items()}
    times = interleaved(cases, effort.rounds)
    rows = []
    for scheme, workers in places:
        alone, thread, process = (times[scheme, workers, kind] for kind in COMPANY)
        to_thread, to_process = 1 - median(alone / thread), 1 - median(alone / process)
        row = {"scheme": scheme, "workers": workers, "alone, updates/s": 1 / median(alone)}
        row |= {"lost to a process": to_process, "lost to a thread": to_thread}
        rows.append(row | {"aim": ("≤", AIM if workers < CORES else max(0.0, to_process) + AIM)})
    formats = {"alone, updates/s": ",.0f", "lost to a process": ".1%", "lost to a thread": ".1%"}
    note = f"MLP, batch 16. The aim is {AIM:.0%} where a core is left to spare, else {AIM:.0%} over the process."
    return [Table("A busy Python thread beside the run", rows, formats, "lost to a thread", note)]


if __name__ == "__main__":
    main(measure, rounds=7)
