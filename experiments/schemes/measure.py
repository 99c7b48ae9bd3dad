"""Wall time, on as many cores as there are: how long the steps take, and what real threads do.

    python experiments/schemes/measure.py times
    python experiments/schemes/measure.py threads

Rounds go over all cases, so that a slow minute hits all alike. A round of a case is quiet if the threads had 90 % of
their cores; cases with enough quiet rounds are left out of further ones. Of each case `times` keeps the quiet round
whose update took the median time, `threads` the medians of the quiet rounds; where there is none, the one in which
the threads had most of their cores.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import product
from typing import Any, TypeVar

import numpy as np
from common import BATCHES, NETWORKS, ON_THREADS, SCHEMES, THREADS, times_file, write

import asapnb as ab
from asapnb.engine.calibrate import Measured, measure
from asapnb.problems.text import parse_problem
from asapnb.timing import save_timing
from asapnb.training.cores import cores

CORES = len(cores())
ENOUGH = 0.9
Case = TypeVar("Case", bound=Hashable)
Found = TypeVar("Found")


def times() -> None:
    """Write times/*.toml and times.csv."""
    problems = {name: parse_problem(text) for name, text in NETWORKS.items()}

    def measured(case: tuple[str, int, str]) -> list[Measured]:
        name, batch, scheme = case
        return [*measure(problems[name], batch_size=batch, scheme=scheme, seconds=0.1, workers=[1, CORES])]

    cases, rows = [*product(problems, BATCHES, ("LockBased", "Leashed"))], []
    for case, quiet, rounds in in_rounds(cases, measured, least_share, wanted=2, most=6):
        chosen = sorted(rounds, key=lambda two: two[-1].update.mean())[(len(rounds) - 1) // 2]
        save_timing(times_file(*case), {CORES: chosen[-1].timing})
        for one in chosen:
            row = dict(zip(("network", "batch", "scheme"), case, strict=True)) | {"workers": one.workers}
            row |= {part: 1e6 * mean(getattr(one, part)) for part in ("compute", "read", "update", "retry")}
            row["ratio"] = (one.read.mean() + one.update.mean()) / one.compute.mean()
            rows.append(row | {"cores_had": one.share, "quiet_rounds": quiet})
    write("times.csv", rows)


def threads() -> None:
    """Write threads.csv."""
    problems = {name: parse_problem(text) for name, text in NETWORKS.items()}
    places = [("Sequential", 1), *product(SCHEMES, THREADS)]
    cases = [(*case, *place) for case, place in product(ON_THREADS, places)]
    schemes: dict[str, Any] = {"Sequential": ab.Sequential(), **SCHEMES}

    def run(case: tuple[str, int, str, int]) -> dict[str, float]:
        name, batch, label, workers = case
        return trained(problems[name], schemes[label], workers, batch)

    rows, alone = [], {}
    for case, quiet, rounds in in_rounds(cases, run, lambda facts: facts["cores_had"], wanted=2, most=3):
        row = dict(zip(("network", "batch", "scheme", "workers"), case, strict=True))
        row |= {key: float(np.median([facts[key] for facts in rounds])) for key in rounds[0]}
        one = alone.setdefault(case[:2], row["rate"])  # Sequential comes first
        rates = [facts["rate"] / one for facts in rounds]
        row |= {"speed_up": row["rate"] / one, "least": min(rates), "most": max(rates), "quiet_rounds": quiet}
        rows.append(row)
    write("threads.csv", rows)


def trained(problem: ab.Problem, scheme: Any, workers: int, batch: int) -> dict[str, float]:
    """What one short run of real threads shows."""
    marks: list[tuple[float, float]] = []  # at the evaluations before and after the training
    run = ab.train(
        problem, scheme, workers=workers, batch_size=batch, step_size=1e-4, updates=10**8, max_seconds=0.2,
        eval_every=0, eval_samples=10, pin_workers=workers <= CORES,
        on_eval=lambda _: marks.append((time.perf_counter(), time.process_time())),
    )  # fmt: skip
    wall, cpu = np.subtract(marks[-1], marks[0])
    had = cpu / (wall * min(workers, CORES))
    facts, staleness = run.summary(), run.staleness
    return {
        "rate": facts["updates"] / facts["seconds"],
        "mean_tau": staleness.mean(),
        "p99": float(staleness.quantile(0.99)),
        "dropped": facts["dropped"] / (facts["dropped"] + facts["updates"]),
        "failed": facts["failed_cas"] / facts["updates"],
        "cores_had": had,
    }


def in_rounds(
    cases: Sequence[Case], run: Callable[[Case], Found], share: Callable[[Found], float], wanted: int, most: int
) -> list[tuple[Case, int, list[Found]]]:
    """Each case, how many quiet rounds it had, and these; at most so many rounds."""
    found: dict[Case, list[Found]] = {case: [] for case in cases}
    quiet = dict.fromkeys(cases, 0)
    for _, case in product(range(most), cases):
        if quiet[case] < wanted:
            found[case].append(run(case))
            quiet[case] += bool(share(found[case][-1]) >= ENOUGH)
    kept = {
        case: [each for each in rounds if share(each) >= ENOUGH] or [max(rounds, key=share)]
        for case, rounds in found.items()
    }
    return [(case, quiet[case], kept[case]) for case in cases]


def least_share(measured: Sequence[Measured]) -> float:
    """Of their cores, that the threads had."""
    return min(one.share for one in measured)


def mean(values: Any) -> float:
    """NaN where there is none."""
    return float(values.mean()) if len(values) else float("nan")


if __name__ == "__main__":
    {"times": times, "threads": threads}[sys.argv[1]]()
