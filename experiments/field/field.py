"""Every contestant at its own best step size, on every schedule, with every way to split the data.

    python experiments/field/field.py runs/field.jsonl --jobs 2
    python experiments/field/field.py quick.jsonl --quick

Each run is a line of the file, written when it ends. Called again, it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from contestants import CONTESTANTS, DATA, REPORTED, SCHEDULES, TUNING, WORKERS, Contestant

import asapnb as ab
from asapnb.analysis import Target, crossing, records
from asapnb.schemes import as_scheme

Key = tuple[str, str, str, int, int]  # contestant, schedule, data, k of the step size 2^(k/2), seed
Found = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    problem: Callable[[], ab.Problem]
    target: float  # training loss
    seconds: float  # virtual, until a run is given up
    look: int  # gradients between two looks at the loss
    samples: int  # that this loss is the mean of
    schedules: tuple[str, ...]
    reported: tuple[int, ...]
    tuning: tuple[int, ...]
    farthest: int  # steps of the search from where it begins: 8 are a factor of 16


@cache
def lenet() -> ab.Problem:
    """The problem."""
    return ab.lenet(ab.load_dataset("fashion-mnist-mini"))


@cache
def small() -> ab.Problem:
    """That of the quick runs."""
    return ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))


FULL = Size(lenet, 0.6, 250.0, 64, 1000, tuple(SCHEDULES), REPORTED, TUNING, 8)
QUICK = Size(small, 1.5, 8.0, 64, 200, ("equal",), (0,), (100,), 0)


def carry_out(problem: ab.Problem, size: Size, one: Contestant, schedule: str, data: str, k: int, seed: int) -> Found:
    """One run: when it reached the target, in virtual seconds (None if it did not), and its last loss."""
    each = as_scheme(one.scheme).gradients(WORKERS) * int(one.more.get("local_steps", 1))  # gradients of a version
    given = {"workers": WORKERS, **DATA[data], **one.more}
    run = ab.simulate(
        problem, one.scheme, step_size=2.0 ** (k / 2), timing=SCHEDULES[schedule], seed=seed,
        updates=math.ceil(1.2 * WORKERS * size.seconds / each), max_seconds=size.seconds, target_loss=size.target,
        eval_every=max(1, size.look // each), eval_samples=size.samples, record="summary", threads=1, progress=False,
        **given,
    )  # fmt: skip
    (record,) = records(run)
    loss = float(run.evals["train_loss"][-1])
    return {
        "seconds": crossing(record, Target(loss=size.target)).seconds,
        "loss": loss if math.isfinite(loss) else None,
    }


def compete(size: Size, one: Contestant, schedule: str, data: str, known: dict[Key, Found], path: Path) -> str:
    """All runs of a contestant in a cell that are not known: those that choose its step size, and those reported."""
    problem = size.problem()

    def outcome(k: int, seed: int) -> Found:
        key = (one.name, schedule, data, k, seed)
        if key not in known:
            known[key] = carry_out(problem, size, one, schedule, data, k, seed)
            with path.open("a") as file:  # a line at a time, so that processes may share the file
                file.write(json.dumps([*key, known[key]]) + "\n")
        return known[key]

    def cost(k: int) -> tuple[float, float]:
        """The mean time, given up counting as all of it; where nobody arrives the mean loss decides."""
        runs = [outcome(k, seed) for seed in size.tuning]
        times = [size.seconds if run["seconds"] is None else run["seconds"] for run in runs]
        losses = [math.inf if run["loss"] is None else run["loss"] for run in runs]
        return sum(times), sum(losses)

    best = search(cost, one.start, size.farthest)
    for seed in size.reported:
        outcome(best, seed)
    return f"{schedule}, {data}, {one.name}: step size {2.0 ** (best / 2):.3g}"


def search(cost: Callable[[int], Any], start: int, farthest: int) -> int:
    """The place of the least cost: from the start downhill, until both neighbours cost more."""
    costs = {start: cost(start)}
    while True:
        best = min(costs, key=lambda k: costs[k])
        new = [k for k in (best - 1, best + 1) if k not in costs and abs(k - start) <= farthest]
        if not new:
            return best
        for k in new:
            costs[k] = cost(k)


def load(path: Path) -> dict[Key, Found]:
    """The runs in a file; a line that was cut off is left out."""
    found: dict[Key, Found] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            name, schedule, data, k, seed, outcome = json.loads(line)
        except ValueError:
            continue
        found[name, schedule, data, k, seed] = outcome
    return found


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--quick", action="store_true", help="a small network, one schedule: whether all works")
    parser.add_argument("--only", nargs="*", default=(), help="names of contestants")
    given = parser.parse_args()
    size, known = QUICK if given.quick else FULL, load(given.path)
    given.path.parent.mkdir(parents=True, exist_ok=True)
    with given.path.open("a+") as file:
        file.seek(0)
        file.write("" if file.read()[-1:] in ("", "\n") else "\n")  # after a line that was cut off
    tasks = [
        (one, schedule, data)
        for data in DATA for schedule in size.schedules for one in CONTESTANTS
        if one.name in given.only or not given.only
    ]  # fmt: skip
    if given.jobs == 1:
        for task in tasks:
            print(compete(size, *task, known, given.path), flush=True)
        return
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(compete, size, *task, known, given.path) for task in tasks]
        for number, done in enumerate(as_completed(waiting), 1):
            print(f"{number} of {len(tasks)}: {done.result()}", flush=True)


if __name__ == "__main__":
    main()
