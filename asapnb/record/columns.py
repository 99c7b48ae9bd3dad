"""The columns of a run file: made empty, then extended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .schema import COLUMNS

CHUNK = 2048  # rows of a column that are compressed together
_LONGEST = 2**20  # elements of a chunk of a vector
COUNTS = "staleness/counts"  # of each worker, int64
_SCALES = "rule/scale"
_FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}

Tables = Sequence[tuple[int, NDArray[np.float64]]]  # of the rule: how many updates had been seen, and the scales


def create(file: Any, groups: Mapping[str, np.dtype[Any]]) -> None:
    """Make the empty columns of groups, and those of the tables of the rule."""
    for group, rows in groups.items():
        for name in rows.names or ():
            _growing(file, f"{group}/{name}", rows[name])
    _growing(file, "rule/step", np.dtype(np.int64))
    _growing(file, _SCALES, np.dtype((np.float64, (1,))))


def extend(
    file: Any, written: Mapping[str, int], rows: Mapping[str, NDArray[Any]], tables: Tables = ()
) -> dict[str, int]:
    """Write rows of groups, and tables, behind those that are `written`; returns how many there are then."""
    for group, more in rows.items():
        for name in more.dtype.names or ():
            _extend(file[group][name], written[group], more[name])
    if tables:
        _extend_tables(file["rule"], written["rule"], tables)
    counts = {"rule": len(tables)} | {group: len(more) for group, more in rows.items()}
    return {group: count + counts.get(group, 0) for group, count in written.items()}


def complete(file: Any, groups: Mapping[str, np.dtype[Any]]) -> None:
    """Make the columns that a file of an earlier version lacks, filled with what stands for their entries."""
    for group, rows in groups.items():
        missing = [name for name in rows.names or () if name not in file[group]]
        for name in missing:
            there = len(next(iter(file[group].values())))
            _growing(file, f"{group}/{name}", rows[name])
            _extend(file[group][name], 0, np.full(there, COLUMNS[group][name].absent))


def write_array(file: Any, path: str, array: ArrayLike) -> None:
    """Write an array that does not grow; counts of staleness, most of which are 0, are compressed."""
    filters = _FILTERS if path == COUNTS and np.size(array) else {}
    file.create_dataset(path, data=array, **filters)


def as_arrays(tables: Tables) -> dict[str, NDArray[Any]]:
    """The columns of /rule. Shorter tables are filled up with their last scale, which holds beyond their end."""
    width = max((len(table) for _, table in tables), default=1)
    scales = [np.pad(table, (0, width - len(table)), mode="edge") for _, table in tables]
    return {
        "step": np.array([step for step, _ in tables], np.int64),
        "scale": np.array(scales, np.float64).reshape(len(tables), width),
    }


def chunk_of(rows: np.dtype[Any]) -> int:
    """How many rows a chunk takes: one, if there are vectors among their fields."""
    return 1 if any(rows[name].shape for name in rows.names or ()) else CHUNK


def _growing(file: Any, name: str, dtype: np.dtype[Any]) -> None:
    if name == _SCALES:  # which becomes wider, too
        shape = {"shape": (0, *dtype.shape), "maxshape": (None, None), "chunks": (1, 1024)}
        file.create_dataset(name, dtype=np.float64, **shape, **_FILTERS)
    elif dtype.shape:  # vectors, which would hardly become smaller
        (n,) = dtype.shape
        made = {"maxshape": (None, n), "chunks": (1, max(1, min(n, _LONGEST))), "fletcher32": True}
        file.create_dataset(name, (0, n), dtype.base, **made)
    else:
        file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,), **_FILTERS)


def _extend(dataset: Any, start: int, values: NDArray[Any]) -> None:
    if len(values):
        dataset.resize(start + len(values), axis=0)
        dataset[start:] = values


def _extend_tables(group: Any, start: int, tables: Tables) -> None:
    """Add tables. Shorter ones are filled up with their last scale, which holds for all staler updates."""
    scale = group["scale"]
    before, width = scale.shape[1], max(scale.shape[1], *(len(table) for _, table in tables))
    last = scale[:start, -1:]
    scale.resize((start + len(tables), width))
    if start and width > before:
        scale[:start, before:] = np.broadcast_to(last, (start, width - before))
    for i, (_, table) in enumerate(tables, start):
        scale[i] = np.pad(table, (0, width - len(table)), mode="edge")
    _extend(group["step"], start, np.array([step for step, _ in tables]))
