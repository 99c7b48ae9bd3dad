"""How many bytes the rows of a run take in its file."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import CHUNK
from .files import reading
from .run import Run
from .schema import UPDATES

_MOST = 16  # chunks of a column that are looked at


def bytes_per_row(columns: Mapping[str, NDArray[Any]]) -> float:
    """Estimate the bytes that a row of /updates takes in a run file, if its columns are like these.

    The columns are compressed as in a file: in chunks of 2,048 rows, with the bytes of equal places together.

    Args:
        columns: columns of equal length, by name; a missing column counts as zeros.

    >>> 0 < bytes_per_row({"tau": np.arange(4096) % 7}) < 4
    True
    """
    count = max((len(column) for column in columns.values()), default=0)
    rows = min(count, _MOST * CHUNK) // CHUNK * CHUNK or count
    if not rows:
        return 0.0
    total = 0
    for name in UPDATES.names or ():
        column = np.zeros(rows, UPDATES[name])
        if name in columns:
            column[:] = columns[name][count - rows :]
        for first in range(0, rows, CHUNK):
            piece = column[first : first + CHUNK]
            total += len(zlib.compress(piece.view(np.uint8).reshape(len(piece), -1).T.tobytes(), 1))
    return total / rows


def stored_per_row(run: Run) -> float | None:
    """The bytes that a row of /updates takes in the file of a run; None for a run in memory, or without rows."""
    if run.path is None or not run.rows.get("updates"):
        return None
    with reading(run.path, run.name) as file:
        stored = sum(column.id.get_storage_size() for column in file["updates"].values())
    return float(stored) / run.rows["updates"]
