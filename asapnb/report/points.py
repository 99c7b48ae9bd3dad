"""Charts of single runs: when each reached a target, its staleness, and its figures against what varies."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import Crossing, Record, Target, crossing, varying
from ..formatting import NONE
from ..plots.distributions import causes, counts, shares
from ..plots.groups import Panel, clock_of, texts_of
from ..record.schema import METRICS
from ..staleness import StalenessDistribution
from .charts import Chart, Figure, array, chart, dash, left_out, panels
from .curves import clocks, log_axis

_BOXES_FROM = 5  # the fewest runs that have a box
_BINS = 120  # the most bins of a staleness distribution
_SHOWN = 0.995  # share of the updates that the axis has room for
_TICKS = 12  # the most values of an axis that all have a tick
_WIDEST = 28  # characters in a line of a tick's text
_SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
            "X": "x"}  # fmt: skip
_LOG_FROM = 8.0  # an axis is logarithmic if its values span a larger factor


def target_chart(records: Sequence[Record], targets: Sequence[Target], name: str) -> Chart | None:
    """When the runs of each group reached each target.

    Args:
        records: the runs.
        targets: the losses to reach.
        name: the id of the chart in the page.

    Returns:
        The chart; None if there is no target.
    """
    if not targets:
        return None
    parts, axes = panels(records), clocks(records)
    crossings = {str(target): {id(record): crossing(record, target) for record in records} for target in targets}
    caption = (
        f"When the training loss was at most the target, {' or '.join(crossings)}. Each point is a run, a box (from "
        f"{_BOXES_FROM} runs) goes from quartile to quartile of those that reached it; the others are counted. "
        f"Clock: {clock_of(records)}."
    )
    choices: dict[str, dict[str, Any]] = {"Target": crossings, "In": {axes[x]: x for x in axes}}
    return chart(name, "Time to a target", caption, parts, choices, _boxes)


def _boxes(part: Panel, target: tuple[str, Mapping[int, Crossing]], clock: tuple[str, str]) -> Figure:
    """A row for each group."""
    found, (title, x) = target[1], clock
    data, labels = [], []
    for row, line in enumerate(part.lines):
        reached = [record for record in line.records if found[id(record)].reached]
        lost, color = len(line.records) - len(reached), line.look.color
        said = line.label.replace(", ", ",<br>")
        labels.append(said + (f"<br>{lost} of {len(line.records)} not reached" if lost else ""))
        boxed = len(reached) >= _BOXES_FROM
        data.append({
            "type": "box", "orientation": "h", "name": line.label, "showlegend": False,
            "x": array([found[id(record)].time(x) for record in reached]), "y": [row] * len(reached),
            "boxpoints": "all", "jitter": 0.5, "pointpos": 0, "width": 0.5, "hoveron": "points",
            "marker": {"color": color, "size": 6, "opacity": 0.75},
            "line": {"color": color if boxed else "rgba(0,0,0,0)", "width": 1.5}, "fillcolor": "rgba(0,0,0,0)",
            "text": [_file(record) for record in reached], "hovertemplate": "%{x:,.5~g}<br>%{text}<extra></extra>",
        })  # fmt: skip
    axis = {"tickvals": list(range(len(labels))), "ticktext": labels, "range": [len(labels) - 0.5, -0.5]}
    axis |= {"automargin": True, "zeroline": False, "showgrid": False}
    return {"data": data, "layout": {"xaxis": {"title": {"text": title}, "rangemode": "tozero"}, "yaxis": axis}}


def staleness_chart(records: Sequence[Record], name: str) -> Chart | None:
    """The distribution of staleness for each group of runs; None if no update was applied."""
    applied = [record for record in records if record.summary()["updates"]]
    if not applied:
        return None
    parts = panels(applied, causes(applied))
    seen = {
        line.label + part.label: StalenessDistribution.from_counts(counts(line.records))
        for part in parts for line in part.lines
    }  # fmt: skip
    caption = (
        "Share of the applied updates of each staleness τ, as far as 99.5 % of them; of wide distributions, of each "
        "bin, whose values hovering shows. "
        f"The order of updates is that of {clock_of(records)}."
    )
    scales = {"Scale": {"linear": "linear", "logarithmic": "log"}}
    return chart(name, "Staleness", caption, parts, scales, lambda part, scale: _shares(part, seen, scale[1]))


def _shares(part: Panel, seen: Mapping[str, StalenessDistribution], scale: str) -> Figure:
    data, there = [], [seen[line.label + part.label] for line in part.lines]
    edges = _bins(there)
    tau, wide = (edges[:-1] + edges[1:] - 1) / 2, edges[1] - edges[0]
    values = [f"{low:,}" if wide == 1 else f"{low:,} … {low + wide - 1:,}" for low in edges[:-1]]
    for line, of in zip(part.lines, there, strict=True):
        share = shares(of, edges)
        data.append({
            "type": "scatter", "mode": "lines+markers" if len(tau) < 40 else "lines", "name": line.label,
            "x": array(tau), "y": array(share if scale == "linear" else np.where(share > 0, share, np.nan)),
            "line": {"color": line.look.color, "dash": dash(line.look)}, "marker": {"size": 5},
            "text": values,
            "hovertemplate": f"τ = %{{text}}: %{{y:.3~p}}<extra>{line.label}, mean τ {of.mean():.3g}</extra>",
        })  # fmt: skip
    each = "" if wide == 1 else f" in each {wide} values of τ"
    axis = {"title": {"text": f"share of updates{each}"}, "type": scale, "tickformat": "~p", "rangemode": "tozero"}
    return {"data": data, "layout": {"xaxis": {"title": {"text": "staleness τ, updates"}}, "yaxis": axis}}


def _bins(found: Sequence[StalenessDistribution]) -> NDArray[np.int64]:
    """The edges of bins of equal width, the same for all lines, so that their shares can be compared."""
    end = int(max(3, *(of.quantile(_SHOWN) for of in found))) + 1
    width = math.ceil(end / _BINS)
    return np.arange(0, end + width, width)


def runs_chart(records: Sequence[Record], name: str) -> Chart | None:
    """Every run as a point: a figure of it against a key that varies; None for one run, or if nothing is finite."""
    if len(records) < 2:
        return None
    keys = [key for key in varying(records) if key != "seed"] or ["seed"]
    keys = sorted(keys, key=lambda key: not _numbers(records, key))
    (part,) = panels(records, ["rule"] if "rule" in keys else [])
    facts = {
        title: [np.array([get(record) for record in line.records], np.float64) for line in part.lines]
        for title, get in _FIGURES.items()
    }
    facts = {title: lines for title, lines in facts.items() if np.isfinite(np.concatenate(lines)).any()}
    if not facts:
        return None
    names = {key: texts_of(records, key) for key in keys}
    figures = {
        f"{i},{j}": _points(part, title, values, key, names[key])
        for i, (title, values) in enumerate(facts.items())
        for j, key in enumerate(keys)
    }
    texts = [[_hover(record, keys) for record in line.records] for line in part.lines]
    caption = (
        f"Each point is a run; crosses at the top are runs whose value is not finite. Clock: {clock_of(records)}."
        + left_out([part])
    )
    choices = {"Show": list(facts), "Against": [key.replace("_", " ") for key in keys]}
    return Chart(name, "Every run", caption, choices, figures, texts * 2, len(part.lines))


def _points(
    part: Panel, title: str, values: Sequence[NDArray[np.float64]], key: str, names: Mapping[Any, str | None]
) -> Figure:
    """Two traces for each line: runs whose value is finite, and the others. `values` has an array for each line."""
    shown, lost = [], []
    axis_x = _axis(part, key)
    places = _places(part, key, axis_x["type"], names)
    for line, x, y in zip(part.lines, places, values, strict=True):
        trace: dict[str, Any] = {"type": "scatter", "mode": "markers", "name": line.label, "legendgroup": line.label}
        trace |= {"x": x, "hovertemplate": "%{y:.5~g}<br>%{text}<extra></extra>"}
        mark = {"color": line.look.color, "size": 8, "opacity": 0.7}
        shown.append({**trace, "y": array(y), "marker": {**mark, "symbol": _SYMBOLS[line.look.marker]}})
        top = np.where(np.isinf(y), 0.97, np.nan)
        cross = {"y": array(top), "yaxis": "y2", "showlegend": False, "marker": {**mark, "symbol": "x-thin-open"}}
        lost.append({**trace, **cross, "hovertemplate": "not finite<br>%{text}<extra></extra>"})
    finite = np.concatenate([y[np.isfinite(y)] for y in values])
    axis: dict[str, Any] = {"title": {"text": title}, "rangemode": "tozero"}
    if "accuracy" in title:
        axis["tickformat"] = "~p"
    elif "loss" in title and len(finite) and finite.min() > 0 and finite.max() > 100 * finite.min():
        axis |= log_axis(finite.min() / 3, 3 * finite.max())
    layout = {"showlegend": len(part.lines) > 1, "xaxis": axis_x, "yaxis": axis,
              "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}}  # fmt: skip
    return {"data": [*shown, *lost], "layout": layout}


def _axis(part: Panel, key: str) -> dict[str, Any]:
    """The axis of a key: for numbers, logarithmic if they vary much; for texts, with a place for each."""
    axis: dict[str, Any] = {"title": {"text": key.replace("_", " ")}}
    records = [record for line in part.lines for record in line.records]
    if key == "seed" or not _numbers(records, key):
        return {**axis, "type": "category", "categoryorder": "category ascending"}
    values = sorted({record.value(key) for record in records})
    if len(values) <= _TICKS:
        axis |= {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}
    wide = values[0] > 0 and values[-1] >= _LOG_FROM * values[0]
    return {**axis, "type": "log" if wide else "linear"}


def _numbers(records: Sequence[Record], key: str) -> bool:
    return all(isinstance(record.value(key), int | float) for record in records)


def _places(part: Panel, key: str, axis: str, names: Mapping[Any, str | None]) -> list[list[Any]]:
    """The place of each run of each line on an axis of this type: the name of its value, or the number itself.

    Numbers are shifted a little, from line to line by a hundredth of the least distance of two values; on a
    logarithmic axis by at most 1 %.
    """
    lines = [[record.value(key) for record in line.records] for line in part.lines]
    if axis == "category":
        texts = {
            value: "<br>".join(wrap(text, _WIDEST, break_long_words=False)) for value, text in names.items() if text
        }
        return [[NONE if value is None else texts[value] for value in values] for values in lines]
    there = np.unique(np.concatenate(lines).astype(np.float64))
    most = 1.0 if axis == "log" else float(there[-1] - there[0]) or 1.0
    gap = np.diff(np.log(there) if axis == "log" else there).min(initial=most)
    shifts = (np.arange(len(lines)) - (len(lines) - 1) / 2) / 100 * gap
    if axis == "log":
        return [[value * math.exp(shift) for value in values] for values, shift in zip(lines, shifts, strict=True)]
    return [[value + float(shift) for value in values] for values, shift in zip(lines, shifts, strict=True)]


def _hover(record: Record, keys: Sequence[str]) -> str:
    said = [f"{key}: {record.value(key)}" for key in (*keys, "seed") if record.value(key) is not None]
    return "<br>".join(map(html.escape, [_file(record), record.status, *dict.fromkeys(said)]))


def _file(record: Record) -> str:
    return record.path.name if record.path else record.name


def _last(record: Record, name: str) -> float | None:
    """A figure of the last evaluation, infinite if it is not a number; None if there is no evaluation."""
    last = record.summary()["last"]
    return None if last is None else math.inf if math.isnan(last[name]) else float(last[name])


_FIGURES: dict[str, Callable[[Record], float | None]] = {
    "last training loss": lambda record: _last(record, "train_loss"),
    "last test loss": lambda record: _last(record, "test_loss"),
    **{f"last {one.title}": partial(_last, name=one.column) for one in METRICS},
    "mean staleness": lambda record: record.summary()["staleness"]["mean"],
    "mean scale": lambda record: record.summary()["mean_scale"],
    "updates per second": lambda record: record.summary()["updates_per_second"],
}
