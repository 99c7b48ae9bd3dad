"""The arena: how fast each contestant is over all cells, and where."""

from collections.abc import Collection, Sequence

import numpy as np

from ..arena import Place, Standings
from ..formatting import count, visible
from .style import BLUE, GREY, VERMILION, Axes, Figure, new_figure, note, styled

_LONGEST = 34  # characters of a name
_RANGE = 2.0  # speed-ups from 1/2 to 2 are told apart by colour


@styled
def arena(found: Standings, mine: Collection[str] = ()) -> Figure:
    """Speed-ups over constant: over all cells, with intervals, and in each scenario.

    Args:
        found: the standings, from `asapnb.arena.standings`.
        mine: the names of contestants to emphasise.

    Returns:
        The figure.
    """
    places = found.places
    figure = new_figure(9.6, 1.6 + 0.235 * len(places))
    overall, where = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.15))
    _overall(overall, places, mine)
    _by_scenario(where, found)
    total = len(found.suite.seeds)
    note(
        figure,
        f"suite {found.suite.version}, {count(len(found.suite.cells), 'cell')}, {count(total, 'seed')}",
        "bars: 95 % intervals" * (total > 1),
        "a run that does not arrive counts as its budget",
    )
    return figure


def _label(name: str) -> str:
    """A name that Matplotlib shows as it is, and not too long; of a file its last part."""
    text = visible(name.rpartition("/")[2] if ".py:" in name else name)
    return (text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…").replace("$", r"\$")


def _overall(axes: Axes, places: Sequence[Place], mine: Collection[str]) -> None:
    rows = np.arange(len(places))
    for which, offset, filled in (("best", -0.14, True), ("equal", 0.16, False)):
        speeds = [getattr(place, which) for place in places]
        for row, place, speed in zip(rows, places, speeds, strict=True):
            color = VERMILION if place.result.name in mine else BLUE if filled else GREY
            if speed.interval is not None:
                axes.plot(speed.interval, [row + offset] * 2, color=color, linewidth=1.4 if filled else 0.9)
            axes.plot([speed.ratio], [row + offset], marker="o", color=color, linestyle="none",
                      markersize=4.6 if filled else 3.6, markerfacecolor=color if filled else "white")  # fmt: skip
    axes.plot([], [], "o", color=BLUE, label="at its own best step size")
    axes.plot([], [], "o", color=GREY, markerfacecolor="white", markersize=3.6, label="at constant's best step size")
    axes.axvline(1, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.9)
    axes.set(xscale="log", xlabel="speed-up over constant", ylim=(len(places) - 0.4, -0.6))
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.2, 1.5, 2, 3, 5) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(rows, [_label(place.result.name) for place in places])
    for label, place in zip(axes.get_yticklabels(), places, strict=True):
        if place.result.name in mine:
            label.set(color=VERMILION, fontweight="bold")
    axes.set_title("over all cells")
    axes.legend(loc="upper left", fontsize=7.5)


def _by_scenario(axes: Axes, found: Standings) -> None:
    scenarios = [one.name for one in found.suite.scenarios]
    cells = {name: [cell.name for cell in found.suite.cells if cell.scenario.name == name] for name in scenarios}
    ratios = np.array(
        [
            [np.exp(np.mean([np.log(place.by_cell[cell].ratio) for cell in cells[name]])) for name in scenarios]
            for place in found.places
        ]
    )
    axes.imshow(np.log(ratios), cmap="PuOr", vmin=-np.log(_RANGE), vmax=np.log(_RANGE), aspect="auto", alpha=0.75)
    for row, line in enumerate(ratios):
        for column, ratio in enumerate(line):
            axes.text(column, row, f"{ratio:.2f}", ha="center", va="center", fontsize=7.5)
    axes.set_xticks(range(len(scenarios)), scenarios, rotation=28, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("in each scenario, at its own best step size")
