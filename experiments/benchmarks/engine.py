"""What the engine costs over the bare step, and how it scales with workers.

    python experiments/benchmarks/engine.py

Times are of the training clock, so that neither compilation nor the start of threads counts. All runs use the rule
tail, whose table is refreshed as they go, and record every update in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

from common import Effort, Table, interleaved, main, median, steps_in, timed
from networks import ASYNCHRONOUS, CORES, HOGWILD, SNAPSHOT, bare_step, engine_step, networks

import asapnb as ab
from asapnb.compiled import kernel
from asapnb.kernels.arithmetic import copy
from asapnb.kernels.arrays import aligned


@kernel()
def _copies(n, target, source):
    for i in range(n):
        source[i % source.size] += 1  # so that no copy can be left out
        copy(target, source)


def copy_step(problem: ab.Problem) -> Callable[[int], None]:
    """A function that copies the parameters n times."""
    target, source = aligned(problem.n_params, problem.dtype), aligned(problem.n_params, problem.dtype)
    return lambda n: _copies(n, target, source)


def overhead(problems: dict[str, ab.Problem], effort: Effort) -> Table:
    """One worker against the bare step."""
    seconds = effort.seconds(0.3)
    cases: dict[Any, Callable[[], float]] = {}
    places = effort.some([("MLP", 16), ("LeNet 28×28×1", 16), ("LeNet 28×28×1", 128)])
    schemes = {"sequential": ab.Sequential()} | ASYNCHRONOUS
    for name, batch in places:
        cases[name, batch, "bare"] = timed(bare_step(problems[name], batch), seconds)
        cases[name, batch, "copy"] = timed(copy_step(problems[name]), effort.seconds(0.02))
        for scheme in schemes:
            cases[name, batch, scheme] = engine_step(problems[name], batch, schemes[scheme], 1, seconds)
    times = interleaved(cases, effort.rounds)
    rows = []
    for (name, batch), scheme in product(places, schemes):
        bare, copied = times[name, batch, "bare"], median(times[name, batch, "copy"] / times[name, batch, "bare"])
        copies = schemes[scheme] in (ab.LockBased(), SNAPSHOT)
        row = {"network": name, "batch": batch, "scheme": scheme, "bare, ms": median(bare) * 1e3}
        row |= {"copy, µs": median(times[name, batch, "copy"]) * 1e6 if copies else None}
        row |= {"engine, ms": median(times[name, batch, scheme]) * 1e3}
        row["engine / bare"] = median(times[name, batch, scheme] / bare)
        rows.append(row | {"aim": ("≤", 1.05 + copied * copies)})
    formats = {"bare, ms": ".4f", "engine, ms": ".4f", "copy, µs": ".1f", "engine / bare": ".3f"}
    note = "The aim is 1.05, and one copy of the parameters more where the scheme copies them."
    return Table("Cost of the engine, one worker", rows, formats, "engine / bare", note)


def at_once(runs: list[Callable[[int], None]], n: int) -> Callable[[], float]:
    """Measures the time per step of all together, each n steps in a thread of its own."""

    def measure() -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(len(runs)) as pool:
            list(pool.map(lambda run: run(n), runs))
        return (time.perf_counter() - start) / (n * len(runs))

    return measure


def scaling(problems: dict[str, ab.Problem], effort: Effort) -> Table:
    """Two workers against one."""
    places = effort.some(product(("MLP", "LeNet 28×28×1"), (16, 128)))
    cases = {
        (name, batch, scheme, workers): engine_step(problems[name], batch, value, workers, effort.seconds(0.3))
        for (name, batch), (scheme, value), workers in product(places, ASYNCHRONOUS.items(), (1, 2))
    }
    for name, batch in places:
        pair = [bare_step(problems[name], batch) for _ in range(2)]
        n = steps_in(pair[0], effort.seconds(0.3))
        cases |= {(name, batch, "bare", m): at_once(pair[:m], n) for m in (1, 2)}
    times = interleaved(cases, effort.rounds)
    rows = []
    for (name, batch), (scheme, value) in product(places, ASYNCHRONOUS.items()):
        one, two = times[name, batch, scheme, 1], times[name, batch, scheme, 2]
        alone, beside = times[name, batch, "bare", 1], times[name, batch, "bare", 2]
        aim: float | None = 1.9
        if (name, batch) == ("MLP", 16):  # the parameters travel between the cores' caches
            aim = {HOGWILD: None, SNAPSHOT: 1.7}.get(value, 1.85)
        row = {"network": name, "batch": batch, "scheme": scheme, "1 worker, updates/s": 1 / median(one)}
        row |= {"2 workers": 1 / median(two), "2 / 1": median(one / two), "aim": aim and ("≥", aim)}
        rows.append(row | {"bare 2 / 1": median(alone / beside)})
    formats = {"1 worker, updates/s": ",.0f", "2 workers": ",.0f", "2 / 1": ".2f", "bare 2 / 1": ".2f"}
    note = "bare: two threads that share nothing, each with its own bare loop, against one: what the machine allows."
    return Table("Two workers against one", rows, formats, "2 / 1", note)


def oversubscription(problems: dict[str, ab.Problem], effort: Effort) -> Table:
    """64 workers against one per core."""
    schemes = {"synchronous": ab.Synchronous()} | ASYNCHRONOUS
    places = list(product(effort.some(["MLP", "LeNet 28×28×1"]), schemes))
    cases = {
        (name, scheme, workers): engine_step(problems[name], 16, schemes[scheme], workers, effort.seconds(1.0))
        for (name, scheme), workers in product(places, (CORES, 64))
    }
    times = interleaved(cases, effort.rounds)
    rows = []
    few, ratio = f"{CORES} workers, gradients/s", f"64 / {CORES}"
    for name, scheme in places:
        less, more = times[name, scheme, CORES], times[name, scheme, 64]
        row = {"network": name, "batch": 16, "scheme": scheme, few: 1 / median(less), "64 workers": 1 / median(more)}
        rows.append(row | {ratio: median(less / more), "aim": ("≥", 0.95)})
    return Table(f"64 workers on {CORES} cores", rows, {few: ",.0f", "64 workers": ",.0f", ratio: ".3f"}, ratio)


def measure(effort: Effort) -> list[Table]:
    """All three."""
    problems = networks()
    return [part(problems, effort) for part in (overhead, scaling, oversubscription)]


if __name__ == "__main__":
    main(measure, rounds=7)
