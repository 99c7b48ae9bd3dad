"""The chart of every run: its figures against what varies. Of many runs it shows quartiles."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import Record, varying
from ..formatting import NONE, count
from ..plots.crowds import BOX_FROM, SINGLE, singled, spread
from ..plots.groups import Group, Panel, clock_of, texts_of
from ..record.schema import METRICS
from .charts import Chart, Figure, array, file_of, panels
from .curves import log_axis

_PLACES = 60  # the most values of a key, or bins of them, that have quartiles
_TICKS = 12  # the most values of an axis that all have a tick
_WIDEST = 28  # characters in a line of a tick's text
_SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
            "X": "x"}  # fmt: skip
_LOG_FROM = 8.0  # an axis is logarithmic if its values span a larger factor
Values = NDArray[np.float64]


def runs_chart(records: Sequence[Record], name: str) -> Chart | None:
    """Every run as a point: a figure of it against a key that varies; None for one run, or if nothing is finite.

    Of many runs there are the quartiles at each value of the key, with the least and the greatest run.
    """
    if len(records) < 2:
        return None
    keys, names, unshown = _keys(records)
    ((part,), left_out) = panels(records, ["rule"] if "rule" in keys else [])
    facts = {
        title: [np.array([get(record) for record in line.records], np.float64) for line in part.lines]
        for title, get in _FIGURES.items()
    }
    facts = {title: lines for title, lines in facts.items() if np.isfinite(np.concatenate(lines)).any()}
    if not facts:
        return None
    crowded, hovers = len(records) > SINGLE, partial(_hover, keys=[*keys, *unshown, "seed"])
    draw = partial(_quartiles, hover=hovers) if crowded else _points
    figures = {
        f"{i},{j}": _figure(part, title, values, key, names[key], draw)
        for i, (title, values) in enumerate(facts.items())
        for j, key in enumerate(keys)
    }
    texts = [] if crowded else [[hovers(record) for record in line.records] for line in part.lines] * 2
    said = "Each point is a run; crosses at the top are runs whose value is not finite."
    if crowded:
        said = (
            f"Of {len(records):,} runs: the median at each place, with a bar from quartile to quartile; small points "
            f"are the least and the greatest run, or all of fewer than {BOX_FROM}. Crosses at the top count runs "
            "whose value is not finite. The list of all runs has each."
        )
    if unshown:
        said += f" Not against {', '.join(unshown)}, of more than {_PLACES} values."
    choices = {"Show": list(facts), "Against": [key.replace("_", " ") for key in keys]}
    caption = f"{said} Clock: {clock_of(records)}.{left_out}"
    return Chart(name, "Every run", caption, choices, figures, texts, len(part.lines))


def _keys(records: Sequence[Record]) -> tuple[list[str], dict[str, dict[Any, str | None]], list[str]]:
    """The keys that vary, numbers first, with the names of their values; and the keys that have too many values.

    Of many runs that differ in their seeds only, all stand at one place.
    """
    keys = [key for key in varying(records) if key != "seed"] or ["seed"]
    keys = sorted(keys, key=lambda key: not _numbers(records, key))
    names = {key: texts_of(records, key) for key in keys}
    unshown = [key for key in keys if len(names[key]) > _PLACES and (key == "seed" or not _numbers(records, key))]
    if len(records) <= SINGLE or not unshown:
        return keys, names, []
    shown = [key for key in keys if key not in unshown] or keys[:1]
    if shown[0] in unshown:
        names[shown[0]] = dict.fromkeys(names[shown[0]], count(len(names[shown[0]]), "value"))
    return shown, names, [key for key in unshown if key not in shown]


Traces = tuple[list[dict[str, Any]], list[dict[str, Any]]]  # of what is finite, and of the rest


def _figure(
    part: Panel, title: str, values: Sequence[Values], key: str, names: Mapping[Any, str | None],
    draw: Callable[[Group, list[Any], Values], Traces],
) -> Figure:  # fmt: skip
    """`values` has an array for each line; `draw` makes its traces."""
    axis_x = _axis(part, key)
    places = _places(part, key, axis_x["type"], names)
    drawn = [draw(line, x, y) for line, x, y in zip(part.lines, places, values, strict=True)]
    finite = np.concatenate([y[np.isfinite(y)] for y in values])
    axis: dict[str, Any] = {"title": {"text": title}, "rangemode": "tozero"}
    if "accuracy" in title:
        axis["tickformat"] = "~p"
    elif "loss" in title and len(finite) and finite.min() > 0 and finite.max() > 100 * finite.min():
        axis |= log_axis(finite.min() / 3, 3 * finite.max())
    layout = {"showlegend": len(part.lines) > 1, "xaxis": axis_x, "yaxis": axis,
              "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}}  # fmt: skip
    return {"data": [trace for i in (0, 1) for traces in drawn for trace in traces[i]], "layout": layout}


def _points(line: Group, x: list[Any], y: Values) -> Traces:
    """A trace of the runs whose value is finite, and one of the others; the texts are those of the chart."""
    trace, cross = _looks(line)
    shown = {**trace, "x": x, "y": array(y), "hovertemplate": "%{y:.5~g}<br>%{text}<extra></extra>"}
    lost = {**cross, "x": x, "y": array(np.where(np.isinf(y), 0.97, np.nan))}
    return [shown], [{**lost, "hovertemplate": "not finite<br>%{text}<extra></extra>"}]


def _quartiles(line: Group, x: list[Any], y: Values, hover: Callable[[Record], str]) -> Traces:
    """The quartiles at each place, the runs at their ends, and how many values are not finite."""
    places, which = np.unique(np.array(x), return_inverse=True)
    finite, (trace, cross) = np.isfinite(y), _looks(line)
    ends, boxes, lost = [], [], np.bincount(which[np.isinf(y)], minlength=len(places))
    for n, place in enumerate(places.tolist()):
        here = np.flatnonzero((which == n) & finite)
        ends += here[singled(y[here], crowded=True)].tolist()
        if len(here) >= BOX_FROM:
            boxes.append((place, len(here), *spread(y[here])[1:4]))
    at, sizes, low, median, high = map(np.array, zip(*boxes, strict=True)) if boxes else [np.empty(0)] * 5
    reach = {"array": array(high - median), "arrayminus": array(median - low), "symmetric": False, "width": 0}
    middle = {
        **trace, "x": at.tolist(), "y": array(median), "text": [f"{n:,} runs" for n in sizes],
        "error_y": {"type": "data", "thickness": 2, **reach},
        "hovertemplate": "median %{y:.5~g} of %{text}<extra></extra>",
    }  # fmt: skip
    single = {
        **trace, "x": [x[i] for i in ends], "y": array(y[ends]), "showlegend": not boxes,
        "marker": {**trace["marker"], "size": 4, "opacity": 0.6}, "text": [hover(line.records[i]) for i in ends],
        "hovertemplate": "%{y:.5~g}<br>%{text}<extra></extra>",
    }  # fmt: skip
    counted = {
        **cross, "x": places[lost > 0].tolist(), "y": array(np.full((lost > 0).sum(), 0.97)),
        "text": [f"{n:,} runs" for n in lost[lost > 0]], "hovertemplate": "%{text} not finite<extra></extra>",
    }  # fmt: skip
    return [*([middle] if boxes else []), single], [counted]


def _looks(line: Group) -> tuple[dict[str, Any], dict[str, Any]]:
    """A trace of a line, and one of its crosses at the top."""
    trace: dict[str, Any] = {"type": "scatter", "mode": "markers", "name": line.label, "legendgroup": line.label}
    mark = {"color": line.look.color, "size": 8, "opacity": 0.7}
    cross = {"yaxis": "y2", "showlegend": False, "marker": {**mark, "symbol": "x-thin-open"}}
    return {**trace, "marker": {**mark, "symbol": _SYMBOLS[line.look.marker]}}, {**trace, **cross}


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


def _binned(lines: list[list[Any]]) -> list[list[Any]]:
    """Numbers, of many different ones the medians of bins of about equally many."""
    every = np.concatenate(lines).astype(np.float64)
    if len(np.unique(every)) <= _PLACES:
        return lines
    edges = np.unique(np.quantile(every, np.linspace(0, 1, _PLACES + 1)[1:-1], method="inverted_cdf"))
    bins = np.searchsorted(edges, every)
    middle = {n: float(np.median(every[bins == n])) for n in np.unique(bins)}
    return [[middle[n] for n in np.searchsorted(edges, np.array(line, np.float64))] for line in lines]


def _numbers(records: Sequence[Record], key: str) -> bool:
    return all(isinstance(record.value(key), int | float) for record in records)


def _places(part: Panel, key: str, axis: str, names: Mapping[Any, str | None]) -> list[list[Any]]:
    """The place of each run of each line on an axis of this type: the name of its value, or the number itself.

    Numbers are shifted a little, from line to line by a hundredth of the least distance of two values; on a
    logarithmic axis by at most 1 %. In a crowd the lines stand side by side, on half of that distance.
    """
    lines = [[record.value(key) for record in line.records] for line in part.lines]
    if axis == "category":
        texts = {
            value: "<br>".join(wrap(text, _WIDEST, break_long_words=False)) for value, text in names.items() if text
        }
        return [[NONE if value is None else texts[value] for value in values] for values in lines]
    crowded = sum(map(len, lines)) > SINGLE
    lines = _binned(lines) if crowded else lines
    there = np.unique(np.concatenate(lines).astype(np.float64))
    most = 1.0 if axis == "log" else float(there[-1] - there[0]) or 1.0
    gap = np.diff(np.log(there) if axis == "log" else there).min(initial=most)
    step = 0.5 / len(lines) if crowded else 0.01
    shifts = (np.arange(len(lines)) - (len(lines) - 1) / 2) * step * gap
    if axis == "log":
        return [[value * math.exp(shift) for value in values] for values, shift in zip(lines, shifts, strict=True)]
    return [[value + float(shift) for value in values] for values, shift in zip(lines, shifts, strict=True)]


def _hover(record: Record, keys: Sequence[str]) -> str:
    said = [f"{key}: {record.value(key)}" for key in keys if record.value(key) is not None]
    return "<br>".join(map(html.escape, [file_of(record), record.status, *dict.fromkeys(said)]))


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
