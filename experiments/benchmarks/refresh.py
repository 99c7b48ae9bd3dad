"""What it costs to refresh the table of a rule as the run goes on.

    python experiments/benchmarks/refresh.py

The main thread counts the staleness of all updates and makes the tables; workers only read them. So what a refresh
takes is its own time, as a share of the time that the updates between two refreshes take on all cores. The throughput
of whole runs is shown beside it, but differs by more between two runs of the same rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from common import Effort, Table, interleaved, main, median, steps_in
from networks import CORES, bare_step, networks

import asapnb as ab
from asapnb.rules import ScaleTables
from asapnb.rules.refresh import DEFAULT_REFRESH

RULES = (ab.tail(), ab.rules.power(2.0), ab.rules.quantile_cut(0.9), ab.rules.mindthestep("poisson"))
PLACES = (("MLP", 16), ("LeNet 28×28×1", 16))


def refresh(rule: ab.Rule, workers: int) -> Callable[[], float]:
    """Measures the time of one refresh: as many updates are counted as lie between two, and a table is made."""
    staleness = ab.staleness.geometric(m=workers).sample(0, 100 * DEFAULT_REFRESH.n).reshape(100, -1)
    tables = ScaleTables(rule, workers)

    def measure() -> float:
        start = time.perf_counter()
        for seen in staleness:
            tables.observe(seen)
        return (time.perf_counter() - start) / len(staleness)

    return measure


def throughput(problem: ab.Problem, rule: ab.Rule, workers: int, updates: int) -> Callable[[], float]:
    """Measures the training time per update."""
    options = {"step_size": 1e-4, "batch_size": 16, "updates": updates, "eval_every": 0, "eval_samples": 10}
    return lambda: ab.train(problem, "leashed", rule, workers, **options).attributes["seconds"] / updates


def measure(effort: Effort) -> list[Table]:
    """One row for each network and rule."""
    problems, workers = networks(), 8
    cases = {rule: refresh(rule, workers) for rule in RULES}
    counts = {name: CORES * steps_in(bare_step(problems[name], 16), effort.seconds(0.5)) for name, _ in PLACES}
    for name, count in counts.items():
        for rule in (ab.constant(), *RULES):
            cases[name, rule] = throughput(problems[name], rule, workers, count)
    times = interleaved(cases, effort.rounds)
    rows = []
    for name, batch in PLACES:
        for rule in RULES:
            without, beside = times[name, ab.constant()], times[name, rule]
            between = DEFAULT_REFRESH.n * median(without) * CORES  # what the cores do from one refresh to the next
            row = {"network": name, "batch": batch, "rule": str(rule), "a refresh, ms": median(times[rule]) * 1e3}
            row |= {"of all cores": median(times[rule]) / between, "aim": ("≤", 0.01)}
            rows.append(row | {"updates/s": 1 / median(beside), "over constant": median(without / beside)})
    formats = {"a refresh, ms": ".3f", "of all cores": ".2%", "updates/s": ",.0f", "over constant": ".3f"}
    title = f"Refreshing tables every {DEFAULT_REFRESH.n} updates, {workers} workers on {CORES} cores"
    return [Table(title, rows, formats, "of all cores")]


if __name__ == "__main__":
    main(measure, rounds=7)
