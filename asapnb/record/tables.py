"""A run as tables: columns of equal length, whole or piece by piece, so that files of any size can be read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..staleness import WorkerHistogram
from . import values
from .dataset import Columns
from .schema import ABANDONED, COLUMNS, VIEWS

PIECE = 2**16  # rows that are read at a time
_TABLES_AT_A_TIME = 16
Piece = Mapping[str, NDArray[Any]]


def check_there(run: Any, name: str) -> None:
    """RecordError if a run has no such table."""
    if name == "updates":
        run.check_rows("it has no table updates (there are runs, evals, rule, staleness and workers)")


def _updates(run: Any, size: int) -> Iterator[Piece]:
    check_there(run, "updates")
    before = 0
    for start, piece in run.parts("updates", tuple(run.updates), size):
        for name, column in piece.items():
            group = "views" if name in (VIEWS.names or ()) else "updates"
            values.check(run, group, name, column, values.Part(piece, start, before))
        before = max(before, int(piece["version"].max()))
        yield piece


def _group(name: str, run: Any, size: int) -> Iterator[Piece]:
    """The columns of a group that is short: the run keeps them, and each is checked as a whole."""
    return _cut(getattr(run, name), size)


def _rule(run: Any, size: int) -> Iterator[Piece]:
    for first, piece in run.parts("rule", ("step", "scale"), _TABLES_AT_A_TIME):
        for name, column in piece.items():
            values.check(run, "rule", name, column, values.Part(piece, first))
        count, width = piece["scale"].shape
        columns = {
            "row": np.repeat(np.arange(first, first + count), width),
            "step": np.repeat(piece["step"], width),
            "tau": np.tile(np.arange(width), count),
            "scale": piece["scale"].ravel(),
        }
        yield from _cut(columns, size)


def _staleness(run: Any, size: int) -> Iterator[Piece]:
    if run.is_summary:
        counts = run.staleness_counts
        worker, tau = np.nonzero(counts)
        yield from _cut({"worker": worker, "tau": tau, "updates": counts[worker, tau]}, size)
        return
    seen = WorkerHistogram(int(run.attributes["workers"]))
    for piece in _updates(run, size):
        applied = piece["dropped"] != ABANDONED
        seen.observe(piece["worker"][applied], piece["tau"][applied])
    yield from _cut(dict(zip(_STALENESS, seen.entries(), strict=True)), size)


def _workers(run: Any, size: int) -> Iterator[Piece]:
    yield from _cut(run.by_worker(), size)


def _cut(columns: Piece, size: int) -> Iterator[Piece]:
    for start in range(0, len(next(iter(columns.values()), ())), size):
        yield {name: column[start : start + size] for name, column in columns.items()}


@dataclass(frozen=True)
class Table:
    """A table that every run has.

    Attributes:
        a_row: what a row is.
        pieces: a function of a run and a size. It yields the rows, at most so many at a time, checked and not kept.
        columns: the dtype of each column; None for a table that is a group of the run file.
    """

    a_row: str
    pieces: Callable[[Any, int], Iterator[Piece]]
    columns: Mapping[str, Any] | None = None


_STALENESS = dict.fromkeys(("worker", "tau", "updates"), np.int64)
_WORKERS = {
    **dict.fromkeys(("worker", "gradients", "applied", "dropped", "zeroed"), np.int64),
    **dict.fromkeys(("mean_scale", "share_of_gradients", "share_of_steps"), np.float64),
}
TABLES = {
    "updates": Table("an update", _updates),
    "evals": Table("an evaluation", partial(_group, "evals")),
    "rule": Table(
        "the scale of a staleness in a table of the rule",
        _rule,
        {"row": np.int64, "step": np.int64, "tau": np.int64, "scale": np.float64},
    ),
    "staleness": Table("how many updates of a worker had a staleness, where any had", _staleness, _STALENESS),
    "workers": Table("what became of the gradients of a worker", _workers, _WORKERS),
    "microscope": Table("an update that a microscope looked at", partial(_group, "microscope")),
}


def there_are(run: Any) -> list[str]:
    """The names of the tables that a run has."""
    return [name for name in TABLES if not (run.is_summary and name == "updates")]


def columns_of(run: Any, name: str) -> dict[str, np.dtype[Any]]:
    """The dtype of each column of a table, by name; empty for a table that the run does not have."""
    declared = TABLES[name].columns if name in there_are(run) else {}
    if name == "workers":  # a summary may lack some
        declared = {key: dtype for key, dtype in _WORKERS.items() if key in run.by_worker()}
    if declared is None:
        known = COLUMNS[name] | (COLUMNS["views"] if name == "updates" else {})
        declared = {key: known[key].dtype for key in getattr(run, name)}
    return {key: np.dtype(dtype) for key, dtype in declared.items()}


def table_of(run: Any, name: str) -> Columns:
    """A whole table of a run: one that the run holds, or one that is made from it."""
    if TABLES[name].columns is None:
        return getattr(run, name)
    found = list(TABLES[name].pieces(run, PIECE))
    columns = {
        key: np.concatenate([np.empty(0, dtype), *(piece[key] for piece in found)])
        for key, dtype in columns_of(run, name).items()
    }
    return Columns(tuple(columns), columns.__getitem__)
