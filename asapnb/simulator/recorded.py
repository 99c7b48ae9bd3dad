"""The recorded rows, rule and schedule of a run, and the factors of its rows under another rule or schedule."""

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError, RuleError, UsageError
from ..identity import Recorded, plain_text
from ..record import Run
from ..rules import Rule, as_rule, constant, recorded_rule
from ..schedules import StepSchedule, as_schedule, recorded_schedule
from ..schedules import constant as unscheduled
from ..schemes import parse_scheme
from ..training.code import same_rule, same_schedule, schedule_of
from ..training.steps import step_tables
from .scales import Scales, factored
from .world import ROW


def check_views(source: Run) -> None:
    """RecordError or UsageError for a run that did not record which updates each view held."""
    source.check_rows("it cannot be replayed")
    scheme = parse_scheme(source.config["scheme"])
    if not scheme.consistent and "t_view" not in source.updates:
        raise UsageError(
            f"{source.path or 'the run'} is of {scheme} on real threads, which does not record which parts of which "
            "updates its views held, so it cannot be replayed; simulate it instead, or train lock-based or leashed"
        )


def rows_of(run: Run) -> NDArray[Any]:
    """The rows of a run, without what its rule made; RecordError if it is from before there was such a column."""
    try:
        columns = {name: run.updates[name] for name in ROW.names or ()}
    except RecordError as error:
        raise RecordError(f"{error}: a run without this column cannot be replayed") from error
    rows = np.zeros(len(columns["worker"]), ROW)
    for name, column in columns.items():
        rows[name] = column
    rows["dropped"] &= 1  # an update that the rule zeroed is not dropped
    return rows


def known_rule(source: Run) -> Rule:
    """The rule of a run whose recorded scales are used. Code that is not of asapnb is not called."""
    text = source.config["rule"]
    if text.piece("rule") is None and ".py:" not in text:
        with contextlib.suppress(UsageError, RuleError):
            return as_rule(plain_text(text))
    return recorded_rule(text, text.piece("rule"))


def known_schedule(source: Run) -> StepSchedule:
    """The schedule of a run whose recorded factors are used. Code that is not of asapnb is not called."""
    text = schedule_of(source)
    piece = text.piece("schedule") if isinstance(text, Recorded) else None
    if piece is None and ".py:" not in text:
        with contextlib.suppress(UsageError):
            return as_schedule(plain_text(text))
    return recorded_schedule(text, piece)


def refactored(
    source: Run, scales: Scales, rows: NDArray[Any], rule: Rule | None, schedule: StepSchedule | None, force: bool
) -> Scales:
    """The scales of a replay with their factors.

    Args:
        source: the run.
        scales: of its rows; their factors are left out of account.
        rows: those of the run.
        rule: the rule that is given; None for that of the run.
        schedule: the one that is given; None for that of the run.
        force: take code although it is not what the run recorded.
    """
    updates, before = total(source), _rule_with_factor(source, force)
    chosen = (before or constant()) if rule is None else rule
    if schedule is None and before is None:  # what was recorded is the factor of the schedule
        recorded = source.updates["factor"][: len(rows)]
        return factored(scales, rows, step_tables(unscheduled(), chosen, updates), recorded)
    schedule = same_schedule(source, None, force) if schedule is None else schedule
    return factored(scales, rows, step_tables(schedule, chosen, updates))


def _rule_with_factor(source: Run, force: bool) -> Rule | None:
    """The rule of a run if it has a factor of its own; else None, and nothing of it is run."""
    if "schedule" not in source.config:  # from before there were schedules: all factors were of the rule
        has = bool((source.updates["factor"] != 1).any())
    else:
        has = "rule_factor" in source.attributes
    return same_rule(source, None, force) if has else None


def total(source: Run) -> int:
    """The total of updates of a run, on which its schedule may depend; for a replay, the total of its source."""
    asked = source.attributes.get("replayed", {}).get("updates") or source.config.get("updates", 0)
    return max(int(asked), int(source.updates["version"].max(initial=0)))
