"""The scales that bear the largest mean step on the delayed quadratic, for a law of the staleness.

    OPENBLAS_NUM_THREADS=1 python experiments/faster/best_profile.py

Scales that do not rise are s[k] = sum of d[j] over j >= k, for any d >= 0, and a(s) E[s] does not depend on their size, where a(s)
is the limit of stability. So what is sought is a maximum under bounds alone (L-BFGS-B), with exact gradients of the limit:

- exponential workers: from the recursion of second moments, by an adjoint solution;
- any law, if staleness were independent: from the integral of `spectral`. Its maximum is then judged by simulation.

It writes best_profile.csv (scales and ranks) and limits.csv (limits of all rules, simulated) beside itself, and profiles.png.
"""

import csv
import math
import sys
from pathlib import Path

import numpy as np
from scipy import linalg, optimize

import asapnb as ab
from asapnb import staleness, theory

HERE = Path(__file__).parent


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
    n = len(p)

    def cost(d):
        s = np.cumsum(d[::-1])[::-1]
        a, mean = limit(s), p @ s
        _, by_a, by_s = gradient(s, a)
        slope = -by_s / by_a / a + p / mean  # of log(a E[s])
        return -math.log(a * mean), -np.cumsum(slope)

    d = np.maximum(-np.diff(begin, append=0), 0) + 1e-6
    found = optimize.minimize(cost, d, jac=True, bounds=[(0, None)] * n, options={"maxiter": 3000, "maxfun": 5000, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 30})
    s = np.cumsum(found.x[::-1])[::-1]
    s /= p @ s
    total = np.cumsum(p)
    slope = -cost(np.maximum(-np.diff(s, append=0), 0))[1] / total  # towards each quantile cut, of mean 1
    return s, float(slope.max())
