"""The tables of this page, from its run files.

    python experiments/paper-machine/tables.py runs/machine runs/machine-cdf runs/machine-dampening
    python experiments/paper-machine/tables.py runs/machine-fixed

Each table is Markdown. A speed-up over `constant` is the ratio of mean times to a target, run by run on the same
schedules; runs that do not arrive count as 100 epochs. Its interval is the bootstrap over seeds, which are drawn
jointly for the worker numbers that have the same ones; over worker numbers it is the geometric mean.
"""

import sys
from collections import defaultdict

import numpy as np

from asapnb.analysis import Target, bootstrap, crossing, records
from asapnb.analysis.statistics import restricted_means

TARGETS = (0.95, 0.9, 0.75, 0.5)
BUDGET = 100.0  # epochs
CORES = 36
CONSTANT, RELEASED, MATCHED, SHUFFLED = "constant", "as released", "constant, matched", "shuffled as released"
MIDPOINT, INCLUSIVE, EXCLUSIVE = "midpoint", "inclusive", "exclusive"


def name_of(record):
    """What a run is called here, from its rule and step size."""
    rule = record.config["rule"]
    if rule.startswith("constant"):
        return CONSTANT if record.value("step_size") == 0.005 else MATCHED
    if not rule.startswith(("tail", "shuffled")):
        return rule.split("(")[0]
    if "released" in rule:
        return SHUFFLED if rule.startswith("shuffled") else RELEASED
    return next((kind for kind in (INCLUSIVE, EXCLUSIVE) if kind in rule), MIDPOINT)


def epochs(record):
    """How long a run was."""
    return record.run.evals["step"][-1] / record.updates_per_epoch


def restricted(times, weights):
    """The restricted mean of epochs, for each row of weights."""
    at, reached = np.array([t for t, _, _ in times]), np.array([r for _, r, _ in times])
    return restricted_means(at, reached, BUDGET, weights)


def geometric(times, weights):
    """The geometric mean of epochs, for which a run that leaves the plateau late counts less."""
    return np.exp(weights @ np.log([t for t, _, _ in times]) / weights.sum(axis=1))


class Evaluation:
    """(epochs, whether, virtual seconds) of each run to each target, by name, workers and target, then by seed."""

    def __init__(self, found):
        self.times = defaultdict(dict)
        for record in found:
            pace = record.run.evals["t"][-1] / epochs(record)
            for target in TARGETS:
                if target == 0.5 and record.config["target_loss"] > 1.2:
                    continue  # it ended before
                to = crossing(record, Target(fraction=target))
                time = to.time("epochs") if to.reached else BUDGET
                key = name_of(record), int(record.value("workers")), target
                self.times[key][record.value("seed")] = time, to.reached, time * pace

    def speed_up(self, other, baseline, target, workers, mean=restricted):
        """How many times as fast as the baseline: the geometric mean over these workers, and its interval."""
        cells = []
        for m in workers:
            ours, theirs = self.times.get((baseline, m, target)), self.times.get((other, m, target))
            seeds = sorted(set(ours or ()) & set(theirs or ()))
            if len(seeds) > 1:
                cells.append((tuple(seeds), [ours[s] for s in seeds], [theirs[s] for s in seeds]))
        if not cells:
            return None
        groups = sorted({seeds for seeds, _, _ in cells})

        def statistic(*weights):
            logs = [
                np.log(mean(ours, weights[groups.index(seeds)]) / mean(theirs, weights[groups.index(seeds)]))
                for seeds, ours, theirs in cells
            ]
            return np.exp(np.mean(logs, axis=0))

        ratio = statistic(*(np.ones((1, len(seeds))) for seeds in groups))[0]
        return ratio, bootstrap(statistic, [len(seeds) for seeds in groups]), len(cells)


def cell(found):
    """A speed-up as text."""
    if found is None:
        return ""
    ratio, interval, _ = found
    return f"{ratio:.2f} ({interval.low:.2f} – {interval.high:.2f})"


def table(title, head, rows):
    """Print a table in Markdown, if it has rows."""
    if not rows:
        return
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def main(folders):
    """All tables."""
    found = [record for record in records(folders) if record.status not in ("running", "interrupted")]
    print(f"{len(found)} runs, {sum(epochs(record) for record in found):,.0f} epochs")
    made = Evaluation(found)
    names = list(dict.fromkeys(name for name, _, _ in made.times))
    workers = sorted({m for _, m, _ in made.times})
    alone = [m for m in workers if m <= CORES]
    pairs = [(name, CONSTANT) for name in names if name != CONSTANT]
    pairs += [(RELEASED, name) for name in (MATCHED, SHUFFLED, EXCLUSIVE) if name in names]
    for mean, how in ((restricted, "mean times"), (geometric, "geometric means of times")):
        for target in TARGETS:
            rows = []
            for pair in pairs:
                each = [cell(made.speed_up(*pair, target, [m], mean)) for m in workers]
                if any(each):
                    means = [cell(made.speed_up(*pair, target, some, mean)) for some in (alone, workers)]
                    rows.append((" over ".join(pair), *each, *means))
            table(
                f"Speed-up to {target:.0%}, by {how}", ("", *map(str, workers), f"mean, up to {CORES}", "mean"), rows
            )
    arrivals(made, names, workers)
    scales(found)


def arrivals(made, names, workers):
    """Mean epochs, virtual seconds in thousands, and how many of the runs arrive."""
    for target in TARGETS:
        rows = []
        for name in names:
            row = []
            for m in workers:
                times = list(made.times.get((name, m, target), {}).values())
                took, reached, seconds = np.mean(times, axis=0) if times else (0, 0, 0)
                row.append(
                    f"{took:.1f}, {seconds / 1000:.2f}, {reached * len(times):.0f} of {len(times)}" if times else ""
                )
            if any(row):
                rows.append((name, *row))
        said = f"To {target:.0%}: mean epochs, mean thousands of virtual seconds, runs that arrive"
        table(said, ("", *map(str, workers)), rows)


def scales(found):
    """Realised mean scales, and mean steps."""
    means = defaultdict(list)
    for record in found:
        means[name_of(record), int(record.value("workers"))].append(
            float(record.run.updates["scale"].mean(dtype=float)) * record.value("step_size")
        )
    workers = sorted({m for _, m in means})
    names = list(dict.fromkeys(name for name, _ in means))
    table(
        "Mean step, in units of 0.005",
        ("", *map(str, workers)),
        [
            (name, *(f"{np.mean(means[name, m]) / 0.005:.3f}" if means.get((name, m)) else "" for m in workers))
            for name in names
        ],
    )


if __name__ == "__main__":
    main(sys.argv[1:])
