"""Checks of the entries of a column when it is first read: their range, and their agreement with other columns.

Code that reads a column can rely on these checks. An index is within its table, and no staleness is larger than the
number of versions, so that none asks for more memory.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .schema import ABANDONED, COLUMNS, RUNNING

Bad = tuple[NDArray[np.bool_], str] | None  # which entries are wrong, and what they must be


class Part(NamedTuple):
    """Rows of a group, of which a column is checked.

    Attributes:
        columns: other columns of these rows, for those of /updates.
        start: the number of the first row.
        before: how many versions the rows before it make.
    """

    columns: Mapping[str, NDArray[Any]]
    start: int = 0
    before: int = 0


def check(run: Any, group: str, name: str, values: NDArray[Any], part: Part | None = None) -> None:
    """RecordError for an impossible value; it names the first one.

    Args:
        run: the run, whose other columns are read where they must agree.
        group: of the column.
        name: of the column.
        values: its entries.
        part: which rows these are; None for all of them.
    """
    part = Part(run.updates) if part is None else part
    column = COLUMNS[group][name]
    if column.least is not None and values.size:
        most = np.inf if column.most is None else column.most
        # The extremes of a column that holds NaN are NaN.
        if not (column.least <= values.min() and values.max() <= most and values.max() != np.inf):
            good = np.isfinite(values) & (values >= column.least) & (values <= most)
            limit = "" if column.most is None else f" and at most {column.most:,}"
            _refuse(run, group, name, values, part, (~good, f"a finite number of at least {column.least}{limit}"))
    if agree := _CHECKS.get((group, name)):
        found = agree(values, run, part)
        if found is not None and found[0].any():
            _refuse(run, group, name, values, part, found)


def _refuse(
    run: Any, group: str, name: str, values: NDArray[Any], part: Part, bad: tuple[NDArray[np.bool_], str]
) -> None:
    place = np.argwhere(bad[0])[0]
    value = values[tuple(place)].item()
    raise RecordError(
        f"/{group}/{name} of {run.path or 'the run'} is {value!r} in row {part.start + place[0]:,}: "
        f"must be {bad[1]}; the file is damaged"
    )


def _worker(values: NDArray[Any], run: Any, part: Part) -> Bad:
    workers = int(run.attributes["workers"])
    return values >= workers, f"below {workers:,}, the number of workers"


def _row(values: NDArray[Any], run: Any, part: Part) -> Bad:
    tables = max(1, run.rows["rule"])
    return values >= tables, f"below {tables:,}, the number of tables in /rule"


def _version(values: NDArray[Any], run: Any, part: Part) -> Bad:
    """The versions of applied updates count up from 1; several rows of a round make one."""
    applied = part.columns["dropped"] != ABANDONED
    made = values[applied]
    rises = np.diff(made, prepend=part.before)
    wrong = np.zeros(len(values), bool)
    wrong[applied] = (rises < 0) | (rises > 1)
    if len(made) and not part.before and made[0] != 1:
        wrong[np.argmax(applied)] = True
    wrong |= ~applied & (values != -1)
    return wrong, "the next version, from 1, or −1 if the gradient was given up"


def _latest(part: Part) -> NDArray[Any]:
    """Of each row, the version before it was applied or given up."""
    version, applied = part.columns["version"], part.columns["dropped"] != ABANDONED
    return np.where(applied, version - 1, np.maximum.accumulate(np.maximum(version, part.before)))


def _tau(values: NDArray[Any], run: Any, part: Part) -> Bad:
    return values > _latest(part), "at most the number of versions before"


def _read_version(values: NDArray[Any], run: Any, part: Part) -> Bad:
    applied, behind = part.columns["dropped"] != ABANDONED, _latest(part) - part.columns["tau"]
    return np.where(applied, values != behind, values > behind), "version − 1 − tau"


def _before(later: str) -> Callable[[NDArray[Any], Any, Part], Bad]:
    return lambda values, run, part: (values > part.columns[later], f"at most {later}")


def _view(values: NDArray[Any], run: Any, part: Part) -> Bad:
    """A view is read before the gradient is computed there; a replay would wait for ever for what comes later."""
    return (values > part.columns["t_ready"]) | (values < part.columns["t_read"]), "from t_read to t_ready"


def _rising(values: NDArray[Any], run: Any, part: Part) -> Bad:
    return np.diff(values, prepend=values[:1]) < 0, "no less than the one before"


def _evaluated(values: NDArray[Any], run: Any, part: Part) -> Bad:
    falls, ahead = _rising(values, run, part), _seen(values, run, part)
    return falls if ahead is None or (falls is not None and falls[0].any()) else ahead


def _seen(values: NDArray[Any], run: Any, part: Part) -> Bad:
    """What was looked at is in the rows, unless a kill cut them."""
    if run.status == RUNNING:
        return None
    return values > run.made, f"at most {run.made:,}, the last version"


_CHECKS: dict[tuple[str, str], Callable[[NDArray[Any], Any, Part], Bad]] = {
    ("updates", "worker"): _worker,
    ("updates", "row"): _row,
    ("updates", "version"): _version,
    ("updates", "tau"): _tau,
    ("updates", "read_version"): _read_version,
    ("updates", "t_ready"): _before("t_apply"),
    ("updates", "t_read"): _before("t_ready"),
    ("views", "t_view"): _view,
    ("evals", "step"): _evaluated,
    ("rule", "step"): _rising,
    ("microscope", "version"): _seen,
    ("kept", "version"): _evaluated,
    ("microscope", "tau"): _seen,
}
