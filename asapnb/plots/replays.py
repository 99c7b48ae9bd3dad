"""One execution under several rules: how it learned, how stale its updates were, and what the rules made of that."""

from collections.abc import Mapping

import numpy as np

from ..record import Run
from ..staleness.bins import bins_of, span
from .labels import End, label_ends
from .style import PALE, Axes, Figure, grey_line, look, new_figure, note, styled


@styled
def replays(runs: Mapping[str, Run], about: str) -> Figure:
    """One execution under several rules: training losses, scales of the rules, and staleness.

    Args:
        runs: a recorded run and replays of it: a dict from the names of their rules to runs.
        about: the text of the small print.

    Returns:
        The figure.

    >>> import asapnb as ab
    >>> run = ab.simulate(ab.problems.quadratic([1.0]), workers=8, updates=200, batch_size=1, step_size=0.01)
    >>> figure = replays({"constant": run, "tail": ab.replay(run, rule="tail")}, "8 workers")
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['training loss', 'mean scale', 'share of updates, %']
    """
    figure = new_figure(8.4, 3.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.1), wspace=0.12)
    left = figure.add_subplot(grid[:, 0])
    above = figure.add_subplot(grid[0, 1])
    below = figure.add_subplot(grid[1, 1], sharex=above)
    ends = _losses(left, runs)
    _scales(above, runs)
    _shares(below, next(iter(runs.values())))
    figure.align_ylabels([above, below])
    note(figure, about)
    label_ends(left, ends)
    return figure


def _losses(axes: Axes, runs: Mapping[str, Run]) -> list[End]:
    ends = []
    for number, (name, run) in enumerate(runs.items()):
        of, x, y = look(number), run.evals["step"], run.evals["train_loss"]
        axes.plot(x, y, color=of.color, linestyle=of.dash)
        ends.append(End(float(x[-1]), float(y[-1]), name, of))
    axes.set(
        xlabel="updates",
        ylabel="training loss",
        xlim=(0, None),
        ylim=(0, None),
        title=f"One run under {len(runs)} rules",
    )
    return ends


def _scales(axes: Axes, runs: Mapping[str, Run]) -> None:
    grey_line(axes, 1)
    for number, run in enumerate(runs.values()):
        of, sums = look(number), run.by_staleness
        held = [slice(first, last + 1) for first, last in bins_of(run.staleness)]
        means = [sums["scale"][bin].sum() / max(1, sums["updates"][bin].sum()) for bin in held]
        at = [i for i, bin in enumerate(held) if sums["updates"][bin].any()]
        axes.plot(at, [means[i] for i in at], color=of.color, linestyle=of.dash, marker=of.marker, markersize=3.5)
    axes.set(ylabel="mean scale", ylim=(0, None), title="Its staleness, and what each rule makes of it")
    axes.tick_params(labelbottom=False)


def _shares(axes: Axes, run: Run) -> None:
    ranges = bins_of(run.staleness)
    shares = [100 * float(run.staleness.pmf[first : last + 1].sum()) for first, last in ranges]
    axes.bar(np.arange(len(ranges)), shares, color=PALE, width=0.86)
    every = 1 + len(ranges) // 9  # so that labels do not overlap
    axes.set_xticks(range(0, len(ranges), every), [span(*ends) for ends in ranges[::every]])
    axes.set(xlabel="staleness τ, updates", ylabel="share of updates, %", ylim=(0, None))
