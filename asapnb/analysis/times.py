"""Tables of when runs reach a target: of each group, beside a baseline, and by step size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..numbers import real
from ..record.schema import EARLY
from .cells import cells, partners
from .choosing import matching
from .names import plainly
from .overview import TOLERANCE, clock_notes, mixed_clocks, said, seconds_name
from .records import Loss, Record, grouped
from .speed import SpeedUp, default_budget, speed_up
from .statistics import kaplan_meier, wilson
from .stepsizes import BestStep
from .tables import NEVER, Cell, Table, shown, table
from .targets import PLATEAU, Crossing, Target, crossing, escape

_UNITS = {"updates": "updates", "seconds": "seconds", "steps": "sums of step sizes Ση", "epochs": "epochs"}


def times(
    records: Sequence[Record], target: Target, by: Sequence[str], loss: Loss, window: int | None, confidence: float
) -> Table:
    """A row for each group of runs: how many reached the target, and by when half of them had, on every clock.

    For losses above 0 it also says, in updates, when half of the runs had left the plateau they started on, and how
    long half of those that reached the target took from there.
    """
    clocks = {"updates": "updates", "seconds": seconds_name(records), "steps": "Ση", "epochs": "epochs"}
    if mixed_clocks(records):
        del clocks["seconds"]
    rows, lost, stopped = [], 0, 0
    for values, group in grouped(records, by).items():
        found = [crossing(record, target, loss, window) for record in group]
        left = [escape(record, PLATEAU, loss, window) for record in group if record.initial_loss > 0]
        reached = sum(one.reached for one in found)
        lost += len(group) - reached
        stopped += sum(not one.reached and record.status in EARLY
                       for one, record in zip(found, group, strict=True))  # fmt: skip
        after = [one.updates - start.updates for one, start in zip(found, left, strict=False)
                 if len(left) == len(found) and one.updates is not None and start.updates is not None]  # fmt: skip
        low, high = wilson(reached, len(group), confidence)
        figures = {
            "runs": len(group), "reached": reached, "share from": low, "share to": high,
            "diverged": sum(one.outcome == "diverged" for one in found),
            **{name: _half(found, clock) for clock, name in clocks.items()},
            "escape": _half(left, "updates") if left else None,
            "after escape": float(np.median(after).clip(0)) if after else None,
        }  # fmt: skip
        rows.append((values, figures))
    notes = [
        f"Training loss as {loss}. Times are those by which half of the runs had reached the target (Kaplan–Meier); "
        f"escape: {100 * PLATEAU:g} % of the initial loss, in updates.",
        f"share: Wilson's {100 * confidence:g} % interval of the share that reached it",
    ]
    if lost:
        notes.append(f"Not reached by {lost:,} of {len(records):,} runs.")
    if stopped:
        notes.append(
            f"{stopped:,} runs stopped earlier, at a target of their own or by patience, so these times are too long."
        )
    return table(f"Time to {target}", by, rows, [*notes, *clock_notes(records)])


def _half(found: Sequence[Crossing], clock: str) -> Cell:
    """When half of the runs had reached the target; a text if half never did while they were watched."""
    curve = kaplan_meier([one.time(clock) for one in found], [one.reached for one in found])
    below = curve.values <= 0.5 + 1e-9  # a product, with its rounding
    return float(curve.times[below.argmax()]) if below.any() else NEVER


def speed_ups(
    records: Sequence[Record], target: Target, baseline: Mapping[str, object], clock: str, **options: Any
) -> list[Table]:
    """A row for each group beside the baseline in every cell that both have, and one for the mean over its cells.

    The options are those of `speed_up`: loss, window, budget, paired and confidence, all of them. Cells where no run
    reaches the target by the budget are left out. The list is empty if all are.
    """
    if options["budget"] is not None:
        real("budget", options["budget"], 0, above=True)
    ours = matching(records, baseline)
    mine = set(map(id, ours))
    theirs = [record for record in records if id(record) not in mine]

    def arrives(pair: Sequence[Sequence[Record]]) -> bool:
        made = [crossing(record, target, options["loss"], options["window"]) for side in pair for record in side]
        reached = [one.time(clock) for one in made if one.reached]
        if not reached or (len(reached) == len(made) and options["budget"] is None):
            return bool(reached)
        return bool(min(reached) <= (options["budget"] or default_budget(made, clock)))

    found: list[tuple[tuple[Any, ...], dict[str, Any], SpeedUp]] = []
    for values, others in grouped(theirs, list(baseline)).items():
        pairs = cells(ours, others, list(baseline))
        if options["paired"]:
            pairs = {cell: partners(pair) for cell, pair in pairs.items()}
        kept = [(dict(cell), pair) for cell, pair in pairs.items() if arrives(pair)]
        if len(kept) > 1:
            base, other = ([record for _, pair in kept for record in pair[side]] for side in (0, 1))
            kept.append(({next(iter(kept[0][0])): "all"}, (base, other)))
        found += [(values, cell, speed_up(*pair, target, by=clock, **options)) for cell, pair in kept]
    if not found:
        return []
    names = list(dict.fromkeys(name for _, cell, _ in found for name in cell))
    rows = [((*values, *map(cell.get, names)), _figures(one)) for values, cell, one in found]
    title = f"Speed-up over {said(baseline)} to {target}, in {_UNITS[clock]}"
    return [table(title, [*baseline, *names], rows, _notes([one for *_, one in found], options))]


def _figures(found: SpeedUp) -> dict[str, Cell]:
    (low, high), (base, other), budgets = found.interval or (None, None), found.magnitudes, set(found.budgets)
    return {
        "speed-up": found.ratio, "from": low, "to": high, "bound": found.bound.strip("=") or None,
        "runs": found.runs[1], "not reached": found.not_reached[1],
        "baseline runs": found.runs[0], "baseline not reached": found.not_reached[0],
        "budget": budgets.pop() if len(budgets) == 1 else None, "magnitude": other / base if base else None,
    }  # fmt: skip


def _notes(found: Sequence[SpeedUp], options: Mapping[str, Any]) -> Iterator[str]:
    """What the figures mean, and what to beware of."""
    paired = {one.paired for one in found}
    pairs = "seed by seed" if True in paired else "as independent samples"
    pairs += " where schedules are shared" * (len(paired) > 1)
    yield (
        f"Mean time of the baseline / mean time: above 1 is faster. Compared {pairs}; from, to: "
        f"{100 * options['confidence']:g} % bootstrap interval over seeds; all: geometric mean."
    )
    if any(budget is not None for one in found for budget in one.budgets):
        yield "Not all runs reach the target. One that has not reached it by the budget counts as the budget."
        yield (
            "bound: the speed-up is at least the figure (≥) if only runs of the baseline did not arrive, at most the "
            "figure (≤) if only others did not, and open (~) if some of both did not."
        )
    if any(one.interval is None for one in found):
        yield "A single seed gives no interval."
    if any(one.interval and one.smallest_cell < 5 for one in found):
        yield "Fewer than 5 runs in a cell: the intervals are rough."
    ratios = [other / base for base, other in (one.magnitudes for one in found) if base]
    if any(abs(ratio - 1) > TOLERANCE for ratio in ratios):
        yield (
            f"Unequal magnitude: mean steps are {shown(min(ratios))} to {shown(max(ratios))} times the baseline's, "
            "so this also compares the sizes of steps."
        )


def step_sizes(best: Sequence[BestStep], target: Target, clock: str) -> Table:
    """The best step size of each rule, and the mean time of each of the grid."""
    rows: list[tuple[Cell, ...]] = []
    tuned = ", ".join(map(str, best[0].tuned_on))
    notes = [
        f"Chosen by the shortest restricted mean time, in {_UNITS[clock]}, on the seeds {tuned}. The tables below "
        "are of the other seeds."
    ]
    columns = [plainly(column) for column in zip(*(one.values.values() for one in best), strict=True)]
    for i, one in enumerate(best):
        means = (mean if mean < one.budget else NEVER for mean in one.means)
        rows.append((*(column[i] for column in columns), one.step_size, *means))
        name = said(one.values) or "the best"
        if one.step_size is None:
            notes.append(f"{name}: no step size of the grid reaches the target, so it is left out below.")
        elif one.edge:
            notes.append(f"{name}: {one.step_size:g} is the {one.edge} of the grid; a better one may lie beyond.")
    grid = (f"mean at {step:g}" for step in best[0].grid)
    return Table(f"Best step size to {target}", (*best[0].values, "step_size", *grid), tuple(rows), tuple(notes))
