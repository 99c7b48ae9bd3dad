"""Screen the candidates of updates.md: tune each on seeds of its own, then report it on others.

    python experiments/faster/screen_updates.py near 16 64       # near-constant delays, problems 1 to 4
    python experiments/faster/screen_updates.py exponential 32 --only plain direct heavy

One row per run goes to runs/updates.csv; runs that it has are not made again. --summary writes updates.csv beside
this file: each candidate at its best step size, with the interval of its speed-up over plain.
"""

import argparse
import csv
import itertools
from pathlib import Path

import numpy as np
import updates as candidates
from updates import FISHER, NORMED, ROOT, SECANT, SQUARE, arrival, rows_of

import asapnb as ab

HERE = Path(__file__).parent
TABLE, SUMMARY = Path("runs/updates.csv"), HERE / "updates.csv"
COLUMNS = ["problem", "timing", "workers", "update", "step_size", "seed", "status", "updates", "further"]
TIMINGS = {
    "near": "lognormal(mean=1, cv=0.05)",
    "exponential": "exponential(1)",
    "lognormal": "lognormal(mean=1, cv=1)",
}
TUNING, REPORTED, MOST = range(100, 103), range(10), 8000
GRID = [2 ** (i / 2) for i in range(-20, 9)]  # of step sizes, factors of √2
VARIANTS = [
    candidates.plain,
    *(candidates.compensated("dc", SQUARE, k) for k in (0.04, 0.4, 4, 40)),
    *(candidates.compensated("dc-a", NORMED, k, 20.0) for k in (0.1, 0.5, 2, 8)),
    *(candidates.compensated("fisher", FISHER, k) for k in (1, 4, 16, 64, 256)),
    *(candidates.compensated("rms", ROOT, k) for k in (0.1, 0.5, 2, 8)),
    *(candidates.compensated("secant", SECANT, k) for k in (0.5, 1)),
    *(candidates.heavy(mu) for mu in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)),
    *(candidates.lowered(mu) for mu in (0.9, 0.97, 0.99)),
    *(candidates.look(s) for s in (-0.2, 0.25, 0.5, 1)),
    *(candidates.heavy_look(mu) for mu in (0.9, 0.97, 0.99)),
    *(candidates.direct(c, d) for c, d in [(2, 0.5), (4, 0.3), (4, 0.5), (8, 0.2), (8, 0.4), (16, 0.1), (16, 0.2)]),
    *(candidates.matched(c) for c in (2, 4, 8, 16, 32)),
    *(candidates.own(c) for c in (4, 8, 16, 32)),
    candidates.own_secant(16, 0.5),
]


def rotated(samples, dimension, seed):
    """Rows whose second moments have eigenvalues from 0.01 to 1 along random directions."""
    rng = np.random.default_rng(seed)
    rows = np.linalg.qr(rng.standard_normal((samples, dimension)))[0] * np.sqrt(samples)
    return rows * np.sqrt(np.geomspace(0.01, 1, dimension)) @ np.linalg.qr(rng.standard_normal((dimension,) * 2))[0]


def problems():
    """By name: the problem, its targets as losses, updates between evaluations."""
    rng = np.random.default_rng(1)
    a = rotated(1024, 32, 0)
    truth = rng.standard_normal(32)
    line = ab.problems.least_squares(a, a @ truth + 0.3 * rng.standard_normal(1024))
    labels = (a @ (3 * truth) + rng.logistic(size=1024) > 0).astype(float)
    logit = ab.problems.logistic(4 * a, labels, ridge=0.001)
    bowl = ab.problems.quadratic(np.geomspace(0.01, 1, 32).tolist())
    data = ab.load_dataset("fashion-mnist-mini")

    def excess(problem, *shares):
        f_star = problem.constants.f_star
        return [f_star + share * (problem.evaluate(problem.init())[0] - f_star) for share in shares]

    start = np.log(10)
    return {
        "quadratic": (bowl, excess(bowl, 0.01, 0.001), 10),
        "least-squares": (line, excess(line, 0.02, 0.01), 10),
        "logistic": (logit, excess(logit, 0.05, 0.02), 10),
        "mlp": (ab.mlp(data, hidden=(32,)), [0.3 * start, 0.25 * start], 50),
        "lenet": (ab.lenet(data), [0.3 * start, 0.2 * start], 50),
    }


