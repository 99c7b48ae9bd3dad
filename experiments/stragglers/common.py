"""What both parts share: the CSV files in this folder."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def write(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows as a CSV file in this folder, numbers with five digits; a row may lack some columns."""
    rows = list(rows)
    with (HERE / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{float(v):.5g}" if isinstance(v, float) else v for k, v in row.items()})
