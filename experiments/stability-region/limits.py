"""The largest step size that converges on a quadratic, by rule and number of workers: simulated, and computed.

    OPENBLAS_NUM_THREADS=1 python experiments/stability-region/limits.py [--again] [TIMING …]

For f(x) = λx²/2 and a = η₀λ it writes limits.csv and limits.png beside itself. Rows that limits.csv has are kept, so
that it can go on where it was stopped; with --again those of the given timings, by default of all, are computed anew.

- exact: where E[x²] of the process no longer falls, `theory.exponential_limit`; known for exponential times,
  and for constant ones, whose staleness is m - 1.
- independent: the same for independent staleness of the law that the workers show, `theory.independent_limit`.
- mean_square: the same by simulation. Several hundred executions at once; every m updates they are drawn anew in
  proportion to the squares of their sizes, which are then made 1, so that the growth of E[x²] does not hang on a few.
- typical: where a single long execution neither grows nor falls: the slope of the logarithm of its size is 0.

Both are found by bisection with the same random numbers at every a; mean and 95 % interval are those of SEEDS roots.
"""

import csv
import functools
import itertools
import math
import sys
import time
from pathlib import Path

import numba
import numpy as np
from scipy import optimize, stats

import asapnb as ab
from asapnb import staleness, theory
from asapnb.simulator import staleness_only
from asapnb.timing import Timing, exponential, lognormal

HERE = Path(__file__).parent
TABLE = HERE / "limits.csv"
RULES = ["constant", "tail", "tail(cdf='exclusive')", "preserve(inverse)", "power(3)", "quantile_cut(0.8)"]
WORKERS = [2, 4, 8, 16, 32, 64]
TIMINGS = {
    "exponential": Timing(exponential(1)),
    "lognormal": Timing(lognormal(mean=1, cv=0.3)),
    "constant": Timing(1.0),
}
SPREAD = math.sqrt(math.log1p(0.3**2))  # of the logarithm of the lognormal times
SETTINGS = {
    "exponential": (1000, 32, 8),
    "lognormal": (200, 200, 64),
}  # particles, rounds, of which the first ones settle
SEEDS, LONG = 5, 200_000
MEASURED = [f"{name}{end}" for name in ("mean_square", "typical") for end in ("", "_low", "_high")]
COLUMNS = ["timing", "workers", "rule", "exact", "independent", *MEASURED]


@numba.njit
def slope(worker, tau, table, a, m):
    """The growth of the logarithm of the largest of x and all views per update, after the first tenth."""
    x, view, size, began = 1.0, np.ones(m), 0.0, 0.0
    first = len(worker) // 10
    for t in range(len(worker)):
        if t == first:
            began = size + math.log(max(abs(x), np.abs(view).max()))
        i = worker[t]
        x -= a * table[min(tau[t], len(table) - 1)] * view[i]
        view[i] = x
        if t % 256 == 0:
            norm = max(abs(x), np.abs(view).max())
            x, view, size = x / norm, view / norm, size + math.log(norm)
    return (size + math.log(max(abs(x), np.abs(view).max())) - began) / (len(worker) - first)


@numba.njit
def duration(rng, spread):
    """A compute time: exponential if spread is 0, else lognormal, each of mean 1."""
    if spread == 0:
        return rng.standard_exponential()
    return math.exp(spread * rng.standard_normal() - spread * spread / 2)


@numba.njit
def earliest(times):
    """Where the least of them is."""
    found = 0
    for i in range(1, len(times)):
        if times[i] < times[found]:
            found = i
    return found


@numba.njit
def growth(rng, spread, table, a, m, particles, rounds, settle):
    """The mean growth of log E[x²] per update; particles begin with finishing times of a long run, all views 1."""
    x, view = np.ones(particles), np.ones((particles, m))
    read, ready = np.zeros((particles, m), np.int64), np.empty((particles, m))
    weight, total = np.empty(particles), 0.0
    for n in range(particles):
        for i in range(m):
            ready[n, i] = duration(rng, spread) * rng.random()
    for r in range(rounds):
        for n in range(particles):
            for t in range(r * m, (r + 1) * m):
                i = rng.integers(0, m) if spread == 0 else earliest(ready[n])
                x[n] -= a * table[min(t - read[n, i], len(table) - 1)] * view[n, i]
                view[n, i], read[n, i] = x[n], t + 1
                ready[n, i] += duration(rng, spread) if spread else 0.0
            weight[n] = x[n] ** 2 + (view[n] ** 2).mean()
        mean = weight.mean()
        if r >= settle:
            total += math.log(mean)
        at, sums = rng.random(), np.cumsum(weight / mean)  # systematic resampling
        chosen = np.searchsorted(sums, (np.arange(particles) + at) * (sums[-1] / particles))
        factor = 1.0 / np.sqrt(weight[chosen])
        x, read, ready = x[chosen] * factor, read[chosen], ready[chosen]
        view = view[chosen] * factor.reshape(-1, 1)
    return total / ((rounds - settle) * m)


