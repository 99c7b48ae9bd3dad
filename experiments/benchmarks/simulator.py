"""Updates per second of schedules, beside the same model elsewhere; what a replay costs over bare gradients; memory.

    python experiments/benchmarks/simulator.py

The same model is a heap in plain Numba, and SimPy where this Python has it.
"""

from __future__ import annotations

import heapq
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numba
import numpy as np
from common import Effort, Table, interleaved, main, median, python, steps_in, timed
from networks import CORES, bare_step, networks

import asapnb as ab
from asapnb.compiled import kernel
from asapnb.kernels.arithmetic import copy
from asapnb.kernels.arrays import aligned, whole_lines
from asapnb.kernels.kinds import HOW
from asapnb.kernels.steps import descend, descend_from
from asapnb.simulator.scheduling import Simulation, staleness_only
from asapnb.simulator.world import ROW

AIMS = {16: 3e7, 1024: 1.5e7, 10**6: 3e6}
EXPONENTIAL = "exponential(1)"
BUSY = "compute=exponential(1), read=exponential(0.002), update=exponential(0.002)"
TRAVELLING = f"{BUSY}, network=exponential(0.1)"
SCHEMES = {
    "lock-based": BUSY,
    "lock-based(fused=True)": BUSY,
    "lock-based(order=random)": BUSY,
    "hogwild": BUSY,
    "leashed": BUSY,
    "leashed(persistence=1)": BUSY,
    "leashed(check_early=True)": BUSY,
    "synchronous": BUSY,
    "synchronous(wait_for=8)": BUSY,
    "parameter-server": TRAVELLING,
    "parameter-server(bound=4)": TRAVELLING,
    "parameter-server(discard_after=32, restart=True)": TRAVELLING,
}
LENET = """
import sys, asapnb as ab
problem = ab.lenet(ab.load_dataset("fashion-mnist-mini"))
ab.simulate(problem, workers=1024, updates=int(sys.argv[1]), eval_every=0, step_size=1e-4)
"""
SCHEDULE = """
import sys, asapnb as ab
made = ab.schedule("exponential(1)", workers=1024, updates=int(sys.argv[1]))
"""
COUNTED = """
import sys
from asapnb.simulator import staleness_only
staleness_only("exponential(1)", workers=1024, updates=int(sys.argv[1]))
"""
SUMMARY = """
import sys, asapnb as ab
problem = ab.problems.quadratic([1.0, 10.0])
ab.simulate(problem, updates=int(sys.argv[1]), eval_every=0, step_size=1e-3, record="{record}", threads=1)
"""
PROCESSES = {  # code, updates, the most megabytes
    "LeNet, 1,024 workers": (LENET, 3000, 1000.0),
    "schedule": (SCHEDULE, 10**7, None),
    "staleness_only": (COUNTED, 10**7, None),
    "quadratic, a row of each update": (SUMMARY.format(record="updates"), 2 * 10**6, None),
    "quadratic, record=summary": (SUMMARY.format(record="summary"), 2 * 10**6, None),
}
SLOW = "compute=exponential(1), read=exponential(0.05), update=exponential(0.05)"
ANALYTIC: dict[str, tuple[ab.Problem, dict[str, Any]]] = {
    "quadratic": (ab.problems.quadratic([1.0, 10.0]), {}),
    "quadratic, tail, momentum": (ab.problems.quadratic([1.0, 10.0]), {"rule": "tail", "momentum": 0.9}),
    "quadratic, noise": (ab.problems.quadratic([1.0, 10.0], noise=0.1), {}),
    "quadratic, hogwild": (ab.problems.quadratic([1.0, 10.0]), {"scheme": "hogwild", "timing": SLOW}),
    "rosenbrock, clip, decay, compensation": (
        ab.problems.rosenbrock(), {"clip": 1.0, "weight_decay": 1e-3, "compensation": 0.1},
    ),
    "least_squares, 10": (ab.problems.least_squares(samples=500, dimension=10), {"eval_every": 1000}),
    "logistic, 10": (ab.problems.logistic(samples=500, dimension=10), {"eval_every": 1000}),
}  # fmt: skip


def per_update(run: Callable[[], object], updates: int) -> Callable[[], float]:
    """Measures the time of `run` per update."""

    def measure() -> float:
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) / updates

    return measure


@cache
def old_memory(updates: int) -> np.ndarray:
    """Rows that have been touched; the same for all, as much memory in use makes fresh memory slow."""
    rows = aligned(updates, ROW)
    rows["worker"] = 0
    return rows


def into_old_memory(workers: int, updates: int) -> Callable[[], object]:
    """The event loop alone, all columns, into rows that have been touched before."""
    simulation = Simulation(EXPONENTIAL, "lock-based", workers, 2**46, 0)
    return lambda: simulation.fill(old_memory(updates), np.empty(0))


