"""A table of many runs: all their rows below each other, with columns for the run and its settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError, unknown
from ..record.dataset import Columns
from ..record.tables import PIECE, TABLES, check_there, columns_of, there_are
from .choosing import matching
from .names import plainly
from .records import Record, Runs, check_keys, records, varying

RUNS = "runs"
NAMES = (RUNS, *TABLES)
A_ROW = {RUNS: "a run: its settings and figures", **{name: table.a_row for name, table in TABLES.items()}}
TEXT = np.dtype(object)
Cells = NDArray[Any] | str | int | float | None  # of a column: one for each row, or the same in all; None: missing


@dataclass(frozen=True)
class Stack:
    """A table of several runs, to be read piece by piece.

    Attributes:
        name: of the table.
        columns: the dtype of each column; object for texts.
        pieces: makes the rows: how many, and the cells of each column.
    """

    name: str
    columns: Mapping[str, np.dtype[Any]]
    pieces: Callable[[], Iterator[tuple[int, Mapping[str, Cells]]]]


def stacked(
    runs: Runs,
    table: str = "evals",
    *,
    by: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
    skip_bad: bool = False,
) -> Columns:
    """One table of many runs, as columns that `pandas.DataFrame` takes.

    The first columns are `run`, if there are several runs, and the settings. Then come the columns of the table.

    Args:
        runs: a `Run`, a run file, a folder of run files, or several of these.
        table: a name of `Run.tables`, or "runs" for a row for each run, with all its settings and figures.
        by: the settings that become columns; by default all that vary, with the seed.
        where: take only runs with these values, such as `{"workers": 4}`.
        skip_bad: leave out files that are damaged, or no run files, with a warning that names them.

    Returns:
        The columns by name, arrays of equal length.

    Raises:
        UsageError: for a table, key or value that does not exist.
        RecordError: for files that cannot be used.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> runs = [ab.simulate(problem, workers=2, updates=20, eval_every=10, seed=seed) for seed in (0, 1)]
    >>> found = stacked(runs, "evals")
    >>> list(found)[:4], found["seed"].tolist()
    (['run', 'seed', 'step', 't'], [0, 0, 0, 1, 1, 1])
    """
    (stack,) = stacks(checked(runs, (table,), skip_bad), (table,), by=by, where=where)
    found = list(stack.pieces())

    def whole(name: str) -> NDArray[Any]:
        dtype = stack.columns[name]
        return np.concatenate([np.empty(0, dtype), *(_filled(cells[name], rows, dtype) for rows, cells in found)])

    columns = {name: whole(name) for name in stack.columns}
    return Columns(tuple(columns), columns.__getitem__)


def checked(runs: Runs, tables: Sequence[str], skip_bad: bool = False) -> list[Record]:
    """The runs, of which these tables (() for all) have been read once, piece by piece, unless they have a synopsis.

    RecordError for files that are damaged, and for a table that one of the runs does not have.
    """

    def check(record: Record) -> None:
        for name in set(tables or there_are(record.run)) - {RUNS}:
            check_there(record.run, name)
            for _ in TABLES[name].pieces(record.run, PIECE) if record.run.synopsis is None else ():
                pass

    for name in tables:
        if name not in NAMES:
            raise unknown("table", name, NAMES)
    return records(runs, skip_bad=skip_bad, check=check)


def stacks(
    found: Sequence[Record],
    tables: Sequence[str] = (),
    *,
    by: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
) -> list[Stack]:
    """Tables of runs.

    Args:
        found: the runs.
        tables: their names; () for all that have columns.
        by: the settings that become columns; by default all that vary, with the seed.
        where: only runs with these values.

    Raises:
        RecordError: for a table that none of the runs has.
    """
    found = matching(found, where or {})
    check_keys(found, by or ())
    by = varying(found) if by is None else by
    made = [_runs(found) if name == RUNS else _stack(found, name, by) for name in tables or NAMES]
    if bare := [stack.name for stack in made if not stack.columns]:
        if tables:
            raise RecordError(f"none of the runs has a table {bare[0]}: make them with {bare[0]}=N")
        made = [stack for stack in made if stack.columns]
    return made


def _stack(found: Sequence[Record], name: str, by: Sequence[str]) -> Stack:
    own = [columns_of(record.run, name) for record in found]
    columns = {key: dtype for one in own for key, dtype in one.items()}
    if not columns:
        return Stack(name, {}, lambda: iter(()))
    keys = {key: f"{key} set" if key in columns else key for key in by}
    names = _names(found)
    beside = {"run": names} if len(found) > 1 else {}
    beside |= {label: plainly(record.value(key) for record in found) for key, label in keys.items()}
    types = {label: type_of(values) for label, values in beside.items()}

    def pieces() -> Iterator[tuple[int, Mapping[str, Cells]]]:
        for i, record in enumerate(found):
            settings = {label: _cell(values[i], types[label]) for label, values in beside.items()}
            for piece in TABLES[name].pieces(record.run, PIECE) if own[i] else ():
                rows = len(next(iter(piece.values())))
                yield rows, {**settings, **{key: piece.get(key) for key in columns}}

    return Stack(name, {**types, **columns}, pieces)


def _runs(found: Sequence[Record]) -> Stack:
    """A row for each run: its settings, then its figures."""
    figures = [_figures(record) for record in found]
    named = {key: f"{key} set" if key in figures[0] else key for record in found for key in ("kind", *record.config)}
    columns: dict[str, list[Any]] = {"run": _names(found)}
    columns |= {label: plainly(record.value(key) for record in found) for key, label in named.items()}
    columns |= {key: [one[key] for one in figures] for key in figures[0]}
    types = {name: type_of(values) for name, values in columns.items()}
    rows = [{name: _cell(values[i], types[name]) for name, values in columns.items()} for i in range(len(found))]
    return Stack(RUNS, types, lambda: ((1, row) for row in rows))


def _figures(record: Record) -> dict[str, Any]:
    """The figures of `Run.summary`, those of the first and last evaluation and of the staleness each under a name."""
    found = record.summary()
    parts = {"initial": dict.fromkeys(record.run.evals), "last": dict.fromkeys(record.run.evals)}
    plain = {
        name: value
        for name, value in found.items()
        if not isinstance(value, list | dict) and name not in ("kind", "workers")
    }
    plain = {name: value for name, value in plain.items() if name not in parts}
    for part in ("initial", "last", "staleness"):
        plain |= {f"{part}_{name}": value for name, value in (found[part] or parts[part]).items()}
    return plain


def _names(found: Sequence[Record]) -> list[str]:
    """What the column `run` calls the runs."""
    names = [record.run.name if record.path else f"run {i}" for i, record in enumerate(found)]
    return [name.encode(errors="replace").decode() for name in names]  # they may be in another encoding


def type_of(values: Sequence[Any]) -> np.dtype[Any]:
    """The dtype of a column of these values: numbers where all are, floats if some are missing; else texts.

    >>> type_of([1, 2]), type_of([1, None, 0.5]), type_of(["a", 1])
    (dtype('int64'), dtype('float64'), dtype('O'))
    """
    kinds = {type(value) for value in values}
    if kinds in ({bool}, {int}):
        return np.dtype(kinds.pop())
    return np.dtype(float) if kinds <= {int, float, type(None)} and kinds != {type(None)} else TEXT


def _cell(value: Any, dtype: np.dtype[Any]) -> Any:
    """A value in a column of this dtype; None where it is missing."""
    return value if value is None or dtype != TEXT else str(value)


def _filled(cells: Cells, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A column of a piece as an array; where a number is missing it is NaN."""
    return cells if isinstance(cells, np.ndarray) else np.full(rows, cells, dtype)