def root(function, near):
    """Where the function changes sign, around `near`, to 0.1 %."""
    low, high = 0.8 * near, 1.25 * near
    while function(low) > 0:
        low /= 1.25
    while function(high) < 0:
        high *= 1.25
    return optimize.brentq(function, low, high, rtol=1e-3)


def interval(values):
    """Mean and the ends of its 95 % interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return np.mean(values), np.mean(values) - half, np.mean(values) + half


@functools.cache
def law_of(name, m):
    """The staleness of m workers: known, or counted over two million updates."""
    if name == "exponential":
        return staleness.geometric(m=m, rest=1e-7)
    if name == "constant":
        return staleness.constant(m - 1)
    return staleness_only(TIMINGS[name], workers=m, updates=2_000_000, seed=100).staleness


def row(name, m, rule):
    """One line of the table."""
    law = law_of(name, m)
    table = ab.rules.parse_rule(rule)(law.padded(2 * len(law)), m)
    apart = theory.independent_limit(law, rule, m)
    if name == "constant":  # every execution is the same
        made = ab.schedule(TIMINGS[name], workers=m, updates=LONG)
        found = root(lambda a: slope(made.worker, made.tau, table, a, m), apart)
        return [name, m, rule, theory.constant_limit(m - 1) / table[m - 1], apart, *[found] * 6]
    exact, spread = (theory.exponential_limit(m, rule), 0.0) if name == "exponential" else (math.nan, SPREAD)
    made = [ab.schedule(TIMINGS[name], workers=m, updates=LONG, seed=seed) for seed in range(SEEDS)]
    typical = [root(lambda a, s=s: slope(s.worker, s.tau, table, a, m), 1.3 * apart) for s in made]
    square = [
        root(lambda a, s=s: growth(np.random.default_rng(s), spread, table, a, m, *SETTINGS[name]), apart)
        for s in range(SEEDS)
    ]
    return [name, m, rule, exact, apart, *interval(square), *interval(typical)]


def draw(rows):
    """limits.png: the limits of each rule by the number of workers, beside those of a constant step."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12, 6.4), sharex=True, sharey="row", layout="constrained")
    for column, name in enumerate(TIMINGS):
        of_rule = {rule: [r for r in rows if r[0] == name and r[2] == rule] for rule in RULES}
        base = np.array([r[5] for r in of_rule["constant"]])
        for i, (rule, some) in enumerate(of_rule.items()):
            m, values = [r[1] for r in some], np.array([r[3:] for r in some], float)
            for axis, by in ((axes[0, column], 1.0), (axes[1, column], base)):
                middle, low, high = (values[:, j] / by for j in (2, 3, 4))
                axis.errorbar(m, middle, [middle - low, high - middle], fmt="o", ms=4, color=f"C{i}", label=rule)
                axis.plot(m, values[:, 0] / by, "-", color=f"C{i}", lw=1)
        axes[0, column].set(title=f"{name} times", xscale="log", yscale="log")
        axes[1, column].set(xlabel="workers", xticks=WORKERS, xticklabels=WORKERS)
        axes[1, column].minorticks_off()
    axes[0, 0].set_ylabel("largest η₀λ, mean square")
    axes[1, 0].set_ylabel("the same, relative to constant")
    axes[0, 2].legend(fontsize=8)
    figure.savefig(HERE / "limits.png", dpi=110)


def saved():
    """The rows that limits.csv has, numbers as numbers."""
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as file:
        return [[r[0], int(r[1]), r[2], *map(float, r[3:])] for r in list(csv.reader(file))[1:]]


def write(rows):
    """limits.csv: the rows in the order of TIMINGS, WORKERS and RULES, numbers with five digits."""
    points = list(itertools.product(TIMINGS, WORKERS, RULES))
    with TABLE.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for each in sorted(rows, key=lambda r: points.index(tuple(r[:3]))):
            table.writerow([f"{v:.5g}" if isinstance(v, float) else v for v in each])


def main(arguments):
    """Compute what limits.csv does not have, add it there row by row, and draw."""
    began, names = time.perf_counter(), [name for name in arguments if name != "--again"] or list(TIMINGS)
    rows = [r for r in saved() if "--again" not in arguments or r[0] not in names]
    for point in itertools.product(names, WORKERS, RULES):
        if point[:2] == ("lognormal", 64) or list(point) in [r[:3] for r in rows]:
            continue  # the former takes a quarter of an hour
        rows.append(row(*point))
        write(rows)
        print(*point, f"{time.perf_counter() - began:.0f} s", flush=True)
    draw(saved())


if __name__ == "__main__":
    main(sys.argv[1:])
