"""Tables that compare runs: how they ended, when they reached targets, and by how much faster than a baseline."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import or_
from typing import Any

import numpy as np

from ..errors import UsageError
from ..record.schema import EARLY, UNENDED
from .choosing import matching, parsed
from .overview import outcomes, overview, said
from .records import Loss, Record, Runs, records, varying
from .speed import check_clock
from .stepsizes import best_step_size
from .tables import Table
from .targets import Target, reaches, targets_of
from .times import speed_ups, step_sizes, times

_FRACTIONS = (0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.025, 0.01)


@dataclass(frozen=True, repr=False)
class Comparison:
    """The tables of a comparison. Printed, they are text; in a notebook they are HTML.

    Attributes:
        tables: the tables, in order.
    """

    tables: tuple[Table, ...]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    def __str__(self) -> str:
        return self.render()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return "<br>".join(table._repr_html_() for table in self.tables)

    def render(self, form: str = "text") -> str:
        """All tables as "text", "latex" or "markdown", or as "csv", which is the one table of `tidy`."""
        return self.tidy().csv() if form == "csv" else "\n\n".join(table.render(form) for table in self.tables)

    def tidy(self) -> Table:
        """All tables as one. The column `table` holds the title of a row's table. Missing cells are None."""
        columns = list(dict.fromkeys(name for table in self.tables for name in table.columns))
        rows = [
            (table.title, dict(zip(table.columns, row, strict=True))) for table in self.tables for row in table.rows
        ]
        return Table("Comparison", ("table", *columns), tuple((title, *map(row.get, columns)) for title, row in rows))

    def to_pandas(self) -> Any:
        """The table of `tidy` as a pandas.DataFrame. MissingExtraError if pandas is not installed."""
        return self.tidy().to_pandas()


def compare(
    runs: Runs,
    *,
    target_loss: float | Sequence[float] = (),
    target_fraction: float | Sequence[float] = (),
    skip_bad: bool = False,
    **options: Any,
) -> Comparison:
    """Compare runs: how they ended, when they reached a loss, and by how much faster than a baseline.

    Args:
        runs: a `Run`, a run file, a folder of run files, or several of these.
        target_loss: one or several training losses to reach.
        target_fraction: one or several fractions of each run's own initial loss to reach, in (0, 1). Without any
            target, two fractions are chosen: the lowest that all runs reach, and the lowest that any run reaches.
        skip_bad: leave out files that are damaged, or no run files, with a warning that names them.
        options: options of `asapnb.analysis.comparison`, such as `baseline`, `by` or `clock`.

    Returns:
        The tables.

    Raises:
        RecordError: for files that cannot be used; it names all of them.
        UsageError: for what is unknown or cannot be compared.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> runs = [
    ...     ab.simulate(problem, rule=rule, workers=4, updates=150, step_size=0.1, eval_every=30, seed=seed)
    ...     for rule in ("constant", "tail") for seed in (0, 1)
    ... ]
    >>> found = ab.compare(runs, target_fraction=0.9)
    >>> [table.title for table in found][:2], found.tables[2].columns[:4]
    (['4 runs', 'Time to 90 % of the initial loss'], ('rule', 'speed-up', 'from', 'to'))
    """
    losses, fractions = (np.atleast_1d(given).tolist() for given in (target_loss, target_fraction))
    return Comparison(tuple(comparison(records(runs, skip_bad=skip_bad), targets_of(losses, fractions), **options)))


