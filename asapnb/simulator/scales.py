"""The scale and the factor of every update of an execution, before a single gradient is computed.

Staleness is known beforehand, and how far a run is at each update. So every table is made at its exact update number,
and every scale and factor is looked up, ahead of the replay. Only a rule that sees the loss has to wait: its tables
are made while the replay goes on (`late_scales`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError, RuleError
from ..record import Run
from ..record.schema import ABANDONED, APPLIED, ZEROED, made_by
from ..rules import Budget, Context, Pace, Rule, ScaleTables
from ..rules.changes import Change, moments
from ..rules.kinds import NO_FACTOR
from ..rules.tables import FRESH
from ..staleness import StalenessDistribution
from ..training.factors import fill_factors
from ..training.steps import StepTables
from ..workforce import Numbers, Workforce, as_workforce
from .late_scales import LateScales

RULED = made_by("rule")  # rows of the columns that a rule makes
_FACTORED = np.dtype([("version", "i8"), ("read_version", "i8"), ("tau", "i4"), ("scale", "f4"), ("factor", "f4"),
                      ("dropped", "u1")], align=True)  # fmt: skip
Expected = Callable[[int], StalenessDistribution | None]  # the staleness of so many workers, if it is known
SHUFFLED = 1024  # updates among which a control experiment permutes the scales


@dataclass(frozen=True)
class Scales:
    """The scale of each row, and the tables that it came from."""

    columns: NDArray[np.void]  # RULED
    made_at: list[int]  # for each table, the updates that had been seen when it was made
    tables: list[NDArray[np.float64]]
    late: LateScales | None = None  # what makes them while the replay goes on, if the rule sees the loss


def recorded_scales(run: Run, rows: int) -> Scales:
    """The recorded scales of the first rows of a run; RecordError if it recorded none."""
    if rows and not len(run.rule_tables.steps):
        raise RecordError(f"{run.path or 'the run'} holds no scale table, so it cannot be replayed as it was")
    columns = np.zeros(rows, RULED)
    for name in RULED.names or ():
        columns[name] = run.updates[name][:rows]
    return Scales(columns, run.rule_tables.steps.tolist(), list(run.rule_tables.scales))


def scales_of(
    rows: NDArray[Any],
    rule: Rule,
    workers: Numbers,
    *,
    per_worker: bool,
    always_fresh: bool,
    seed: int,
    pace: Pace = Pace(1, 1),  # noqa: B008 (frozen)
    prior: Expected = lambda workers: None,
) -> Scales:
    """Apply a rule to the rows of a schedule or a run. All factors are 1; see `factored`.

    Args:
        rows: with the columns `worker`, `tau`, `version`, `read_version` and `dropped`, in order of application.
        rule: the step-size rule.
        workers: how many there are, or a workforce.
        per_worker: give each worker tables made from its own staleness.
        always_fresh: the scheme makes nothing stale, so the rule sees only staleness 0 from the start.
        seed: of shuffled scales.
        pace: how far the run goes, for what the rule sees besides.
        prior: what the first tables are made from for so many workers, if anything is expected.
    """
    owned, force = [np.arange(len(rows))], as_workforce(workers)  # the rows of each owner of tables
    if per_worker:
        owned = [np.flatnonzero(rows["worker"] == owner) for owner in range(force.most)]
    prior = (lambda workers: FRESH) if always_fresh else prior
    changes = changes_in(rows, owned, force, prior)
    if "loss" in rule.sees:
        return _late(rows, rule, force, owned, pace, prior, changes)
    number, scale = np.zeros(len(rows), np.int32), np.ones(len(rows), np.float32)
    made: list[tuple[int, int, NDArray[np.float64]]] = []  # for each table: made at which update, owner, scales
    pieces: list[tuple[NDArray[np.intp], int]] = []  # rows, and the place in `made` of their table
    abandoned = rows["dropped"] == ABANDONED  # these have a scale, but rules do not count them
    for owner, mine in enumerate(owned):
        own = rows[mine] if per_worker else rows
        tables = ScaleTables(rule, force.at(0), prior(force.at(0)), Context(worker=owner))
        refreshes = not always_fresh or bool(rule.sees)

        def at(version: int, owner: int = owner) -> Context:
            return pace.context(version, worker=owner)

        for low, high, made_at, table in _tables(own, ~abandoned[mine], tables, refreshes, at, changes[owner]):
            pieces.append((mine[low:high], len(made)))
            made.append((made_at, owner, table))
    order = sorted(range(len(made)), key=lambda i: made[i][:2])
    for place, i in enumerate(order):
        chosen, table = pieces[i][0], made[i][2]
        tau = np.minimum(rows["tau"][chosen], len(table) - 1)
        number[chosen], scale[chosen] = place, table.astype(np.float32)[tau]
    if rule.shuffled:
        _shuffle(np.flatnonzero(~abandoned), scale, number, seed)
    dropped = np.where(abandoned, ABANDONED, np.where(scale == 0, ZEROED, APPLIED)).astype(np.uint8)
    found = {"row": number, "scale": scale, "factor": np.ones(len(rows), np.float32), "dropped": dropped}
    columns = np.zeros(len(rows), RULED)
    for name in RULED.names or ():
        columns[name] = found[name]
    return Scales(columns, [made[i][0] for i in order], [made[i][2] for i in order])


def changes_in(
    rows: NDArray[Any], owned: Sequence[NDArray[np.intp]], force: Workforce, prior: Expected
) -> list[list[Change]]:
    """For each owner of tables, the changes of the number of workers, with their places among the owner's rows."""
    lands = rows["read_version"] + rows["tau"]
    counted = rows["dropped"] != ABANDONED
    found: list[list[Change]] = [[] for _ in owned]
    for version, number in force.within(0, int(lands.max(initial=0))):
        expected = prior(number)
        for own, changes in zip(owned, found, strict=True):
            row = int(np.searchsorted(lands[own], version))
            changes.append(Change(version, number, int(counted[own[:row]].sum()), row, expected))
    return found


