"""Tables of runs as files: CSV, also compressed, and Parquet, written piece by piece."""

import csv
import gzip
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import UsageError, unknown
from ..extras import optional
from ..record import checked_target
from ..record.files import put_in_place
from .records import Runs
from .stacking import TEXT, Cells, Stack, checked, stacks

Write = Callable[[int, Mapping[str, Cells]], None]


@contextmanager
def _csv(file: Any, stack: Stack) -> Iterator[Write]:
    """Comma-separated values: floats by the fewest digits that give them back, nothing where a value is missing."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(stack.columns)

    def write(count: int, cells: Mapping[str, Cells]) -> None:
        rows.writerows(zip(*(_texts(cells[name], count) for name in stack.columns), strict=True))

    yield write
    text.flush()
    text.detach()


def _texts(cells: Cells, count: int) -> Sequence[Any]:
    """The cells of a column as `csv` writes them."""
    if not isinstance(cells, np.ndarray):
        return [cells] * count
    if cells.dtype == np.float32:  # which becomes a longer float64 elsewhere
        cells = cells.astype(str)
    return list(cells.tolist())


@contextmanager
def _gzip(file: IO[bytes], stack: Stack) -> Iterator[Write]:
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=4, mtime=0) as packed, _csv(packed, stack) as write:
        yield write


@contextmanager
def _parquet(file: IO[bytes], stack: Stack) -> Iterator[Write]:
    """Parquet, with the dtypes of the columns; null where a value is missing."""
    arrow = optional("pyarrow", "data", "Parquet")
    types = {name: arrow.string() if dtype == TEXT else arrow.from_numpy_dtype(dtype)
             for name, dtype in stack.columns.items()}  # fmt: skip

    def column(cells: Cells, kind: Any, count: int) -> Any:
        if isinstance(cells, np.ndarray):
            return arrow.array(cells, kind)
        return arrow.repeat(arrow.scalar(cells, kind), count)

    schema = arrow.schema(list(types.items()))
    with optional("pyarrow.parquet", "data", "Parquet").ParquetWriter(file, schema) as target:

        def write(count: int, cells: Mapping[str, Cells]) -> None:
            target.write_table(
                arrow.table([column(cells[name], kind, count) for name, kind in types.items()], schema=schema)
            )

        yield write


_WRITERS: dict[str, Callable[[IO[bytes], Stack], Any]] = {"csv": _csv, "csv.gz": _gzip, "parquet": _parquet}
FORMATS = tuple(_WRITERS)
_ENDINGS = ", ".join(f".{kind}" for kind in FORMATS)


def export(
    runs: Runs,
    out: str | os.PathLike[str] | IO[bytes],
    tables: str | Sequence[str] = (),
    *,
    form: str | None = None,
    by: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, int]:
    """Write tables of runs as CSV or Parquet. It takes little memory, however large the files are.

    Several runs make one table. Its column `run` names the file of a run, and the settings that vary are columns,
    too.

    Args:
        runs: a `Run`, a run file, a folder of run files, or several of these.
        out: for one table, a file that ends with .csv, .csv.gz or .parquet, or a binary stream. For several tables, a
            folder, which is made if it does not exist.
        tables: names of tables: "runs" (settings and figures), "updates", "evals", "rule", "staleness", "workers",
            "microscope". By default all that exist for a folder, else "updates", which a summary does not have.
        form: "csv", "csv.gz" or "parquet". By default the name of the file decides; for a folder or stream it is CSV.
        by: the settings that become columns; by default all that vary, with the seed.
        where: take only runs with these values, such as `{"workers": 4}`.
        skip_bad: leave out files that are damaged, or no run files, with a warning that names them.
        force: overwrite files that exist.

    Returns:
        The number of rows of each file, by its path. The path of a stream is "-".

    Raises:
        UsageError: for arguments that cannot be used.
        RecordError: for run files that cannot be used, and for files that exist.
        MissingExtraError: for Parquet without pyarrow.

    >>> import io
    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> file = io.BytesIO()
    >>> export(ab.simulate(problem, workers=2, updates=10), file, "updates")
    {'-': 10}
    >>> file.getvalue()[:30]
    b'worker,batch,version,read_vers'
    """
    names = [tables] if isinstance(tables, str) else list(dict.fromkeys(tables))
    place = os.fspath(out) if isinstance(out, str | os.PathLike) else None
    kind, folder = (form or "csv", False) if place is None else _form(place, form)
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    if kind == "parquet":
        optional("pyarrow", "data", "Parquet")
    names = names or ([] if folder else ["updates"])
    if len(names) > 1 and not folder:
        raise UsageError(f"{out} is one file, but {', '.join(names)} are several tables: give a folder")
    made = stacks(checked(runs, names, skip_bad), names, by=by, where=where)
    if place is None:
        return {"-": _written(made[0], kind, out)}
    return _in_folder(made, kind, Path(place), force) if folder else _in_place(made[0], kind, place, force)


def _form(out: str, form: str | None) -> tuple[str, bool]:
    """The format of a file that is called so, or that of a folder, and whether it is a folder."""
    name = os.path.basename(out)
    called = next((kind for kind in FORMATS if name.lower().endswith(f".{kind}")), None)
    if os.path.isdir(out) or not name or not os.path.splitext(name)[1]:
        return form or "csv", True
    if called is None and (form is None or name.lower().endswith(".h5")):
        raise UsageError(f"{out} does not end like a table: let it end with {_ENDINGS}, or give a folder")
    if called is not None and form not in (None, called):
        raise UsageError(f"{out} is called like {called}, but the format is {form}: make them agree")
    return called or str(form), False


def _in_folder(made: Sequence[Stack], kind: str, folder: Path, force: bool) -> dict[str, int]:
    """A file for each table; nothing is written if one of them cannot be."""
    if not folder.is_dir():
        checked_target(folder, force=False)  # a folder can be made there
        folder.mkdir()
    targets = [folder / f"{stack.name}.{kind}" for stack in made]
    for target in targets:
        checked_target(target, force)
    return {
        path: rows
        for stack, target in zip(made, targets, strict=True)
        for path, rows in _in_place(stack, kind, target, force).items()
    }


def _in_place(stack: Stack, kind: str, path: str | Path, force: bool) -> dict[str, int]:
    target, rows = checked_target(path, force), 0

    def write(part: Path) -> None:
        nonlocal rows
        with open(part, "wb") as file:
            rows = _written(stack, kind, file)

    put_in_place(target, write)
    return {str(path): rows}


def _written(stack: Stack, kind: str, file: Any) -> int:
    """Write a table; returns how many rows it has."""
    total = 0
    with _WRITERS[kind](file, stack) as write:
        for rows, cells in stack.pieces():
            write(rows, cells)
            total += rows
    return total
