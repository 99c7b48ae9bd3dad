"""Draw the picture of the README from the demo's run file.

make demo
.venv/bin/python -m pip install -e ".[plot]"
.venv/bin/python docs/make_picture.py demo.h5 docs/images/demo.png
"""

import sys
from typing import Any

import numpy as np

import asapnb as ab
from asapnb import plots
from asapnb.plots.style import BLUE, GREY, VERMILION, grey_line, new_figure


def draw_learning(accuracy: Any, loss: Any, run: ab.Run) -> None:
    """Test accuracy, and under it both losses, against training time."""
    t, scheme = run.evals["t"], run.config["scheme"].partition("(")[0]
    accuracy.plot(t, 100 * run.evals["test_accuracy"], "o-", color=BLUE, markersize=3.5)
    accuracy.set(
        ylabel="test accuracy, %",
        ylim=(0, 100),
        title=f"{run.config['problem']}, {run.config['workers']} workers, {scheme}",
    )
    loss.plot(t, run.evals["train_loss"], "o-", color=BLUE, markersize=3.5, label="training")
    loss.plot(t, run.evals["test_loss"], "s--", color=VERMILION, markersize=3.5, label="test")
    loss.set(ylabel="loss", ylim=(0, None), xlim=(0, None), xlabel="training time, s")
    loss.legend()


def draw_staleness(scale: Any, share: Any, run: ab.Run) -> None:
    """How often each staleness occurred, and above it the scale it was given; on a log axis of 1 + tau."""
    tau, table = run.updates["tau"], run.rule_tables.scales[run.updates["row"][-1]]
    pmf = run.staleness.pmf
    scale.plot(1 + tau, run.updates["scale"], ".", color=GREY, markersize=3, alpha=0.25, rasterized=True)
    scale.plot(1 + np.arange(len(pmf)), table[: len(pmf)], color=VERMILION, linewidth=1.8)
    grey_line(scale, 1)
    scale.set(ylabel="scale of the step", ylim=(0, 2), title=f"Staleness, and what {run.config['rule']} makes of it")
    scale.annotate("each dot an update,\nthe line the last table", (0.97, 0.92), xycoords="axes fraction",
                   ha="right", va="top", color=GREY)  # fmt: skip
    seen = np.flatnonzero(pmf)
    share.vlines(1 + seen, 0.01, 100 * pmf[seen], color=BLUE, linewidth=3)
    ticks = [k for k in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if k < len(pmf)]
    share.set(
        ylabel="share of updates, %", yscale="log", ylim=(0.02, 100), xscale="log", xlabel="staleness τ, updates"
    )
    share.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    share.set_xticks([1 + k for k in ticks], map(str, ticks))
    share.minorticks_off()


def main(source: str, target: str) -> None:
    """Draw the run in the file `source` into `target`."""
    run = ab.load_run(source)
    with plots.style():
        figure = new_figure(8.4, 4.0)
        axes = figure.subplots(2, 2, sharex="col")
        draw_learning(axes[0, 0], axes[1, 0], run)
        draw_staleness(axes[0, 1], axes[1, 1], run)
        figure.align_ylabels()
    plots.save(figure, target, force=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