def in_simpy(workers: int, updates: int) -> None:
    """The same model in SimPy: a process for each worker, which records the staleness of its updates."""
    from simpy import Environment

    environment = Environment()
    done = environment.event()
    times = iter(np.random.default_rng(0).exponential(size=updates + workers).tolist())
    staleness: list[int] = []

    def worker() -> Iterator[Any]:
        read = 0
        while True:
            yield environment.timeout(next(times))
            staleness.append(len(staleness) - read)
            read = len(staleness)
            if read == updates:
                done.succeed()

    for _ in range(workers):
        environment.process(worker())
    environment.run(done)


@numba.njit
def heap_in_numba(workers: int, updates: int, staleness: Any) -> None:
    """The same model with the heap that Numba brings: a heap of times and workers, and the version each has read."""
    events = [(np.random.exponential(), worker) for worker in range(workers)]  # noqa: NPY002 (as Numba has it)
    heapq.heapify(events)
    read = np.zeros(workers, np.int64)
    for version in range(updates):
        now, worker = events[0]
        staleness[version] = version - read[worker]
        read[worker] = version + 1
        heapq.heapreplace(events, (now + np.random.exponential(), worker))  # noqa: NPY002


def schedules(effort: Effort) -> Table:
    """Exponential compute times, reads and updates without duration."""
    count, fewer = (10_000, 10_000) if effort.quick else (5_000_000, 200_000)
    cases: dict[Any, Callable[[], float]] = {}
    for workers in effort.some(AIMS):
        arguments = {"timing": EXPONENTIAL, "workers": workers, "updates": count}
        cases[workers, "whole"] = per_update(partial(ab.schedule, **arguments), count)
        cases[workers, "old"] = per_update(into_old_memory(workers, count), count)
        cases[workers, "counted"] = per_update(partial(staleness_only, **arguments), count)
        heap_in_numba(2, 2, np.empty(2, np.int32))
        cases[workers, "heap"] = per_update(
            lambda m=workers: heap_in_numba(m, count, np.empty(count, np.int32)), count
        )
        if workers < fewer and find_spec("simpy"):
            cases[workers, "simpy"] = per_update(partial(in_simpy, workers, fewer), fewer)
    times = interleaved(cases, effort.rounds)
    rows = []
    for workers in effort.some(AIMS):
        here, beside = times[workers, "whole"], times.get((workers, "simpy"))
        row = {"workers": workers, "updates/s": 1 / median(here), "aim": ("≥", AIMS[workers])}
        row |= {"into old memory": 1 / median(times[workers, "old"])}
        row |= {"staleness only": 1 / median(times[workers, "counted"])}
        row |= {"heap in Numba": 1 / median(times[workers, "heap"])}
        row |= {"SimPy": None if beside is None else 1 / median(beside)}
        rows.append(row | {"over SimPy": None if beside is None else median(beside / here)})
    shown = ("updates/s", "into old memory", "staleness only", "heap in Numba", "SimPy", "over SimPy")
    formats = dict.fromkeys(shown, ",.0f")
    note = (
        "updates/s: whole calls of `schedule`, 5 million updates, in fresh memory; into old memory: the event loop\n"
        "alone, all columns, where rows have been touched before. The heap and SimPy record staleness only, SimPy\n"
        "of 200,000 updates."
    )
    return Table("Schedules, exponential compute times", rows, formats, "updates/s", note)


def schemes(effort: Effort) -> Table:
    """Every scheme, where reads and updates take time."""
    count = 1000 if effort.quick else 300_000
    cases = {}
    for scheme, workers in product(effort.some(SCHEMES), (16, 256)):
        updates = count // workers if scheme.startswith("synchronous") else count
        run = partial(staleness_only, SCHEMES[scheme], scheme, workers, updates)
        cases[scheme, workers] = per_update(run, count if updates < count else updates)
    times = interleaved(cases, effort.rounds)
    rows = [{"scheme": s, "workers": m, "gradients/s": 1 / median(times[s, m])} for s, m in cases]
    title = "Schedules of every scheme, reads and updates of 0.002 of a gradient each"
    return Table(title, rows, {"gradients/s": ",.0f"}, note="Synchronous: for all workers, those given up included.")


def replayed(problem: ab.Problem, batch: int, workers: int, threads: int, updates: int) -> Callable[[], float]:
    """Measures the time of a simulated run per update, from the first to the last, without compilation."""
    options = {"workers": workers, "batch_size": batch, "updates": updates, "threads": threads}
    fixed = {"rule": "tail", "step_size": 1e-4, "eval_every": 0, "eval_samples": 10}
    return lambda: ab.simulate(problem, **options, **fixed).attributes["replay"]["wall_seconds"] / updates


