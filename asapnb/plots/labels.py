"""Text in figures: labels at the ends of lines that do not overlap, and short names of groups."""

import ast
from collections.abc import Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.names import plainly
from ..formatting import visible
from .style import Axes, Look

_WIDEST = 32  # characters of a label in one line
_SIZE = 8.0  # of the letters, in points
_LINE = 1.35  # height of a line of text over the size of its letters


class End(NamedTuple):
    """The end of a line, in data coordinates, and its label."""

    x: float
    y: float
    text: str
    look: Look


def label_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Write each label right of the axes, near the end of its line, and connect the two.

    Call it last, when the axes have their size. An end outside the axes, as of a run that diverged, has its label at
    their edge.

    Args:
        axes: where the lines are.
        ends: the ends and their labels.
    """
    if not ends:
        return
    ends = [end._replace(text=fill(end.text, _WIDEST)) for end in ends]
    figure, (low, high) = axes.figure, sorted(axes.get_ylim())
    wanted = [(end.x, min(max(end.y, low), high)) for end in ends]
    line = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
    texts = [
        axes.annotate(
            end.text, xy=xy, xytext=(1.035, 0.5), textcoords="axes fraction", fontsize=_SIZE, va="center",
            color=end.look.color, annotation_clip=False, arrowprops={**line, "color": end.look.color},
        )
        for end, xy in zip(ends, wanted, strict=True)
    ]  # fmt: skip
    figure.draw_without_rendering()  # type: ignore[union-attr]  # gives the axes their place
    at = axes.transAxes.inverted().transform(axes.transData.transform(wanted))[:, 1]
    points = axes.get_window_extent().height * 72 / figure.dpi
    heights = [(1 + end.text.count("\n")) * _SIZE * _LINE / points for end in ends]
    for text, y in zip(texts, spread(at, heights), strict=True):
        text.set_position((1.035, y))


def spread(wanted: ArrayLike, heights: ArrayLike) -> NDArray[np.float64]:
    """Places in [0, 1] for labels of these heights, in the order of the wanted places and without overlap.

    The sum of squared distances to the wanted places is the least possible (isotonic regression). If there are too
    many labels for [0, 1], some places are above 1.

    >>> spread([0.5, 0.5, 0.1], [0.2, 0.2, 0.2]).round(9).tolist()
    [0.4, 0.6, 0.1]
    """
    from scipy.optimize import isotonic_regression

    wanted, heights = np.asarray(wanted, float), np.asarray(heights, float)
    order = np.argsort(wanted, kind="stable")
    h = heights[order]
    offsets = np.concatenate(([0.0], np.cumsum((h[:-1] + h[1:]) / 2)))
    placed = np.empty(len(wanted))
    free = isotonic_regression(wanted[order] - offsets).x
    placed[order] = np.clip(free, 0.0, max(0.0, 1.0 - offsets[-1])) + offsets
    return placed


def legend_columns(labels: Sequence[str]) -> int:
    """The number of columns in which a legend of these labels fits above a figure of usual width.

    >>> legend_columns(["constant", "tail"]), legend_columns(["constant, step size 0.01"] * 3)
    (2, 2)
    """
    return max(1, min(4, len(labels), 72 // (max(map(len, labels)) + 6)))


def short(values: Sequence[Any]) -> list[str]:
    r"""Texts of rules, schemes and the like without their arguments, where they still differ then.

    To Matplotlib a dollar begins a formula, so each is escaped.

    >>> short(["tail(amplitude=1.0)", "preserve(rule=inverse(variant='shifted'))", "constant()"])
    ['tail', 'preserve(inverse)', 'constant']
    >>> short(["tail(amplitude=1.0)", "tail(amplitude=0.5)"])
    ['tail(amplitude=1.0)', 'tail(amplitude=0.5)']
    >>> print(*short(["custom($x_1$)"]))
    custom(\$x_1\$)
    """
    texts = [visible(str(value)).replace("$", r"\$") for value in plainly(values)]
    brief = [_without_arguments(text) for text in texts]
    same = {name for name in brief if len({t for t, b in zip(texts, brief, strict=True) if b == name}) > 1}
    return [t.replace("()", "") if b in same else b for t, b in zip(texts, brief, strict=True)]


def _without_arguments(text: str) -> str:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return text
    return _name_of(tree) if isinstance(tree, ast.Call) else text


def _name_of(call: ast.Call) -> str:
    given = [*call.args, *(word.value for word in call.keywords if word.arg != "refresh")]
    inner = ", ".join(_name_of(argument) for argument in given if isinstance(argument, ast.Call))
    return ast.unparse(call.func) + (f"({inner})" if inner else "")
