"""f(x) = lambda x^2 / 2 with a constant staleness: x[t+1] = x[t] - a x[t - tau], where a = eta lambda has no unit."""

import math

import numpy as np

from ..errors import UsageError
from ..numbers import integer, real
from .arguments import positive


def constant_limit(tau: int) -> float:
    """The largest stable step a = eta lambda under a constant staleness: 2 sin(pi / (4 tau + 2)).

    Args:
        tau: the staleness of every update; >= 0.

    >>> constant_limit(0), constant_limit(2).__round__(4)
    (2.0, 0.618)
    """
    return 2.0 * math.sin(math.pi / (4 * integer("tau", tau) + 2))


def constant_best(tau: int) -> tuple[float, float]:
    """The step a that converges fastest in the end, tau^tau / (tau+1)^(tau+1), and its factor per update.

    The factor is tau / (tau + 1). It belongs to a double root, so after t updates the error is of the order
    t (tau / (tau + 1))^t.

    Args:
        tau: the staleness of every update; >= 0.

    >>> constant_best(1)
    (0.25, 0.5)
    """
    tau = integer("tau", tau)
    rate = tau / (tau + 1)
    return rate**tau / (tau + 1), rate


def constant_radius(step: float, tau: int) -> float:
    """The factor by which |x| changes per update in the end: the largest |z| with z^(tau+1) - z^tau + a = 0.

    Args:
        step: a = eta lambda, the step size times the curvature; >= 0.
        tau: the staleness of every update; >= 0.

    >>> constant_radius(1.0, 1).__round__(9), constant_radius(0.5, 0)
    (1.0, 0.5)
    """
    polynomial = np.zeros(integer("tau", tau) + 2)
    polynomial[0], polynomial[-1] = 1.0, real("step", step, 0)
    polynomial[1] -= 1.0
    return float(np.abs(np.roots(polynomial)).max(initial=0.0))


def constant_variance(step: float, tau: int, noise: float = 1.0) -> float:
    """Var[x] in the long run, if each update adds independent noise.

    It is noise (1 + sin T) / (cos T a sqrt(4 - a^2)) with T = (2 tau + 1) arcsin(a / 2).

    Args:
        step: a = eta lambda, the step size times the curvature; > 0.
        tau: the staleness of every update; >= 0.
        noise: the variance of the noise that an update adds: eta^2 times the variance of a gradient, in x^2; >= 0.

    Raises:
        UsageError: if the step is not below `constant_limit`, because the variance then grows without bound.

    >>> constant_variance(0.5, 0).__round__(9), constant_variance(0.5, 1).__round__(9)
    (1.333333333, 2.4)
    """
    a, tau = positive("step", step), integer("tau", tau)
    limit = constant_limit(tau)
    if a >= limit:
        raise UsageError(f"step is {a}: with staleness {tau} it must be below {limit:.6g}, or the variance grows "
                         "without bound")  # fmt: skip
    angle = (2 * tau + 1) * math.asin(a / 2)
    return real("noise", noise, 0) * (1 + math.sin(angle)) / (math.cos(angle) * a * math.sqrt(4 - a * a))