@kernel()
def _move(n, vectors, gradient, views, how):
    none, size, step = gradient[:0], gradient.size, gradient.dtype.type(1e-4)
    for number in range(n):
        source, target = vectors[number % len(vectors)], vectors[(number + 1) % len(vectors)]
        copy(gradient, vectors[(number + 1 - views) % len(vectors)])  # in the place of computing it
        if views == 1:
            descend(source, none, gradient, 0, size, step, how, number + 1, number)
        else:
            descend_from(target, source, none, gradient, 0, size, step, how, number + 1, number)


def moving(problem: ab.Problem, workers: int, seconds: float) -> Callable[[], float]:
    """Measures the time to read a view, to write a gradient, and to update: a step without its arithmetic."""
    length = whole_lines(problem.n_params, problem.dtype)
    vectors = aligned((workers + (workers > 1), length), problem.dtype)
    gradient = aligned(length, problem.dtype)
    how = np.zeros(HOW, problem.dtype)  # plain steps
    return timed(lambda n: _move(n, vectors, gradient, workers, how), seconds)


def replays(effort: Effort) -> Table:
    """Gradients at true views, against the same gradients in a bare loop."""
    problems, seconds = networks(), effort.seconds(0.5)
    places = list(product(effort.some([("MLP", 16), ("LeNet 28×28×1", 16), ("LeNet 28×28×1", 128)]), (1, 16, 64)))
    cases: dict[Any, Callable[[], float]] = {}
    for (name, batch), workers in places:
        count = max(4, steps_in(bare_step(problems[name], batch), seconds))
        cases[name, batch, "bare"] = timed(bare_step(problems[name], batch), seconds)
        cases[name, workers, "moving"] = moving(problems[name], workers, effort.seconds(0.05))
        for threads in (1, CORES):
            cases[name, batch, workers, threads] = replayed(problems[name], batch, workers, threads, count * threads)
    times = interleaved(cases, effort.rounds)
    rows = []
    for (name, batch), workers in places:
        bare, one, all_cores = times[name, batch, "bare"], *(times[name, batch, workers, n] for n in (1, CORES))
        row = {"network": name, "batch": batch, "workers": workers, "bare, ms": median(bare) * 1e3}
        row |= {"replay, ms": median(one) * 1e3, "replay / bare": median(one / bare), "aim": ("≤", 1.05)}
        near, far = (times[name, m, "moving"] for m in (1, workers))
        row |= {"memory": median((bare + far - near) / bare)}
        rows.append(row | {f"{CORES} threads / 1": median(one / all_cores) if workers > 1 else None})
    formats = {"bare, ms": ".4f", "replay, ms": ".4f", "replay / bare": ".3f", "memory": ".3f"}
    formats |= {f"{CORES} threads / 1": ".2f"}
    note = (
        f"bare: gradient and update on one vector. Aim of {CORES} threads is {0.9 * CORES:.1f} from 16 workers on.\n"
        "memory: bare, and what the reads and writes of a step without arithmetic take longer where each version\n"
        "has a vector of its own and views are as old as with so many workers."
    )
    return Table("Replays", rows, formats, "replay / bare", note)


def analytic(effort: Effort) -> Table:
    """Whole calls of `simulate`, which end with the run in memory or in a file."""
    count = 1000 if effort.quick else 200_000
    with tempfile.TemporaryDirectory() as folder:
        ways = {"rows": {}, "summary": {"record": "summary"}, "file": {"out": Path(folder, "run.h5"), "force": True}}
        cases = {}
        for (name, (problem, options)), (way, more) in product(ANALYTIC.items(), ways.items()):
            fixed = {"workers": 16, "step_size": 1e-4, "updates": count, "divergence_factor": 1e9}
            run = partial(ab.simulate, problem, **{**fixed, **options, **more})
            run()  # compile
            cases[name, way] = per_update(run, count)
        times = interleaved(cases, effort.rounds)
    rows = [{"problem": name} | {f"{way}, µs": median(times[name, way]) * 1e6 for way in ways} for name in ANALYTIC]
    formats = {f"{way}, µs": ".2f" for way in ways}
    note = "Seconds of the whole call per update. 16 workers, minibatches of 16. rows: in memory."
    return Table("Runs of analytic problems", rows, formats, note=note)


def memory(effort: Effort) -> Table:
    """The peak of a process."""
    rows = []
    for name in effort.some(PROCESSES):
        code, usual, most = PROCESSES[name]
        updates = 10 if effort.quick else usual
        peak = python(code, str(updates)).bytes
        row = {"process": name, "updates": updates, "peak memory, MB": peak / 1e6}
        rows.append(row | {"aim": None if most is None else ("≤", most)})
    formats = {"peak memory, MB": ",.0f", "updates": ","}
    return Table("Memory of a process", rows, formats, "peak memory, MB")


def measure(effort: Effort) -> list[Table]:
    """All five; memory first, as a process that a large one starts counts as large itself."""
    return [part(effort) for part in (memory, schedules, schemes, analytic, replays)]


if __name__ == "__main__":
    main(measure, rounds=7)
