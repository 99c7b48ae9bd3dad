"""What is compared: networks, batch sizes, schemes; and the files in this folder."""

from __future__ import annotations

import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import csv_files

import asapnb as ab

HERE = Path(__file__).parent
write, load = partial(csv_files.write, HERE), partial(csv_files.load, HERE)
NETWORKS = {
    "mlp 32": "mlp(hidden=[32])",
    "mlp 128x3": "mlp(hidden=[128, 128, 128])",
    "mlp 512x2": "mlp(hidden=[512, 512])",
    "lenet": "lenet",
}
BATCHES = (4, 16, 64, 256)
ON_THREADS = (("mlp 32", 4), ("mlp 128x3", 4), ("mlp 128x3", 64), ("lenet", 64))
THREADS = (1, 2, 4, 8)  # workers that are real threads
WORKERS = (1, 2, 4, 8, 16, 32, 64)  # in virtual time
SCHEMES: dict[str, ab.LockBased | ab.Hogwild | ab.Leashed] = {
    "LockBased": ab.LockBased(),
    "Hogwild, snapshot": ab.Hogwild(view="snapshot"),
    "Hogwild, in place": ab.Hogwild(view="in_place"),
    "Leashed, T_p none": ab.Leashed(),
    "Leashed, T_p 1": ab.Leashed(persistence=1),
    "Leashed, T_p 0": ab.Leashed(persistence=0),
}


def times_file(network: str, batch: int, scheme: str) -> Path:
    """The times of one case as `calibrate` found them; `scheme` is "LockBased" or "Leashed"."""
    return HERE / "times" / f"{network.replace(' ', '-')}-{batch}-{scheme.lower()}.toml"


@cache
def simulated() -> dict[tuple[str, int, str, int], dict[str, Any]]:
    """The rows of simulated.csv, by network, batch size, scheme and workers."""
    rows = load("simulated.csv")
    return {(row["network"], int(row["batch"]), row["scheme"], int(row["workers"])): row for row in rows}
