"""Charts and tables as the script of a page reads them: JSON that says nothing twice and is safe inside HTML."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ..analysis import Table
from ..analysis.tables import shown
from ..formatting import visible
from .charts import Chart


def chart_json(chart: Chart) -> str:
    """A chart: its figures, what hovering shows, and what its traces have in common.

    A trace is the place of its look in "looks" and, by name, its data; the bytes of an array are their place in
    "arrays". So an axis that all lines share is there once, and the look of a line once for all choices.
    """
    looks: dict[str, int] = {}
    arrays: dict[str, int] = {}
    figures = {
        key: {
            "data": [_trace(trace, looks, arrays) for trace in figure["data"]],
            "layout": _literal(figure["layout"], arrays),
        }
        for key, figure in chart.figures.items()
    }
    found = {"figures": figures, "texts": _literal(chart.texts, arrays), "arrays": list(arrays)}
    return _safe({**found, "looks": list(map(json.loads, looks))})


def table_json(table: Table) -> str:
    """All rows of a table, as texts."""
    return _safe([[visible(shown(cell)) for cell in row] for row in table.rows])


def _trace(trace: Mapping[str, Any], looks: dict[str, int], arrays: dict[str, int]) -> dict[str, Any]:
    own = {name: value for name, value in trace.items() if isinstance(value, list) or _is_array(value)}
    look = json.dumps(_literal({name: value for name, value in trace.items() if name not in own}, arrays))
    return {"look": looks.setdefault(look, len(looks)), **_literal(own, arrays)}


def _is_array(value: Any) -> bool:
    return isinstance(value, Mapping) and "bdata" in value


def _literal(value: Any, arrays: dict[str, int]) -> Any:
    """A value whose texts Plotly shows as they are: without markup, but for line breaks of ours."""
    if isinstance(value, str):
        return re.sub(r"<(?!br>|extra>|/extra>)", "&lt;", value)
    if _is_array(value):
        return {**value, "bdata": arrays.setdefault(value["bdata"], len(arrays))}
    if isinstance(value, Mapping):
        return {key: _literal(item, arrays) for key, item in value.items()}
    return [_literal(item, arrays) for item in value] if isinstance(value, list | tuple) else value


def _safe(content: Any) -> str:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
