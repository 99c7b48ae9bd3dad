"""Standings, cells and the suite as tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..analysis import Table
from ..compiled import KERNEL_PATH
from ..formatting import count, fixed, number
from .contestants import BASELINE
from .standings import Place, Standings
from .suite import Suite, step_size

_MANY = 4  # contestants that are named in a note; more are counted


def standing_table(found: Standings, mine: Collection[str] = ()) -> Table:
    """The contestants in order, as a table.

    Args:
        found: the standings.
        mine: the names of the contestants that the notes are about.
    """
    columns = ("rank", "contestant", "speed-up", "equal step", "arrived", "at equal", "best step", "mean scale",
               "stable step")  # fmt: skip
    rows = tuple(
        (_rank(place), place.result.name, str(place.best), str(place.equal),
         *(f"{share:.0%}" for share in place.arrived), f"× {number(place.step, 3)}", _scale(place.mean_scale),
         None if place.stable is None else f"× {number(place.stable, 3)}")
        for place in found.places
    )  # fmt: skip
    notes = (*(verdict(place, found) for place in found.places if place.result.name in mine), *_edges(found))
    return Table(_title(found.suite), columns, rows, notes)


def cell_table(place: Place, suite: Suite) -> Table:
    """What a contestant did in each cell, as a table."""
    columns = ("scenario", "problem", "speed-up", "equal step", "arrived", "at equal", "step size", "mean scale")
    rows = []
    for cell in suite.cells:
        score, total = place.result.cells[cell.name], len(suite.seeds)
        arrived = (
            f"{sum(time is not None for time in runs.times[:total])}/{total}" for runs in (score.best, score.equal)
        )
        speeds = str(place.by_cell[cell.name]), str(place.equal_by_cell[cell.name])
        size = f"{step_size(score.step):.4g}{' (edge)' if score.edge else ''}"
        rows.append((cell.scenario.name, cell.task.name, *speeds, *arrived, size, _scale(score.best.mean_scale)))
    return Table(f"{place.result.name} in each cell", columns, tuple(rows))


def scenario_table(suite: Suite) -> Table:
    """The scenarios, and the problems that are run in each."""
    rows = []
    for one in suite.scenarios:
        seen, met = one.staleness, [cell.task.name for cell in suite.cells if cell.scenario == one]
        rows.append((one.name, one.workers, f"{seen.mean():.1f} ± {seen.variance() ** 0.5:.1f}", one.about,
                     ", ".join(met), one.timing or "recorded"))  # fmt: skip
    columns = ("scenario", "workers", "staleness", "stands for", "problems", "timing")
    return Table(f"Scenarios of suite {suite.version}", columns, tuple(rows))


def problem_table(suite: Suite) -> Table:
    """The problems, and when they count as solved."""
    columns = ("problem", "what it is", "batch", "target loss", "budget")
    rows = tuple((one.name, one.about, one.batch_size, one.target, one.budget) for one in suite.tasks)
    return Table(f"Problems of suite {suite.version}", columns, rows, ("The budget is in updates.",))


def kernel_note(computed: Mapping[str, Any]) -> str:
    """What there is to say if the table of the package was computed by other kernels; "" if by the same ones."""
    if computed["kernels"] == KERNEL_PATH:
        return ""
    return (
        f"The built-in results were computed by the kernels {computed['kernels']}, these by {KERNEL_PATH}. They "
        "round sums in another order, so single times on mlp and lenet differ by chance, but not in the mean."
    )


def _title(suite: Suite) -> str:
    return (
        f"Suite {suite.version}: {count(len(suite.cells), 'cell')}, {count(len(suite.seeds), 'seed')}; speed-up over "
        f"{BASELINE}, with 95 % intervals"
    )


def _scale(mean: float) -> str:
    return fixed(mean, ".3f" if mean < 1000 else ".4g")


def _rank(place: Place) -> str:
    if place.ranks is None or place.ranks.low == place.ranks.high:
        return str(place.rank)
    return f"{place.rank} ({place.ranks.low:.0f}–{place.ranks.high:.0f})"


def verdict(place: Place, found: Standings) -> str:
    """The place of a contestant, in a sentence."""
    said = (
        f"{place.result.name}: rank {_rank(place)} of {len(found.places)}, {place.best} times as fast as {BASELINE}"
    )
    if place.ranks is None:
        return f"{said}; one seed gives no intervals."
    if not place.alike:
        return f"{said}; told apart from all others."
    some, more = place.alike[:_MANY], len(place.alike) - _MANY
    return f"{said}; not told apart from {', '.join(some)}{f' and {more} more' if more > 0 else ''}."


def _edges(found: Standings) -> list[str]:
    at_edge = [
        f"{place.result.name} in {cell.name}"
        for place in found.places
        for cell in found.suite.cells
        if place.result.cells[cell.name].edge
    ]
    return [f"At the edge of the grid, so a better step size may lie beyond it: {'; '.join(at_edge)}."] * bool(
        at_edge
    )
