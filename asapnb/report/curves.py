"""The chart of losses and metrics along the runs."""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from ..analysis import Record
from ..errors import UsageError
from ..plots.curves import CLOCKS, Band, axis_label, evaluated, said_of_bands
from ..plots.groups import Group, Panel, clock_of
from ..record.schema import METRICS
from .charts import Chart, Figure, array, chart, dash, faint, panels

MEASURES = {"training loss": "train_loss", "test loss": "test_loss", **{one.title: one.column for one in METRICS}}
_POINTS, _FEWEST = 160, 12  # the most points of a line, and the fewest where there are many lines
_NUMBERS = 1_000_000  # in all lines and bands of a page, about; a number takes 5 bytes
_LOG_FROM = 100.0  # the axis is logarithmic if a loss falls by a larger factor


def clocks(records: Sequence[Record]) -> dict[str, str]:
    """The possible horizontal axes with their labels; seconds only if all runs have one clock."""
    found = {}
    for x in CLOCKS:
        with suppress(UsageError):
            found[x] = axis_label(records, x)
    return found


def loss_chart(records: Sequence[Record], name: str, of: int = 1) -> Chart | None:
    """Losses and metrics against time, updates, epochs or the sum of steps: a median and a band for each group.

    None if no value is finite. It is one `of` so many on a page, which share the room.
    """
    evals = [record.run.evals for record in records]
    there = {title: name for title, name in MEASURES.items() if any(np.isfinite(one[name]).any() for one in evals)}
    if not there:
        return None
    (parts, left_out), axes = panels(records), clocks(records)
    times = "" if "seconds" in axes else " Their times are of several clocks, so there is no axis of time."
    bands = said_of_bands(len(line.records) for part in parts for line in part.lines)
    caption = f"{bands[0].upper()}{bands[1:]}. Clock: {clock_of(records)}.{times}"
    metrics = [one.title.removeprefix("test ") for one in METRICS if one.title in there]
    title = " and ".join(["Loss", *metrics]) if len(metrics) < 2 else f"Loss, {', '.join(metrics)}"
    figures = len(there) * len(axes) * sum(len(part.lines) for part in parts)
    draw = partial(_figure, points=max(_FEWEST, min(_POINTS, _NUMBERS // (6 * figures * of))))
    choices = {"Show": there, "Against": {axes[x]: x for x in axes}}
    return chart(name, title, caption, (parts, left_out), choices, draw)


def _figure(part: Panel, measure: tuple[str, str], clock: tuple[str, str], points: int) -> Figure:
    (title, column), (label, x) = measure, clock
    bands = [_band(line.records, column, x, points) for line in part.lines]
    data = [trace for line, found in zip(part.lines, bands, strict=True) for trace in _traces(line, found)]
    axis: dict[str, Any] = {"title": {"text": title}, **_limits(bands, column)}
    return {"data": data, "layout": {"xaxis": {"title": {"text": label}, "rangemode": "tozero"}, "yaxis": axis}}


def _band(records: Sequence[Record], column: str, x: str, points: int) -> Band:
    """Median and band of a column of the evaluations, at no more than so many points."""
    found = evaluated(records, column, x)
    kept = np.unique(np.linspace(0, len(found.x) - 1, min(len(found.x), points)).round().astype(int))
    return Band(*(values[kept] for values in found))


def _traces(line: Group, found: Band) -> list[dict[str, Any]]:
    """The traces of a line: its band if there are several runs, then the line."""
    color, several = line.look.color, len(line.records) > 1
    diverged = sum(record.status == "diverged" for record in line.records)
    name = line.label + (f" ({diverged:,} of {len(line.records):,} diverged)" if diverged else "")
    shared = {"type": "scatter", "mode": "lines", "legendgroup": line.label, "name": name}
    whole = np.isfinite(found.low) & np.isfinite(found.high)
    x, low, high = (values[whole] for values in (found.x, found.low, found.high))
    shade = {
        **shared, "x": array(np.concatenate((x, x[::-1]))), "y": array(np.concatenate((low, high[::-1]))),
        "fill": "toself", "fillcolor": faint(color, 0.18), "line": {"width": 0}, "hoverinfo": "skip",
        "showlegend": False,
    }  # fmt: skip
    median = {
        **shared, "x": array(found.x), "y": array(found.median), "line": {"color": color, "dash": dash(line.look)},
        "hovertemplate": f"%{{y:.4~g}} at %{{x:,.5~g}}<extra>{line.label}</extra>",
    }  # fmt: skip
    if np.isfinite(found.median).sum() == 1:
        median |= {"mode": "markers", "marker": {"color": color, "size": 8}}
    return [*([shade] if several and whole.sum() > 1 else []), median]


def _limits(bands: Sequence[Band], column: str) -> dict[str, Any]:
    """The axis: from 0 to a little above the first loss; logarithmic if losses fall by a factor above 100."""
    finite = np.concatenate([line.median[np.isfinite(line.median)] for line in bands])
    if not len(finite):
        return {}
    if column == "test_accuracy":
        return {"tickformat": ".0%", "range": [0.0, min(1.0, 1.05 * float(finite.max()))]}
    if column == "test_r2":
        return {"range": [max(-1.0, min(0.0, float(finite.min()))), 1.0]}
    start = max((float(line.median[0]) for line in bands if np.isfinite(line.median[0])), default=float(finite.max()))
    least = float(finite.min())
    if least > 0 and start > _LOG_FROM * least:
        return log_axis(least / 2, 2 * start)
    return {"range": [min(0.0, 1.05 * least), 1.08 * start]}


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis with at most eight ticks, at powers of ten.

    >>> log_axis(1e-12, 1e4)["dtick"]
    2
    """
    ends = [math.log10(low), math.log10(high)]
    return {"type": "log", "range": ends, "dtick": math.ceil((ends[1] - ends[0]) / 8), "exponentformat": "power"}
