"""The figure of the page."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import HERE, MANY, WAITING

from asapnb.plots import save
from asapnb.plots.style import GREY, look, new_figure, note, styled

SHOWN = ("waiting 100k", 8)  # whose staleness is drawn


def draw(rows: dict[tuple[str, str, int], dict[str, Any]]) -> None:
    """Write server.png."""
    save(server(rows), HERE / "server.png", force=True, dpi=110)


@styled
def server(rows: dict[tuple[str, str, int], dict[str, Any]]) -> Any:
    """Where the server saturates, and the staleness of one run."""
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    for i, case in enumerate(WAITING):
        chosen = [rows[case, "parameter-server", workers] for workers in MANY]
        color = look(i).color
        left.plot(MANY, [row["rate"] for row in chosen], look(i).marker, color=color, label=case)
        left.plot(MANY, [row["simulated"] for row in chosen], color=color, linewidth=1)
        left.plot(MANY, [row["constant"] for row in chosen], color=color, linewidth=1, linestyle=(0, (1, 2)))
    left.set(xlabel="workers", ylabel="updates per second", ylim=(0, None), title="Measured, simulated, M/D/1//m")
    left.legend(loc="upper left")
    row = rows[SHOWN[0], "parameter-server", SHOWN[1]]
    end = row["p99"] + 4
    for name, width, color in (("pmf", 0.8, look(0).color), ("simulated_pmf", 0.3, GREY)):
        found = np.pad(row[name], (0, end))[:end]
        right.bar(range(end), found, width, color=color, label="measured" if name == "pmf" else "simulated")
    right.set(xlabel="staleness τ", ylabel="share of updates", title=f"{SHOWN[0]}, {SHOWN[1]} workers")
    right.legend(loc="upper right")
    note(figure, "ranks that wait 5 ms instead of computing; lines: with the times that calibrate measured")
    return figure
