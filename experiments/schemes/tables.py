"""Simulate all cases with the times in this folder, then print the tables of the page and draw its figures.

    nice python experiments/schemes/tables.py simulate
    python experiments/schemes/tables.py

The first writes simulated.csv (a minute); the second reads it, times.csv and threads.csv.
"""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import numpy as np
from common import BATCHES, HERE, NETWORKS, SCHEMES, WORKERS, load, simulated, times_file, write
from figures import draw
from scipy.optimize import brentq

from asapnb.analysis import Table
from asapnb.simulator import staleness_only
from asapnb.theory import machine_repairman
from asapnb.timing import Timing, load_timing

UPDATES = 100_000
Row = dict[str, Any]


def times_of(network: str, batch: int, scheme: str) -> Timing:
    """The measured times of a case."""
    return load_timing(times_file(network, batch, "Leashed" if scheme.startswith("Leashed") else "LockBased"))


def simulate() -> None:
    """Write simulated.csv."""
    rows: list[Row] = []
    for network, batch, (label, scheme), workers in product(NETWORKS, BATCHES, SCHEMES.items(), WORKERS):
        times = times_of(network, batch, label)
        made = staleness_only(times, scheme, workers, UPDATES)
        compute, staleness = times.compute.mean, made.staleness
        rows.append({
            "network": network, "batch": batch, "scheme": label, "workers": workers,
            "ratio": (times.read.mean + times.update.mean) / compute,
            "per_gradient_time": made.updates / made.seconds * compute,
            "mean_tau": staleness.mean(), "p99": int(staleness.quantile(0.99)),
            "dropped": made.dropped / (made.dropped + made.updates), "failed": made.failed / made.updates,
            **theory(times, label, workers),
        })  # fmt: skip
    write("simulated.csv", rows)


def theory(times: Timing, label: str, workers: int) -> Row:
    """Updates per mean gradient time, and dropped share, where there is a formula."""
    compute, read, update = times.compute.mean, times.read.mean, times.update.mean
    found: Row = {"exponential": None, "constant": None, "theory_dropped": None}
    if label == "LockBased":
        for law in ("exponential", "constant"):
            found[law] = machine_repairman(workers, compute, read + update, law).throughput * compute
    if label == "Leashed, T_p 0":
        cycle = compute + read + update

        def excess(rate: float) -> float:  # of publications, over those that the attempts leave
            return float(rate - workers / cycle * np.exp(-rate * update * (workers - 1) / workers))

        rate = brentq(excess, 0.0, workers / cycle)
        found["theory_dropped"] = float(-np.expm1(-rate * update * (workers - 1) / workers))
    return found


def tables() -> list[Table]:
    """The tables of the page."""
    found = [saturation(), staleness_table(), leashed_table()]
    return [*found, threads_table()] if (HERE / "threads.csv").exists() else found


def saturation() -> Table:
    """Where the lock bends, by theory and in virtual time."""
    rows = []
    for network, batch in product(NETWORKS, BATCHES):
        found = [simulated()[network, batch, "LockBased", workers] for workers in WORKERS]
        ratio = found[0]["ratio"]
        leashed = simulated()[network, batch, "Leashed, T_p none", 64]
        off = max(abs(row["per_gradient_time"] / row["exponential"] - 1) for row in found)
        off_constant = max(abs(row["per_gradient_time"] / row["constant"] - 1) for row in found)
        rows.append((
            network, batch, f"{1e6 * times_of(network, batch, 'LockBased').compute.mean:.0f}", ratio, 1 + 1 / ratio,
            1 / ratio, found[-1]["per_gradient_time"], f"{off:.1%}", f"{off_constant:.1%}",
            leashed["per_gradient_time"], leashed_limit(network, batch),
        ))  # fmt: skip
    columns = ("network", "batch", "T_c, µs", "(T_r + T_u)/T_c", "m*", "limit", "64 workers", "off M/M/1//m",
               "off M/D/1//m", "Leashed, 64 workers", "T_c/T_retry")  # fmt: skip
    return Table("LockBased: updates per mean gradient time", columns, tuple(rows))


def leashed_limit(network: str, batch: int) -> float:
    """Mean gradient time over that of a further attempt, or of the first where no other was measured."""
    times = times_of(network, batch, "Leashed")
    return float(times.compute.mean / (times.retry or times.update).mean)


CHOSEN = (("mlp 32", 4), ("mlp 128x3", 16), ("mlp 512x2", 4), ("lenet", 16))


def staleness_table() -> Table:
    """E[tau]/(m-1), p99 and more of some cases."""
    rows = []
    for (network, batch), label, workers in product(CHOSEN, SCHEMES, (8, 64)):
        if label == "Hogwild, in place":  # takes as long as a snapshot does
            continue
        row = simulated()[network, batch, label, workers]
        rows.append((
            network, batch, label, workers, row["per_gradient_time"],
            row["mean_tau"] / (workers - 1), int(row["p99"]),
            row["failed"] if "Leashed" in label else None, f"{row['dropped']:.1%}" if row["dropped"] else None,
        ))  # fmt: skip
    columns = (
        "network",
        "batch",
        "scheme",
        "m",
        "updates per T_c",
        "E[τ]/(m−1)",
        "p99",
        "failed per update",
        "dropped",
    )
    return Table("Schemes in virtual time", columns, tuple(rows))


def leashed_table() -> Table:
    """The dropped share of T_p = 0 beside the formula."""
    counts, rows = (2, 4, 8, 16, 32, 64), []
    for network, batch in CHOSEN:
        found = [simulated()[network, batch, "Leashed, T_p 0", workers] for workers in counts]
        cells = (f"{row['dropped']:.1%} ({row['theory_dropped']:.1%})" for row in found)
        rows.append((network, batch, *cells))
    columns = ("network", "batch", *(f"m = {workers}" for workers in counts))
    return Table("Leashed, T_p = 0: share of gradients dropped (formula)", columns, tuple(rows))


def threads_table() -> Table:
    """What real threads did."""
    rows = []
    for row in load("threads.csv"):
        if row["scheme"] == "Sequential":
            continue
        case = (row["network"], int(row["batch"]), row["scheme"], int(row["workers"]))
        virtual, alone = simulated()[case], row["workers"] == 1
        rows.append((
            *case[:3], case[3], f"{row['speed_up']:.2f} ({row['least']:.2f}–{row['most']:.2f})",
            None if alone else row["mean_tau"] / (case[3] - 1), int(row["p99"]), row["failed"],
            f"{row['dropped']:.1%}" if row["dropped"] else None,
            None if alone else virtual["mean_tau"] / (case[3] - 1), int(virtual["p99"]),
        ))  # fmt: skip
    columns = ("network", "batch", "scheme", "workers", "speed-up (least–most)", "E[τ]/(m−1)", "p99", "failed",
               "dropped", "virtual: E[τ]/(m−1)", "virtual: p99")  # fmt: skip
    return Table("Real threads on two cores (4 and 8 workers are oversubscribed)", columns, tuple(rows))


if __name__ == "__main__":
    if sys.argv[1:] == ["simulate"]:
        simulate()
    else:
        print("\n\n".join(table.markdown() for table in tables()))
        draw(HERE)
