"""Reads and applications of successive updates: which update overtook which."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import Record
from ..errors import UsageError
from ..formatting import count
from ..numbers import integer
from ..record.figures import workforce
from ..record.schema import ABANDONED
from .groups import Runs, as_records, time_label
from .labels import short
from .style import BLUE, VERMILION, Axes, Figure, new_figure, note, styled

ROWS = 40
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def one(run: Runs, what: str) -> Record:
    """The only run among `run`; UsageError for several. `what` names the figure in the error."""
    found = as_records(run)
    if len(found) != 1:
        raise UsageError(f"{what} shows one run, not {len(found)}: give one run file, or choose it with --where")
    return found[0]


@styled
def timeline(run: Runs, first: int = 0, rows: int = ROWS) -> Figure:
    """When each worker read its view, finished its gradient and applied it.

    A bar goes from the read to the end of the gradient. A line goes from there to the application, which is a dot. A
    gradient that was given up ends with a cross. The number in a bar is the staleness. The stalest update is marked,
    and so are the updates that overtook it: those applied between its read and its application. Times
    are virtual or wall times, as in the run.

    Args:
        run: one run.
        first: the first row to show, counted from 0.
        rows: how many rows to show.

    Raises:
        UsageError: for several runs, and if the run has no such rows.

    >>> import asapnb as ab
    >>> run = ab.simulate(ab.problems.quadratic([1.0]), workers=3, updates=20, batch_size=1, step_size=0.1)
    >>> timeline(run).axes[0].get_title(loc="left")
    'LockBased, 3 workers, updates 1–20'
    """
    record = one(run, "a timeline")
    total = len(record.run.updates["version"])
    first = integer("first", first, 0, total - 1, note=f": the run has {total:,} rows, numbered from 0")
    rows = integer("rows", rows, 1)
    shown = {name: record.run.updates[name][first : first + rows] for name in ("worker", "version", "read_version",
             "tau", "t_read", "t_ready", "t_apply", "dropped")}  # fmt: skip
    workers, lane = np.unique(shown["worker"], return_inverse=True)
    scale, unit = _unit(float(np.ptp(shown["t_apply"])))
    times = [shown[name] / scale for name in ("t_read", "t_ready", "t_apply")]
    figure = new_figure(7.0, 1.1 + (0.24 if len(workers) <= 16 else 0.17) * max(4, len(workers)))
    axes = figure.add_subplot()
    watched, passed = _stalest(shown)
    colors = [VERMILION if row == watched else BLUE for row in range(len(lane))]
    read, ready, applied = times
    axes.barh(lane, ready - read, left=read, height=0.52, color=colors, alpha=0.3, linewidth=0)
    axes.hlines(lane, ready, applied, color=colors, linewidth=1.2)
    full = np.isin(np.arange(len(lane)), [*passed, *([] if watched is None else [watched])])
    lost = shown["dropped"] & ABANDONED != 0
    for chosen, face, edge in ((~full & ~lost, "white", BLUE), (full, VERMILION, VERMILION)):
        axes.scatter(applied[chosen], lane[chosen], s=16, color=face, edgecolors=edge, linewidths=1.0, zorder=3)
    axes.scatter(applied[lost], lane[lost], s=16, color=BLUE, marker="x", linewidths=1.0, zorder=3)
    if watched is not None:
        axes.vlines(
            applied[passed], lane[passed], lane[watched], color=VERMILION, linewidth=0.8, linestyle=(0, (1, 1.5))
        )
    axes.set(xlabel=time_label([record], unit), ylabel="worker", ylim=(len(workers) - 0.4, -0.6),
             xlim=_range(read, applied, watched))  # fmt: skip
    axes.set_yticks(range(len(workers)), [f"{worker}" for worker in workers])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    last = min(first + rows, total)
    scheme, m = short([record.value("scheme")])[0], workforce(record.run).briefly
    each = "update" if total == record.run.updates["version"].max(initial=0) else "gradient"
    axes.set_title(
        f"{scheme}, {m}, {each}s {first + 1:,}–{last:,}" + (f" of {total:,}" if last - first < total else "")
    )
    if watched is not None:
        axes.set_title(f"the stalest, and the {count(len(passed), each)} that overtook it", loc="right",
                       color=VERMILION, fontsize=8.5)  # fmt: skip
    crosses = " · cross: given up" if lost.any() else ""
    note(figure, f"bar: from read to gradient · dot: applied{crosses} · number: staleness τ")
    _write_staleness(axes, lane, read, ready, shown["tau"])
    return figure


def _unit(span: float) -> tuple[float, str]:
    """The largest unit in which the span is at least 1."""
    return next((unit for unit in _UNITS if span >= unit[0]), _UNITS[-1] if span > 0 else _UNITS[0])


def _stalest(shown: dict[str, NDArray[Any]]) -> tuple[int | None, NDArray[np.intp]]:
    """The stalest row whose overtakers are all shown, and these; None and no rows if nothing was overtaken."""
    applied = np.flatnonzero(shown["dropped"] != 1)
    versions = shown["version"][applied]
    whole = applied[shown["read_version"][applied] >= versions[:1] - 1]
    if not len(whole) or shown["tau"][whole].max() == 0:
        return None, np.empty(0, np.intp)
    row = int(whole[shown["tau"][whole].argmax()])
    return row, applied[(versions > shown["read_version"][row]) & (versions < shown["version"][row])]


def _range(read: NDArray[Any], applied: NDArray[Any], watched: int | None) -> tuple[float, float]:
    """The range of times shown: all applications, and the whole bar of the row `watched`."""
    first = applied.min() if watched is None else min(applied.min(), read[watched])
    first = max(read.min(), first - 0.12 * (applied.max() - first))
    margin = 0.015 * (applied.max() - first)
    return first - margin, applied.max() + margin


def _write_staleness(
    axes: Axes, lane: NDArray[Any], read: NDArray[Any], ready: NDArray[Any], tau: NDArray[Any]
) -> None:
    """Write the staleness into each bar that has room for it."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    read = np.maximum(read, axes.get_xlim()[0])
    points = (ready - read) * axes.get_window_extent().width / np.ptp(axes.get_xlim()) * 72 / axes.figure.dpi
    for row in np.flatnonzero(points > 8 + 4.5 * np.char.str_len(tau.astype(str))):
        axes.text((read[row] + ready[row]) / 2, lane[row], f"{tau[row]}", ha="center", va="center", fontsize=7)
