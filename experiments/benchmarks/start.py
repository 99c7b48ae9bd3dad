"""Fresh processes: import, first update, compilation, memory.

    python experiments/benchmarks/start.py

What is compiled from nothing goes to a cache of its own. Compilation is the time of a run from an empty cache beyond
that of the same run from a full one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import COMMAND, Effort, Table, interleaved, main, median, python, row

DEMO = Path(__file__).with_name("start.toml")
ONE_UPDATE = ["--updates", "1", "--eval-every", "0", "--quiet"]
CIFAR = [str(DEMO), "--data", "cifar10", "--epochs", "1", "--quiet"]  # with the 8 workers of start.toml

IMPORT = "import time; start = time.perf_counter(); import asapnb{}; print(time.perf_counter() - start)"
EVERYTHING = """
import sys, numpy as np, asapnb as ab
images, labels = np.zeros((4, 1, 28, 28), np.uint8), np.arange(4)
for inputs in (images, images.astype(np.float32))[: len(sys.argv)]:
    for dtype in (np.float32, np.float64)[: len(sys.argv)]:
        problem = ab.lenet(ab.Dataset.from_arrays(inputs, labels, inputs, labels), dtype=dtype)
        for scheme in ("sequential", "synchronous", "lock-based", "hogwild", "leashed"):
            ab.train(problem, scheme, workers=1, batch_size=4, updates=1)
"""
FIND_CIFAR = """
from asapnb import DataError, load_dataset
try:
    print(load_dataset("cifar10"))
except DataError:
    pass
"""


def train(*arguments: str, cache: str = "") -> float:
    """Seconds of `asapnb train`."""
    return python(COMMAND, "train", *arguments, cache=cache).seconds


def command(*arguments: str) -> float:
    """Seconds of `asapnb` with these arguments."""
    return python(COMMAND, *arguments).seconds


def megabytes(*arguments: str) -> float:
    """Peak memory of `asapnb train`."""
    return python(COMMAND, "train", *arguments).bytes / 1e6


def warm(effort: Effort) -> list[dict[str, Any]]:
    """With every kernel compiled."""
    demo = str(DEMO)
    train(demo, *ONE_UPDATE)
    command("train", "--help")  # its outline is kept
    cases: dict[str, Callable[[], float]] = {
        "help": lambda: command("--help"),
        "train help": lambda: command("train", "--help"),
        "import": lambda: float(python(IMPORT.format("")).printed),
        "import train": lambda: float(python(IMPORT.format("; asapnb.train")).printed),
        "one update": lambda: train(demo, *ONE_UPDATE),
        "demo": lambda: train(demo, "--quiet"),
        "demo memory": lambda: megabytes(demo, "--quiet"),
    }
    found = {key: median(values) for key, values in interleaved(cases, effort.rounds).items()}
    return [
        row("asapnb --help", "s", found["help"], 0.15),
        row("asapnb train --help, from the second time on", "s", found["train help"], 0.15),
        row("import asapnb", "s", found["import"], 0.6),
        row("import asapnb, asapnb.train", "s", found["import train"], 0.6),
        row("asapnb train of one update, all of the process", "s", found["one update"], 1),
        row("the demo, all of the process", "s", found["demo"]),
        row("the demo, peak memory", "MB", found["demo memory"], 220),
    ]


def cold() -> list[dict[str, Any]]:
    """From an empty cache, once each."""
    demo = [str(DEMO), *ONE_UPDATE]
    with tempfile.TemporaryDirectory() as cache:
        first = train(*demo, cache=cache) - train(*demo, cache=cache)
        compiled = set(Path(cache).rglob("*.nbc"))
        train(*demo, "--problem", "mlp", cache=cache)
        second = len(set(Path(cache).rglob("*.nbc")) - compiled)
    with tempfile.TemporaryDirectory() as cache:
        everything = python(EVERYTHING, cache=cache).seconds - python(EVERYTHING, cache=cache).seconds
    with tempfile.TemporaryDirectory() as cache:
        with_both, again = (python(EVERYTHING, "more", cache=cache).seconds for _ in range(2))
    return [
        row("compilation of one scheme and one network", "s", first, 6),
        row("compiled anew for a second network", "functions", second, 0),
        row("compilation of everything: all networks and schemes", "s", everything, 15),
        row("the same with float64 and with floating-point inputs, too: four of each", "s", with_both - again, 45),
    ]


def measure(effort: Effort) -> list[Table]:
    """Warm starts; unless quick, cold ones and full CIFAR-10 too."""
    rows = warm(effort)
    if not effort.quick:
        cifar = megabytes(*CIFAR) if python(FIND_CIFAR).printed else None
        rows += [row("CIFAR-10, 8 workers, peak memory", "MB", cifar, 450), *cold()]
    note = """An update comes before its process ends, so the whole process bounds the time to the first one. CIFAR-10
is measured where ASAPNB_DATA has it."""
    return [Table("Fresh processes", rows, {"value": ".3g"}, "value", note)]


if __name__ == "__main__":
    main(measure, rounds=5)
