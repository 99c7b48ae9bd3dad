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


def panels(records: Sequence[Record], keys: Sequence[str] | None = None) -> list[Panel]:
    """The runs by these keys, as `asapnb.plots` splits them into lines and panels.

    Of more than 14 lines in a panel, those with the lowest last losses are kept.
    """
    return [_of_best(part.label, part.lines) for part in split(records, keys)]


def _of_best(label: str, lines: list[Group]) -> Panel:
    best = sorted(range(len(lines)), key=lambda i: min(map(last_loss, lines[i].records)))[:LOOKS]
    looks = [line.look for line in lines] if len(lines) <= LOOKS else list(map(look, range(LOOKS)))
    shown = zip((lines[i] for i in sorted(best)), looks, strict=True)
    kept = [replace(line, look=of, label=line.label or "all runs") for line, of in shown]
    return Panel(label, kept, len(lines) - len(kept))


def chart(
    name: str, title: str, caption: str, parts: Sequence[Panel], choices: Mapping[str, Mapping[str, Any]],
    draw: Callable[..., Figure],
) -> Chart:  # fmt: skip
    """A chart of panels, with a choice of the panel if there are several.

    Args:
        name: its id in the page.
        title: its title.
        caption: what it shows; lines that were left out are added.
        parts: the panels.
        choices: names of the choices, each with its options and their values.
        draw: makes a figure of a panel and, for each choice, a pair of an option and its value.
    """
    panel = {"Runs": {part.label: part for part in parts}} if len(parts) > 1 else {}
    menus = {name: list(options) for name, options in {**choices, **panel}.items()}
    figures = {}
    for *chosen, (k, part) in product(
        *(enumerate(options.items()) for options in choices.values()), enumerate(parts)
    ):
        indices = [i for i, _ in chosen] + [k] * len(panel)
        figures[",".join(map(str, indices))] = draw(part, *(option for _, option in chosen))
    return Chart(name, title, caption + left_out(parts), menus, figures, rows=max(len(part.lines) for part in parts))


def last_loss(record: Record) -> float:
    """The last training loss, infinite if it is not finite."""
    loss = record.curve().loss
    return float(loss[-1]) if len(loss) and np.isfinite(loss[-1]) else np.inf


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


def left_out(parts: Sequence[Panel]) -> str:
    """A sentence about lines that were left out; empty if there are none."""
    hidden = max(panel.hidden for panel in parts)
    return f" Of {hidden + LOOKS} lines, the {LOOKS} with the lowest last losses are shown." if hidden else ""
