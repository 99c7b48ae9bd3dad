"""Single measurements of `scaling.py`: a run of the engine, threads that share nothing, probes of the machine."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from common import seconds_per_step
from networks import bare_step
from numba import types
from scaling_plan import BARE, SCHEMES, Case
from steps import CHAINS, fma_chains

import asapnb as ab
from asapnb.analysis import Record, Target, crossing
from asapnb.compiled import kernel, specialise
from asapnb.kernels.arrays import LINE, aligned, array_type
from asapnb.kernels.atomics import fetch_add
from asapnb.memory import available
from asapnb.problems.tiles import LANES
from asapnb.quota import groups
from asapnb.training.cores import at_once, cores, pinning

BATCH = 16
UPDATES = 3_000_000  # of a run, at most: its rows are in memory
SETTLED = 0.2  # of the time of a run that is left out at its start
ROWS = 200_000  # the last of a run, from which the times of steps come
LOSS, STEP_SIZE = 0.7, 0.03  # for the time to a loss
TRIAD_BYTES = 2**24  # of each of three arrays, fewer for many threads
DISTANCES = {"one counter": 0, "one line": 1, "64 bytes": LINE, "128 bytes": 2 * LINE}  # in words, of counters
PROBES = ("arithmetic", "memory", *DISTANCES)


class Stopped(Exception):
    """Ctrl-C, in the middle of a run."""


@cache
def model(name: str) -> ab.Problem:
    """The model of a name."""
    if name == "quadratic":
        return ab.problems.quadratic([1.0] * 16)
    data = ab.load_dataset("fashion-mnist-mini")
    return {"small MLP": lambda: ab.mlp(data, (16,)), "MLP": lambda: ab.mlp(data), "LeNet": lambda: ab.lenet(data)}[
        name
    ]()


def batch_size(name: str) -> int:
    """The samples of a gradient."""
    return 1 if name == "quadratic" else BATCH


def run_of(case: Case, seconds: float, seed: int = 0, **options: Any) -> ab.Run:
    """A run in memory that ends after so many seconds; `Stopped` if it was interrupted."""
    run = ab.train(
        model(case.model),
        SCHEMES[case.scheme],
        case.rule or "tail",
        case.workers,
        batch_size=batch_size(case.model),
        eval_every=0,
        eval_samples=10,
        pin_workers=case.pinned,
        max_seconds=seconds,
        seed=seed,
        progress=False,
        **{"step_size": 1e-6, "updates": UPDATES, **options},
    )
    if run.status == "interrupted":
        raise Stopped
    return run


def measured(case: Case, seconds: float, number: int) -> dict[str, Any]:
    """One round of a case: its figures."""
    if case.scheme == BARE:
        return {"rate": bare_rate(case, seconds)}
    if case.rule:
        return time_to_loss(case, seconds, number)
    before = _counters()
    run = run_of(case, seconds)
    used = {name: value - before[name] for name, value in _counters().items()}
    return figures(run, case.workers) | _shares(used, run.seconds, case.workers)


def time_to_loss(case: Case, seconds: float, number: int) -> dict[str, Any]:
    """When the mean loss of the latest minibatches was first at or below `LOSS`."""
    run = run_of(case, seconds, seed=number, step_size=STEP_SIZE)
    found = crossing(Record(run), Target(loss=LOSS), "smoothed")
    return {"outcome": found.outcome, "seconds": found.seconds, "updates": found.updates}


def figures(run: ab.Run, workers: int) -> dict[str, Any]:
    """Gradients per second, staleness, failed attempts, and the mean times of a worker's steps in microseconds.

    The start of the run is left out, when memory is touched for the first time.
    """
    rows = run.updates
    end = float(rows["t_apply"].max(initial=0.0))
    settled = rows["t_apply"] >= SETTLED * end
    count = int(settled.sum())
    if count < 2 * workers:
        return {"rate": None}
    waited = int(run.attributes["waited_for_room"])
    found = {"rate": count / ((1 - SETTLED) * end), "updates": count, "waited for room": waited / len(settled)}
    found["counts"] = np.bincount(np.maximum(rows["tau"][settled], 0))
    found["failed"] = float(rows["tries"][settled].mean())
    return found | {
        "steps": _steps({name: rows[name][-ROWS:] for name in ("worker", "t_read", "t_ready", "t_apply")})
    }


def _steps(rows: dict[str, Any]) -> dict[str, float] | None:
    """Of each worker from one update to the next: before the view is read, to the gradient, to the update."""
    order = np.lexsort((rows["t_apply"], rows["worker"]))
    worker, read, ready, apply = (rows[name][order] for name in ("worker", "t_read", "t_ready", "t_apply"))
    same = worker[1:] == worker[:-1]
    if not same.any():
        return None
    parts = {"between": read[1:] - apply[:-1], "gradient": (ready - read)[1:], "update": (apply - ready)[1:]}
    return {name: float(value[same].mean() * 1e6) for name, value in parts.items()}


def _counters() -> dict[str, float]:
    """Time, CPU time, context switches, what other programs and the hypervisor had, and how often a quota cut in."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {"wall": time.perf_counter(), "cpu": time.process_time()}
    return found | {"gave way": usage.ru_nvcsw, "suspended": usage.ru_nivcsw} | _machine_time() | _throttled()


