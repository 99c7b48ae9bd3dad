"""The share of LeNet's runs that converged, from the runs of sweep.toml: lenet.csv and lenet.png.

python experiments/stability-region/heat.py runs/stability-region
"""

import csv
import sys
from pathlib import Path

import matplotlib
import numpy as np

from asapnb import load_run

HERE = Path(__file__).parent
RULES = {"constant()": "constant", "known.py:tail": "tail", "known.py:inverse": "preserve(inverse)"}
CONVERGED = 2.0  # training loss; networks whose units are dead stay at ln 10 = 2.30


def shares(folder):
    """By (rule, workers, step size): how many runs, how many of them converged, how many diverged."""
    cells = {}
    for path in sorted(Path(folder).glob("*.h5")):
        run = load_run(path)
        rule = next(name for text, name in RULES.items() if str(run.config["rule"]).endswith(text))
        converged = run.status == "finished" and run.evals["train_loss"][-1] < CONVERGED
        cell = cells.setdefault((rule, run.config["workers"], run.config["step_size"]), np.zeros(3, int))
        cell += (1, converged, run.status == "diverged")
    return cells


def draw(cells):
    """One panel for each number of workers: rules by step size."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    workers, names = sorted({m for _, m, _ in cells}), list(RULES.values())
    figure, axes = plt.subplots(1, len(workers), figsize=(4 * len(workers), 2.6), layout="constrained")
    for axis, m in zip(axes, workers, strict=True):
        steps = sorted({step for _, n, step in cells if n == m})
        share = np.array([[cells[rule, m, step][1] / cells[rule, m, step][0] for step in steps] for rule in names])
        axis.imshow(share, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(share):
            axis.text(j, i, f"{value:.0%}", ha="center", va="center", color="w" if value < 0.6 else "k", fontsize=8)
        axis.set(title=f"{m} workers", xlabel="step size", xticks=range(len(steps)), xticklabels=steps)
        axis.set(yticks=range(len(names)), yticklabels=names if m == workers[0] else [])
    figure.savefig(HERE / "lenet.png", dpi=110)


if __name__ == "__main__":
    found = shares(sys.argv[1])
    with open(HERE / "lenet.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["rule", "workers", "step_size", "runs", "converged", "diverged"])
        table.writerows([*key, *counts] for key, counts in sorted(found.items()))
    draw(found)
