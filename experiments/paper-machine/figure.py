"""The figure of the page: when each run left the plateau, by workers.

python experiments/paper-machine/figure.py runs/machine experiments/paper-machine/escape.png
"""

import sys

import numpy as np
from tables import CONSTANT, MATCHED, RELEASED, Evaluation

from asapnb.analysis import records
from asapnb.plots import save
from asapnb.plots.style import look, new_figure, note, styled

NAMES = {CONSTANT: "constant", MATCHED: "constant at the mean step of TAIL as released", RELEASED: "TAIL as released"}
TICKS = (5, 7, 10, 15, 20, 30, 50, 100)


@styled
def draw(found, target=0.95):
    """A point for each run, and a line at the median of each contestant."""
    times = Evaluation(found).times
    workers = sorted({m for _, m, _ in times})
    figure = new_figure(7.6, 3.6)
    axes = figure.subplots()
    for i, (name, label) in enumerate(NAMES.items()):
        style = look(i)
        for place, m in enumerate(workers):
            epochs = sorted(time for time, _, _ in times[name, m, target].values())
            x = place + 0.24 * (i - 1)
            shifts = np.linspace(-0.06, 0.06, len(epochs))
            axes.plot(x + shifts, epochs, style.marker, color=style.color, markersize=3, alpha=0.6, markeredgewidth=0)
            axes.plot([x - 0.1, x + 0.1], [np.median(epochs)] * 2, color=style.color, label=None if place else label)
    axes.set(yscale="log", ylabel=f"epochs to {target:.0%} of the initial loss", xlabel="workers")
    axes.set_xticks(range(len(workers)), workers)
    axes.set_yticks(TICKS, TICKS)
    axes.minorticks_off()
    axes.legend(loc="upper left", frameon=False)
    note(figure, "points: runs; lines: medians; virtual time, machine of 36 cores")
    return figure


if __name__ == "__main__":
    *folders, out = sys.argv[1:]
    save(draw(records(folders)), out, force=True, dpi=110)
