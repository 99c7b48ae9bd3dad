"""What the contenders of `race.py` share: the task, and the way in which each is timed.

A contender is a script. It reads a task from a file of JSON, and prints its curve as a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from accuracy import problems, race, reached  # noqa: F401

import asapnb as ab

WORKERS = 2  # beside the server


def problem_of(task: dict[str, Any]) -> ab.Problem:
    """The network of a task, "mlp" or "lenet", and its data."""
    return problems(ab.load_dataset(task["dataset"]))[task["network"]]


def read_task() -> dict[str, Any]:
    """What the command line names."""
    return dict(json.loads(Path(sys.argv[1]).read_text()))


def run(learner: Any, problem: ab.Problem, task: dict[str, Any], started: float) -> None:
    """Race, and print epochs, seconds and accuracy of each piece; `started` is when the script began."""
    start = time.perf_counter() - started
    curve = race(learner, problem, task["goal"], task["seed"], task["most"])
    print(json.dumps({"start": start, "curve": curve.tolist()}), flush=True)
