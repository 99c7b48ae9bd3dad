"""Interactive charts as data for Plotly, and the runs that share a line."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..analysis import Record
from ..plots.groups import Group, Panel, split
from ..plots.style import LOOKS, Look, look

Figure = dict[str, Any]  # of Plotly: data and layout
LINES = 1000  # the most lines of a chart, over all its panels


@dataclass(frozen=True)
class Chart:
    """A chart with choices.

    Attributes:
        name: its id in the page.
        title, caption: what a reader sees; the caption names the clock of the times.
        choices: the menus above the chart, each with its options.
        figures: a figure of Plotly for each combination of options; the key is the indices of the options, joined by
            commas.
        texts: what hovering shows for the points of each trace, the same in all figures.
        rows: how many lines or rows the chart needs room for.
    """

    name: str
    title: str
    caption: str
    choices: Mapping[str, Sequence[str]]
    figures: Mapping[str, Figure]
    texts: Sequence[Sequence[str]] = field(default=())
    rows: int = 1

    @property
    def alt(self) -> str:
        """The chart in words, for readers who cannot see it."""
        options = "; ".join(f"{name}: {', '.join(of)}" for name, of in self.choices.items() if len(of) > 1)
        return f"{self.title}. {self.caption}" + (f" Choices: {options}." if options else "")


def panels(records: Sequence[Record], keys: Sequence[str] | None = None) -> tuple[list[Panel], str]:
    """The runs by these keys, as `asapnb.plots` splits them into panels of lines, and a sentence on what is left out.

    Of more than 14 lines in a panel, those with the lowest last losses are kept. So are panels, up to 1,000 lines.
    """
    parts = [_of_best(part.label, part.lines) for part in split(records, keys)]
    kept, room = set[int](), LINES
    for i in sorted(range(len(parts)), key=lambda i: min(_best(line) for line in parts[i].lines)):
        room -= len(parts[i].lines)
        if room >= 0 or not kept:
            kept.add(i)
    return [parts[i] for i in sorted(kept)], _left_out(parts, len(kept))


def _of_best(label: str, lines: list[Group]) -> Panel:
    best = sorted(range(len(lines)), key=lambda i: _best(lines[i]))[:LOOKS]
    looks = [line.look for line in lines] if len(lines) <= LOOKS else list(map(look, range(LOOKS)))
    shown = zip((lines[i] for i in sorted(best)), looks, strict=True)
    kept = [replace(line, look=of, label=line.label or "all runs") for line, of in shown]
    return Panel(label, kept, len(lines) - len(kept))


def _best(line: Group) -> float:
    """The lowest last loss of its runs."""
    return min(map(last_loss, line.records))


def _left_out(parts: Sequence[Panel], kept: int) -> str:
    """A sentence about lines and panels that were left out; empty if there are none."""
    hidden, said = max(panel.hidden for panel in parts), ""
    if hidden:
        said = f" Of {hidden + LOOKS} lines, the {LOOKS} with the lowest last losses are shown."
    if kept < len(parts):
        said += (
            f" Of {len(parts):,} choices of runs, there is room for {kept}, those with the lowest last losses: "
            "to see others, report on fewer runs (--where)."
        )
    return said


def chart(
    name: str, title: str, caption: str, found: tuple[Sequence[Panel], str],
    choices: Mapping[str, Mapping[str, Any]], draw: Callable[..., Figure],
) -> Chart:  # fmt: skip
    """A chart of panels, with a choice of the panel if there are several.

    Args:
        name: its id in the page.
        title: its title.
        caption: what it shows; what was left out is added.
        found: the panels, and a sentence about what they leave out.
        choices: names of the choices, each with its options and their values.
        draw: makes a figure of a panel and, for each choice, a pair of an option and its value.
    """
    parts, left_out = found
    panel = {"Runs": {part.label: part for part in parts}} if len(parts) > 1 else {}
    menus = {name: list(options) for name, options in {**choices, **panel}.items()}
    figures = {}
    for *chosen, (k, part) in product(
        *(enumerate(options.items()) for options in choices.values()), enumerate(parts)
    ):
        indices = [i for i, _ in chosen] + [k] * len(panel)
        figures[",".join(map(str, indices))] = draw(part, *(option for _, option in chosen))
    return Chart(name, title, caption + left_out, menus, figures, rows=max(len(part.lines) for part in parts))


def last_loss(record: Record) -> float:
    """The last training loss, infinite if it is not finite."""
    loss = record.curve().loss
    return float(loss[-1]) if len(loss) and np.isfinite(loss[-1]) else np.inf


def file_of(record: Record) -> str:
    """The name of a run, for a reader."""
    return record.path.name if record.path else record.name


def array(values: ArrayLike) -> dict[str, Any]:
    """Numbers in the form that Plotly reads fastest, float32 in base64; a value that is not finite becomes a gap.

    >>> array([1.0, float("inf")])
    {'dtype': 'f4', 'bdata': 'AACAPwAAwH8='}
    """
    numbers = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        small = numbers.astype("<f4")
    small[~np.isfinite(small)] = np.nan
    return {"dtype": "f4", "bdata": base64.b64encode(small.tobytes()).decode()}


def dash(of: Look) -> str:
    """The dash of a look, as Plotly writes it.

    >>> from asapnb.plots.style import look
    >>> dash(look(0)), dash(look(1))
    ('solid', '10px,3.2px')
    """
    return "solid" if isinstance(of.dash, str) else ",".join(f"{2 * length:g}px" for length in of.dash[1])


def faint(color: str, alpha: float) -> str:
    """A colour, mostly transparent.

    >>> faint("#0072B2", 0.2)
    'rgba(0,114,178,0.2)'
    """
    parts = ",".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))
    return f"rgba({parts},{alpha:g})"
