"""The scales that bear the largest mean step on the delayed quadratic, by law of the staleness; and what rules bear.

    OPENBLAS_NUM_THREADS=1 python experiments/faster/best_profile.py [--draw]

Scales that do not rise are s[k] = sum of d[j] over j >= k, for any d >= 0, and a(s) E[s] does not depend on their
size, where a(s) is the limit of stability. So what is sought is a maximum under bounds alone (L-BFGS-B). The gradient
of the limit comes from an adjoint solution: for exponential workers that of the exact recursion of second moments,
for any other law that of independent staleness. The latter maximum is judged by simulation, as all rules are.

It writes scales.csv (rank and scale of the best), limits.csv (limits relative to constant steps) and profiles.png
beside itself, and leaves out the laws that limits.csv has; with --draw it only draws.
"""

import csv
import math
import sys
from pathlib import Path

import numpy as np
from scipy import linalg, optimize

from asapnb import staleness, theory
from asapnb.rules import as_rule, power
from asapnb.simulator import staleness_only
from asapnb.staleness import StalenessDistribution

HERE = Path(__file__).parent
LAWS = {  # workers and timing
    "exponential, 4": (4, "exponential(1)"),
    "exponential, 8": (8, "exponential(1)"),
    "exponential, 16": (16, "exponential(1)"),
    "exponential, 24": (24, "exponential(1)"),
    "lognormal, 8": (8, "lognormal(mean=1, cv=0.3)"),
    "lognormal, 32": (32, "lognormal(mean=1, cv=0.3)"),
    "machine, 32": (32, "machine"),
    "machine, 48": (48, "machine"),
    "machine, 60": (60, "machine"),
    "pareto, 16": (16, "pareto(minimum=1, alpha=1.5)"),
    "straggler, 16": (16, "slowed(lognormal(mean=1, cv=0.3), 8)"),
}
POWERS = (0.5, 1.5, 2, 3, 6)
SIMULATED = {"replicas": 60, "batches": 2}


def raised(q, floor):
    """The profile floor + (1 - floor)(1 + q)(1 - u)^q: that of power(q), and never below the floor."""
    return lambda law, workers: floor + (1 - floor) * power(q)(law, workers)


RULES = {"tail": as_rule("tail"), **{f"power({q})": power(q) for q in POWERS}}
RULES |= {f"raised({q}, {c})": as_rule(raised(q, c)) for q, c in ((3, 0.3), (3, 0.5), (5, 0.5), (8, 0.65))}


def balance(s, factors, mass, first, keep, fade, meets, a):
    """The balance of theory/moments.py, 0 at the limit, and its derivatives by a and by s, with an adjoint solution.

    Args:
        s: the scales.
        factors: of the scales in sums: ones for exponential workers, probabilities for independent staleness.
        mass: of the squares of the scales, the probabilities.
        first, keep, fade, meets: as there.
        a: the step.
    """
    n, w, both = len(s), factors * s, first if keep < 1 else 1.0  # kappa keep
    k = np.arange(n)
    powers = fade**k
    couple = linalg.toeplitz(w * powers, np.zeros(n))
    couple[:, 1:] += powers[:, None] * linalg.hankel(w)[:, 1:]
    if not meets:
        couple[:, 0] = 0
    system = np.eye(n)
    system[1:] += (a * both * couple - keep * np.eye(n))[:-1]
    lu = linalg.lu_factor(system)
    u, y = linalg.lu_solve(lu, first * np.eye(n)[0]), linalg.lu_solve(lu, w, trans=1)
    moments = powers[np.minimum.outer(k, k)] * u[np.abs(np.subtract.outer(k, k))]
    if not meets:
        np.fill_diagonal(moments, 0)
    value = 2 * a * w @ u - a * a * mass @ s**2
    by_a = 2 * w @ u - 2 * a * both * y[1:] @ (couple @ u)[:-1] - 2 * a * mass @ s**2
    by_s = 2 * a * factors * (u - a * both * (y[1:] @ moments[:-1])) - 2 * a * a * mass * s
    return value, by_a, by_s


def exponential(m, ages):
    """limit(s), the gradient of the balance, and the probabilities, of m exponential workers."""
    p = (1 / m) * (1 - 1 / m) ** np.arange(ages)
    return (
        lambda s: theory.exponential_limit(m, np.append(s, s[-1])),
        lambda s, a: balance(s, np.ones(ages), p, 1 / m, 1 - 1 / m, 1 - 2 / m, False, a),
        p / p.sum(),
    )


def independent(law):
    """The same of independent staleness of a law."""
    return (
        lambda s: theory.independent_limit(law, s, rest=0),
        lambda s, a: balance(s, law.pmf, law.pmf, 1.0, 1.0, 1.0, True, a),
        law.pmf,
    )


