"""Simulated against measured staleness: the times that `calibrate` finds, a run of real threads, and a schedule.

    python experiments/benchmarks/staleness.py

Each round measures the steps with all cores at work, then trains, then makes the schedule of these times.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import product

import numpy as np
from common import Effort, Table, interleaved, main, median
from networks import CORES, networks

import asapnb as ab
from asapnb.engine.calibrate import measure as measure_times
from asapnb.simulator import staleness_only
from asapnb.staleness.distances import total_variation

BATCH, MANY, AIM = 16, 8, 0.1
ENOUGH = 0.9  # of their cores: threads with less were suspended for another program
SCHEMES = {"lock-based": ab.LockBased(), "leashed": ab.Leashed()}
PARTS = ("mean τ", "P(0)", "P(1)", "P(≥2)", "p99")
FIGURES = (*PARTS, *(f"simulated {part}" for part in PARTS), "TV", "cores had")
FORMATS = dict.fromkeys(FIGURES, ".3f") | {"p99": ".0f", "simulated p99": ".0f", "cores had": ".0%"}
EQUAL = f"""Both threads pinned, no evaluations. The schedule draws the times of steps that were measured just before,
each by itself. TV: total variation distance. cores had: the share of their cores that the threads had; the rest went
to other programs. Rounds with less than {ENOUGH:.0%} are left out. If all are such (quiet rounds: 0) there is no aim:
the threads were mostly suspended, and in turn, which no schedule of independent times shows."""
MORE = f"""{MANY} threads share {CORES} cores, and the schedule is that of {MANY} cores as fast as these. They differ
by nature: a thread that the operating system suspends in the middle of a gradient misses all that the others do
meanwhile, and those at work see nobody but each other. So the mean is that of {MANY} workers, but most updates are as
fresh as those of {CORES}, and a few as stale as a time slice is long. This measures the operating system, and not
{MANY} cores."""


def figures(staleness: ab.StalenessDistribution) -> tuple[float, ...]:
    """The values of `PARTS`."""
    none, one, *_ = staleness.padded(max(2, len(staleness))).pmf
    return staleness.mean(), none, one, 1 - none - one, staleness.quantile(0.99)


def compared(problem: ab.Problem, scheme: ab.LockBased | ab.Leashed, workers: int, seconds: float) -> np.ndarray:
    """One round: the values of `FIGURES`."""
    (times,) = measure_times(problem, scheme=scheme, batch_size=BATCH, seconds=seconds, workers=[CORES])
    updates = max(10 * workers, round(times.gradients_per_second * seconds))
    options = {"step_size": 1e-4, "batch_size": BATCH, "eval_every": 0, "eval_samples": 10}
    pinned, begun, cpu = workers <= CORES, time.perf_counter(), time.process_time()
    real = ab.train(problem, scheme, workers=workers, updates=updates, pin_workers=pinned, **options).staleness
    share = (time.process_time() - cpu) / ((time.perf_counter() - begun) * CORES)
    virtual = staleness_only(times.timing, scheme, workers, 20 * updates).staleness
    return np.array([*figures(real), *figures(virtual), total_variation(real, virtual), min(share, times.share)])


def measure(effort: Effort) -> list[Table]:
    """As many workers as cores, and more."""
    found = networks()
    problems = {"MLP": found["MLP"], "LeNet": found["LeNet 28×28×1"]}
    places = list(product(effort.some(problems), SCHEMES, (CORES, MANY)))
    cases = {
        (name, scheme, workers): partial(compared, problems[name], SCHEMES[scheme], workers, effort.seconds(1.0))
        for name, scheme, workers in places
    }
    values = interleaved(cases, effort.rounds)  # type: ignore[type-var]
    rows: dict[int, list[dict[str, object]]] = {CORES: [], MANY: []}
    for name, scheme, workers in places:
        rounds = values[name, scheme, workers]
        quiet = rounds[rounds[:, -1] >= ENOUGH]
        medians = map(median, (quiet if len(quiet) else rounds).T)
        row = {"network": name, "scheme": scheme, **dict(zip(FIGURES, medians, strict=True))}
        aim = {"aim": ("≤", AIM) if len(quiet) else None} if workers == CORES else {}
        rows[workers].append(row | {"quiet rounds": len(quiet)} | aim)
    return [
        Table(f"Staleness of {CORES} workers, measured and simulated", rows[CORES], FORMATS, "TV", EQUAL),
        Table(f"{MANY} workers on {CORES} cores, and on {MANY}", rows[MANY], FORMATS, note=MORE),
    ]


if __name__ == "__main__":
    main(measure, rounds=7)
