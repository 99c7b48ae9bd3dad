"""What the benchmarks share: interleaved measurements, tables with aims, one command line, JSON."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

QUICK_SECONDS = 0.01
COMMAND = "import sys; from asapnb.cli import main; sys.argv[0] = 'asapnb'; main()"  # the code of `asapnb`
PEERS = {"torch": "torch", "scikit-learn": "sklearn"}  # and their modules
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` of every case, or (quick) just long enough to show that the script works.

    `runs` is for a benchmark of many runs.
    """

    rounds: int
    quick: bool = False
    runs: int = 0

    def seconds(self, usual: float) -> float:
        """The least time of one measurement."""
        return min(usual, QUICK_SECONDS) if self.quick else usual

    def some(self, cases: Iterable[Key]) -> list[Key]:
        """All cases, or (quick) the first."""
        return list(cases)[: 1 if self.quick else None]


@dataclass(frozen=True)
class Table:
    """Rows of named values. A row's "aim", as ("≥", 1.9), is what its value in the column `judged` should reach."""

    title: str
    rows: list[dict[str, Any]]
    formats: dict[str, str] = field(default_factory=dict)  # column: format of its numbers
    judged: str | None = None
    note: str = ""

    def cell(self, column: str, value: Any) -> str:
        """A value as the table shows it."""
        if column == "aim" and value:
            return f"{value[0]} {self.cell(self.judged or '', value[1])}"
        return "–" if value is None else format(value, self.formats.get(column, ""))

    def __str__(self) -> str:
        """Markdown that also reads well in a terminal."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        lines = [columns] + [[self.cell(column, row.get(column)) for column in columns] for row in self.rows]
        right = [any(isinstance(row.get(column), int | float) for row in self.rows) for column in columns]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        lines.insert(1, ["-" * (width - 1) + (":" if r else "-") for width, r in zip(widths, right, strict=True)])
        text = [
            " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
            for cells in lines
        ]
        note = f"\n{self.note}\n" if self.note else ""
        return f"### {self.title}\n{note}\n" + "".join(f"| {line} |\n" for line in text)

    def missed(self) -> list[str]:
        """A line for every aim that was not reached: what, how much, and by how much."""
        lines = []
        for row in self.rows:
            value, aim = row.get(self.judged or ""), row.get("aim")
            if value is None or not aim or (value >= aim[1] if aim[0] == "≥" else value <= aim[1]):
                continue
            named = {column: v for column, v in row.items() if isinstance(v, str | int) and column != self.judged}
            case = ", ".join(v if isinstance(v, str) else f"{column} {v}" for column, v in named.items())
            shown, wanted = self.cell(self.judged or "", value), self.cell("aim", aim)
            by = f" (off by {abs(value / aim[1] - 1):.1%})" if aim[1] else ""
            lines.append(f"{self.title}: {case}: {self.judged} {shown}, aim {wanted}{by}")
        return lines


def interleaved(cases: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, np.ndarray]:
    """Every round measures each case once, so that a slow minute hits all alike; returns the rounds of each case."""
    times: dict[Key, list[float]] = {key: [] for key in cases}
    for number in range(rounds):
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds} ", end="", file=sys.stderr)
        for key, measure in cases.items():
            times[key].append(measure())
    if sys.stderr.isatty():
        print("\r" + " " * 30, end="\r", file=sys.stderr)
    return {key: np.array(values) for key, values in times.items()}


def median(values: np.ndarray) -> float:
    """The median, as a plain number. That of `a / b` compares two cases within the same rounds."""
    return float(np.median(values))


def seconds_per_step(run: Callable[[int], object], n: int) -> float:
    """The time of a step of `run(n)`, which makes n of them."""
    start = time.perf_counter()
    run(n)
    return (time.perf_counter() - start) / n


def steps_in(run: Callable[[int], object], seconds: float) -> int:
    """How many steps take about so long."""
    run(1)  # compile, and touch the memory
    return max(1, round(seconds / min(seconds_per_step(run, 1), seconds_per_step(run, 2))))


def timed(run: Callable[[int], object], seconds: float) -> Callable[[], float]:
    """Measures `seconds_per_step`, over about `seconds` altogether."""
    n = steps_in(run, seconds)
    return lambda: seconds_per_step(run, n)


class Ended(NamedTuple):
    """A process: its seconds, CPU seconds with its children, peak memory (its own or theirs), and what it printed."""

    seconds: float
    cpu: float
    bytes: int
    printed: str


def python(
    code: str, *arguments: str, cache: str = "", while_running: Callable[[int], object] = lambda pid: None
) -> Ended:
    """Run code in a fresh process.

    Args:
        code: the code.
        arguments: its command line.
        cache: the folder of compiled kernels, if it is not the usual one.
        while_running: called with the id of the process; it may kill it.
    """
    environment = os.environ | ({"ASAPNB_CACHE": cache} if cache else {})
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every module is compiled at each start
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE)
    assert child.stdout is not None
    while_running(child.pid)
    printed = child.stdout.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, -signal.SIGKILL):
        raise subprocess.CalledProcessError(child.returncode, code)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Ended(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, peak, printed)


def row(what: str, unit: str, value: float | None, most: float | None = None) -> dict[str, Any]:
    """A line of a table of single figures; `most` is its aim."""
    return {"what": what, "unit": unit, "value": value, "aim": None if most is None else ("≤", most)}


def in_threads(work: Callable[..., object], calls: Sequence[Sequence[Any]]) -> None:
    """Call a function at the same time with each of these arguments, in a thread each, and wait for all."""
    threads = [threading.Thread(target=work, args=arguments) for arguments in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def document(name: str, load: float, tables: list[Table]) -> dict[str, Any]:
    """The figures with what they depend on."""
    from asapnb.compiled import KERNEL_PATH
    from asapnb.record.provenance import machine, versions

    return {
        "benchmark": name,
        "machine": machine(KERNEL_PATH) | {"load_before": load},
        "versions": versions() | {name: version(name) for name in PEERS if find_spec(PEERS[name])},
        "kernels": KERNEL_PATH,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "results": [asdict(table) for table in tables],
    }


def unwritable(file: Path) -> str:
    """Why a file cannot be written, to be known before anything is measured; "" if it can.

    >>> unwritable(Path("nowhere/figures.json"))
    'nowhere/figures.json: there is no folder nowhere'
    """
    if file.is_dir():
        return f"{file} is a folder"
    if not file.parent.is_dir():
        return f"{file}: there is no folder {file.parent}"
    return "" if os.access(file.parent, os.W_OK) else f"{file}: nothing can be written into {file.parent}"


def at_least_one(text: str) -> int:
    """A number on the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def main(measure: Callable[[Effort], list[Table]], rounds: int, runs: int | None = None) -> None:
    """The command line of every benchmark: measure, print the tables, write the JSON.

    Args:
        measure: makes the tables.
        rounds: how many, unless the command line says.
        runs: how many runs, likewise, of a benchmark of many runs.
    """
    script = sys.modules["__main__"]
    parser = argparse.ArgumentParser(description=(script.__doc__ or "").split("\n")[0])
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to this file")
    parser.add_argument(
        "--rounds", type=at_least_one, default=rounds, help=f"measure each case so often (default {rounds})"
    )
    parser.add_argument("--quick", action="store_true", help="seconds only: shows that it works, measures nothing")
    if runs is not None:
        parser.add_argument("--runs", type=at_least_one, default=runs, help=f"how many runs (default {runs:,})")
    given = parser.parse_args()
    if given.json and (problem := unwritable(given.json)):
        parser.error(problem)
    load = os.getloadavg()[0]
    tables = measure(Effort(1, quick=True) if given.quick else Effort(given.rounds, runs=getattr(given, "runs", 0)))
    print("\n".join(map(str, tables)))
    if given.json:
        text = json.dumps(document(Path(sys.argv[0]).stem, load, tables), indent=1, ensure_ascii=False)
        given.json.write_text(text + "\n", encoding="utf-8")
