"""The final: LeNet on CIFAR-10, each contestant at its own best step size, and at that of constant steps.

    OPENBLAS_NUM_THREADS=1 python experiments/faster/final.py SETTING CONTESTANT …

It adds a row for each run to final.csv beside itself, and leaves out the runs that are there. With no arguments it
says what the rows say.
"""

import csv
import math
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from best_profile import raised

import asapnb as ab

HERE = Path(__file__).parent
TABLE = HERE / "final.csv"
COLUMNS = ["workers", "contestant", "k", "seed", "epochs", "status", "loss", "mean_scale", "seconds"]
STEPS, TUNING, SEEDS = range(11), (1, 2), (11, 12, 13, 14, 15, 16)
TARGET, LIMIT, EVERY, BATCHES = 0.8, 8, 625, 3125  # of the initial loss; epochs; updates; batches of an epoch
CONTESTANTS = {
    "constant": {},
    "tail": {"rule": "tail"},
    "preserve(inverse)": {"rule": "preserve(inverse)"},
    "raised(3, 0.3)": {"rule": raised(3, 0.3)},
    "direct share": {"momentum": 0.9375, "direct_share": 2 / 17},
    "dc-asgd": {"compensation": 0.04},
}


def step_size(k):
    """The step size at a place on the grid."""
    return 0.00125 * 2 ** (k / 2)


def saved():
    """The rows of final.csv by workers, contestant, k and seed."""
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as file:
        return {(int(r["workers"]), r["contestant"], int(r["k"]), int(r["seed"])): r for r in csv.DictReader(file)}


def epochs_to(evals, target):
    """When the training loss first is at most the target, interpolated between evaluations; None if never."""
    loss, steps = evals["train_loss"], evals["step"] / BATCHES
    below = np.flatnonzero(loss <= target)
    if not len(below):
        return None
    i = int(below[0])
    return float(steps[i - 1] + (loss[i - 1] - target) / (loss[i - 1] - loss[i]) * (steps[i] - steps[i - 1]))


def run(problem, m, contestant, k, seed):
    """One run, as a row."""
    given = {"workers": m, "timing": "machine", "batch_size": 16, "seed": seed, "eval_samples": 2000, "threads": 1}
    begin = ab.simulate(problem, updates=1, step_size=1e-6, **given).evals["train_loss"][0]
    target, begun = TARGET * begin, time.process_time()

    def dead(evaluation):
        if evaluation.step >= 2 * BATCHES and abs(evaluation.train_loss / math.log(10) - 1) < 0.01:
            raise ab.StopTraining

    given |= {"target_loss": target, "prior": "machine", "on_eval": dead, "record": "summary"}
    made = ab.simulate(
        problem, epochs=LIMIT, step_size=step_size(k), eval_every=EVERY, **given, **CONTESTANTS[contestant]
    )
    found = epochs_to(made.evals, target)
    return {
        "workers": m, "contestant": contestant, "k": k, "seed": seed,
        "epochs": "" if found is None else f"{found:.4f}",
        "status": made.status, "loss": f"{made.evals['train_loss'][-1]:.4f}",
        "mean_scale": f"{made.summary()['mean_scale']:.4f}", "seconds": f"{time.process_time() - begun:.1f}",
    }  # fmt: skip


def cost(rows, m, contestant, k):
    """The mean epochs to the target over the tuning seeds; a run that does not arrive counts as twice the limit."""
    return np.mean([float(rows[m, contestant, k, seed]["epochs"] or 2 * LIMIT) for seed in TUNING])


def best(rows, m, contestant, add=lambda contestant, k, seed: None):
    """The place on the grid of the step size: from constant's (or 2) on, as long as a neighbour is better."""
    k = 2 if contestant == "constant" else best(rows, m, "constant", add)
    k += 2 * (contestant == "direct share")  # which bears larger steps
    while True:
        near = [place for place in (k, k - 1, k + 1) if place in STEPS]
        for place in near:
            for seed in TUNING:
                add(contestant, place, seed)
        found = min(near, key=lambda place: (cost(rows, m, contestant, place), place))  # nobody arrives: lower
        if found == k:
            return k
        k = found


def compute(m, contestants):
    """All runs of some contestants that final.csv does not have."""
    problem, rows = ab.lenet(ab.load_dataset("cifar10")), saved()

    def add(contestant, k, seed):
        if (m, contestant, k, seed) in rows:
            return
        rows[m, contestant, k, seed] = made = run(problem, m, contestant, k, seed)
        new = not TABLE.exists()
        with TABLE.open("a", newline="") as file:
            out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if new:
                out.writeheader()
            out.writerow(made)
        print(*made.values(), flush=True)

    places = {one: best(rows, m, one, add) for one in ("constant", *contestants)}
    for seed in SEEDS:
        for one, k in places.items():
            add(one, k, seed)
    for seed in SEEDS:
        for one in contestants:
            add(one, places["constant"], seed)


def times(rows, m, contestant, k):
    """The epochs of the reported seeds; twice the limit for those that do not arrive."""
    return np.array([float(rows[m, contestant, k, seed]["epochs"] or 2 * LIMIT) for seed in SEEDS])


def speed_up(base, other):
    """Geometric mean of the paired ratios, and its 95 % interval, by the bootstrap over seeds."""
    logs = np.log(base / other)
    drawn = np.random.default_rng(0).integers(len(logs), size=(10_000, len(logs)))
    return np.exp([logs.mean(), *np.quantile(logs[drawn].mean(axis=1), (0.025, 0.975))])


def judged(rows, m, one, k):
    """Median epochs, how many arrive, and the speed-up over constant at its best, as cells of a table."""
    base = best(rows, m, "constant")
    if any((m, one, k, seed) not in rows for seed in SEEDS):
        return ["not run", "", ""]
    found = times(rows, m, one, k)
    value, low, high = speed_up(times(rows, m, "constant", base), found)
    arrived = f"{np.sum(found < 2 * LIMIT)}/{len(SEEDS)}"
    return [f"{np.median(found):.2f}", arrived, f"{value:.2f} ({low:.2f} – {high:.2f})"]


def report():
    """What the rows say, as a table; what was not run is left out."""
    rows = saved()
    for m in sorted({key[0] for key in rows}):
        base = best(rows, m, "constant")
        print(f"\n{m} workers; equal step {step_size(base):.4f}\n")
        print("| contestant | step size | epochs | arrive | speed-up | epochs, equal step | arrive | speed-up |")
        print("|---|---|---|---|---|---|---|---|")
        for one in CONTESTANTS:
            with suppress(KeyError):
                own = best(rows, m, one)
                edge = ", edge" if own in (STEPS[0], STEPS[-1]) else ""
                cells = [f"{step_size(own):.4f}{edge}", *judged(rows, m, one, own), *judged(rows, m, one, base)]
                print(f"| {one} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compute(int(sys.argv[1]), sys.argv[2:])
    report()