def _late(
    rows: NDArray[Any],
    rule: Rule,
    force: Workforce,
    owned: list[NDArray[np.intp]],
    pace: Pace,
    prior: Expected,
    changes: list[list[Change]],
) -> Scales:
    """Scales that are not known yet, with what will make them."""
    if isinstance(rule.schedule, Budget):
        raise RuleError(
            f"rule {rule} names loss, and the factors of {rule.schedule} need all scales in advance: use one of the "
            "two"
        )
    columns = np.zeros(len(rows), RULED)
    columns["scale"], columns["factor"], columns["dropped"] = 1, 1, rows["dropped"] & ABANDONED
    first = force.at(0)
    return Scales(columns, [], [], LateScales(rows, rule, first, owned, pace, prior(first), changes))


def _tables(
    rows: NDArray[Any],
    counted: NDArray[np.bool_],
    tables: ScaleTables,
    refreshes: bool,
    at: Callable[[int], Context],
    changes: list[Change],
) -> Iterator[tuple[int, int, int, NDArray[np.float64]]]:
    """For each table in turn: its first row, the row after its last, the version at which it was made, its scales."""
    if not refreshes:
        yield 0, len(rows), 0, tables.current
        return
    places = np.flatnonzero(counted)  # of the updates that are counted
    tau, versions, low, made_at, done = rows["tau"][places], rows["version"][places], 0, 0, 0
    current = tables.current
    for seen, change in moments(tables.rule.refresh, tables.workers, len(places), changes):
        if change is None:
            version, high = int(versions[seen - 1]), int(places[seen - 1]) + 1
        else:
            version, high = change.version, change.row
        sight = partial(_at_version, at, version)
        new = tau[done:seen]
        table = tables.observe(new, sight) if change is None else tables.change(change, new, sight)
        done = seen
        if high == len(rows):
            break
        if table is not None:
            yield low, high, made_at, current
            low, made_at, current = high, version, tables.current
    yield low, len(rows), made_at, current


def _at_version(at: Callable[[int], Context], version: int, seen: int) -> Context:
    return at(version)


def _shuffle(applied_rows: NDArray[np.intp], scale: Any, number: Any, seed: int) -> None:
    """Permute the scales among each 1,024 updates in turn."""
    for start in range(0, len(applied_rows), SHUFFLED):
        block = applied_rows[start : start + SHUFFLED]
        order = np.random.default_rng([seed, start]).permutation(len(block))
        scale[block], number[block] = scale[block[order]], number[block[order]]


def factored(
    scales: Scales, rows: NDArray[Any], steps: StepTables, scheduled: NDArray[np.float32] | None = None
) -> Scales:
    """The same scales with the factors of the rows, and with `dropped`, as a factor may be 0.

    Args:
        scales: of the rows.
        rows: with the columns `version`, `read_version`, `tau` and `dropped`, in order of application.
        steps: the table of the schedule, and the numbers of the rule's own factor.
        scheduled: a factor for each row that was recorded, which multiplies that of the schedule.
    """
    work = np.zeros(len(rows), _FACTORED)
    for name in ("version", "read_version", "tau"):
        work[name] = rows[name]
    work["scale"] = scales.columns["scale"]
    work["factor"] = steps.at(work["read_version"] + work["tau"])
    if scheduled is not None:
        work["factor"] *= scheduled
    zeroed = np.where(work["scale"] * work["factor"] == 0, ZEROED, APPLIED)
    work["dropped"] = np.where(rows["dropped"] == ABANDONED, ABANDONED, zeroed)
    if steps.kind != NO_FACTOR:
        gradients = np.bincount(work["version"][rows["dropped"] != ABANDONED], minlength=1)  # of each version
        fill_factors(work, steps.kind, steps.numbers, np.zeros(len(rows) + 1, np.int64), gradients)
    columns = scales.columns.copy()
    for name in ("factor", "dropped"):
        columns[name] = work[name]
    return replace(scales, columns=columns)
