"""Loss, and accuracy, against time, updates, epochs or the sum of steps."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..analysis import Curve, Record, Target
from ..analysis.records import Loss
from ..errors import UsageError, unknown
from ..record.schema import EARLY, METRICS
from .crowds import BOX_FROM, runs_each
from .groups import Group, Panel, Runs, as_records, clock_of, panels, time_label
from .labels import End, label_ends
from .style import TARGET, Axes, Figure, new_figure, note, styled

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
BETTER_HIGH = [metric.column for metric in METRICS if metric.rises]  # more is better
CLOCKS = ("seconds", "updates", "epochs", "steps")
_INFINITE = 1e300  # stands for infinite and NaN losses while quantiles are taken
_POINTS = 400  # the most points of a line
_AT_ONCE = 2**22  # values of which quantiles are taken at a time


class Band(NamedTuple):
    """Quantiles over the runs of a group at each x."""

    x: NDArray[np.float64]
    low: NDArray[np.float64]
    median: NDArray[np.float64]
    high: NDArray[np.float64]


@styled
def loss(
    runs: Runs,
    by: Sequence[str] | None = None,
    *,
    x: str = "seconds",
    curve: Loss = "evaluated",
    window: int | None = None,
    target: Target | None = None,
) -> Figure:
    """The training loss against time, updates, epochs or the sum of step sizes.

    A line is the median of a group of runs. Its band goes from quartile to quartile or, with fewer than five runs,
    from the smallest to the largest. The line ends where the first run of the group ends. From the moment that a run
    diverged, its loss counts as infinite. A run that stopped at its target, or by `patience`, keeps its last loss.
    More than six groups are split into panels.

    Args:
        runs: the runs.
        by: the keys whose values make groups; by default all that vary, except the seed.
        x: "seconds", "updates", "epochs" or "steps" (the sum of all step sizes).
        curve: "evaluated" or "smoothed", as in `Record.curve`.
        window: how many updates a smoothed loss is the mean of, as in `Record.curve`.
        target: a loss to draw as a horizontal line.

    Raises:
        UsageError: for times of several clocks on one axis, and for more groups than can be told apart.

    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [ab.simulate(problem, workers=2, updates=30, eval_every=10, batch_size=1, seed=s) for s in (1, 2)]
    >>> loss(runs, x="updates").axes[0].lines[0].get_xdata().tolist()
    [0.0, 10.0, 20.0, 30.0]
    """
    found = as_records(runs)
    label = axis_label(found, x)
    parts = panels(found, by)
    figure, all_axes = _stacked(parts, x, label, "training loss")
    ends = []
    for axes, part in zip(all_axes, parts, strict=True):
        ends.append(_draw(axes, part.lines, lambda record: _points(record, record.curve(curve, window), x), target))
    bands = said_of_bands(len(group.records) for part in parts for group in part.lines)
    note(figure, bands, "smoothed losses of minibatches" if curve == "smoothed" else "", clock_of(found, x))
    for axes, written in zip(all_axes, ends, strict=True):
        label_ends(axes, written)
    return figure


@styled
def accuracy(runs: Runs, by: Sequence[str] | None = None, *, x: str = "seconds") -> Figure:
    """The test accuracy against time, updates, epochs or the sum of step sizes.

    Lines, bands and panels are those of `loss`. A run that diverged counts as accuracy 0 from then on.

    Args:
        runs: the runs.
        by: the keys whose values make groups; by default all that vary, except the seed.
        x: "seconds", "updates", "epochs" or "steps" (the sum of all step sizes).

    Raises:
        UsageError: for runs that were not tested, for times of several clocks on one axis, and for more groups than
            can be told apart.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> run = ab.simulate(problem, workers=2, updates=30, eval_every=10)
    >>> accuracy(run, x="updates").axes[0].get_ylabel()
    'test accuracy, %'
    """
    found = as_records(runs)
    for record in found:
        if not np.isfinite(record.run.evals["test_accuracy"]).any():
            raise UsageError(f"{record.name} has no test accuracy: leave the run out, or draw its loss (--kind loss)")
    label, parts = axis_label(found, x), panels(found, by)
    figure, all_axes = _stacked(parts, x, label, "test accuracy, %")
    ends = []
    for axes, part in zip(all_axes, parts, strict=True):
        own = []
        for group in part.lines:
            at, low, median, high = evaluated(group.records, "test_accuracy", x)
            low, median, high = (100 * np.where(np.isfinite(values), values, 0.0) for values in (low, median, high))
            own.append(_line(axes, group, Band(at, low, median, high)))
        axes.set(xlim=(0, None), ylim=(0, None))
        ends.append([end for end in own if end.text])
    note(figure, said_of_bands(len(group.records) for part in parts for group in part.lines), clock_of(found, x))
    for axes, written in zip(all_axes, ends, strict=True):
        label_ends(axes, written)
    return figure


def _stacked(parts: Sequence[Panel], x: str, xlabel: str, ylabel: str) -> tuple[Figure, Any]:
    """A figure with a panel for each of these, one below the other, and their axes."""
    figure = new_figure(5.8, sum(max(2.1 if len(parts) > 1 else 3.3, 0.3 + 0.2 * len(part.lines)) for part in parts))
    all_axes = figure.subplots(len(parts), 1, squeeze=False, sharex=x != "seconds")[:, 0]
    for axes, part in zip(all_axes, parts, strict=True):
        axes.set_title(part.label)
        axes.set_ylabel(ylabel)
    all_axes[-1].set_xlabel(xlabel)
    return figure, all_axes


def _line(axes: Axes, group: Group, found: Band) -> End:
    """Draw the line of a group, with its band if there are several runs; returns the label of its end."""
    axes.plot(found.x, found.median, color=group.look.color, linestyle=group.look.dash)
    if len(group.records) > 1:
        axes.fill_between(found.x, found.low, found.high, color=group.look.color, alpha=0.16, linewidth=0)
    return End(float(found.x[-1]), float(found.median[-1]), _label(group), group.look)


def _draw(axes: Axes, lines: Sequence[Group], points: Callable[[Record], Points], target: Target | None) -> list[End]:
    """Draw a line and a band for each group, and the target; returns the labels of their ends."""
    ends = []
    bands = [band([points(record) for record in group.records], group.records) for group in lines]
    _limit(axes, bands)
    bottom, top = axes.get_ylim()
    beyond = top + 2 * (top - bottom)  # so that no huge number is drawn
    for group, found in zip(lines, bands, strict=True):
        low, median, high = (np.minimum(values, beyond) for values in found[1:])
        end = _line(axes, group, Band(found.x, low, median, high))
        last = int(np.append(median[:-1] == beyond, True).argmax())  # where it leaves the axes
        ends.append(end._replace(x=found.x[last], y=median[last]))
    axes.set_xlim(0, None)
    if target is not None:
        level = float(np.median([target.level(record) for group in lines for record in group.records]))
        axes.axhline(level, color="black", linewidth=0.7, linestyle=(0, (1, 2)))
        ends.append(
            End(axes.get_xlim()[1], level, str(target).replace(" of the initial loss", " of initial"), TARGET)
        )
    return [end for end in ends if end.text]


def axis_label(found: Sequence[Record], x: str) -> str:
    """The label of an axis of this clock."""
    if x not in CLOCKS:
        raise unknown("x", x, CLOCKS)
    return {"updates": "updates", "epochs": "epochs", "steps": "sum of step sizes Ση"}.get(x) or time_label(found)


def _points(record: Record, curve: Curve, x: str) -> Points:
    """The x and the losses of a run."""
    if not len(curve):
        raise UsageError(f"{record.name} has no evaluation, so there is no loss to draw: leave the run out")
    return places(record, curve, x), np.asarray(curve.loss, float)


def places(record: Record, curve: Curve, x: str) -> NDArray[np.float64]:
    """The points of a curve of a run on this clock."""
    return np.asarray(curve.updates / record.updates_per_epoch if x == "epochs" else getattr(curve, x), float)


def evaluated(found: Sequence[Record], column: str, x: str) -> Band:
    """Median and band of a column of the evaluations; a run that diverged counts as the worst from then on."""
    sign = -1.0 if column in BETTER_HIGH else 1.0
    points = [(places(record, record.curve(), x), sign * record.run.evals[column]) for record in found]
    at, low, median, high = band(points, found)
    return Band(at, low, median, high) if sign > 0 else Band(at, -high, -median, -low)


def band(points: Sequence[Points], found: Sequence[Record]) -> Band:
    """Median, and quartiles or extremes, of runs on a common x; between its points a loss is linear."""
    goes_on = [record.status in ("diverged", *EARLY) for record in found]  # such a run does not end the line
    end = min((at[-1] for (at, _), ever in zip(points, goes_on, strict=True) if not ever), default=None)
    end = max(at[-1] for at, _ in points) if end is None else end
    x = np.unique(np.concatenate([at for at, _ in points] + [[end]]))
    x = x[x <= end] if len(x) <= _POINTS else np.linspace(0.0, end, _POINTS)
    known = [(at, np.where(y < _INFINITE, y, _INFINITE)) for at, y in points]  # NaN is infinite, too
    beyond = [_INFINITE if record.status == "diverged" else None for record in found]
    shares = (0.25, 0.5, 0.75) if len(points) >= BOX_FROM else (0.0, 0.5, 1.0)
    pieces = np.array_split(x, -(-len(points) * len(x) // _AT_ONCE))
    lines = np.concatenate([_quantiles(piece, known, beyond, shares) for piece in pieces], axis=1)
    return Band(x, *np.where(lines < 1e-9 * _INFINITE, lines, np.inf))


def _quantiles(
    x: NDArray[np.float64], points: Sequence[Points], beyond: Sequence[float | None], shares: Sequence[float]
) -> NDArray[np.float64]:
    """The quantiles at each x over runs, each linear between its points; a row for each share."""
    values = [np.interp(x, *of, right=right) for of, right in zip(points, beyond, strict=True)]
    return np.quantile(values, shares, axis=0, overwrite_input=True)


def _limit(axes: Axes, bands: Sequence[Band]) -> None:
    """Limit the axis to 0 … a little above the first loss; logarithmic if losses fall by a factor above 100."""
    start = max(line.median[0] for line in bands)
    finite = np.concatenate([line.median[np.isfinite(line.median)] for line in bands])
    least = finite[finite > 0].min(initial=np.inf)
    if np.isfinite(least) and finite.min() > 0 and start > 100 * least:
        axes.set_yscale("log")
        axes.set_ylim(least / 2, 3 * start)
    else:
        low = float(finite.min(initial=0.0))
        axes.set_ylim(low, start + 0.12 * ((start - low) or 1.0) if np.isfinite(start) else None)


def _label(group: Group) -> str:
    """The name of a group, with the number of its runs that diverged if any did."""
    diverged = sum(record.status == "diverged" for record in group.records)
    return group.label + (f"\n{diverged:,} of {len(group.records):,} diverged" if diverged else "")


def said_of_bands(sizes: Iterable[int]) -> str:
    """What lines and bands show, for groups of these sizes.

    >>> said_of_bands([1, 1]), said_of_bands([5, 20])
    ('one run a line', 'medians of 5 to 20 runs; bands: quartiles')
    """
    least, most = min(counts := list(sizes)), max(counts)
    if most == 1:
        return "one run a line"
    few, many = least < BOX_FROM, most >= BOX_FROM  # of few, bands go from the least to the greatest
    bands = "least to greatest" if not many else "quartiles" if not few else "quartiles (of less than 5, all)"
    return f"medians of {runs_each(counts)}; bands: {bands}"