def _shares(used: dict[str, float], seconds: float, workers: int) -> dict[str, float]:
    """Counters over a run of so many seconds as shares and rates.

    Its start and end are the work of one thread, which has as much of its core as the workers of theirs.

    >>> used = {"wall": 1.5, "cpu": 1.25, "gave way": 0.0, "suspended": 0.0}
    >>> _shares(used, 0.5, 1)["had cores"]  # beside another program: 1.25 s of 1.5
    0.8333333333333334
    """
    alone = max(0.0, used["wall"] - seconds)
    threads = min(workers, at_once())
    found = {"had cores": min(1.0, used["cpu"] / (alone + seconds * threads))}
    found |= {f"{name} per second": used[name] / used["wall"] for name in ("gave way", "suspended")}
    whole = used["wall"] * len(cores())
    if "busy" in used:
        found["others"] = max(0.0, used["busy"] - used["cpu"]) / whole
        found["hypervisor"] = used["steal"] / whole
    return found | ({"throttled": used["throttled"]} if "throttled" in used else {})


def _machine_time() -> dict[str, float]:
    """Seconds that the CPUs of this process were busy with anything, and were taken by a hypervisor."""
    if not (lines := _lines(Path("/proc/stat"))):
        return {}
    mine, tick = {f"cpu{core}" for core in cores()}, os.sysconf("SC_CLK_TCK")
    of = np.array([[int(word) for word in words[1:9]] for words in map(str.split, lines) if words[0] in mine])
    if of.ndim != 2 or of.shape[1] < 8:
        return {}
    user, nice, system, _, _, irq, softirq, steal = of.sum(axis=0) / tick
    return {"busy": float(user + nice + system + irq + softirq), "steal": float(steal)}


def _throttled() -> dict[str, float]:
    """How often the quota of a container has suspended all threads; nothing where that is not told."""
    for folder in groups():
        for line in _lines(folder / "cpu.stat"):
            if line.startswith("nr_throttled "):
                return {"throttled": float(line.split()[1])}
    return {}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def together(workers: int, pinned: bool, prepare: Callable[[], Callable[[], float]]) -> float:
    """The sum of what `workers` threads did per second: each prepares, waits for the others, and then works.

    Args:
        workers: threads.
        pinned: to a core each, as the engine pins its workers.
        prepare: called in each thread; what it returns does the work and says how much that was.
    """
    barrier, amounts, spans, errors = threading.Barrier(workers), [], [], []

    def thread(me: int) -> None:
        try:
            if pinned:
                os.sched_setaffinity(0, {pinning()[me % len(cores())]})
            work = prepare()
            barrier.wait(60)
            start = time.perf_counter()
            amounts.append(work())
            spans.append((start, time.perf_counter()))
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=thread, args=(me,), daemon=True) for me in range(workers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if errors:
        raise errors[0]
    if workers <= at_once():  # all at the same time: the last to end does not count for all
        return sum(amount / (end - start) for amount, (start, end) in zip(amounts, spans, strict=True))
    return sum(amounts) / (max(end for _, end in spans) - min(start for start, _ in spans))


@cache
def seconds_of_step(name: str) -> float:
    """The time of a bare step, from so many that they take some milliseconds."""
    step, n, seconds = bare_step(model(name), batch_size(name)), 1, 0.0
    step(1)
    while seconds < 0.005:
        n *= 2
        seconds = seconds_per_step(step, n) * n
    return seconds / n


def bare_rate(case: Case, seconds: float) -> float:
    """Steps per second of threads that share nothing."""
    problem, batch = model(case.model), batch_size(case.model)
    share = max(1.0, case.workers / at_once())  # of a core, for how many threads
    n = max(1, round(seconds / seconds_of_step(case.model) / share))

    def prepare() -> Callable[[], float]:
        step = bare_step(problem, batch)
        step(1)

        def work() -> float:
            step(n)
            return n

        return work

    return together(case.workers, case.pinned, prepare)


@kernel()
def _triad(n, a, b, c):
    for _ in range(n):
        for i in range(a.size):
            a[i] = b[i] + np.float32(0.5) * c[i]


@kernel()
def _count(n, words, place):
    for _ in range(n):
        fetch_add(words, place, 1)


def probes(workers: int, pinned: bool, quick: bool) -> dict[str, float | int | None]:
    """What the machine does with so many threads: arithmetic, memory, counters that are shared or near each other."""
    shorter = 100 if quick else 1
    found: dict[str, float | int | None] = {"workers": workers}
    found["arithmetic"] = together(workers, pinned, lambda: _repeated(fma_chains, 4_000_000 // shorter))
    found["arithmetic"] *= 2e-9 * LANES * CHAINS
    size = min(TRIAD_BYTES, max(2**21, 2**29 // workers)) // (16 if quick else 1)
    found["memory"] = None
    if 4 * 3 * size * workers < available():
        found["memory"] = together(workers, pinned, lambda: _streaming(size // 4, 1 if quick else 3)) * 1e-9
    for name, distance in DISTANCES.items():
        words, next_one = aligned((workers + 1) * 2 * LINE, np.int64), iter(range(workers))
        add = specialise(_count, types.int64, array_type(np.int64), types.int64)
        n = max(1, min(2_000_000, 4_000_000 // workers) // shorter)
        found[name] = 1e-6 / workers * together(workers, pinned, lambda: _counting(add, n, words, next_one, distance))  # noqa: B023
    return found


def _repeated(work: Callable[[int], object], n: int) -> Callable[[], float]:
    def repeat() -> float:
        work(n)
        return n

    work(1)
    return repeat


def _streaming(size: int, n: int) -> Callable[[], float]:
    a, b, c = (aligned(size, np.float32) for _ in range(3))
    stream = specialise(_triad, types.int64, *[array_type(np.float32)] * 3)
    for one in (a, b, c):
        one.fill(1)

    def work() -> float:
        stream(n, a, b, c)
        return n * size * 4 * 3

    return work


def _counting(
    add: Callable[..., Any], n: int, words: np.ndarray, numbers: Iterable[int], distance: int
) -> Callable[[], float]:
    place = next(iter(numbers)) * distance

    def work() -> float:
        add(n, words, place)
        return n

    return work
