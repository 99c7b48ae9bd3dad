"""Reading columns of a run file: each is read once, and errors name the rows that are damaged."""

import copyreg
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from ..extras import optional

_CHECKSUM = 4  # bytes at the end of each chunk
_OVERHEAD = 64  # bytes of a chunk that does not become smaller, at most


if TYPE_CHECKING:
    _ReadOnly = dict[str, Any]
else:

    class _ReadOnly(Mapping, dict):
        """A dict whose methods are those of a mapping."""


class Columns(_ReadOnly):
    """Named columns, read-only. Each is read on first use, then kept in memory.

    It is a dict, because pandas, polars, pyarrow and seaborn all make a table of a dict:
    `pandas.DataFrame(run.updates)` has a row for each update.
    """

    def __init__(self, names: tuple[str, ...], load: Callable[[str], Any]) -> None:
        self._names, self._load = names, load
        self._kept: dict[str, Any] = {}  # what the dict itself holds is nothing

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(f"{name!r}; there are {', '.join(self._names)}")
        if name not in self._kept:
            self._kept[name] = self._load(name)
        return self._kept[name]

    def to_pandas(self) -> Any:
        """The columns as a pandas.DataFrame, with a row for each entry; MissingExtraError without pandas."""
        return optional("pandas", "data", "to_pandas").DataFrame(self)

    def to_arrow(self) -> Any:
        """The columns as a pyarrow.Table, with a row for each entry; MissingExtraError without pyarrow."""
        return optional("pyarrow", "data", "to_arrow").table(self)

    def copy(self) -> dict[str, Any]:
        """A plain dict of all columns."""
        return dict(self.items())

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return dict(self.items()) | dict(other.items())

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return dict(other.items()) | dict(self.items())

    def _refuse(self, *arguments: Any, **more: Any) -> Any:
        raise TypeError("the columns of a run cannot be changed: change a copy, such as dict(run.updates)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce_ex__(self, protocol: object) -> Any:  # that of a dict would read all columns
        return copyreg.__newobj__, (type(self),), self.__dict__.copy()  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for kept in self._kept.values():
            if isinstance(kept, np.ndarray):
                kept.setflags(write=False)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<columns {', '.join(self._names)}>"


def rows_of(dataset: Any, start: int, stop: int, place: str) -> NDArray[Any]:
    """Read rows of a dataset; a RecordError names the rows that are damaged.

    Args:
        dataset: the h5py.Dataset, or the array of a run in memory.
        start: the first row; chunks that are missing are looked for if it is 0.
        stop: the row after the last.
        place: what is read, for the error.
    """
    if isinstance(dataset, np.ndarray):
        return np.ascontiguousarray(dataset[start:stop])
    per = dataset.chunks
    if per is not None and start == 0:
        check_chunks(dataset, min(stop, len(dataset)), place)
    try:
        found: NDArray[Any] = dataset[start:stop]
    except Exception as error:
        pieces = [] if per is None else [(at, min(at + per[0], stop)) for at in range(start, stop, per[0])]
        bad = [f"{first:,} to {last - 1:,}" for first, last in pieces if not _is_readable(dataset, first, last)]
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
