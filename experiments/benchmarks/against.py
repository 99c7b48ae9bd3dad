"""Two states of asapnb side by side: benchmarks run with this Python and with that of another checkout, in turns.

    python experiments/benchmarks/against.py OTHER/.venv/bin/python NAME ... [--turns N] [-- OPTION ...]

Both run the scripts of this folder; what follows `--` are options of theirs. A figure is the median over the turns,
and a ratio the median of the ratios within the turns.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from typing import Any

import numpy as np
from all import SCRIPTS, run
from common import Table

Case = tuple[str, str, str]  # title of the table, what names the row, column


def figures(document: dict[str, Any]) -> dict[Case, float]:
    """The numbers of all tables of a benchmark, but zeros. Texts and whole numbers name a row."""
    found = {}
    for table in document["results"]:
        for row in table["rows"]:
            named = [str(value) for value in row.values() if isinstance(value, str | int)]
            for column, value in row.items():
                if isinstance(value, float) and value:
                    found[table["title"], ", ".join(named), column] = value
    return found


def compared(title: str, other: list[dict[Case, float]], this: list[dict[Case, float]]) -> Table:
    """A row for each figure that both have in every turn."""
    rows = []
    for case in this[0]:
        if not all(case in turn for turn in (*other, *this)):
            continue
        before, now = (np.array([turn[case] for turn in turns]) for turns in (other, this))
        ratio = float(np.median(now / before))
        row = dict(zip(("table", "of", "figure"), case, strict=True))
        rows.append(row | {"other": float(np.median(before)), "this": float(np.median(now)), "this / other": ratio})
    return Table(title, rows, {"other": ".4g", "this": ".4g", "this / other": ".3f"})


def main() -> None:
    """The command line."""
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("other", metavar="PYTHON", help="the Python of the other checkout's environment")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=SCRIPTS, help=f"which: {', '.join(SCRIPTS)}")
    parser.add_argument("--turns", type=int, default=3, help="run each benchmark so often on both sides (default 3)")
    given = parser.parse_args(sys.argv[1:split])
    if shutil.which(given.other) is None:
        parser.error(f"{given.other} is no program: give the Python of the other checkout's environment")
    for name in given.names:
        found: dict[str, list[dict[Case, float]]] = {given.other: [], sys.executable: []}
        for _, python in itertools.product(range(given.turns), found):
            found[python].append(figures(run(name, *sys.argv[split + 1 :], python=python)))
        print(compared(f"{name}, {given.turns} turns", *found.values()))


if __name__ == "__main__":
    main()
