"""Columns of a run file as they are read: each once, and what is damaged by its rows."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError

_CHECKSUM = 4  # bytes at the end of each chunk
_OVERHEAD = 64  # bytes of a chunk that does not become smaller, at most


class Columns(Mapping[str, Any]):
    """Named columns. Each is read on first use, then kept in memory."""

    def __init__(self, names: tuple[str, ...], load: Callable[[str], Any]) -> None:
        self._names, self._load = names, load
        self._kept: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(f"{name!r}; there are {', '.join(self._names)}")
        if name not in self._kept:
            self._kept[name] = self._load(name)
        return self._kept[name]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for kept in self._kept.values():
            if isinstance(kept, np.ndarray):
                kept.setflags(write=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<columns {', '.join(self._names)}>"


def rows_of(dataset: Any, rows: int, place: str) -> NDArray[Any]:
    """The first rows of a dataset; RecordError that names those that are damaged."""
    per = dataset.chunks
    if per is not None:
        check_chunks(dataset, min(rows, len(dataset)), place)
    try:
        found: NDArray[Any] = dataset[:rows]
    except Exception as error:
        pieces = [] if per is None else [(start, min(start + per[0], rows)) for start in range(0, rows, per[0])]
        bad = [f"{start:,} to {stop - 1:,}" for start, stop in pieces if not _is_readable(dataset, start, stop)]
        where = f" in rows {', '.join(bad[:5])}" if bad else ""
        more = f" and {len(bad) - 5:,} more places" if len(bad) > 5 else ""
        raise RecordError(f"{place} is damaged{where}{more}: {error}") from error
    return found


def check_chunks(dataset: Any, rows: int, place: str) -> None:
    """RecordError if a chunk is missing, or of a size that no chunk has: HDF5 crashes on one without data."""
    stored: list[Any] = []
    dataset.id.chunk_iter(stored.append)
    largest = prod(dataset.chunks) * dataset.dtype.itemsize * 1.01 + _OVERHEAD
    needed = prod(-(-size // chunk) for size, chunk in zip((rows, *dataset.shape[1:]), dataset.chunks, strict=True))
    if len(stored) < needed or not all(_CHECKSUM < chunk.size <= largest for chunk in stored):
        raise RecordError(f"{place} lacks some of its {rows:,} rows: the file is damaged")


def _is_readable(dataset: Any, start: int, stop: int) -> bool:
    try:
        dataset[start:stop]
    except Exception:
        return False
    return True
