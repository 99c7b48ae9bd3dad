"""The CSV files of experiments: rows, numbers with five digits."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write(folder: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows as a CSV file in a folder; a row may lack some columns."""
    rows = list(rows)
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def load(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a CSV file in a folder, numbers as numbers."""
    with (folder / name).open(newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> str | float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text
