"""The columns of a run file, schema 1, each declared once; `attributes` declares the attributes.

These declarations are the source of the rings of the engine, the rows of a schedule, the results of a replay,
checkpoints, the datasets of the file, what `structure` and `values` check when it is read, and the tables of
docs/reference/run-file.md. That page also says how to read a file without asapnb.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

SCHEMA = 1
CLOCK = "seconds since training start, monotonic, compilation excluded"
VIRTUAL = "virtual seconds"
RUNNING, INTERRUPTED, FAILED = "running", "interrupted", "failed"
UNENDED = (RUNNING, INTERRUPTED, FAILED)  # statuses of runs that did not come to an end of their own
EARLY = ("converged", "stopped")  # statuses of runs that ended before their total, having done enough
STATUSES = (*UNENDED, "finished", *EARLY, "diverged", "timed-out")
MOST_WORKERS = 2**24
ROWS, SUMMARY = "updates", "summary"  # what a run records: a row for each update, or their sums
RECORDS = (ROWS, SUMMARY)
CARRIED = ("velocity", "moments")  # what steps carry on, beside the parameters; a run has one of them, or none

APPLIED, ABANDONED, ZEROED = 0, 1, 2
Source = Literal["schedule", "rule", "gradient"]


@dataclass(frozen=True)
class Column:
    """A column of a group of the run file.

    Attributes:
        name: the name of the dataset.
        dtype: the dtype of its entries.
        unit: the unit of its entries; empty if they have none.
        meaning: what an entry says, for docs/reference/run-file.md.
        sources: for /updates, what makes the entries of a simulated or replayed run: the schedule, the rule (after
            it), or the computation of the gradient. On threads, `engine.loops.common` says which function does.
        default: the entry where a loop fills nothing in; None if every loop fills it in.
        least: the smallest entry allowed, all being finite; None allows any number, also NaN.
        most: the largest entry allowed; None for no limit.
        absent: the entry that stands for the column in old files without it; None if every file has it.
    """

    name: str
    dtype: type[np.generic]
    unit: str
    meaning: str
    sources: tuple[Source, ...] = ()
    default: int | None = None
    least: int | None = 0
    most: int | None = None
    absent: float | None = None


class Metric(NamedTuple):
    """A column of /evals that measures predictions, and how it is shown.

    Attributes:
        column: its name.
        title: what readers see.
        pattern: one of Python's formats.
        rises: whether more is better.
    """

    column: str
    title: str
    pattern: str
    rises: bool


METRICS = (
    Metric("test_accuracy", "test accuracy", ".1%", True),
    Metric("test_r2", "test R²", ".4f", True),
    Metric("test_rmse", "test RMSE", ".4g", False),
)

_S: tuple[Source, ...] = ("schedule",)
_R: tuple[Source, ...] = ("rule",)
UPDATE_COLUMNS = (
    Column("worker", np.int32, "", "the worker, from 0", _S),
    Column("batch", np.int64, "", "the ticket of the minibatch, from 0 over all epochs", _S),
    Column("version", np.int64, "updates", "the version that this update made; −1 if it was given up", _S, least=-1),
    Column("read_version", np.int64, "updates", "the version of its view", _S),
    Column("tau", np.int32, "updates",
           "the staleness; for a gradient that was given up, that of its last attempt", _S),
    Column("row", np.int32, "", "the row of /rule with the table that gave the scale", _R),
    Column("scale", np.float32, "",
           "the scale from the rule's table, as used: the step was step_size · scale · factor", _R),
    Column("factor", np.float32, "",
           "the factor of the schedule at that version, times the rule's own factor; otherwise 1", _R),
    Column("loss", np.float32, "", "the mean loss of the minibatch at the view, without weight decay", ("gradient",),
           least=None),
    Column("norm", np.float32, "",
           "with `clip`, the Euclidean norm of the gradient before clipping; otherwise 0", ("gradient",),
           default=0, least=None, absent=0),
    Column("t_read", np.float64, "s", "when reading the view began", _S),
    Column("t_ready", np.float64, "s", "when the gradient was finished", _S),
    Column(
        "t_apply", np.float64, "s",
        "when the update was applied, or given up (Hogwild in virtual time: when it was written to its end, though "
        "rows are in the order of claims)", _S,
    ),
    Column("tries", np.int16, "", "failed compare-and-swaps of Leashed, at most 32,767; otherwise 0", _S, default=0),
    Column(
        "dropped", np.uint8, "",
        "0: applied. 1: given up, at the persistence bound of Leashed or by `discard_after`, `wait_for` and others; "
        "it makes no version and is not counted. 2: scale · factor is 0; the gradient is left out, but makes a "
        "version", ("schedule", "rule"), most=2,
    ),
)  # fmt: skip

VIEW_COLUMNS = (
    Column("t_view", np.float64, "s", "simulated Hogwild: when the view had been read to its end"),
)  # fmt: skip

# Of one update, on its minibatch B with the gradient g; G is the gradient of all samples, x what it was applied to.
MICROSCOPE_COLUMNS = (
    Column("version", np.int64, "updates", "the version that the update made"),
    Column("tau", np.int32, "updates", "the staleness of the update"),
    Column("distance", np.float64, "", "‖x − view‖: how far the view is from x", least=None),
    Column("gradient", np.float64, "", "‖g(view)‖: the gradient at the view", least=None),
    Column("error", np.float64, "", "‖g(view) − g(x)‖: what asynchrony adds", least=None),
    Column("cosine", np.float64, "", "the cosine of the angle between g(view) and g(x)", least=None),
    Column("fresh", np.float64, "", "‖G(x)‖: the gradient of all samples at x", least=None),
    Column("noise", np.float64, "", "‖g(x) − G(x)‖: what the minibatch adds", least=None),
    Column("along", np.float64, "", "⟨g(view), G(x)⟩ / ‖G(x)‖²: the part of g(view) that descends", least=None),
)

EVAL_COLUMNS = (
    Column("step", np.int64, "updates", "the version evaluated; the first is 0"),
    Column("t", np.float64, "s", "when that version was made"),
    Column("train_loss", np.float64, "", "the mean loss of the training samples evaluated", least=None),
    Column("test_loss", np.float64, "", "the mean loss of the test samples; NaN without test samples", least=None),
    Column("test_accuracy", np.float64, "", "the share of test samples classified correctly; NaN without classes",
           least=None),
    Column("test_r2", np.float64, "",
           "R² on the test samples; NaN if the problem is not a regression", least=None, absent=np.nan),
    Column("test_rmse", np.float64, "",
           "the root mean squared error on the test samples; NaN if the problem is not a regression",
           least=None, absent=np.nan),
)  # fmt: skip

KEPT_COLUMNS = (  # with `keep_params`
    Column("version", np.int64, "updates", "a version whose parameters are kept"),
    Column("params", np.float32, "", "its parameters", least=None),  # or float64, of shape (rows, n_params)
)

SUMMARY_COLUMNS = (  # a row for each staleness that occurred
    Column("tau", np.int64, "updates", "a staleness"),
    Column("updates", np.int64, "", "applied updates of this staleness"),
    Column("dropped", np.int64, "", "gradients of this staleness that were given up"),
    Column("scale", np.float64, "", "the sum of scale · factor of these updates", least=None),
)

RULE_COLUMNS = (
    Column("step", np.int64, "", "the number of updates that had been seen when the table was made"),
    Column("scale", np.float64, "", "the scale tables; τ ≥ K uses the last entry"),  # of shape (rows, K)
)


def row_type(columns: Iterable[Column]) -> np.dtype[Any]:
    """The dtype of rows with these columns, in this order."""
    columns = tuple(columns)
    if bad := [column.name for column in columns if not {*column.sources} <= {*get_args(Source)}]:
        raise TypeError(f"columns {bad} have sources other than {get_args(Source)}")
    return np.dtype([(column.name, column.dtype) for column in columns], align=True)


def made_by(source: Source) -> np.dtype[Any]:
    """The dtype of rows with the columns of /updates that a source makes; the widest come first, to save space.

    >>> made_by("gradient").names
    ('loss', 'norm')
    """
    own = [column for column in UPDATE_COLUMNS if source in column.sources]
    return row_type(sorted(own, key=lambda column: -np.dtype(column.dtype).itemsize))


if unmade := [column.name for column in UPDATE_COLUMNS if not column.sources]:
    raise TypeError(f"columns {unmade} of /updates need sources: what makes their entries")
UPDATES = row_type(UPDATE_COLUMNS)
VIEWS, MICROSCOPE, EVALS = map(row_type, (VIEW_COLUMNS, MICROSCOPE_COLUMNS, EVAL_COLUMNS))
COLUMNS: dict[str, dict[str, Column]] = {
    group: {column.name: column for column in columns}
    for group, columns in (
        ("updates", UPDATE_COLUMNS),
        ("evals", EVAL_COLUMNS),
        ("rule", RULE_COLUMNS),
        ("views", VIEW_COLUMNS),
        ("microscope", MICROSCOPE_COLUMNS),
        ("kept", KEPT_COLUMNS),
        ("summary", SUMMARY_COLUMNS),
    )
}
GROUPS = {"updates": UPDATES, "evals": EVALS, "views": VIEWS, "microscope": MICROSCOPE}


def kept_type(n_params: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a row of /kept, of so many parameters of this dtype."""
    return np.dtype([("version", np.int64), ("params", dtype, (n_params,))])


def blank_rows(count: int, dtype: np.dtype[Any] = UPDATES) -> np.ndarray:
    """Rows of /updates that nobody has filled in. Columns without a default have NaN, or an extreme integer.

    >>> blank_rows(1)[["loss", "worker", "tries"]].tolist()
    [(nan, -2147483648, 0)]
    """
    rows = np.zeros(count, dtype)
    for column in UPDATE_COLUMNS:
        if column.name in (dtype.names or ()) and column.default is None:
            limits = None if np.issubdtype(column.dtype, np.floating) else np.iinfo(column.dtype)  # type: ignore[type-var]
            rows[column.name] = np.nan if limits is None else limits.min or limits.max
    return rows
