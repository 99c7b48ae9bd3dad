"""What a small run costs in a warm process: the CPU time of a whole call of `simulate`, and the size of its file.

    python experiments/benchmarks/small.py

The time over the run is what remains without the updates themselves. What those take follows from a run of five times
as many.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import Effort, Table, interleaved, main, median

import asapnb as ab

LONGER = 5  # times as many updates, of which the cost of one follows


def call(problem: ab.Problem, updates: int, record: str, out: Path | None) -> Callable[[], float]:
    """Measures the CPU seconds of a run, each time with another seed."""
    seeds = itertools.count()

    def measure() -> float:
        start = time.process_time()
        ab.simulate(
            problem, workers=16, updates=updates, eval_every=0, eval_samples=500, seed=next(seeds), record=record,
            out=out, force=True, threads=1,
        )  # fmt: skip
        return time.process_time() - start

    return measure


def measure(effort: Effort) -> list[Table]:
    """One row for each problem, and each way to record it."""
    problems = {
        "quadratic": (ab.problems.quadratic([1.0, 10.0], noise=0.1), 2000),
        "MLP 784-32-10": (ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(32,)), 200),
    }
    with tempfile.TemporaryDirectory() as folder:
        places = {"memory": None, "file": Path(folder, "run.h5")}
        cases, sizes = {}, {}
        for name, (problem, updates) in problems.items():
            cases[name, "longer"] = call(problem, LONGER * updates, "summary", None)
            for record, place in itertools.product(("summary", "updates"), places):
                cases[name, record, place] = run = call(problem, updates, record, places[place])
                run()
                sizes[name, record, place] = places["file"].stat().st_size / 1e3 if place == "file" else 0.0
        times = interleaved(cases, effort.rounds)
    rows = []
    for (name, record, place), size in sizes.items():
        least = times[name, "summary", "memory"]
        bare = (times[name, "longer"] - least) / (LONGER - 1)  # of the gradients, updates and their schedule
        over = median(times[name, record, place] - bare) * 1e3
        aim = {("summary", "memory"): ("≤", 5.0), ("summary", "file"): ("≤", 15.0)}.get((record, place))
        aim = aim if name == "quadratic" else None  # a network is also evaluated, twice on 1,500 images
        row = {"problem": name, "updates": problems[name][1], "record": record, "in": place}
        row |= {"CPU, ms": median(times[name, record, place]) * 1e3, "over the run, ms": over, "aim": aim}
        rows.append(row | {"file, kB": size})
    formats = {"updates": ",", "CPU, ms": ".1f", "over the run, ms": ".1f", "file, kB": ".0f"}
    return [Table("Small runs in one process, 16 workers", rows, formats, "over the run, ms")]


if __name__ == "__main__":
    main(measure, rounds=31)
