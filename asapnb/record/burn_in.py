"""How long a run went on before its rule had seen any staleness, from its rows and tables."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import AsapnbError
from ..rules import parse_rule
from ..rules.refresh import WARM_UP
from ..schemes import parse_scheme

if TYPE_CHECKING:
    from .run import Run

NOTHING, RULE, PRIOR = "nothing", "rule", "prior"  # what the first tables of a rule are made from


class BurnIn(NamedTuple):
    """The beginning of a run, under tables that were made before any staleness was seen.

    Attributes:
        made_from: "rule" for tables that need no staleness seen, so that there is no burn-in; "prior" for tables of
            the staleness expected; "nothing" for scales of 1.
        updates: applied updates under these tables; 0 for "rule".
        mean_scale: the mean of scale · factor over the applied updates after them; None if there were none.
    """

    made_from: str
    updates: int
    mean_scale: float | None


def burn_in(run: Run) -> BurnIn:
    """The burn-in of a run; of files that do not say what their first tables were, as far as rows and rule tell."""
    rows, steps = run.applied("row", "worker", "scale", "factor"), run.rule_tables.steps
    step = rows["scale"].astype(np.float64) * rows["factor"]
    number = np.minimum(rows["row"], len(steps) - 1)
    first = steps[number] == 0 if len(steps) else np.zeros(len(number), bool)
    made_from, due = _first_table(run, first)
    if made_from == RULE:
        first = np.zeros(len(first), bool)
    else:
        first = _before(first, due, rows["worker"] if run.config.get("worker_tables") else np.zeros_like(number))
    after = step[~first]
    return BurnIn(made_from, int(first.sum()), float(after.mean()) if len(after) else None)


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
