"""What is measured, how ranks are started, and the files in this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import csv_files

import asapnb as ab

HERE = Path(__file__).parent
write, load = partial(csv_files.write, HERE), partial(csv_files.load, HERE)
SECONDS = 300.0  # after which a script is ended
COMPUTING = {  # name: problem and batch size
    "mlp 32": ("mlp(hidden=[32])", 16),
    "lenet": ("lenet", 64),
    "mlp 128x3": ("mlp(hidden=[128, 128, 128])", 64),
    "mlp 512x2": ("mlp(hidden=[512, 512])", 64),
    "mlp 1024x3": ("mlp(hidden=[1024, 1024, 1024])", 64),
}
WAITING = {
    f"waiting {name}": (f"waiting {n} 0.005", 1) for name, n in (("10k", 10**4), ("100k", 10**5), ("1M", 10**6))
}
ON_HOSTS = {name: {**COMPUTING, **WAITING}[name] for name in ("lenet", "waiting 10k", "waiting 100k")}
WORKERS = (1, 2, 4, 8)
MANY = (1, 2, 4, 8, 16)  # that only wait
HOSTS = 5
STEPS = ("compute", "read", "update", "pull", "push")  # that `calibrate` measures
TIMED = ("timed_rate", "timed_simulated", "timed_tv", "had")  # what it says of its own run
DELAYS = (0.0, 0.001, 0.005)  # seconds, of a packet between hosts


def times_file(case: str) -> Path:
    """The times of one case as `calibrate` found them, by the number of workers."""
    return HERE / "times" / f"{case.replace(' ', '-')}.toml"


def mpiexec_command() -> str:
    """$MPIEXEC, or the one of a wheel, which is beside Python, or that of the system."""
    beside = Path(sys.executable).with_name("mpiexec")
    return os.environ.get("MPIEXEC") or (str(beside) if beside.exists() else "mpiexec")


def on_ranks(script: str, task: Any, ranks: int, mpiexec: str | None = None) -> list[dict[str, Any]]:
    """Start a script of this folder on so many ranks; returns the lines of JSON that it prints.

    Args:
        script: its name.
        task: what it reads from a file of JSON.
        ranks: the server and its workers; 0 for a script that needs no mpiexec.
        mpiexec: the command, if it is not the usual one.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "task.json"
        file.write_text(json.dumps(task))
        command = [mpiexec or mpiexec_command(), "-n", str(ranks)] if ranks else []
        command += [sys.executable, str(HERE / script), str(file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=SECONDS, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def problem_of(text: str) -> ab.Problem:
    """A problem of `COMPUTING` or `WAITING`."""
    from asapnb.problems.text import parse_problem

    if text.startswith("waiting "):
        from waiting import waiting

        _, n_params, seconds = text.split()
        return waiting(int(n_params), float(seconds))
    return parse_problem(text)
