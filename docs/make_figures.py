"""Make the figures of docs/how-to/figures.md, by its commands, and that of docs/explanation/schemes.md.

.venv/bin/python docs/make_figures.py [FOLDER OF RUNS]
"""

import re
import shlex
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from asapnb.cli import main as asapnb

import asapnb as ab
from asapnb import plots
from asapnb.plots.style import BLUE, VERMILION, new_figure, note

DOCS = Path(__file__).parent
SCHEMES = {
    "Synchronous": "synchronous",
    "LockBased": "lock-based",
    "LockBased, intervals of 4": "lock-based(interval=4)",
    "Hogwild": "hogwild",
    "Leashed": "leashed",
    "ParameterServer": "parameter-server",
}
EXPONENTIAL, NARROW = "compute=exponential(1)", "compute=lognormal(mean=1, cv=0.3), update=0.01"


def make_runs(folder: Path) -> None:
    """Runs of rules, numbers of workers and seeds; of step sizes; of schemes; and single ones of other kinds."""
    problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(32,))
    grid = product(("constant", "tail", "inverse", "preserve(inverse)"), (4, 16, 64), range(5))
    for n, (rule, workers, seed) in enumerate(grid):
        simulate(problem, folder / "rules" / f"{n:03}.h5", rule=rule, workers=workers, seed=seed, step_size=0.05,
                 updates=1500, eval_every=50, eval_samples=2000)  # fmt: skip
    grid = product((0.02, 0.04, 0.08, 0.16, 0.32, 0.64), (2, 4, 8, 16, 32), range(3), ("constant", "tail"))
    for n, (size, workers, seed, rule) in enumerate(grid):
        simulate(problem, folder / "region" / f"{n:03}.h5", rule=rule, workers=workers, seed=seed, step_size=size,
                 updates=300, batch_size=32, eval_every=100, eval_samples=1000)  # fmt: skip
    for n, (scheme, workers) in enumerate(product(("lock-based", "hogwild", "leashed"), (8, 32))):
        simulate(problem, folder / "schemes" / f"{n:03}.h5", scheme=scheme, rule="tail", workers=workers, seed=1,
                 step_size=0.02, updates=3000, eval_every=1000, timing=NARROW)  # fmt: skip
    simulate(problem, folder / "seen.h5", workers=32, seed=1, step_size=0.02, updates=1500, microscope=3)
    simulate(problem, folder / "short.h5", workers=8, seed=1, step_size=0.02, updates=60)
    bowl = ab.problems.quadratic([1.0, 12.0], start=[-1.0, 0.8])
    simulate(bowl, folder / "bowl.h5", workers=4, seed=3, step_size=0.06, updates=60, batch_size=1)


def simulate(problem: ab.Problem, out: Path, **arguments: Any) -> None:
    """A run into a file."""
    ab.simulate(problem, out=out, force=True, **{"timing": EXPONENTIAL, **arguments})


def draw_schemes(out: Path, workers: int = 4, end: float = 6.2, update: float = 0.3) -> None:
    """The same workers under each scheme: when they compute, when they update, and how stale each update is."""
    timing = f"compute=lognormal(mean=1, cv=0.3), update={update}"
    with plots.style():
        figure = new_figure(8.0, 5.2)
        for axes, (title, scheme) in zip(figure.subplots(3, 2, sharex=True).flat, SCHEMES.items(), strict=True):
            messages = ", network=0.1" if scheme == "parameter-server" else ""
            made = ab.schedule(timing + messages, scheme, workers=workers, updates=60, seed=3)
            applied = made.t_apply
            axes.barh(made.worker, made.t_ready - made.t_read, left=made.t_read, height=0.55, color=BLUE, alpha=0.3)
            axes.barh(made.worker, update, left=applied - update, height=0.55, color=VERMILION)
            for worker, read, ready, tau in zip(made.worker, made.t_read, made.t_ready, made.tau, strict=True):
                if ready < end:
                    axes.text((read + ready) / 2, worker, f"{tau}", ha="center", va="center", fontsize=7)
            axes.set(title=title, xlim=(0, end), ylim=(workers - 0.5, -0.5), yticks=range(workers))
            axes.tick_params(axis="y", length=0)
        figure.supxlabel("virtual time, s", fontsize=9)
        figure.supylabel("worker", fontsize=9)
        note(figure, "blue: gradient · orange: its update · white: waiting · number: staleness τ")
        plots.save(figure, out, dpi=110, force=True)


def main(folder: Path) -> None:
    """The runs, unless they are there, and each figure by its command on the page."""
    for name in ("rules", "region", "schemes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "bowl.h5").exists():
        make_runs(folder)
    draw_schemes(DOCS / "images/schemes.png")
    for line in re.findall(r"^    (asapnb plot .*)$", (DOCS / "how-to/figures.md").read_text(), re.MULTILINE):
        words = [word.replace("runs/", f"{folder}/") for word in shlex.split(line)[1:]]
        out = words.index("-o") + 1
        words[out] = str(DOCS / "images" / words[out])
        asapnb([*words, "--dpi", "110", "--force"], standalone_mode=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