class Runs:
    """The runs made so far, by their key, in the file beside this one."""

    def __init__(self):
        self.done = {}
        if TABLE.exists():
            with TABLE.open() as file:
                for row in csv.DictReader(file):
                    self.done[tuple(row[c] for c in COLUMNS[:6])] = row
        self.schedules = {}

    def get(self, name, problem, timing, workers, variant, step, seed):
        """The row of a run, made now if it is not there."""
        update = variant(workers - 1)
        key = name, timing, str(workers), update.name, f"{step:.5g}", str(seed)
        if key not in self.done:
            if (timing, workers, seed) not in self.schedules:
                self.schedules[timing, workers, seed] = rows_of(TIMINGS[timing], workers, MOST, seed)
            built, targets, every = problem
            rows = self.schedules[timing, workers, seed]
            (first, second), status = arrival(built, rows, update, step, targets, seed=seed, every=every, most=MOST)
            self.done[key] = dict(zip(COLUMNS, [*key, status, f"{first:g}", f"{second:g}"], strict=True))
            TABLE.parent.mkdir(exist_ok=True)
            with TABLE.open("a", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow(self.done[key])
        return self.done[key]

    def mean(self, *where, seeds=TUNING):
        """Mean updates to the first target; a run that fails counts twice the limit. And whether any diverged."""
        rows = [self.get(*where, seed) for seed in seeds]
        found = [float(row["updates"]) for row in rows]
        return np.mean([2 * MOST if np.isnan(t) else t for t in found]), any(r["status"] == "diverged" for r in rows)


def tune(runs, *where):
    """The index of the best step size of the grid, and the mean updates of those tried.

    From a first guess uphill or downhill in steps of 2 while it gets better, then both neighbours of the best.
    """
    guess = np.log2(0.25 / where[3]) if where[0] in ("mlp", "lenet") else np.log2(1.5 / where[3])
    found, best = {}, 2 * round(guess) + 20

    def look(i):
        if 0 <= i < len(GRID) and i not in found:
            found[i], _ = runs.mean(*where, GRID[i])
        return found.get(i, np.inf)

    look(best)
    for way in (2, -2):
        while look(best + way) < found[best] or (found[best] >= 2 * MOST and 0 <= best + way < len(GRID)):
            best += way
        if len(found) > 2 and way == 2 and look(best - 2) >= found[best]:
            break
    for i in (best - 1, best + 1):
        look(i)
    return min(found, key=found.get), found


def summarise():
    """Each candidate at its best step size, chosen on the tuning seeds, reported on the others, over plain."""
    rows = list(Runs().done.values())
    places = sorted({tuple(row[c] for c in COLUMNS[:3]) for row in rows}, key=lambda p: (p[1], p[0], int(p[2])))
    with SUMMARY.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS[:5], "mean_updates", "arrived", "speed_up", "low", "high"])
        for place in places:
            here = [row for row in rows if tuple(row[c] for c in COLUMNS[:3]) == place]
            chosen = {}
            for update in dict.fromkeys(row["update"] for row in here):
                mine = [row for row in here if row["update"] == update]
                times = {
                    step: {int(r["seed"]): float(r["updates"]) for r in mine if r["step_size"] == step}
                    for step in {row["step_size"] for row in mine}
                }
                full = {step: seeds for step, seeds in times.items() if {*REPORTED} <= {*seeds}}
                if full:
                    best = min(full, key=lambda s: np.nan_to_num([times[s][k] for k in TUNING], nan=2 * MOST).mean())
                    chosen[update] = best, np.array([times[best][k] for k in REPORTED])
            if "plain" not in chosen:
                continue
            base = np.nan_to_num(chosen["plain"][1], nan=2 * MOST)
            for update, (step, found) in chosen.items():
                counted = np.nan_to_num(found, nan=2 * MOST)
                logs = np.log(base / counted)
                draws = np.random.default_rng(0).integers(len(logs), size=(10_000, len(logs)))
                low, high = np.exp(np.quantile(logs[draws].mean(axis=1), [0.025, 0.975]))
                arrived = int(np.isfinite(found).sum())
                ratio = [f"{x:.2f}" for x in (np.exp(logs.mean()), low, high)]
                writer.writerow([*place, update, step, f"{counted.mean():.0f}", arrived, *ratio])


def main():
    """Tune and report every candidate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("timing", choices=TIMINGS, nargs="?")
    parser.add_argument("workers", type=int, nargs="*")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--problems", nargs="+", default=["quadratic", "least-squares", "logistic", "mlp"])
    parser.add_argument("--only", nargs="+", help="beginnings of names")
    given = parser.parse_args()
    if given.summary:
        return summarise()
    runs, known = Runs(), problems()
    for name, workers in itertools.product(given.problems, given.workers):
        for variant in VARIANTS:
            called = variant(workers - 1).name
            if given.only and not any(called.startswith(only) for only in given.only):
                continue
            where = (name, known[name], given.timing, workers, variant)
            best, found = tune(runs, *where)
            mean, _ = runs.mean(*where, GRID[best], seeds=REPORTED)
            print(f"{name:14}{workers:3} {called:18} η {GRID[best]:.4g}  {found[best]:7.0f} {mean:7.0f}", flush=True)


if __name__ == "__main__":
    main()
