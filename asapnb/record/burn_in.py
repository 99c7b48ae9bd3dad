"""How long a run went on before its rule had seen any staleness, from its rows and tables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import AsapnbError
from ..rules import parse_rule
from ..rules.refresh import WARM_UP
from ..schemes import parse_scheme

if TYPE_CHECKING:
    from .run import Run

NOTHING, RULE, PRIOR = "nothing", "rule", "prior"  # what the first tables of a rule are made from


class BurnIn(NamedTuple):
    """The burn-in of a run: its beginning, under tables that were made before any staleness was seen.

    Attributes:
        made_from: what these tables were made from. "rule": the rule needs no staleness seen, so there is no burn-in.
            "prior": the staleness expected. "nothing": all scales are 1.
        updates: the number of applied updates under these tables; 0 for "rule".
        mean_scale: the mean of scale · factor over the later applied updates; None if there were none.
    """

    made_from: str
    updates: int
    mean_scale: float | None


def burn_in(run: Run) -> BurnIn:
    """The burn-in of a run. An old file may not name its first tables; then rows and rule tell what they can."""
    sums = run.sums
    if run.synopsis is not None:
        made_from = run.synopsis.made_from
    else:
        made_from = run.attributes["first_table"]["made_from"] if run.is_summary else _first_rows(run)[0]
    return BurnIn(made_from, sums.numbers["burn_in"], sums.after_burn_in)


def first_rows(run: Run) -> NDArray[np.bool_]:
    """For each applied row of a run, whether it belongs to the burn-in."""
    return _first_rows(run)[1]


def _first_rows(run: Run) -> tuple[str, NDArray[np.bool_]]:
    rows, steps = run.applied("row", "worker"), run.rule_tables.steps
    made_from, due = _first_table(run, _under_first(rows["row"], steps))
    first = burn_in_rows(rows, steps, made_from, due, bool(run.config.get("worker_tables")))
    return made_from, first


def burn_in_rows(
    rows: Mapping[str, NDArray[Any]], steps: NDArray[np.int64], made_from: str, due: int | None, per_worker: bool
) -> NDArray[np.bool_]:
    """For each applied row, whether it belongs to the burn-in.

    Args:
        rows: the columns `row` and `worker` of the applied rows.
        steps: for each table, how many updates had been seen when it was made.
        made_from: what the first tables were made from.
        due: the update at which the next tables are due.
        per_worker: whether each worker has tables of its own.
    """
    if made_from == RULE:
        return np.zeros(len(rows["row"]), bool)
    owner = rows["worker"] if per_worker else np.zeros_like(rows["row"])
    return _before(_under_first(rows["row"], steps), due, owner)


def _under_first(row: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    number = np.minimum(row, len(steps) - 1)
    return steps[number] == 0 if len(steps) else np.zeros(len(number), bool)


def _before(first: np.ndarray, due: int | None, owner: np.ndarray) -> np.ndarray:
    """Of the rows under the first tables, those before the next table was due: it may have had the same scales."""
    changed = np.unique(owner[~first])
    same = first & ~np.isin(owner, changed)
    if due is not None:
        for one in np.unique(owner[same]):
            first[np.flatnonzero(owner == one)[due:]] = False
    return first


def _first_table(run: Run, first: np.ndarray) -> tuple[str, int | None]:
    """What the first tables of a run were made from, and the update of their owner at which the next are due."""
    known = run.attributes.get("first_table")
    if known is not None:
        return known["made_from"], known["due"]
    if not first.all():  # there were later ones
        return NOTHING, None
    with contextlib.suppress(AsapnbError):
        if parse_scheme(str(run.config.get("scheme"))).fresh:
            return RULE, None
    text, workers = str(run.config.get("rule", "")), int(run.attributes["workers"])
    if ".py:" not in text:
        with contextlib.suppress(AsapnbError):
            refresh = parse_rule(text).refresh
            return (RULE, None) if refresh is None else (NOTHING, refresh.due(0, workers))
    made = run.rule_tables.scales[:1]
    return (NOTHING, WARM_UP * workers) if len(made) and (made == 1).all() else (RULE, None)
