"""How many runs arrive, or fall below their start, by step size and number of workers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis import Record, Target, crossing
from ..errors import UsageError
from ..formatting import number
from .groups import Runs, as_records, clock_of, groups, in_panels, keys_of
from .scales import worker_axis
from .style import Axes, Figure, note, styled

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]
_MOST, _BINS = 40, 24  # the most values of an axis, and the bins that there are of more
_ROW = 0.125  # inches that a line of text takes
_TICKS = 12  # the most numbers of workers with a tick
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))


@styled
def stability(
    runs: Runs, by: Sequence[str] | None = None, *, target: Target | None = None, curves: Curves | None = None
) -> Figure:
    """The share of runs that reached a target, for each step size and number of workers.

    Without a target, it is the share of runs that did not diverge and ended below their initial loss. The title says
    which of the two is shown. A cell without runs stays white. A share that is neither 0 nor 1 is written into its
    cell, in percent, if there is room. More than 40 step sizes, or numbers of workers, are put into bins.

    Args:
        runs: the runs.
        by: the keys whose values make panels; by default all that vary, except seed, step size and workers.
        target: the loss to reach.
        curves: limits to draw over the map: a dict from labels to (workers, step sizes). A curve whose label is that
            of a panel is drawn in that panel only.

    Raises:
        UsageError: if all runs have the same step size.

    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0])
    >>> grid = [(workers, step) for workers in (2, 4) for step in (0.1, 0.2)]
    >>> runs = [ab.simulate(problem, workers=m, step_size=s, updates=30, batch_size=1) for m, s in grid]
    >>> stability(runs).axes[0].get_xlabel()
    'workers'
    """
    found = as_records(runs)
    if len({record.value("step_size") for record in found}) < 2:
        raise UsageError(
            "the runs have one step size: a stability region needs several, and numbers of workers; make such runs "
            "with asapnb sweep, whose grid has step_size = [0.01, 0.02, 0.04] and workers = [2, 4, 8]"
        )
    for record in found:
        if isinstance(record.value("workers"), str):
            raise UsageError(
                f"{record.name} has workers {record.value('workers')}, a number that changes, which has no place on "
                "the axis of workers: leave it out (--where)"
            )
    keys = [key for key in keys_of(found, by) if key not in ("step_size", "workers")]
    parts = groups(found, keys)
    columns = min(len(parts), 3)
    width = 1.2 + 2.3 * columns if columns > 1 else 4.6
    places = {key: _places([float(record.value(key)) for record in found]) for key in ("workers", "step_size")}
    height = max(2.2, min(4.5, 0.5 + _ROW * len({*places["step_size"].values()})))
    figure, grid = in_panels(parts, columns, width, height, "step size η₀", share=True)
    images = [
        _draw(axes, part.records, places, height, target) for axes, part in zip(grid.ravel(), parts, strict=False)
    ]
    for axes, part in zip(grid.ravel(), parts, strict=False):
        others = {part.label for part in parts} - {part.label}
        _overlay(axes, {name: curve for name, curve in (curves or {}).items() if name not in others}, part.label)
    for axes in grid[:-1].ravel():
        axes.set_xlabel("")
    bar = figure.colorbar(images[0], ax=grid, aspect=28, pad=0.02)
    bar.set_label("share of runs")
    figure.suptitle(f"runs that {counted(target)}", x=0.01, ha="left", fontsize=9)
    bar.outline.set_visible(False)
    cells = Counter((part.label, *_cell(record, places)) for part in parts for record in part.records)
    sizes = sorted({*cells.values()})
    each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    binned = [key.replace("_", " ") for key, of in places.items() if len(of) > len({*of.values()})]
    note(figure, f"{each} runs a cell", f"bins of {' and '.join(binned)}" * bool(binned), clock_of(found))
    return figure


def counted(target: Target | None) -> str:
    """What the figure counts, in words."""
    return "ended below their initial loss" if target is None else f"reached {target}"


def counts_as(record: Record, target: Target | None) -> bool:
    """Whether a run reached the target or, without one, did not diverge and ended below its initial loss."""
    if target is not None:
        return crossing(record, target).reached
    last = record.summary()["last"]
    return record.status != "diverged" and last is not None and last["train_loss"] < record.initial_loss


Places = Mapping[str, Mapping[float, float]]  # of workers and step size: where each value stands


def _places(values: Sequence[float]) -> dict[float, float]:
    """Where each value stands: at itself or, of more than 40 values, at the median of its bin on a log axis."""
    there = np.unique(values)
    if len(there) <= _MOST:
        return {value: value for value in there.tolist()}
    edges = np.geomspace(there[0], there[-1], _BINS + 1)[1:-1]
    bins = np.searchsorted(edges, there, side="right")
    return {value: float(np.median(there[bins == n])) for n, value in zip(bins, there.tolist(), strict=True)}


def _cell(record: Record, places: Places) -> tuple[float, ...]:
    return tuple(of[float(record.value(key))] for key, of in places.items())


def _draw(axes: Axes, found: Sequence[Record], places: Places, height: float, target: Target | None) -> Any:
    """Draw the shares of one panel of this height in inches, and write those between 0 and 1."""
    from matplotlib.patheffects import withStroke

    x, y = (np.array(sorted({*of.values()})) for of in places.values())
    counts = np.zeros((2, len(y), len(x)))
    for record in found:
        column, row = (int(np.searchsorted(*at)) for at in zip((x, y), _cell(record, places), strict=True))
        counts[:, row, column] += 1, counts_as(record, target)
    with np.errstate(invalid="ignore"):
        shares = counts[1] / counts[0]
    image = axes.pcolormesh(_edges(x), _edges(y), shares, vmin=0, vmax=1, edgecolors="white", linewidth=0.6)
    axes.set_yscale("log")
    worker_axis(axes, _some(x.astype(int), _TICKS))
    axes.set_yticks(ticks := _some(y, round(height / _ROW)), [number(size, 3) for size in ticks])
    axes.minorticks_off()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for (row, column), share in np.ndenumerate(shares):
        if 0 < share < 1 and len(y) * _ROW <= height:
            ink, under = ("white", "#333333") if share < 0.6 else ("black", "white")
            axes.text(float(x[column]), float(y[row]), f"{100 * share:.0f} %", ha="center", va="center", fontsize=7,
                      color=ink, zorder=5, path_effects=[withStroke(linewidth=1.2, foreground=under)])  # fmt: skip
    return image


def _some(values: NDArray[Any], most: int) -> list[Any]:
    """So many of the values, evenly, with the first and the last."""
    found: list[Any] = values[
        np.unique(np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int))
    ].tolist()
    return found


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The borders between values on a log axis: halfway between them, and as far beyond the first and last."""
    if len(values) == 1:
        return np.array([values[0] / math.sqrt(2), values[0] * math.sqrt(2)])
    logs = np.log(values)
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate(([2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]])))


def _overlay(axes: Axes, curves: Curves, panel: str) -> None:
    """Draw curves over the map, white with black edges, each with a dash of its own."""
    from matplotlib.patheffects import Normal, Stroke

    limits = axes.get_xlim(), axes.get_ylim()
    for n, (name, (workers, sizes)) in enumerate(curves.items()):
        axes.plot(np.asarray(workers, float), np.asarray(sizes, float), color="white", linewidth=1.6,
                  linestyle=_DASHES[n % len(_DASHES)], label=name if name != panel else "limit",
                  path_effects=[Stroke(linewidth=3.2, foreground="black"), Normal()])  # fmt: skip
    axes.set(xlim=limits[0], ylim=limits[1])
    if curves:
        axes.legend(loc="lower left", fontsize=7, frameon=True, framealpha=0.9, facecolor="#888888",
                    labelcolor="white", edgecolor="none")  # fmt: skip
