"""What all figures share: the style, the looks of groups, the note at the bottom, and the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError, UsageError, unknown
from ..numbers import real
from ..record import checked_target
from ..record.files import put_in_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # so that a module can name them before Matplotlib is imported
    Axes = Figure = Any

DPI = 200  # of a PNG, unless another is given
STYLE = Path(__file__).with_name("asapnb.mplstyle")
# The formats of files, each with the metadata that keep the time out of them
FORMATS: dict[str, dict[str, Any]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
GREY, PALE = "#666666", "#9ecae1"
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = _COLORS

Dash = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """How the lines, points and bars of a group look. Looks differ from each other, also when printed in grey."""

    color: str
    dash: Dash
    marker: str
    hatch: str


_DASHES: tuple[Dash, ...] = (
    "-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)), (0, (3, 1.2)), (0, (4, 1, 1, 1, 1, 1)),
)  # fmt: skip
_MARKERS, _HATCHES = "os^DvPX", ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++")
LOOKS = 2 * len(_COLORS)
TARGET = Look(BLACK, (0, (1, 2)), "", "")


def look(index: int, variant: int = 0) -> Look:
    """The look of a group, by its number. There are 14 looks. The last seven repeat the colours, with other dashes.

    Args:
        index: the number, from 0. It chooses the colour.
        variant: 0 to 6. Each has another dash, marker and hatch in the same colour.

    >>> look(0)
    Look(color='#0072B2', dash='-', marker='o', hatch='')
    >>> look(0, variant=1).color == look(0).color, look(0, variant=1).dash == look(0).dash
    (True, False)
    """
    i, n = index % LOOKS, len(_COLORS)
    shifted = (i + 3 * (i // n) + variant) % n  # index of the dash: a colour has another dash the second time
    return Look(_COLORS[i % n], _DASHES[shifted], _MARKERS[shifted], _HATCHES[shifted])


@contextmanager
def style() -> Iterator[None]:
    """The style of asapnb, for your own figures: a context manager. MissingExtraError without Matplotlib.

    >>> from asapnb import plots
    >>> with plots.style():
    ...     import matplotlib
    ...     matplotlib.rcParams["axes.titlelocation"]
    'left'
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError('figures need Matplotlib, which is not installed: pip install "asapnb[plot]"')
    import matplotlib.style

    with matplotlib.style.context(["default", STYLE]):
        yield


styled = style()  # as a decorator: the function draws in the style of asapnb


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches; pyplot does not know it, but a notebook shows it."""
    from .shown import Shown

    return Shown(figsize=(width, height), layout="constrained")


def note(figure: Figure, *texts: str) -> None:
    """Small print at the bottom, without empty texts: what lines and bands show, and the clock."""
    figure.supxlabel("; ".join(filter(None, texts)), fontsize=7.5, color=GREY, x=0.99, ha="right")


def grey_line(axes: Axes, y: float) -> None:
    """A thin horizontal line, such as at a scale of 1."""
    axes.axhline(y, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.9)


def save(figure: Figure, path: str | os.PathLike[str], *, force: bool = False, dpi: float | None = None) -> Path:
    """Write a figure as PNG, PDF or SVG. The same runs make the same bytes.

    Args:
        figure: the figure.
        path: the file. It ends in .png, .pdf or .svg.
        force: replace an existing file.
        dpi: dots per inch of a PNG, 10 to 2400; by default 200.

    Returns:
        The path of the file.

    Raises:
        UsageError: for another ending, and for a `dpi` that is not in 10 … 2400.
        RecordError: for a path where no file can be made.
    """
    kind = format_of(path)
    if dpi is not None:
        dpi = real("dpi", dpi, 10, 2400, note="; 150 is good on a screen, 300 in print")
    target = checked_target(path, force)
    with style():
        put_in_place(target, lambda part: figure.savefig(part, format=kind, dpi=dpi or DPI, metadata=FORMATS[kind]))
    return target


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a path's ending asks for."""
    ending = Path(path).suffix.lower().lstrip(".")
    if not ending:
        raise UsageError(f"{path} has no ending: a figure is written as .png, .pdf or .svg")
    if ending not in FORMATS:
        raise unknown("format of a figure", ending, FORMATS)
    return ending
