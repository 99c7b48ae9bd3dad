"""What every figure has: the style, how groups are told apart, the line that says whose time it is, its file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..errors import MissingExtraError, UsageError, unknown
from ..numbers import real
from ..record import checked_target
from ..record.files import put_in_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200  # of a PNG, unless another is given
STYLE = Path(__file__).with_name("asapnb.mplstyle")
FORMATS = ("png", "pdf", "svg")
GREY, PALE = "#666666", "#9ecae1"
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip

P = ParamSpec("P")
T = TypeVar("T")
Dash = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """How the lines, points and bars of a group look: no two alike, nor in grey."""

    color: str
    dash: Dash
    marker: str
    hatch: str


_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_DASHES: tuple[Dash, ...] = (
    "-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)), (0, (3, 1.2)), (0, (4, 1, 1, 1, 1, 1)),
)  # fmt: skip
_MARKERS, _HATCHES = "os^DvPX", ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++")
LOOKS = 2 * len(_COLORS)


TARGET = Look(BLACK, (0, (1, 2)), "", "")


def look(index: int) -> Look:
    """The look of the group of this number; they repeat after 14, the second seven in the first one's colours.

    >>> look(0)
    Look(color='#0072B2', dash='-', marker='o', hatch='')
    """
    i, n = index % LOOKS, len(_COLORS)
    shifted = (i + 3 * (i // n)) % n  # of the dash, so that no colour meets its dash again
    return Look(_COLORS[i % n], _DASHES[shifted], _MARKERS[shifted], _HATCHES[shifted])


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that draws: it does so in the style of asapnb, whatever the caller's own."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        with style():
            return draw(*args, **kwargs)

    return in_style


@contextmanager
def style() -> Iterator[None]:
    """The style of asapnb, for figures of one's own; MissingExtraError without Matplotlib.

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


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, which belongs to the caller alone (pyplot does not know it)."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def note(figure: Figure, text: str) -> None:
    """Small print under everything: whose time it is, what lines and bands are."""
    figure.supxlabel(text, fontsize=7.5, color=GREY, x=0.99, ha="right")


def grey_line(axes: Axes, y: float) -> None:
    """A thin line across, such as where a scale is 1."""
    axes.axhline(y, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.9)


def save(figure: Figure, path: str | os.PathLike[str], *, force: bool = False, dpi: float | None = None) -> Path:
    """Write a figure as PNG, PDF or SVG, as the path ends; an existing file is replaced only with `force`.

    `dpi` is that of a PNG, 200 by default. The same runs make the same bytes. UsageError for another ending,
    RecordError for a path where no file can be made.
    """
    kind = format_of(path)
    if dpi is not None:
        dpi = real("dpi", dpi, 10, 2400, note="; 150 is good on a screen, 300 in print")
    metadata: dict[str, Any] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
    target = checked_target(path, force)
    with style():
        put_in_place(target, lambda part: figure.savefig(part, format=kind, dpi=dpi or DPI, metadata=metadata))
    return target


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a path's ending asks for."""
    ending = Path(path).suffix.lower().lstrip(".")
    if ending not in FORMATS:
        raise (
            unknown("format of a figure", ending, FORMATS)
            if ending
            else UsageError(f"{path} has no ending: a figure is written as .png, .pdf or .svg")
        )
    return ending
