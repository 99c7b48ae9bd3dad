"""The chart of when the runs of each group reached a target. Of many runs it shows quartiles."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..analysis import Crossing, Record, Target, crossing
from ..plots.crowds import BOX_FROM, SINGLE, runs_each, singled, spread
from ..plots.groups import Panel, clock_of
from .charts import Chart, Figure, array, chart, file_of, panels
from .curves import clocks


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
    (parts, left_out), axes = panels(records), clocks(records)
    crossings = {str(target): {id(record): crossing(record, target) for record in records} for target in targets}
    crowded = len(records) > SINGLE
    points = "Each point is a run, a box"
    if crowded:
        each = runs_each(len(line.records) for part in parts for line in part.lines)
        points = f"A row has {each}. Points are the first and the last, or all of fewer than {BOX_FROM}; a box"
    caption = (
        f"When the training loss was at most the target, {' or '.join(crossings)}. {points} (from "
        f"{BOX_FROM} runs) goes from quartile to quartile of those that reached it; the others are counted. "
        f"Clock: {clock_of(records)}."
    )
    choices: dict[str, dict[str, Any]] = {"Target": crossings, "In": {axes[x]: x for x in axes}}
    draw = partial(_boxes, crowded=crowded)
    return chart(name, "Time to a target", caption, (parts, left_out), choices, draw)


def _boxes(part: Panel, target: tuple[str, Mapping[int, Crossing]], clock: tuple[str, str], crowded: bool) -> Figure:
    """A row for each group."""
    found, (title, x) = target[1], clock
    data, labels = [], []
    for row, line in enumerate(part.lines):
        reached = [record for record in line.records if found[id(record)].reached]
        lost, color = len(line.records) - len(reached), line.look.color
        said = line.label.replace(", ", ",<br>")
        labels.append(said + (f"<br>{lost:,} of {len(line.records):,} not reached" if lost else ""))
        times, boxed = np.array([found[id(record)].time(x) for record in reached]), len(reached) >= BOX_FROM
        shared = {"type": "box", "orientation": "h", "name": line.label, "showlegend": False, "width": 0.5,
                  "fillcolor": "rgba(0,0,0,0)"}  # fmt: skip
        drawn = {"color": color, "width": 1.5}
        if crowded and boxed:
            least, low, median, high, greatest = (array([value]) for value in spread(times))
            data.append({
                **shared, "y": [row], "lowerfence": least, "q1": low, "median": median, "q3": high,
                "upperfence": greatest, "line": drawn, "marker": {"color": color}, "hoverinfo": "x",
            })  # fmt: skip
        points = singled(times, crowded)
        data.append({
            **shared, "x": array(times[points]), "y": [row] * len(points),
            "boxpoints": "all", "jitter": 0.5, "pointpos": 0, "hoveron": "points",
            "marker": {"color": color, "size": 6, "opacity": 0.75},
            "line": drawn if boxed and not crowded else {"color": "rgba(0,0,0,0)", "width": 1.5},
            "text": [file_of(reached[i]) for i in points], "hovertemplate": "%{x:,.5~g}<br>%{text}<extra></extra>",
        })  # fmt: skip
    axis = {"tickvals": list(range(len(labels))), "ticktext": labels, "range": [len(labels) - 0.5, -0.5]}
    axis |= {"automargin": True, "zeroline": False, "showgrid": False}
    return {"data": data, "layout": {"xaxis": {"title": {"text": title}, "rangemode": "tozero"}, "yaxis": axis}}
