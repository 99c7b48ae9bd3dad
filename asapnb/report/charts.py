"""Interactive charts as data for Plotly, and which runs share a line of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..analysis import Record, grouped, varying
from ..plots.groups import named
from ..plots.labels import short
from ..plots.style import LOOKS, Look, look

_TOGETHER = 6  # groups that still share a panel

Figure = dict[str, Any]  # of Plotly: data and layout


@dataclass(frozen=True)
class Line:
    """Runs that differ in nothing but the seed: what they are called, and how they look."""

    label: str
    look: Look
    records: list[Record]


@dataclass(frozen=True)
class Panel:
    """The lines of one panel; its label is empty if there is no other. `hidden`: how many did not fit."""

    label: str
    lines: list[Line]
    hidden: int = 0


@dataclass(frozen=True)
class Chart:
    """A chart with choices.

    Attributes:
        name: its id in the page.
        title, caption: what a reader sees; the caption says whose clock the times are of.
        choices: names of the choices, each with its options.
        figures: for each combination of options, as their indices joined by commas, a figure of Plotly.
        texts: what hovering shows of the points of each trace, the same in all figures.
        rows: lines, or rows, that it has to have room for.
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
        """The chart in words, for those who do not see it."""
        options = "; ".join(f"{name}: {', '.join(of)}" for name, of in self.choices.items() if len(of) > 1)
        return f"{self.title}. {self.caption}" + (f" Choices: {options}." if options else "")


def panels(records: Sequence[Record], keys: Sequence[str] | None = None) -> list[Panel]:
    """The runs by these keys, by default all that vary but the seed, as lines of one panel or of several.

    Where they would be more than six, a line is a rule (or a value of the key with most of them), and each
    combination of the others is a panel. Of more than 14 lines in a panel those of the lowest last losses are kept.

    >>> panels([])
    [Panel(label='', lines=[], hidden=0)]
    """
    keys = [key for key in varying(records) if key != "seed"] if keys is None else list(keys)
    if len(keys) < 2 or len(grouped(records, keys)) <= _TOGETHER:
        line_keys, panel_keys = keys, []
    else:
        one = "rule" if "rule" in keys else max(keys, key=lambda key: len(grouped(records, [key])))
        line_keys, panel_keys = [one], [key for key in keys if key != one]
    texts = {key: texts_of(records, key) for key in keys}
    looks = {values: look(n) for n, values in enumerate(grouped(records, line_keys))}
    return [
        _panel(", ".join(map(_said(texts), panel_keys, at)), [
            Line(", ".join(map(_said(texts), line_keys, values)) or "all runs", looks[values], some)
            for values, some in grouped(part, line_keys).items()
        ])
        for at, part in grouped(records, panel_keys).items()
    ] or [Panel("", [])]  # fmt: skip


def _panel(label: str, lines: list[Line]) -> Panel:
    if len(lines) <= LOOKS:
        return Panel(label, lines)
    best = sorted(range(len(lines)), key=lambda i: min(map(last_loss, lines[i].records)))[:LOOKS]
    kept = [replace(lines[i], look=look(n)) for n, i in enumerate(sorted(best))]
    return Panel(label, kept, len(lines) - LOOKS)


def last_loss(record: Record) -> float:
    """The last training loss, infinite where it is not a number."""
    loss = record.curve().loss
    return float(loss[-1]) if len(loss) and np.isfinite(loss[-1]) else np.inf


def texts_of(records: Sequence[Record], key: str) -> dict[Any, str]:
    """What each value of a key is called, of rules and schemes the name where that tells them apart."""
    values = [value for (value,) in grouped(records, [key])]
    return dict(zip(values, short(values), strict=True))


def _said(texts: Mapping[str, Mapping[Any, str]]) -> Any:
    """What a value of a key is called."""
    return lambda key, value: named(key, texts[key][value]) if value is not None else f"no {key.replace('_', ' ')}"


def array(values: ArrayLike) -> dict[str, Any]:
    """Numbers as Plotly reads them fastest: float32 in base64; what is not finite becomes a gap.

    >>> array([1.0, float("inf")])
    {'dtype': 'f4', 'bdata': 'AACAPwAAwH8='}
    """
    numbers = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        small = numbers.astype("<f4")
    small[~np.isfinite(small)] = np.nan
    return {"dtype": "f4", "bdata": base64.b64encode(small.tobytes()).decode()}


def dash(of: Look) -> str:
    """The dash of a look in the words of Plotly.

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
    """What is said of lines that did not fit; nothing if all did."""
    hidden = max(panel.hidden for panel in parts)
    return f" Of {hidden + LOOKS} lines, the {LOOKS} with the lowest last losses are shown." if hidden else ""