def best(limit, gradient, p, begin):
    """The scales of mean 1 that maximise limit(s) E[s], and how far from the optimum they can be, relatively."""
    n, last = len(p), [None]

    def at_limit(s):
        """The limit and the gradient there, by Newton's method from the last limit on, if that leads somewhere."""
        a = last[0] or limit(s)
        for _ in range(8):
            value, by_a, by_s = gradient(s, a)
            if abs(value / by_a) < 1e-10 * a:
                break
            a -= value / by_a
            if not abs(a / (last[0] or a) - 1) < 0.2:
                a = limit(s)
        last[0] = a
        return a, by_a, by_s

    def cost(d):
        s = np.cumsum(d[::-1])[::-1]
        (a, by_a, by_s), mean = at_limit(s), p @ s
        slope = -by_s / by_a / a + p / mean  # of log(a E[s])
        return -math.log(a * mean), -np.cumsum(slope)

    d = np.maximum(-np.diff(begin, append=0), 0) + 1e-6
    options = {"maxiter": 3000, "maxfun": 5000, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 30}
    found = optimize.minimize(cost, d, jac=True, bounds=[(0, None)] * n, options=options)
    s = np.cumsum(found.x[::-1])[::-1]
    s /= p @ s
    total = np.cumsum(p)
    slope = -cost(np.maximum(-np.diff(s, append=0), 0))[1] / total  # towards each quantile cut, of mean 1
    return s, float(slope.max())


def read(name):
    """The rows of a table; none if there is no such file."""
    if not (HERE / name).exists():
        return []
    with (HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


def draw():
    """profiles.png: the best scales by rank, and what rules bear."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    scales, limits = read("scales.csv"), read("limits.csv")
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained", width_ratios=[1, 1.3])
    for law in ("exponential, 8", "exponential, 24", "lognormal, 32", "machine, 32"):
        some = [row for row in scales if row["law"] == law]
        left.plot([float(r["rank"]) for r in some], [float(r["scale"]) for r in some], ".-", ms=3, lw=1, label=law)
    u = np.linspace(0, 1, 201)
    left.plot(u, 2 - 2 * u, "k:", lw=1, label="tail")
    left.plot(u, 0.5 + 2 * (1 - u) ** 3, "k--", lw=1, label="raised(3, 0.5)")
    left.set(xlabel="rank of the staleness", ylabel="scale", ylim=(0, 4), title="Scales that bear the largest step")
    left.legend(fontsize=8)
    shown = {"tail": "tail", "power(3)": "power(3)", "raised(3, 0.5)": "raised(3, 0.5)", "best": "best"}
    names = list(dict.fromkeys(row["law"] for row in limits))
    for j, (rule, label) in enumerate(shown.items()):
        of = {row["law"]: row for row in limits if row["rule"] == rule}
        x = np.arange(len(names)) + 0.2 * (j - 1.5)
        height = [float(of[name]["limit"]) for name in names]
        right.bar(x, height, 0.18, yerr=[2 * float(of[name]["error"]) for name in names], label=label)
    right.axhline(1, color="k", lw=0.8)
    right.set(
        ylabel="largest mean step / that of constant", title="Stability of the delayed quadratic", ylim=(0.5, None)
    )
    right.set_xticks(np.arange(len(names)), names, rotation=30, ha="right", fontsize=8)
    right.legend(fontsize=8, ncols=2)
    figure.savefig(HERE / "profiles.png", dpi=110)


def main():
    """Compute the laws that limits.csv does not have, and add them to both tables."""
    limits, scales = ([tuple(row.values()) for row in read(name)] for name in ("limits.csv", "scales.csv"))
    for name, (m, timing) in LAWS.items():
        if name in {row[0] for row in limits}:
            continue
        exact = name.startswith("exponential")
        law = (
            staleness.geometric(m=m)
            if exact
            else staleness_only(timing, workers=m, updates=400_000, seed=1).staleness
        )
        ages = (
            min(14 * m, 130) if exact else 1 + int(law.quantile(1 - 1e-3 if name.startswith("pareto") else 1 - 1e-4))
        )
        seen = StalenessDistribution.from_pmf(law.pmf[:ages] / law.pmf[:ages].sum())
        limit, gradient, p = exponential(m, ages) if exact else independent(seen)
        s, gap = best(limit, gradient, p, as_rule("tail")(seen, m))
        ranks = np.cumsum(p) - p / 2
        scales += [(name, k, f"{u:.5g}", f"{x:.5g}") for k, (u, x) in enumerate(zip(ranks, s, strict=True))]
        base = theory.stable_step(workers=m, timing=timing, **SIMULATED)
        apart = theory.independent_limit(seen)
        for rule, chosen in {**RULES, "best": np.append(s, s[-1])}.items():
            found = theory.stable_step(chosen, workers=m, timing=timing, **SIMULATED)
            error = math.hypot(found.error / found.step, base.error / base.step)
            ratio = found.step * found.mean_scale / base.step
            guess = theory.independent_limit(seen, chosen, m) * found.mean_scale / apart
            limits.append((name, rule, f"{ratio:.4f}", f"{ratio * error:.4f}", f"{guess:.4f}"))
        print(
            name,
            f"constant {base}, gap {gap:.2g};",
            *(f"{row[1]} {row[2]} ({row[4]})" for row in limits if row[0] == name),
            flush=True,
        )
        for file, head, rows in (
            ("limits.csv", ("law", "rule", "limit", "error", "independent"), limits),
            ("scales.csv", ("law", "tau", "rank", "scale"), scales),
        ):
            with (HERE / file).open("w", newline="") as out:
                csv.writer(out, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    if "--draw" not in sys.argv:
        main()
    draw()
