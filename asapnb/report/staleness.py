"""The chart of staleness: its distribution in each group of runs."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..analysis import Record
from ..plots.crowds import runs_each
from ..plots.distributions import causes, counts, shares
from ..plots.groups import Panel, clock_of
from ..staleness import StalenessDistribution
from .charts import Chart, Figure, array, chart, dash, panels

_BINS = 120  # the most bins of a staleness distribution
_SHOWN = 0.995  # share of the updates that the axis has room for


def staleness_chart(records: Sequence[Record], name: str) -> Chart | None:
    """The distribution of staleness for each group of runs; None if no update was applied."""
    applied = [record for record in records if record.summary()["updates"]]
    if not applied:
        return None
    parts, left_out = panels(applied, causes(applied))
    seen = {
        line.label + part.label: StalenessDistribution.from_counts(counts(line.records))
        for part in parts for line in part.lines
    }  # fmt: skip
    caption = (
        "Share of the applied updates of each staleness τ, as far as 99.5 % of them; of wide distributions, of each "
        "bin, whose values hovering shows. "
        f"Each line has the updates of {runs_each(len(line.records) for part in parts for line in part.lines)}. "
        f"The order of updates is that of {clock_of(records)}."
    )
    scales = {"Scale": {"linear": "linear", "logarithmic": "log"}}
    return chart(name, "Staleness", caption, (parts, left_out), scales, partial(_shares, seen=seen))


def _shares(part: Panel, scale: tuple[str, str], seen: Mapping[str, StalenessDistribution]) -> Figure:
    data, there = [], [seen[line.label + part.label] for line in part.lines]
    edges = _bins(there)
    tau, wide = (edges[:-1] + edges[1:] - 1) / 2, edges[1] - edges[0]
    bins = {} if wide == 1 else {"text": [f"{low:,} … {low + wide - 1:,}" for low in edges[:-1]]}
    value = "text" if bins else "x:,"
    for line, of in zip(part.lines, there, strict=True):
        data.append({
            "type": "scatter", "mode": "lines+markers" if len(tau) < 40 else "lines", "name": line.label,
            "x": array(tau), "y": array(shares(of, edges)), **bins,
            "line": {"color": line.look.color, "dash": dash(line.look)}, "marker": {"size": 5},
            "hovertemplate": f"τ = %{{{value}}}: %{{y:.3~p}}<extra>{line.label}, mean τ {of.mean():.3g}</extra>",
        })  # fmt: skip
    each = "" if wide == 1 else f" in each {wide} values of τ"
    axis = {"title": {"text": f"share of updates{each}"}, "type": scale[1], "tickformat": "~p", "rangemode": "tozero"}
    return {"data": data, "layout": {"xaxis": {"title": {"text": "staleness τ, updates"}}, "yaxis": axis}}


def _bins(found: Sequence[StalenessDistribution]) -> NDArray[np.int64]:
    """The edges of bins of equal width, the same for all lines, so that their shares can be compared."""
    end = int(max(3, *(of.quantile(_SHOWN) for of in found))) + 1
    width = math.ceil(end / _BINS)
    return np.arange(0, end + width, width)
