"""Convergence bounds of asynchronous SGD, and when they hold.

The bounds assume that f is L-smooth. A gradient at a view x has the mean grad f(x), and a variance of at most
`noise`, summed over the coordinates. Views are consistent, so the bounds do not cover Hogwild. Staleness does not
depend on the samples. Each bound holds only for small enough steps. For larger ones, a UsageError says how large the
steps may be.

In the formulas, eta_t are the `steps`, H is the largest of them, T their number, and m the number of workers. Units:
a gap is in units of the loss, a distance in those of x, L and mu in loss / x^2, a step in x^2 / loss, noise in
(loss / x)^2, and staleness in updates.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import integer, real, reals
from ..rules import RuleLike
from ..staleness import StalenessDistribution, staleness_array
from .arguments import Array, positive, seen, table

_ROUNDING = 1e-9


def nonconvex_bound(steps: ArrayLike, *, L: float, gap: float, noise: float, workers: int, tau_max: int) -> float:
    """A bound of the mean squared gradient of any smooth f: sum eta_t E|grad f(x_t)|^2 / sum eta_t, in (loss / x)^2.

    The bound is [2 gap + L noise (1 + 2 L H (m - 1)) sum eta_t^2] / sum eta_t. H is the largest step, and must be at
    most 1 / (2 L max(1, sqrt((m - 1) tau_max))).

    Args:
        steps: the step sizes eta_t as applied, step_size * scale * factor, in the order of application; shape (T,),
            finite, >= 0, not all 0.
        L: the smoothness constant of f, |grad f(x) - grad f(y)| <= L |x - y|; > 0.
        gap: f(x_0) - f*, by how much the initial loss is above the least one; >= 0.
        noise: the variance of a gradient, summed over the coordinates; >= 0.
        workers: m, the number of workers; >= 1.
        tau_max: the largest staleness of an update; >= 0.

    Raises:
        UsageError: if the largest step is too large for the bound. The error says how large it may be.

    >>> nonconvex_bound([0.01] * 1000, L=1.0, gap=1.0, noise=0.1, workers=8, tau_max=40).__round__(5)
    0.20114
    """
    eta, L = _steps(steps), positive("L", L)
    return (2 * real("gap", gap, 0) + L * _noise(eta, L, noise, workers, tau_max)) / float(eta.sum())


def convex_bound(steps: ArrayLike, *, L: float, distance: float, noise: float, workers: int, tau_max: int) -> float:
    """A bound of E f(x_mean) - f*, in units of the loss, for convex f and x_mean = sum eta_t x_t / sum eta_t.

    The bound is [distance^2 + noise (1 + 2 L H (m - 1)) sum eta_t^2] / (2 sum eta_t). The condition on the largest
    step H is that of `nonconvex_bound`.

    Args:
        steps: the step sizes eta_t as applied, step_size * scale * factor, in the order of application; shape (T,),
            finite, >= 0, not all 0.
        L: the smoothness constant of f, |grad f(x) - grad f(y)| <= L |x - y|; > 0.
        distance: |x_0 - x*|, from the initial parameters to the nearest minimum; >= 0.
        noise: the variance of a gradient, summed over the coordinates; >= 0.
        workers: m, the number of workers; >= 1.
        tau_max: the largest staleness of an update; >= 0.

    Raises:
        UsageError: if the largest step is too large for the bound. The error says how large it may be.

    >>> convex_bound([0.01] * 1000, L=1.0, distance=1.0, noise=0.1, workers=8, tau_max=40).__round__(5)
    0.05057
    """
    eta, L = _steps(steps), positive("L", L)
    return (real("distance", distance, 0) ** 2 + _noise(eta, L, noise, workers, tau_max)) / (2 * float(eta.sum()))


def concurrency_bound(steps: ArrayLike, staleness: ArrayLike, *, L: float, gap: float, noise: float) -> float:
    """A bound as `nonconvex_bound`, but from the staleness of each update: it needs neither tau_max nor m.

    The bound is [2 gap + L noise sum eta_j^2 (1 + 2 L V_j)] / sum eta_t. It holds if for every update j

        2 L^2 sum_t(j) eta_t W_t + L eta_j <= 1,   V_j = sum_t(j) eta_t.

    Here sum_t(j) is over the gradients t that were under way when update j was applied, and W_t is the sum of the
    steps that were applied while gradient t was under way.

    Let C >= 1 be the number of other gradients under way. Then steps of at most min(1, C / tau) / (2 L C) always meet
    the condition, whatever the largest staleness. The rule `delay_adaptive` makes such steps.

    Args:
        steps: the step sizes eta_t as applied, step_size * scale * factor, in the order of application; shape (T,),
            finite, >= 0, not all 0.
        staleness: the staleness of each update t, from 0 to t; shape (T,), integers.
        L: the smoothness constant of f, |grad f(x) - grad f(y)| <= L |x - y|; > 0.
        gap: f(x_0) - f*, by how much the initial loss is above the least one; >= 0.
        noise: the variance of a gradient, summed over the coordinates; >= 0.

    Raises:
        UsageError: if the steps do not meet the condition.

    Sources: Koloskova et al. 2022, arXiv 2206.08307; Mishchenko et al. 2022, arXiv 2206.07638.

    >>> concurrency_bound([0.01] * 4, [0, 1, 1, 3], L=1.0, gap=1.0, noise=0.1).__round__(4)
    50.001
    """
    eta, tau, lipschitz = _steps(steps), staleness_array(staleness), positive("L", L)
    t = np.arange(len(eta))
    if tau.shape != eta.shape or (tau > t).any():
        raise UsageError(f"staleness has {len(tau)} entries and steps {len(eta)}: give one for each update, of at "
                         "most the number of updates before it")  # fmt: skip
    applied = np.concatenate(([0.0], np.cumsum(eta)))
    meanwhile = applied[t] - applied[t - tau]
    drift = 2 * lipschitz**2 * _while_under_way(eta * meanwhile, tau) + lipschitz * eta
    if drift.max() > 1 + _ROUNDING:
        j = int(drift.argmax())
        raise UsageError(f"steps are too large for the bound: 2 L^2 sum eta_t W_t + L eta is {drift[j]:.6g} at "
                         f"update {j}, must be at most 1; divide all steps by that number")  # fmt: skip
    added = lipschitz * real("noise", noise, 0) * float(eta**2 @ (1 + 2 * lipschitz * _while_under_way(eta, tau)))
    return (2 * real("gap", gap, 0) + added) / float(eta.sum())


def pl_bound(steps: ArrayLike, *, L: float, mu: float, gap: float, noise: float, tau_max: int) -> float:
    """A bound of E f(x_T) - f*, in units of the loss, for f with |grad f|^2 / 2 >= mu (f - f*).

    This is the inequality of Polyak and Łojasiewicz. The bound is prod (1 - mu eta_t) gap + L noise H / mu. H is the
    largest step, and must be at most 1 / (4 L max(1, tau_max)).

    Args:
        steps: the step sizes eta_t as applied, step_size * scale * factor, in the order of application; shape (T,),
            finite, >= 0, not all 0.
        L: the smoothness constant of f, |grad f(x) - grad f(y)| <= L |x - y|; > 0.
        mu: the constant of the inequality, in (0, L].
        gap: f(x_0) - f*, by how much the initial loss is above the least one; >= 0.
        noise: the variance of a gradient, summed over the coordinates; >= 0.
        tau_max: the largest staleness of an update; >= 0.

    Raises:
        UsageError: if the largest step is too large for the bound. The error says how large it may be.

    >>> pl_bound([0.01] * 1000, L=1.0, mu=0.5, gap=1.0, noise=0.1, tau_max=20).__round__(5)
    0.00865
    """
    eta, L = _steps(steps), positive("L", L)
    mu = real("mu", mu, 0, L, above=True)
    _at_most(eta.max(), _pl_step(L, tau_max))
    left = float(np.exp(np.log1p(-mu * eta).sum())) * real("gap", gap, 0)
    return left + L * real("noise", noise, 0) * float(eta.max()) / mu


def pl_mean_bound(
    step_size: float,
    updates: int,
    rule: RuleLike | ArrayLike,
    staleness: StalenessDistribution,
    *,
    L: float,
    mu: float,
    gap: float,
    noise: float,
    workers: int = 1,
) -> float:
    """A bound as `pl_bound`, for a rule that keeps the mean step (C1), if the staleness of updates is independent.

    The bound is (1 - mu eta_0)^T gap + (1 - (1 - mu eta_0)^T) L noise eta_0 (1 + Var[scale]) / mu. The condition on
    the largest step is that of `pl_bound`; tau_max is the largest staleness of the distribution. For TAIL-tau,
    Var[scale] <= A^2 / 3.

    Args:
        step_size: eta_0, which the scales multiply; > 0.
        updates: T, the number of updates; >= 0.
        rule: a rule, its text, a function, or an array of scales; its mean scale must be 1.
        staleness: the distribution of each update's staleness; not empty.
        L: the smoothness constant of f, |grad f(x) - grad f(y)| <= L |x - y|; > 0.
        mu: the constant of the inequality, in (0, L].
        gap: f(x_0) - f*, by how much the initial loss is above the least one; >= 0.
        noise: the variance of a gradient, summed over the coordinates; >= 0.
        workers: the number of workers that the rule is given; >= 1.

    Raises:
        UsageError: if the mean scale is not 1, or if the largest step is too large for the bound.

    >>> from asapnb.staleness import uniform
    >>> law, of = uniform(0, 20), dict(L=1.0, mu=0.5, gap=1.0, noise=0.1)
    >>> [pl_mean_bound(0.005, 4000, rule, law, **of).__round__(6) for rule in ("constant", "tail")]
    [0.001045, 0.001377]
    """
    law, eta, L = seen(staleness), positive("step_size", step_size), positive("L", L)
    mu, noise = real("mu", mu, 0, L, above=True), real("noise", noise, 0)
    scales = table(rule, law, integer("workers", workers, 1))
    mean = float(scales @ law.pmf)
    if abs(mean - 1) > _ROUNDING:
        raise UsageError(f"the mean scale of {rule!r:.60} is {mean:.6g} here: must be 1; preserve(rule) makes it 1")
    _at_most(eta * scales[law.pmf > 0].max(), _pl_step(L, law.support))
    left = (1 - mu * eta) ** integer("updates", updates)
    return left * real("gap", gap, 0) + (1 - left) * L * noise * eta * float(scales**2 @ law.pmf) / mu


def strongly_convex_updates(
    step_size: float,
    rule: RuleLike | ArrayLike,
    staleness: StalenessDistribution,
    *,
    c: float,
    L: float,
    M: float,
    distance: float,
    target: float,
    workers: int = 1,
) -> float:
    """How many updates suffice for E|x - x*|^2 <= target, for a strongly convex f and independent staleness.

    With a = step_size * scale, the number is

        ln(distance^2 / target) / (2c E[a] - 2LM target^(-1/2) E[tau a] E[a] - M^2 target^-1 E[a^2]).

    So the mean staleness counts, not the largest.

    Args:
        step_size: eta_0, which the scales multiply; > 0.
        rule: a rule, its text, a function, or an array of scales; not all 0.
        staleness: the distribution of each update's staleness; not empty.
        c: the strong convexity of f, in loss / x^2; > 0.
        L: the smoothness constant of f, |grad f(x) - grad f(y)| <= L |x - y|; > 0.
        M: a bound of the size of a gradient, E|g|^2 <= M^2, in loss / x; >= 0.
        distance: |x_0 - x*|, from the initial parameters to the minimum; > 0.
        target: the squared distance to reach, in x^2; > 0.
        workers: the number of workers that the rule is given; >= 1.

    Raises:
        UsageError: if the step size is too large for the bound, so that the denominator is not above 0.

    Source: Bäckström, Papatriantafilou, Tsigas: MindTheStep-AsyncPSGD, 2019, arXiv 1911.03444.

    >>> from asapnb.staleness import geometric
    >>> given = dict(c=1.0, L=1.0, M=1.0, distance=1.0, target=0.04, workers=4)
    >>> strongly_convex_updates(0.01, "constant", geometric(m=4), **given).__round__()
    222
    """
    law, epsilon, grad = seen(staleness), positive("target", target), real("M", M, 0)
    alpha = positive("step_size", step_size) * table(rule, law, integer("workers", workers, 1))
    mean, square = float(alpha @ law.pmf), float(alpha**2 @ law.pmf)
    stale = float(alpha * np.arange(len(alpha)) @ law.pmf)
    gain = 2 * positive("c", c) * mean
    loss = 2 * positive("L", L) * grad * stale * mean / math.sqrt(epsilon) + grad**2 * square / epsilon
    if not mean:
        raise UsageError("all scales are 0, so the parameters never change: give a rule that makes steps")
    if gain <= loss:
        raise UsageError(f"step_size is {step_size}: the bound needs one below {step_size * gain / loss:.6g} for "
                         f"the target {target}, or a larger target")  # fmt: skip
    return max(0.0, math.log(positive("distance", distance) ** 2 / epsilon)) / (gain - loss)


# --- conditions ----------------------------------------------------------------------------------------------------


def _steps(steps: ArrayLike) -> Array:
    eta = reals("steps", steps, 0)
    if not eta.any():
        raise UsageError("steps are all 0: the parameters never change, so there is no bound; give steps above 0")
    return eta


def _at_most(step: float, largest: float) -> None:
    if step > largest * (1 + _ROUNDING):
        raise UsageError(f"the largest step is {step:.6g}: the bound holds up to {largest:.6g}; choose smaller steps")


def _noise(eta: Array, L: float, noise: float, workers: int, tau_max: int) -> float:
    """noise (1 + 2 L H (m - 1)) sum eta_t^2, of steps within the condition."""
    others, largest = integer("workers", workers, 1) - 1, float(eta.max())
    spread = max(1.0, math.sqrt(others * integer("tau_max", tau_max)))
    _at_most(largest, 1 / (2 * L * spread))
    return real("noise", noise, 0) * (1 + 2 * L * largest * others) * float(eta @ eta)


def _pl_step(L: float, tau_max: int) -> float:
    return 1 / (4 * L * max(1, integer("tau_max", tau_max)))


def _while_under_way(values: Array, tau: NDArray[np.int64]) -> Array:
    """For every update j the sum of values[t] over the t whose gradients were under way: t - tau_t <= j < t."""
    t = np.arange(len(values))
    change = np.bincount(t - tau, values, len(values)) - np.bincount(t, values, len(values))
    return np.maximum(np.cumsum(change), 0.0)
