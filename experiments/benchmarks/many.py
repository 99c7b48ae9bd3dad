"""A sweep of many small runs: carried out, killed, gone on with, extended, listed, compared, reported.

    python experiments/benchmarks/many.py [--runs 10000]

Half of the runs are made first. The sweep is then extended to all of them and killed in the middle (SIGKILL). It goes
on, and loses one of its workers on the way. Every command is a process of its own; its CPU time includes its workers.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import COMMAND, Effort, Ended, Table, main, median, python, row
from small import LONGER, call

import asapnb as ab

JOBS, QUICK, LEFT = 2, 24, 10
BASE = {
    "problem": "quadratic([1, 10], noise=0.1)",
    "updates": 2000,
    "eval_every": 200,
    "record": "summary",
}
GRID = {"rule": ["constant", "tail", "inverse"], "workers": [4, 16]}
CELLS = 6
SWEEP = """
import sys, time
from asapnb.sweep import load_sweep, run_sweep

def show(now):
    if now.point is None:
        print(time.perf_counter() - began, now.skipped, flush=True)

began = time.perf_counter()
run_sweep(load_sweep(sys.argv[1]), sys.argv[2], jobs=int(sys.argv[3]), progress=show,
          **dict.fromkeys(sys.argv[4:], True))
"""  # prints the seconds until the first run begins, and how many are there already


def first_run(ended: Ended) -> float:
    """Of SWEEP: the seconds until the first run began."""
    return float(ended.printed.split()[0])


def sweep_file(place: Path, runs: int, **base: Any) -> str:
    """A sweep file of so many runs."""
    values = [f"{name} = {json.dumps(value)}" for name, value in {**BASE, **base}.items()]
    axes = [f"{name} = {json.dumps(value)}" for name, value in GRID.items()]
    lines = ['kind = "simulate"', f"repetitions = {runs // CELLS}", "[base]", *values, "[grid]", *axes]
    place.write_text("\n".join(lines))
    return str(place)


def once_there(folder: Path, runs: int, act: Callable[[int], object]) -> Callable[[int], None]:
    """Does something to a process as soon as its manifest names so many runs."""

    def wait(pid: int) -> None:
        manifest, deadline = folder / "manifest.jsonl", time.monotonic() + 3600
        while time.monotonic() < deadline:
            if manifest.exists() and manifest.read_bytes().count(b"\n") > runs:
                act(pid)
                return
            time.sleep(0.05)

    return wait


def kill_worker(pid: int) -> None:
    """SIGKILL to one of the processes that a sweep has started for its runs."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
            return


def bare(rounds: int) -> float:
    """CPU seconds of the updates of such a run, from runs in memory, of which one is longer."""
    problem, updates = ab.problems.quadratic([1.0, 10.0], noise=0.1), int(str(BASE["updates"]))
    cases = [call(problem, many * updates, "summary", None) for many in (1, LONGER)]
    times = [[case() for case in cases] for _ in range(rounds + 1)][1:]
    return sorted((longer - short) / (LONGER - 1) for short, longer in times)[rounds // 2]


def sizes(folder: Path) -> float:
    """The mean size of its run files."""
    found = [file.stat().st_size for file in folder.glob("*.h5")]
    return sum(found) / len(found)


def carried_out(place: Path, runs: int, own: float, effort: Effort) -> list[dict[str, Any]]:
    """Half of the runs, and some with rows: CPU time, bytes, and memory."""
    rows = []
    cases = [("", runs // 2, {}, 10.0), (" with rows", runs // 4, {"record": "updates"}, None)]
    for name, many, base, most in effort.some(cases):
        some, file = place / f"runs{name}", place / "some.toml"
        some.mkdir()
        few = python(SWEEP, sweep_file(file, CELLS, **base), str(place / f"few{name}"), str(JOBS))
        made = python(SWEEP, sweep_file(file, many, **base), str(some), str(JOBS))
        further = (made.cpu - few.cpu) / max(1, many // CELLS * CELLS - CELLS)
        rows += [
            row(f"sweep of {many:,} runs{name}", "s", made.seconds),
            row(f"its CPU time a run{name}, over the run itself", "ms", (made.cpu / many - own) * 1e3, 15.0),
            row(f"that of a further run{name}", "ms", (further - own) * 1e3, 15.0),
            row(f"a run file{name}", "kB", sizes(some) / 1e3, most),
            row(f"peak memory of a process{name}", "MB", made.bytes / 1e6),
            row(f"that of a sweep of {CELLS} runs{name}", "MB", few.bytes / 1e6),
        ]
    return rows


def gone_on(place: Path, runs: int) -> list[dict[str, Any]]:
    """The other half: extended, killed, gone on with a worker killed; and the last ten once more."""
    folder, file = place / "runs", sweep_file(place / "all.toml", runs)
    given = SWEEP, file, str(folder), str(JOBS)
    extended = python(
        *given, "extend", while_running=once_there(folder, runs * 3 // 4, lambda pid: os.kill(pid, signal.SIGKILL))
    )
    resumed = python(*given, "resume", while_running=once_there(folder, runs * 7 // 8, kill_worker))
    for run in sorted(folder.glob("*.h5"))[:LEFT]:
        run.unlink()
    last = python(*given, "resume")
    there = int(last.printed.split()[1])
    assert there == runs - LEFT, f"{there:,} of {runs:,} runs were there"
    return [
        row(f"to start, extended from {runs // 2:,} runs", "s", first_run(extended)),
        row("to start, after a kill", "s", first_run(resumed)),
        row(f"to start, all but {LEFT} runs there", "s", first_run(last)),
        row("peak memory then", "MB", last.bytes / 1e6),
    ]


def read(place: Path, runs: int, effort: Effort) -> list[dict[str, Any]]:
    """The points listed, and the runs compared and reported."""
    folder, file = str(place / "runs"), str(place / "all.toml")
    listed = python(COMMAND, "sweep", file, "--list")
    helped = median(np.array([python(COMMAND, "compare", "--help").seconds for _ in range(effort.rounds)]))
    compared = [python(COMMAND, "compare", folder) for _ in range(effort.rounds)]
    seconds, cpu = (median(np.array([one[i] for one in compared])) for i in (0, 1))
    rows = [
        row(f"to list {runs:,} points (--list)", "s", listed.seconds),
        row(f"compare {runs:,} runs", "s", seconds, 2 * helped if runs >= 10_000 else None),
        row("CPU time of it a run", "ms", cpu / runs * 1e3, 1.5),
        row("compare --help", "s", helped),
    ]
    if not effort.quick:
        page = place / "report.html"
        reported = python(COMMAND, "report", folder, "-o", str(page))
        rows += [
            row(f"report of {runs:,} runs", "s", reported.seconds, 20.0 if runs <= 5000 else None),
            row("its page", "MB", page.stat().st_size / 1e6),
            row("its peak memory", "MB", reported.bytes / 1e6),
        ]
    return rows


def measure(effort: Effort) -> list[Table]:
    """All of it, once; what is read is read several times."""
    runs = QUICK if effort.quick else max(1, effort.runs // 48) * 48
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = carried_out(place, runs, bare(1 if effort.quick else 15), effort)
        if effort.quick:
            sweep_file(place / "all.toml", runs // 2)
            rows += read(place, runs // 2, effort)
        else:
            rows += gone_on(place, runs) + read(place, runs, effort)
    note = f"{BASE['updates']:,} updates of a quadratic each, on {JOBS} processes; summaries, unless with rows."
    return [Table("A sweep of many small runs", rows, {"value": ".3g"}, "value", note)]


if __name__ == "__main__":
    main(measure, rounds=3, runs=960)
