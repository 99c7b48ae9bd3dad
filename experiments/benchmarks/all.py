"""Run all benchmarks, or those named, and write results.md and results.json beside this file.

    python experiments/benchmarks/all.py [NAME ...] [--quick]

Results of the benchmarks that are not named stay. With --quick (seconds; CI runs it) nothing is written or judged: it
only shows that the benchmarks work. PyTorch takes part where this Python has it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import Table, at_least_one

HERE = Path(__file__).parent
SCRIPTS = (
    "steps",
    "limits",
    "engine",
    "refresh",
    "simulator",
    "staleness",
    "busy",
    "hogwild",
    "prange",
    "accuracy",
    "start",
    "small",
    "many",
)
APART = ("scaling",)  # takes eight minutes, and its results are a file of their own: here only to show that it works


def run(name: str, *options: str, python: str = sys.executable) -> dict[str, Any]:
    """One benchmark in a process of its own; it prints its tables, and its document is returned."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figures.json")
        subprocess.run([python, HERE / f"{name}.py", "--json", file, *options], check=True)
        document: dict[str, Any] = json.loads(file.read_text())
        return document


def page(documents: list[dict[str, Any]]) -> str:
    """The tables, with the machine before and the missed aims first."""
    tables = [Table(**table) for document in documents for table in document["results"]]
    missed = [f"- {line}\n" for table in tables for line in table.missed()]
    first, last = (pick(documents, key=lambda document: document["date"]) for pick in (min, max))
    machine = first["machine"]
    memory = (machine["memory"] or 0) / 2**30
    used = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    return f"""# Benchmark results

Written by `make bench`; [performance](../../docs/performance.md) says how to read it.

- {first["date"]} to {last["date"]}; load of the machine before: {machine["load_before"]:.1f}
- {machine["cpu"]}, {machine["allowed"]} of {machine["cpus"]} CPUs, sockets: {machine["sockets"]}, NUMA nodes:
  {machine["numa_nodes"]}, {memory:.0f} GiB, {machine["platform"]}, kernels {first["kernels"]}
- {used}{"" if "torch" in first["versions"] else "; without PyTorch"}

## Aims missed

{"".join(missed) or "None."}
## Figures

{chr(10).join(map(str, tables))}"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(SCRIPTS)} (default: all)")
    parser.add_argument("--rounds", type=at_least_one, help="measure each case so often, in every benchmark")
    parser.add_argument("--quick", action="store_true", help="seconds only: shows that all work, writes nothing")
    given = parser.parse_args()
    if unknown := set(given.names) - set(SCRIPTS):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; available: {', '.join(SCRIPTS)}")
    options = ["--quick"] if given.quick else ["--rounds", str(given.rounds)] if given.rounds else []
    file = HERE / "results.json"
    documents = (
        {document["benchmark"]: document for document in json.loads(file.read_text())} if file.exists() else {}
    )
    for name in given.names or (*SCRIPTS, *(APART if given.quick else ())):
        try:
            documents[name] = run(name, *options)
        except subprocess.CalledProcessError as error:
            sys.exit(f"{name}.py ended with exit code {error.returncode}; the results of those before are kept")
        if not given.quick:
            ordered = [documents[script] for script in SCRIPTS if script in documents]
            (HERE / "results.md").write_text(page(ordered))
            file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
