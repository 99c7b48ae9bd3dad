"""How much faster one set of runs reaches a target than another, over all cells that both have."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, unknown
from ..numbers import real
from .cells import SCHEDULE, cells, compared_keys, keys_alike, partners, schedule_of, seed_of
from .records import CLOCKS, Loss, Record
from .resampling import RESAMPLES, Interval, bootstrap
from .statistics import check_followed, restricted_means
from .targets import Crossing, Target, crossing


@dataclass(frozen=True)
class SpeedUp:
    """How many times as fast runs reach a target as those of a baseline.

    Attributes:
        ratio: mean time of the baseline / mean time of the others. 2 is half the time, 1 is no difference. For
            several cells it is the geometric mean of their ratios.
        interval: the bootstrap interval of the ratio; None if a cell has only one run.
        clock: "updates", "seconds", "steps" (the sum of step sizes) or "epochs".
        budgets: the budget of each cell, the longest time that counts. A run that has not reached the target by then
            counts as this. None for a cell where all runs reached it.
        cut: how many runs counted as the budget: of the baseline, and of the others.
        smallest_cell: the smallest number of runs that one side has in a cell.
        runs: how many runs there are: of the baseline, and of the others.
        not_reached: how many did not reach the target: of the baseline, and of the others.
        diverged: how many diverged: of the baseline, and of the others.
        paired: whether runs were compared seed by seed, on the same schedules.
        magnitudes: the mean applied step, step_size * scale: of the baseline, and of the others.
    """

    ratio: float
    interval: Interval | None
    clock: str
    budgets: tuple[float | None, ...]
    cut: tuple[int, int]
    smallest_cell: int
    runs: tuple[int, int]
    not_reached: tuple[int, int]
    diverged: tuple[int, int]
    paired: bool
    magnitudes: tuple[float, float]

    @property
    def cells(self) -> int:
        """The number of cells that the ratio is a mean over."""
        return len(self.budgets)

    @property
    def bound(self) -> str:
        """Whether the ratio is exact or a bound, because runs that were cut at the budget take longer than that.

        "=" if no run was cut. "≥" if runs of the baseline were cut: the true ratio is at least this. "≤" if others
        were cut: it is at most this. "~" if runs of both sides were cut.
        """
        return {(False, False): "=", (True, False): "≥", (False, True): "≤", (True, True): "~"}[
            self.cut[0] > 0, self.cut[1] > 0
        ]

    @property
    def gain(self) -> float:
        """The ratio minus 1: 0.25 is a quarter more progress in the same time."""
        return self.ratio - 1.0


@dataclass(frozen=True)
class _Side:
    """The runs of one set in one cell: the keys that tell them apart, and when they reached the target."""

    keys: tuple[Hashable, ...]
    times: NDArray[np.float64]
    observed: NDArray[np.bool_]
    crossings: list[Crossing]


def speed_up(
    baseline: Sequence[Record],
    other: Sequence[Record],
    target: Target,
    *,
    by: str = "updates",
    budget: float | None = None,
    paired: bool | None = None,
    loss: Loss = "evaluated",
    window: int | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SpeedUp:
    """How much faster `other` reaches a target than `baseline`: the ratio of mean times, and its interval.

    Args:
        baseline, other: the two sets of runs. What is constant in each set and differs between them, such as the
            rule, is compared. Runs that also differ in something else, such as workers, are compared cell by cell,
            over the cells that both sets have.
        target: the loss to reach.
        by: the clock: "updates", "seconds", "steps" (the sum of step sizes) or "epochs".
        budget: the longest time that counts, on the clock. A run that has not reached the target by then counts as
            this. Set it before you see the runs. By default it is the end of the first run that did not reach the
            target, and there is none if all runs reach it.
        paired: whether to compare runs of equal seeds, where both sets have them. None pairs runs if all have a
            partner with the same schedule, as simulated runs of equal seeds and replays of one run do.
        loss, window: the curve, as in `Record.curve`.
        confidence, resamples, seed: as in `bootstrap`. It draws seeds, the same ones in all cells that have them.

    Returns:
        The `SpeedUp`.

    Raises:
        UsageError: for clocks that cannot be compared, seeds that do not pair, sets without a common cell, a target
            that no run of a cell reaches, or a budget beyond the end of all runs.

    >>> import asapnb as ab
    >>> from asapnb.analysis import Target, records
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> runs = [ab.simulate(problem, workers=2, updates=100, step_size=0.1, eval_every=20, seed=i) for i in range(3)]
    >>> same = speed_up(records(runs), records(runs), Target(fraction=0.9))
    >>> same.ratio, same.interval, same.paired
    (1.0, Interval(low=1.0, high=1.0), True)
    """
    check_clock([*baseline, *other], by)
    budget = None if budget is None else real("budget", budget, 0, above=True)
    found = list(cells(baseline, other).values())
    if not found:
        raise UsageError(
            "the runs have no cell in common, because they differ in more than is compared: give runs that are "
            "alike in all else"
        )
    alike = keys_alike(found, schedule_of)
    if paired is None:
        paired = alike and not compared_keys(baseline, other) & set(SCHEDULE)
    key = schedule_of if alike else seed_of
    if paired and not keys_alike(found, key):
        found = list(map(partners, found))
    sides, budgets = [], []
    for pair in found:
        made = [_side(runs, target, by, loss, window, key) for runs in pair]
        if not any(side.observed.any() for side in made):
            raise UsageError(f"no run reaches the target, {target}, so there is no speed-up: give an easier target")
        sides.append(made)
        budgets.append(_budget(made, by, budget))
    ratio, interval = _ratio(sides, budgets, paired, confidence, resamples, seed)
    base, others = ([record for pair in found for record in pair[i]] for i in (0, 1))
    ours, theirs = (Counter(run.outcome for made in sides for run in made[i].crossings) for i in (0, 1))
    return SpeedUp(
        ratio=ratio,
        interval=interval,
        clock=by,
        budgets=tuple(budgets),
        cut=(_cut(sides, budgets, 0), _cut(sides, budgets, 1)),
        smallest_cell=min(len(side.times) for made in sides for side in made),
        runs=(ours.total(), theirs.total()),
        not_reached=(ours.total() - ours["reached"], theirs.total() - theirs["reached"]),
        diverged=(ours["diverged"], theirs["diverged"]),
        paired=paired,
        magnitudes=(magnitude(base, steps=True), magnitude(others, steps=True)),
    )


def check_clock(records: Sequence[Record], by: str) -> None:
    """UsageError for an unknown clock, and for seconds of runs some of which are virtual."""
    if by not in CLOCKS:
        raise unknown("clock", by, CLOCKS)
    if by == "seconds" and len({record.is_virtual for record in records}) > 1:
        raise UsageError(
            "some of these runs are in virtual and some in real time, so their seconds cannot be compared: compare "
            "updates, steps or epochs, or leave one kind out"
        )


def default_budget(crossings: Sequence[Crossing], by: str) -> float:
    """The end of the first run that did not reach the target: up to there every time is known.

    If all runs that did not reach it diverged, it is the end of the last run.

    >>> ends = [Crossing("not reached", None, None, None, None, {"updates": end}) for end in (300.0, 200.0)]
    >>> default_budget(ends, "updates")
    200.0
    """
    censored = [found.end[by] for found in crossings if found.outcome not in ("reached", "diverged")]
    return min(censored) if censored else max(found.end[by] for found in crossings)


def magnitude(records: Iterable[Record], *, steps: bool = False) -> float:
    """The mean over runs of their realised mean scales or, with `steps`, mean steps; NaN where no run has one."""
    facts = [record.summary() for record in records]
    known = [
        one["sum_of_steps"] / max(1, one["updates"]) if steps else one["mean_scale"]
        for one in facts
        if one["mean_scale"] is not None
    ]
    return float(np.mean(known)) if known else float("nan")


def _side(
    runs: Sequence[Record], target: Target, by: str, loss: Loss, window: int | None, key: Callable[[Record], Hashable]
) -> _Side:
    ordered = sorted(runs, key=lambda record: repr(key(record)))
    found = [crossing(record, target, loss, window) for record in ordered]
    return _Side(
        tuple(map(key, ordered)),
        np.array([one.time(by) for one in found]),
        np.array([one.reached for one in found]),
        found,
    )


def _budget(made: list[_Side], by: str, budget: float | None) -> float | None:
    last = max(float(side.times.max()) for side in made)
    if all(side.observed.all() for side in made) and (budget is None or budget >= last):
        return None
    if budget is None:
        budget = default_budget([found for side in made for found in side.crossings], by)
    for side in made:
        check_followed(side.times, side.observed, budget)
    first = min(float(side.times[side.observed].min(initial=np.inf)) for side in made)
    if budget < first:
        raise UsageError(f"budget is {budget:g}: no run reaches the target before {first:g}; give a larger one")
    return budget


def _cut(sides: list[list[_Side]], budgets: list[float | None], which: int) -> int:
    """How many runs of the baseline (0) or of the others (1) count as the budget."""
    return sum(
        int((~made[which].observed | (made[which].times > budget)).sum())
        for made, budget in zip(sides, budgets, strict=True)
        if budget is not None
    )


def _ratio(
    sides: list[list[_Side]], budgets: list[float | None], paired: bool, confidence: float, resamples: int, seed: int
) -> tuple[float, Interval | None]:
    """The geometric mean of the ratios of all cells, and its interval."""
    samples = list(dict.fromkeys((0 if paired else i, side.keys) for made in sides for i, side in enumerate(made)))
    sizes = [len(keys) for _, keys in samples]

    def statistic(*weights: NDArray[Any]) -> NDArray[np.float64]:
        drawn, total = dict(zip(samples, weights, strict=True)), np.zeros(len(weights[0]))
        for made, budget in zip(sides, budgets, strict=True):
            limit = budget if budget is not None else max(float(side.times.max()) for side in made)
            base, other = (
                restricted_means(side.times, side.observed, limit, drawn[0 if paired else i, side.keys])
                for i, side in enumerate(made)
            )
            total += np.log(base) - np.log(other)
        return total / len(sides)

    once = statistic(*(np.ones((1, size)) for size in sizes))
    found = bootstrap(statistic, sizes, confidence=confidence, resamples=resamples, seed=seed)
    return float(np.exp(once[0])), Interval(*np.exp(found).tolist()) if found else None
