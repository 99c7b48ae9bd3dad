"""Tables as text: CSV and TSV, read the same way on every machine, whatever else is installed."""

import csv
import io
import itertools
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..memory import check_memory
from .formats import KNOWN, unpacked
from .table import Table, is_missing, table_of

_SEPARATORS = (",", ";", "\t", "|")
_BLOCK = 4096  # rows that are made numbers at a time
_LONGEST = 2**24  # characters of a line
_DIGITS = frozenset("0123456789+- ")
_EXACT = 2.0**53


def read_delimited(path: Path, header: bool | None = None) -> Table:
    """The table in a CSV or TSV file, which may be gzipped.

    Cells are separated by `,` `;` tab or `|`, whichever the first line has most of. A column is numeric if all its
    cells that are not missing are numbers. Without a header, columns are called 0, 1, … A first column without a name
    is the index that pandas writes, and is left out.

    Args:
        path: of the file.
        header: whether the first row holds names; None to decide by its cells.

    Raises:
        DataError: for a file that is no table; it names the line.
    """
    texts: set[int] = set()  # columns that turned out to be texts: then all of the file is read again
    while True:
        with _opened(path) as file:
            lines = _Lines(file, path)
            names, rows, _ = _named(path, lines, header)
            parts: list[list[NDArray[Any]]] = [[] for _ in names]
            whole, again = [True] * len(names), False
            while block := list(itertools.islice(rows, _BLOCK)):
                for at, cells in enumerate(zip(*block, strict=True)):
                    numbers = None if at in texts else _numbers(cells)
                    if numbers is not None:
                        parts[at].append(numbers)
                        whole[at] = whole[at] and _DIGITS.issuperset("".join(cells))
                        continue
                    again = again or (at not in texts and bool(parts[at]))
                    texts.add(at)
                    parts[at].append(np.array([None if is_missing(c) else sys.intern(c) for c in cells], object))
            if not again:
                return _table(path, names, parts, whole)


def line_of(path: Path, row: int) -> int:
    """The line on which a row of a table ends, both counted as editors and arrays do: from 1, and from 0.

    Args:
        path: of the file, which has been read.
        row: of the table.
    """
    with _opened(path) as file:
        lines = _Lines(file, path)
        rows, titled = _named(path, lines, None)[1:]
        if not titled and row == 0:  # by now the second has been read, too
            return lines.first
        next(itertools.islice(rows, row, None))
        return lines.count


def _table(path: Path, names: list[str], parts: list[list[NDArray[Any]]], whole: list[bool]) -> Table:
    """The columns, put together from their blocks; integers are those that are written as such."""
    columns = []
    for at, (name, blocks) in enumerate(zip(names, parts, strict=True)):
        column = np.concatenate(blocks) if blocks else np.empty(0)
        if column.dtype.kind == "f" and whole[at] and len(column) and np.abs(column).max() < _EXACT:
            column = column.astype(np.int64)
        if name or at:
            columns.append((name or str(at), column))
    return table_of(str(path), columns)


def _numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Cells as numbers, NaN where there is no value; None if one is a text."""
    try:
        found = np.array(list(map(float, cells)))
    except ValueError:
        try:
            found = np.array([np.nan if is_missing(cell) else float(cell) for cell in cells])
        except ValueError:
            return None
    return None if "_" in "".join(cells) else found  # Python takes 1_000 for a number


def _named(path: Path, lines: "_Lines", header: bool | None) -> tuple[list[str], Iterator[list[str]], bool]:
    """The names of the columns, the rows, and whether the first row of the file holds the names."""
    first = next((line for line in lines if line.strip()), "")
    lines.first = lines.count
    start = first.lstrip().lower().encode()
    for known, kind in KNOWN:
        if start.startswith(known):
            raise DataError(f"{path}: found {kind}, expected data")
    usual = ("\t",) if ".tsv" in path.name.lower() else _SEPARATORS
    counts = {one: len(next(csv.reader([first], delimiter=one))) for one in usual} if first else {}
    separator = max(counts, key=lambda one: counts[one], default=",")
    reader = csv.reader(itertools.chain([first], lines), delimiter=separator, skipinitialspace=True)
    rows = _rows(path, reader)
    cells = next(rows, None)
    if cells is None:
        raise DataError(f"{path} is empty: give a file with data")
    second = list(itertools.islice(rows, 1))
    rows = itertools.chain(second, rows)
    if _are_names(cells, second[0] if second else []) if header is None else header:
        return [cell.strip() for cell in cells], rows, True
    return [str(at) for at in range(len(cells))], itertools.chain([cells], rows), False


def _are_names(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a first row holds names.

    It does if none of its cells is a number, if a text, or nothing at the beginning, stands above a number, or if its
    numbers count, 0, 1, 2, …, as pandas calls columns that have no names.

    >>> _are_names(["a", "b"], ["x", "1"]), _are_names(["1", "a"], ["2", "b"]), _are_names(["", "0"], ["0", "5"])
    (True, False, True)
    """
    numbers = [not is_missing(cell) and _numbers([cell]) is not None for cell in first]
    if not any(numbers):
        return True
    above = any(
        not number
        and (not is_missing(cell) or not (at or cell))
        and not is_missing(below)
        and _numbers([below]) is not None
        for at, (number, cell, below) in enumerate(zip(numbers, first, second, strict=False))
    )
    counted = [cell for number, cell in zip(numbers, first, strict=True) if number]
    return above or (len(counted) > 2 and counted == [str(at) for at in range(len(counted))])


def _rows(path: Path, reader: Any) -> Iterator[list[str]]:
    """The rows that are not blank; DataError for one of another length, or that cannot be read."""
    width = 0
    try:
        for row in reader:
            if not row or (len(row) == 1 and width > 1 and not row[0].strip()):
                continue
            width = width or len(row)
            if len(row) != width:
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} cells, and the first row has {width}; give every "
                    "row as many"
                )
            yield row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None


class _Lines:
    """The lines of a file, as long as memory can hold what becomes of them."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file, self._path, self._size = file, path, 0
        self.count = self.first = 0  # lines read, and the place of the first that is not blank

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        try:
            line = self._file.readline(_LONGEST)
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path} is not in UTF-8 ({error.reason}): save it as UTF-8") from None
        except (EOFError, zlib.error, OSError) as error:
            raise DataError(f"{self._path}: found a broken gzip stream ({error}), expected a complete one") from None
        if not line:
            raise StopIteration
        if len(line) == _LONGEST:
            raise DataError(f"{self._path} has a line of more than {_LONGEST:,} characters: it is no table")
        self.count += 1
        self._size += len(line)
        if self._size % 2**20 < len(line):
            check_memory(f"the table in {self._path}", 2 * self._size, "give a smaller file")
        return line


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """The text of a file, unpacked if gzip made it."""
    with unpacked(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield text
