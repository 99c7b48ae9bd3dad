"""Simulate what was measured, with the times that were measured; print the tables of the page, draw its figure.

    python experiments/cluster/tables.py

Reads ranks.csv, hosts.csv, race-*.csv and times/, as far as they are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from cases import COMPUTING, HERE, MANY, STEPS, WAITING, WORKERS, load, times_file
from figures import draw

import asapnb as ab
from asapnb.analysis import Table
from asapnb.simulator import staleness_only
from asapnb.staleness import StalenessDistribution, total_variation
from asapnb.theory import machine_repairman
from asapnb.timing import Timing, load_timing

UPDATES = 100_000
Row = dict[str, Any]


@cache
def rows_of(file: str) -> dict[tuple[str, str, int], Row]:
    """The rows of a file, with what simulation and theory say, by case, scheme and workers."""
    found = {}
    for row in load(file):
        case, scheme, workers = row["case"], row["scheme"], int(row["workers"])
        if scheme == "parameter-server":
            counts = np.array([int(float(text)) for text in str(row["staleness"]).split()])
            times = load_timing(times_file(case), workers)
            row |= said(times, workers, counts)
        found[case, scheme, workers] = row
    return found


def said(times: Timing, workers: int, counts: np.ndarray) -> Row:
    """What simulation and theory say of so many workers with these times, beside the staleness that was counted."""
    seen = StalenessDistribution.from_counts(counts)
    made = staleness_only(times, ab.ParameterServer(), workers, UPDATES)
    mean = {name: times.times(name, workers)[0].mean for name in ("compute", "read", "update", "network")}
    away, service = mean["compute"] + 2 * mean["network"], mean["read"] + mean["update"]
    theory = {law: machine_repairman(workers, away, service, law).throughput for law in ("exponential", "constant")}
    return {
        "simulated": made.updates / made.seconds, "tv": total_variation(seen, made.staleness), **theory,
        "m_star": 1 + away / service, "p99": int(seen.quantile(0.99)),
        "pmf": seen.pmf, "simulated_pmf": made.staleness.pmf,
    }  # fmt: skip


def tables() -> Iterator[Table]:
    """The tables of the page."""
    yield throughput()
    yield held("Ranks that compute", "ranks.csv", COMPUTING, WORKERS)
    yield held("Ranks that wait", "ranks.csv", WAITING, MANY)
    if (HERE / "hosts.csv").exists():
        cases = dict.fromkeys(case for case, _, _ in rows_of("hosts.csv"))
        yield held("Hosts", "hosts.csv", cases, WORKERS)
    for network in ("mlp", "lenet"):
        if (HERE / f"race-{network}.csv").exists():
            yield race(network)


def throughput() -> Table:
    """Updates per second of ranks and of threads."""
    found = rows_of("ranks.csv")
    rows = []
    for case in COMPUTING:
        ranks = [found[case, "parameter-server", workers]["rate"] for workers in WORKERS]
        alone, both = found[case, "sequential", 1]["rate"], found[case, "lock-based", 2]["rate"]
        rows.append((case, *(f"{rate:,.0f}" for rate in (alone, both, *ranks)), ranks[1] / alone, ranks[1] / both))
    columns = ("network", "1 thread", "LockBased, 2 threads", *(f"{m + 1} ranks" for m in WORKERS),
               "3 ranks / 1 thread", "3 ranks / 2 threads")  # fmt: skip
    return Table("Updates per second", columns, tuple(rows))


def held(title: str, file: str, cases: Any, counts: tuple[int, ...]) -> Table:
    """Times of the steps, and what was measured beside what follows from them."""
    rows = []
    for case in cases:
        for workers in counts:
            if (row := rows_of(file).get((case, "parameter-server", workers))) is None:
                continue
            times = [None if row[name] is None else f"{1e6 * row[name]:,.0f}" for name in STEPS]
            off = (f"{row[name] / row['timed_rate'] - 1:+.0%}" for name in ("timed_simulated", "constant"))
            alone = workers == 1  # every staleness is 0
            rows.append((
                case, workers, *times, f"{row['had']:.0%}", f"{row['m_star']:.1f}", f"{row['rate']:,.0f}",
                f"{row['timed_rate']:,.0f}", *off, None if alone else f"{row['timed_tv']:.3f}",
                None if alone else f"{row['tv']:.3f}",
            ))  # fmt: skip
    columns = ("case", "m", "T_c", "T_r", "T_u", "pull", "push", "cores had", "m*", "updates/s", "calibrated",
               "simulated", "M/D/1//m", "TV", "TV of training")  # fmt: skip
    return Table(f"{title}: times in µs", columns, tuple(rows))


def race(network: str) -> Table:
    """Time to accuracy."""
    rows, updates = load(f"race-{network}.csv"), 60_000 / 64
    found: list[tuple[Any, ...]] = []
    for who in dict.fromkeys(row["who"] for row in rows):
        mine = [row for row in rows if row["who"] == who]
        seconds = [row["seconds"] for row in mine]
        middle = {
            key: float(np.median([row[key] for row in mine])) for key in ("epochs", "epochs_per_second", "start")
        }
        found.append((
            who, f"{np.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})", f"{middle['epochs']:.1f}",
            f"{updates * middle['epochs_per_second']:,.0f}", f"{middle['start']:.1f}",
        ))  # fmt: skip
    columns = ("who", "s to 85 % (least–most)", "epochs", "updates/s", "start, s")
    return Table(f"Time to accuracy, {network}", columns, tuple(found))


if __name__ == "__main__":
    print("\n\n".join(table.markdown() for table in tables()))
    draw(rows_of("ranks.csv"))
