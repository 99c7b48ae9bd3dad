"""The best step size of each rule, from a grid that is the same for all, on seeds that are then left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..numbers import integer, real
from .records import Loss, Record, grouped, seeds, varying
from .speed import check_clock, default_budget
from .statistics import restricted_mean
from .targets import Target, crossing


@dataclass(frozen=True)
class BestStep:
    """The step size with which a rule (or whatever else varies) reached a target first.

    Attributes:
        values: the keys and values of the runs whose best step size this is.
        step_size: the best one; None if none of the grid reached the target.
        edge: "smallest" or "largest" if the best step size is at that end of the grid, so that a better one may lie
            beyond it; else None.
        grid: the step sizes.
        means: the mean time of each. Longer times count as `budget`.
        budget: the longest time that counts. A run that has not reached the target by then counts as this.
        tuned_on: the seeds that it was chosen on.
        held_out: the runs of the best step size with other seeds. Report these.
    """

    values: dict[str, Any]
    step_size: float | None
    edge: str | None
    grid: tuple[float, ...]
    means: tuple[float, ...]
    budget: float
    tuned_on: tuple[int, ...]
    held_out: tuple[Record, ...]


def best_step_size(
    records: Sequence[Record],
    target: Target,
    tune_seeds: int,
    *,
    by: str = "updates",
    budget: float | None = None,
    loss: Loss = "evaluated",
    window: int | None = None,
) -> list[BestStep]:
    """The best step size of each rule: the one with the shortest restricted mean time to a target.

    It is chosen on some of the seeds, so the runs of the other seeds can be reported without bias.

    Args:
        records: runs on a grid of step sizes. Every rule (and whatever else varies) must have the same grid, and
            every step size the same seeds.
        target: the loss to reach.
        tune_seeds: how many of the seeds, in ascending order, the choice is made on. At least one must be left.
        by: the clock: "updates", "seconds" or "epochs". Not "steps", because the smallest step size needs the
            smallest sum of steps.
        budget: the longest time that counts, as in `speed_up`.
        loss, window: the curve, as in `Record.curve`.

    Returns:
        A `BestStep` for each rule.

    Raises:
        UsageError: if grids or seeds differ, or if there is only one step size.

    >>> import asapnb as ab
    >>> from asapnb.analysis import records
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [
    ...     ab.simulate(problem, workers=2, updates=40, batch_size=1, eval_every=5, step_size=step, seed=seed)
    ...     for step in (0.05, 0.1) for seed in (0, 1)
    ... ]
    >>> best_step_size(records(runs), Target(fraction=0.5), tune_seeds=1)[0].step_size
    0.1
    """
    check_clock(records, by)
    if by == "steps":
        raise UsageError("by is 'steps': a step size is chosen by updates, seconds or epochs")
    all_seeds = seeds(records)
    most, why = len(all_seeds) - 1, f": of the {len(all_seeds)} seeds of the runs one must be left to report on"
    tune_seeds = integer("tune_seeds", tune_seeds, 1, most, note=why)
    budget = None if budget is None else real("budget", budget, 0, above=True)
    chosen = tuple(all_seeds[:tune_seeds])
    by_keys = [key for key in varying(records) if key not in ("step_size", "seed")]
    groups = [(dict(zip(by_keys, values, strict=True)), group) for values, group in grouped(records, by_keys).items()]
    tables = [(values, _table(values, group)) for values, group in groups]
    _check_same(tables)
    found = []
    for values, table in tables:
        tuned = [[crossing(runs[seed], target, loss, window) for seed in chosen] for runs in table.values()]
        end = default_budget([one for of in tuned for one in of], by) if budget is None else budget
        means = [restricted_mean([one.time(by) for one in of], [one.reached for one in of], end) for of in tuned]
        grid, best = tuple(table), int(np.argmin(means))
        none = min(means) >= end
        held_out = () if none else tuple(run for seed, run in table[grid[best]].items() if seed not in chosen)
        edge = None if none else {0: "smallest", len(grid) - 1: "largest"}.get(best)
        step_size = None if none else grid[best]
        found.append(BestStep(values, step_size, edge, grid, tuple(means), end, chosen, held_out))
    return found


_Grid = dict[float, dict[int, Record]]  # the run of each step size and seed


def _table(values: dict[str, Any], group: Sequence[Record]) -> _Grid:
    table: _Grid = {}
    for record in sorted(group, key=lambda record: (record.value("step_size"), record.value("seed"))):
        step, seed = record.value("step_size"), record.value("seed")
        if table.setdefault(float(step), {}).setdefault(seed, record) is not record:
            raise UsageError(f"{_said(values)}step_size={step} has two runs of seed {seed}: leave one out")
    return table


def _check_same(tables: Sequence[tuple[dict[str, Any], _Grid]]) -> None:
    """The same step sizes everywhere, each with the same seeds, and more than one of them."""
    every = {(step, seed) for _, table in tables for step, runs in table.items() for seed in runs}
    steps, all_seeds = {step for step, _ in every}, {seed for _, seed in every}
    if len(steps) < 2:
        raise UsageError(f"all runs have step_size={min(steps):g}: there is no grid to choose from")
    for values, table in tables:
        if missing := sorted(steps - table.keys()):
            raise UsageError(
                f"{_said(values)}has no runs of step size {', '.join(f'{step:g}' for step in missing)}, which others "
                "have: give every rule the same grid"
            )
        for step, runs in table.items():
            if lacking := sorted(all_seeds - runs.keys()):
                raise UsageError(
                    f"{_said(values)}step_size={step:g} has no run of seed {', '.join(map(str, lacking))}: give "
                    "every step size the same seeds"
                )


def _said(values: dict[str, Any]) -> str:
    return "".join(f"{key}={value} " for key, value in values.items())