def comparison(
    records: Sequence[Record],
    targets: Sequence[Target] = (),
    *,
    loss: Loss = "evaluated",
    window: int | None = None,
    clock: str = "updates",
    by: Sequence[str] | None = None,
    baseline: str | Mapping[str, object] | None = None,
    where: Mapping[str, object] | None = None,
    budget: float | None = None,
    tune_seeds: int | None = None,
    paired: bool | None = None,
    confidence: float = 0.95,
) -> list[Table]:
    """The tables of `compare`, from records.

    Args:
        records: the runs.
        targets: the losses to reach; by default two fractions of the initial loss, as in `compare`.
        loss, window: the curve, as in `Record.curve`.
        clock: the unit of speed-ups and budgets: "updates", "seconds", "steps" (the sum of step sizes) or "epochs".
        by: the keys whose values make a row; by default all that vary, except the seed.
        baseline: a key and its value, such as "rule=constant" or `{"rule": "constant"}`. By default it is the
            constant rule if rules vary, else the constant schedule if schedules do.
        where: take only runs with these values.
        budget: the longest time that counts, on the clock. A run that has not reached a target by then counts as
            this. It holds for speed-ups and for the choice of step sizes.
        tune_seeds: choose the step size of each rule on this many seeds. The tables are then of the other seeds.
        paired: as in `speed_up`.
        confidence: of all intervals, in (0, 1).

    Raises:
        UsageError: for what is unknown or cannot be compared.

    >>> import asapnb as ab
    >>> from asapnb.analysis import records
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [ab.simulate(problem, workers=m, updates=20, batch_size=1, step_size=0.1) for m in (1, 2)]
    >>> [table.title for table in comparison(records(runs))][:1]
    ['2 runs']
    """
    records = matching(records, where or {})
    check_clock(records, clock)
    ended = [record for record in records if record.status not in UNENDED]
    chosen = list(targets) or reached_fractions(ended, loss, window)
    tables = []
    if tune_seeds is not None:
        if not chosen:
            raise UsageError("no run gets below its initial loss, so no step size is the best: give runs that do")
        on = "updates" if clock == "steps" else clock
        until = budget if on == clock else None
        best = best_step_size(ended, chosen[0], tune_seeds, by=on, budget=until, loss=loss, window=window)
        tables.append(step_sizes(best, chosen[0], on))
        records = ended = [record for found in best for record in found.held_out]
        if not records:
            raise UsageError(f"no step size of any rule reaches the target, {chosen[0]}: give an easier one")
    by = [key for key in varying(records) if key != "seed"] if by is None else list(by)
    tables.append(overview(records, by))
    if any(record.status != "finished" for record in records):
        tables.append(outcomes(records, by, confidence))
    if left_out := len(records) - len(ended):
        if not ended:
            return tables
        note = f"{left_out} of the runs did not come to an end: the tables below leave them out."
        tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, note))
    against = _baseline(ended, baseline)
    for target in chosen:
        tables.append(times(ended, target, by, loss, window, confidence))
        if against:
            options = {"loss": loss, "window": window, "budget": budget, "paired": paired, "confidence": confidence}
            tables += speed_ups(ended, target, against, clock, **options)
    return tables


def reached_fractions(records: Sequence[Record], loss: Loss = "evaluated", window: int | None = None) -> list[Target]:
    """The lowest of 90, 75, 50, 25, 10, 5, 2.5 and 1 % of the initial loss that all runs reach, and that any does.

    The list is empty where a run has no evaluation yet, or an initial loss that is not above 0. A fraction is left
    out if a run missed it because it had stopped at a target of its own.
    """
    first = [record.summary()["initial"] for record in records]
    if not records or any(one is None or one["train_loss"] <= 0 for one in first):
        return []
    found: list[Target] = []
    targets = [Target(fraction=fraction) for fraction in _FRACTIONS]
    reached = [[reaches(record, target, loss, window) for record in records] for target in targets]
    open_ended = [record.status not in EARLY for record in records]
    for enough in (all, any):
        of = [t for t, met in zip(targets, reached, strict=True) if enough(met) and all(map(or_, met, open_ended))]
        found += [target for target in of[-1:] if target not in found]
    return found


def _baseline(records: Sequence[Record], given: str | Mapping[str, object] | None) -> dict[str, object]:
    """The key and value of the baseline, {} if there is none; UsageError if no run has it, or every run."""
    if given is None:
        for key in ("rule", "schedule"):
            values = {record.value(key) for record in records}
            if len(values) > 1:
                return {key: "constant()"} if "constant()" in values else {}
        return {}
    baseline = parsed(given) if isinstance(given, str) else dict(given)
    kept = matching(records, baseline)
    if len(kept) == len(records):
        raise UsageError(f"every run has {said(baseline)}: there is nothing to compare this baseline with")
    for key, name in baseline.items():
        if len(found := sorted({str(record.value(key)) for record in kept})) > 1:
            raise UsageError(f"{key}={name} is the name of several: {', '.join(found)}; give one of these")
    return {key: kept[0].value(key) for key in baseline}
