"""The figures of the page, from simulated.csv."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from common import BATCHES, NETWORKS, SCHEMES, WORKERS, simulated

from asapnb.plots import save
from asapnb.plots.labels import End, label_ends
from asapnb.plots.style import GREY, grey_line, look, new_figure, note, styled
from asapnb.theory import machine_repairman

LABELS = {"Hogwild, snapshot": "Hogwild, both views"}
SHOWN = (("lenet", 16), ("mlp 128x3", 16), ("mlp 32", 4))


def draw(folder: Path) -> None:
    """Write schemes.png and saturation.png."""
    save(schemes(), folder / "schemes.png", force=True, dpi=95)
    save(saturation(), folder / "saturation.png", force=True, dpi=110)


@styled
def schemes() -> Any:
    """Throughput and staleness of the schemes against workers, for three networks."""
    figure = new_figure(9.2, 5.6)
    axes = figure.subplots(2, len(SHOWN), sharex=True, sharey="row")
    for column, (network, batch) in enumerate(SHOWN):
        top, bottom = axes[:, column]
        upper, lower = [], []
        for i, label in enumerate(SCHEMES):
            if label == "Hogwild, in place":  # in virtual time the same line
                continue
            rows = [simulated()[network, batch, label, workers] for workers in WORKERS]
            rate = [row["per_gradient_time"] for row in rows]
            stale = [row["mean_tau"] / (row["workers"] - 1) for row in rows[1:]]
            style = {"color": look(i).color, "linestyle": look(i).dash}
            top.plot(WORKERS, rate, **style)
            bottom.plot(WORKERS[1:], stale, **style)
            upper.append(End(WORKERS[-1], rate[-1], LABELS.get(label, label), look(i)))
            lower.append(End(WORKERS[-1], stale[-1], LABELS.get(label, label), look(i)))
        top.plot(WORKERS, WORKERS, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.9)
        grey_line(bottom, 1.0)
        top.set_title(f"{network}, batch {batch}")
        top.set(xscale="log", yscale="log")
        top.xaxis.set(major_locator=_fixed(WORKERS), major_formatter=_plain(), minor_locator=_none())
        top.yaxis.set(major_locator=_fixed(WORKERS), major_formatter=_plain(), minor_locator=_none())
        bottom.set(ylim=(0, None))
    for row, name in zip(axes, ("updates per mean gradient time", "E[τ] / (m − 1)"), strict=True):
        row[0].set_ylabel(name)
    for bottom in axes[1]:
        bottom.set_xlabel("workers m")
    label_ends(axes[0, -1], upper)
    label_ends(axes[1, -1], lower)
    note(
        figure,
        "virtual time, with step times measured on 2 cores; grey: m updates per T_c, E[τ] = m − 1",
    )
    return figure


@styled
def saturation() -> Any:
    """The lock of all sixteen cases on one curve."""
    figure = new_figure(5.8, 3.5)
    axes = figure.subplots()
    for (i, network), batch in product(enumerate(NETWORKS), BATCHES):
        rows = [simulated()[network, batch, "LockBased", workers] for workers in WORKERS]
        ratio = rows[0]["ratio"]
        axes.plot(
            [workers / (1 + 1 / ratio) for workers in WORKERS], [row["per_gradient_time"] * ratio for row in rows],
            look(i).marker, color=look(i).color, markersize=4, fillstyle="none",
            label=network if batch == BATCHES[0] else None,
        )  # fmt: skip
    for law, dash in (("constant", "-"), ("exponential", (0, (5, 1.6)))):
        m = np.unique(np.geomspace(1, 64 * 32, 60).round().astype(int))
        busy = [machine_repairman(int(one), 1.0, 1 / 32, law).throughput / 32 for one in m]
        axes.plot(m / 33, busy, color=GREY, linestyle=dash, linewidth=1, zorder=0.9, label=f"service {law}, m* = 33")
    axes.set(xscale="log", xlim=(0.004, 45), ylim=(0, 1.05), xlabel="workers / m*, where m* = 1 + T_c/(T_r + T_u)",
             ylabel="share of time in which the lock is held")  # fmt: skip
    axes.legend(loc="upper left")
    note(figure, "virtual time; LockBased, 4 networks × 4 batch sizes × 7 worker numbers")
    return figure


def _fixed(values: Any) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(values)


def _none() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _plain() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:g}")
