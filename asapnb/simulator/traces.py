"""`schedule_from`: a trace of delays, or of who read and applied which version when, as a schedule."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.columnar import read_columnar
from ..data.delimited import line_of, read_delimited
from ..data.frames import is_frame, table_in
from ..data.options import KINDS, found, kind_of
from ..data.table import Table, table_of
from ..errors import DataError, UsageError, shown
from ..numbers import integer
from ..record import Run, load_run
from ..schemes import LockBased, Scheme, as_scheme, parse_scheme
from ..training.arguments import MAX_SIMULATED
from ..training.possible import check_elastic
from ..workforce import WorkersLike, workforce_of
from .recorded import check_views, rows_of
from .schedules import Schedule
from .trace_rows import GIVEN_UP, Refuse, check_reads, made_rows, of_ages, of_delays, of_times, refuse_in, ticketed
from .world import ROW

DELAYS = ("delay", "tau", "staleness")  # what a column of delays may be called
_WHOLE = ("version", "read_version", "tau", "batch", "tries", "dropped")
_SECONDS = ("t_read", "t_ready", "t_apply")
_FILES = {"delimited": lambda path: read_delimited(path), "columnar": read_columnar}
_FORMS = (
    "a column delay; or the columns worker, read_version and version; or worker, t_read and t_apply; or, without "
    "names, one column of delays, or a column for each worker"
)


def schedule_from(
    trace: Any, scheme: Scheme | str | None = None, *, workers: WorkersLike | None = None, updates: int | None = None
) -> Schedule:
    """Make a schedule from a trace, an execution that was recorded elsewhere. `replay` carries it out under any rule.

    Args:
        trace: what was recorded, in one of the forms below: a list, an array, a mapping of columns, a frame of
            pandas, polars or pyarrow, the rows of a `Schedule`, a `Run`, or a file (.csv, .tsv, .parquet, .feather,
            or the .h5 of a run).
        scheme: how the workers shared the parameters. Its views must be versions, so Hogwild is refused. The default
            is `LockBased`. A run always keeps its own scheme.
        workers: number of workers that rules are told, or a number that changes, as for `simulate`. The default is
            the number of workers that the trace names. If it names none, it is the smallest number that can have
            made the updates.
        updates: take only the first so many updates; by default all.

    Returns:
        The `Schedule`. Its `timing` and `seed` are None. Its `origin` says which trace it is.

    Raises:
        UsageError, DataError: for a trace that no run can have made: delays below 0 or above the number of updates,
            two gradients of a worker at once, times that go back, versions with gaps, missing values, and whatever
            the options of the scheme or the number of workers rule out. The message names the row of the trace, or
            the line of the file.

    The names of the columns tell which form a trace has. Other columns are ignored.

    - **delays**: a column `delay` (or `tau`, `staleness`), or one column without a name. Each row is an update, in
      order, and says how many versions were made between its read and its own. A column `worker` may say who made
      it.
    - **versions**: columns `worker`, `read_version` and `version`, the version that the update made: 1, 2, 3, … in
      any order. `asapnb export` writes the updates of a run in this form. If the rows are in order, −1 may stand for
      a gradient that was given up; then the column `tau` is needed, too.
    - **times**: columns `worker`, `t_read` and `t_apply`, in any order. A view holds all updates that were applied up
      to `t_read`. If the trace has versions, too, they decide, and the times are only kept.
    - **ages**: several columns without names, one for each worker. Row k has the age of the worker's newest gradient
      at iteration k, in iterations. A gradient has arrived where the age does not grow by 1. If several arrive at one
      iteration, each makes a version. The delays of PIAG in github.com/xuyangwu/Delay-data have this form (those of
      Async-BCD there are delays).

    The columns `batch`, `t_ready` and `tries` are optional. Without `batch`, minibatches are given out in the order
    of the reads. Without times, an update takes one virtual second; for ages, an iteration does. Workers may be
    texts, such as hosts: they are numbered as they appear.

    >>> import asapnb as ab
    >>> made = ab.schedule_from([0, 1, 1, 2])
    >>> made.workers, made.worker.tolist(), made.read_version.tolist()
    (3, [0, 1, 0, 2], [0, 0, 1, 1])
    >>> timed = ab.schedule_from({"worker": [0, 1, 0], "t_read": [0, 0, 1.5], "t_apply": [1.5, 2, 3]})
    >>> timed.tau.tolist(), timed.seconds
    ([0, 1, 1], 3.0)
    """
    if isinstance(trace, str | os.PathLike) and os.fspath(trace).endswith(".h5"):
        trace = load_run(trace)
    scheme, force, made, views, name = (_of_run if isinstance(trace, Run) else _of_table)(trace, scheme)
    least = int(made["worker"].max(initial=0)) + 1
    if updates is not None:
        end = int(np.searchsorted(np.maximum.accumulate(made["version"]), integer("updates", updates, 1), "right"))
        made, views = made[:end], None if views is None else views[:end]
    last = int(made["version"].max(initial=0))
    force = workforce_of(force if workers is None else workers, last, MAX_SIMULATED)
    if force.most < least:
        raise UsageError(f"workers is {workers}: {name} needs {least:,}, as so many gradients are in flight at once")
    scheme.check_workers(force.most)
    check_elastic(scheme, force)
    if not isinstance(trace, Run):
        check_reads(made, scheme, force)
    steps = int(trace.config.get("local_steps", 1)) if isinstance(trace, Run) else 1
    origin = _origin(name, made, views)
    return Schedule(scheme, None, force.most, last, None, made, views, origin, steps, force)


Made = tuple[Scheme, Any, NDArray[Any], NDArray[np.float64] | None, str]  # scheme, workers, rows, t_view, name


def _of_run(run: Run, scheme: Scheme | str | None) -> Made:
    check_views(run)
    own = parse_scheme(run.config["scheme"])
    if scheme is not None and as_scheme(scheme) != own:
        raise UsageError(f"scheme is {as_scheme(scheme)}, and the run was made by {own}: leave scheme out")
    name = "a run in memory" if run.path is None else run.path.name
    workers = run.attributes.get("in_force") or run.config.get("workers") or run.attributes["workers"]
    return own, workers, ticketed(rows_of(run)), run.updates.get("t_view"), name


def _of_table(trace: Any, scheme: Scheme | str | None) -> Made:
    scheme = as_scheme(LockBased() if scheme is None else scheme)
    if scheme.table_of(2):
        raise UsageError(
            f"scheme is {scheme}, where the order of workers says which gradients make a version, but a trace says "
            "this itself: leave the table out, or give a run"
        )
    if not scheme.consistent:
        raise UsageError(
            f"scheme is {scheme}, whose views mix versions, but in a trace a view is one version: take lock-based, "
            "leashed or parameter-server"
        )
    table, place = _table(trace)
    made = _rows(table, scheme, place)
    return scheme, int(made["worker"].max()) + 1, made, None, os.path.basename(table.where)


def is_trace(path: str) -> bool:
    """Whether the name of a file is that of a table, such as a trace, and not of a run file."""
    return kind_of(path) in _FILES


def _table(trace: Any) -> tuple[Table, Callable[[int], str]]:
    """The columns of a trace, and a function that names a row."""
    if isinstance(trace, str | os.PathLike):
        path, kind = found(os.fspath(trace)), kind_of(trace)
        if kind not in _FILES:
            ends = ", ".join(end for one in _FILES for end in KINDS[one])
            raise UsageError(f"trace is {shown(os.fspath(trace))}: must be a file that ends with {ends}, or .h5")
        table = _FILES[kind](Path(path))
        lined = kind == "delimited"
        return table, lambda row: f"line {line_of(Path(path), row)}" if lined else _nth(row)
    if isinstance(trace, Mapping):
        return table_of("the trace", trace.items()), _nth
    if is_frame(trace):
        return table_in(trace, "the trace"), _nth
    try:
        array = np.asarray(trace)
    except ValueError:
        array = np.zeros(())
    if array.dtype.names:
        return table_of("the trace", ((name, array[name]) for name in array.dtype.names)), _nth
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise UsageError(f"trace is {shown(trace)}: must hold {_FORMS}")
    columns: list[ArrayLike] = [array] if array.ndim == 1 else list(array.T)
    return table_of("the trace", ((str(at), column) for at, column in enumerate(columns))), _nth


def _nth(row: int) -> str:
    return f"row {row}"


def _rows(table: Table, scheme: Scheme, place: Callable[[int], str]) -> NDArray[Any]:
    """The rows of a trace, whatever its form."""
    columns, refuse = table.columns, refuse_in(table.where, place)
    if all(name.isdecimal() for name in columns):
        whole = [_whole(table, name, refuse) for name in columns]
        _check_single(table, scheme)
        several = len(whole) > 1
        found = of_ages(np.stack(whole, axis=1), refuse) if several else of_delays(whole[0], None, refuse)
        return made_rows(found, scheme, refuse)
    delays = next((name for name in DELAYS if name in columns), None)
    worker = _workers(table, refuse) if "worker" in columns else None
    taken: dict[str, NDArray[Any]] = {name: _whole(table, name, refuse) for name in _WHOLE if name in columns}
    taken |= {name: _seconds(table, name, refuse) for name in _SECONDS if name in columns}
    if delays and not ({*_WHOLE[:2], *_SECONDS} & columns.keys()):
        _check_single(table, scheme)
        found = of_delays(_whole(table, delays, refuse), worker, refuse)
        return made_rows(found, scheme, refuse)
    if worker is not None and "version" in taken and ("read_version" in taken or delays):
        if "read_version" not in taken:
            taken["read_version"] = taken["version"] - 1 - _whole(table, str(delays), refuse)
        return _of_versions({"worker": worker, **taken}, scheme, refuse)
    if worker is not None and {"t_read", "t_apply"} <= taken.keys() and not {*_WHOLE[:2]} & taken.keys():
        found = of_times({"worker": worker, **taken})
        order = found.pop("order")
        return made_rows(found, scheme, lambda row, why: refuse(int(order[row]), why))
    raise DataError(f"{table.where} has the columns {', '.join(columns)}: a trace has {_FORMS}")


def _check_single(table: Table, scheme: Scheme) -> None:
    """UsageError for a scheme whose versions are made of several gradients, as delays are of versions of one."""
    if scheme.gradients(2) != 1:
        raise UsageError(
            f"scheme is {scheme}, where several gradients make a version, and in {table.where} each makes one: take "
            "lock-based, or give the columns worker, read_version and version"
        )


def _of_versions(columns: dict[str, Any], scheme: Scheme, refuse: Refuse) -> NDArray[Any]:
    """Rows whose versions are known, put in order."""
    given_up = columns["version"] == GIVEN_UP
    if given_up.any() and "tau" not in columns:
        refuse(int(given_up.argmax()), "the version is -1, of a gradient that was given up: the trace needs a column "
               "tau then, as nothing else says when that was")  # fmt: skip
    order = np.arange(len(given_up)) if given_up.any() else np.argsort(columns["version"], kind="stable")
    sorted_ = {name: column[order] for name, column in columns.items()}
    return made_rows(sorted_, scheme, lambda row, why: refuse(int(order[row]), why))


def _whole(table: Table, name: str, refuse: Refuse) -> NDArray[np.int64]:
    """A column of integers, however they are written."""
    column = _numbers(table, name, refuse)
    bad = column != np.round(column)
    if bad.any() or (np.abs(column) >= 2**53).any():
        at = int((bad | (np.abs(column) >= 2**53)).argmax())
        refuse(at, f"{_called(name)} is {column[at]!s}: must be an integer")
    return column.astype(np.int64)


def _seconds(table: Table, name: str, refuse: Refuse) -> NDArray[np.float64]:
    return _numbers(table, name, refuse).astype(np.float64)


def _numbers(table: Table, name: str, refuse: Refuse) -> NDArray[Any]:
    """A column of numbers, none of which is missing."""
    table.check([name])
    column = table.columns[name]
    if column.dtype == object:
        at = next((row for row, value in enumerate(column) if not _is_number(value)), 0)
        refuse(at, f"{_called(name)} is {shown(column[at])}: must be a number")
    if (bad := ~np.isfinite(column)).any():
        at = int(bad.argmax())
        refuse(at, f"{_called(name)} is {column[at]}: a value is missing, or not finite")
    return column


def _is_number(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False


def _called(name: str) -> str:
    """How an error calls a column."""
    return "a delay" if name.isdecimal() else name


def _workers(table: Table, refuse: Refuse) -> NDArray[np.int64]:
    """The workers as numbers from 0; texts in the order in which they appear."""
    column = table.columns["worker"]
    if column.dtype == object and "worker" not in table.unusable:
        numbers: dict[str, int] = {}
        for row, value in enumerate(column):
            if value is None:
                refuse(row, "worker is missing")
            numbers.setdefault(value, len(numbers))
        return np.array([numbers[value] for value in column])
    workers = _whole(table, "worker", refuse)
    if (bad := (workers < 0) | (workers >= MAX_SIMULATED)).any():
        at = int(bad.argmax())
        refuse(at, f"worker is {workers[at]}: must be from 0 to {MAX_SIMULATED - 1:,}")
    return workers


def _origin(name: str, rows: NDArray[Any], views: NDArray[np.float64] | None) -> str:
    """Which trace it was: its name, and the digest of what became of it."""
    digest = hashlib.blake2b(digest_size=8)
    for column in (*(rows[one] for one in ROW.names or ()), *([] if views is None else [views])):
        digest.update(np.ascontiguousarray(column).data)
    return f"{name} ({digest.hexdigest()})"
