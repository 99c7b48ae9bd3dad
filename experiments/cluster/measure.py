"""Wall time on this machine: what one server gets through, how stale its updates are, and how long its steps take.

    python experiments/cluster/measure.py [--quick]
    python experiments/cluster/measure.py hosts

Rounds go over all cases, so that a slow minute hits all alike. The first writes ranks.csv and times/; with --quick it
measures one case for a moment, and prints it. The second, as root, does the same on the hosts of `hosts.py`, and
writes hosts.csv and times/hosts-*.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from cases import (
    COMPUTING,
    DELAYS,
    HOSTS,
    MANY,
    ON_HOSTS,
    STEPS,
    TIMED,
    WAITING,
    WORKERS,
    on_ranks,
    times_file,
    write,
)
from hosts import network

from asapnb.timing import save_timing
from asapnb.timing.timing import timing_of

ROUNDS = 2
SECONDS = 1.0
Row = dict[str, Any]


def cases(of: dict[str, tuple[str, int]], seconds: float = SECONDS) -> list[Row]:
    """For `ranks.py`."""
    return [{"case": name, "problem": text, "batch": batch, "seconds": seconds}
            for name, (text, batch) in of.items()]  # fmt: skip


def here() -> Iterator[Row]:
    """Every case once."""
    computing, waiting = cases(COMPUTING), cases(WAITING)
    yield from on_ranks("threads.py", computing, 0)
    for workers in sorted({*WORKERS, *MANY}):
        chosen = computing * (workers in WORKERS) + waiting * (workers in MANY)
        yield from ({**row, "scheme": "parameter-server"} for row in on_ranks("ranks.py", chosen, workers + 1))


def on_hosts() -> Iterator[Row]:
    """Some cases once, with each delay; each rank on a host of its own."""
    for delay in DELAYS:
        with network(HOSTS, delay) as mpiexec:
            for row in on_ranks("ranks.py", cases(ON_HOSTS), HOSTS, mpiexec):
                yield {**row, "case": f"hosts {1000 * delay:g} ms {row['case']}", "scheme": "parameter-server"}


def quietest(rounds: list[Row]) -> Row:
    """Of the rounds of one case: that whose ranks had most of their cores; and the range of rates."""
    chosen = max(rounds, key=lambda row: (row.get("had", 0.0), row["rate"]))
    rates = [row["rate"] for row in rounds]
    row = {key: chosen[key] for key in ("case", "scheme", "workers", "batch", "rate")}
    row |= {"least": min(rates), "most": max(rates)}
    row |= {key: chosen.get(key) for key in (*STEPS, *TIMED, "timing")}
    return row | {"staleness": " ".join(map(str, chosen.get("staleness", ())))}


def measured(one_round: Any, file: str) -> None:
    """Write the rows, and the times of each case by the number of workers."""
    found: dict[tuple[str, str, int], list[Row]] = {}
    for _ in range(ROUNDS):
        for row in one_round():
            found.setdefault((row["case"], row["scheme"], row["workers"]), []).append(row)
    rows = [quietest(rounds) for rounds in found.values()]
    timings: dict[str, dict[int, Any]] = {}
    for row in rows:
        if (fields := row.pop("timing")) is not None:
            timings.setdefault(row["case"], {})[row["workers"]] = timing_of(fields)
    for case, by_workers in timings.items():
        save_timing(times_file(case), by_workers)
    write(file, rows)


def main() -> None:
    """Measure."""
    if "--quick" in sys.argv[1:]:
        print(on_ranks("ranks.py", cases({"mlp 32": COMPUTING["mlp 32"]}, 0.1), 3))
    elif "hosts" in sys.argv[1:]:
        measured(on_hosts, "hosts.csv")
    else:
        measured(here, "ranks.csv")


if __name__ == "__main__":
    main()
