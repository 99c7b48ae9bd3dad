"""f(x) = lambda x^2 / 2 with random staleness: when E[x^2] stays bounded, how it grows, and its value under noise.

The second moments of m workers close under one update. With p = 1/m, q = 1 - p, E[x^2] = 1, and moments that grow by
rho per update, u[k] = E[x v; a worker's view v has age k] obeys

    u[0] = p,   rho u[k+1] = q (u[k] - a sum_l s[l] W[l, k]),   W[k, l] = (p/q) ((1 - 2p) / rho)^min(k, l) u[|k - l|],

with W[k, k] = 0, because two workers never read at the same moment; W holds the moments of two workers' views. So u
follows from one linear system, and E[x^2] grows by rho where the balance

    rho - 1 + 2a sum s[k] u[k] - a^2 sum s[k]^2 p (q / rho)^k

is 0. At rho = 1 and below the limit, noise of variance s^2 leaves the variance s^2 / balance: the limit is where the
balance first is 0. Independent staleness leads to a system of the same form for u[k] = E[x[t] x[t-k]].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import UsageError
from ..numbers import integer, real
from ..rules import RuleLike
from ..staleness import StalenessDistribution, geometric
from .arguments import Array, positive, seen, table

LONGEST = 4096  # unknowns of a linear system
REST = 1e-7  # probability of the staleness that is left out
_FACTOR = 1.2  # ratio of successive steps of a search
_SMALLEST = 1e-3  # the least growth that is told from 0


@dataclass(frozen=True)
class _Process:
    """u[0] = first, rho u[k+1] = keep (u[k] - a sum_l weights[l] W[l, k]), W = (kappa) (fade / rho)^min u[|k-l|]."""

    first: float
    keep: float
    fade: float
    kappa: float
    meets: bool  # whether two views may be the same, so that W[k, k] is not 0
    weights: Array
    squares: Array  # E[s^2; age k], which the balance multiplies by rho^-k
    largest: float  # the largest scale
    delay: float  # the mean staleness, in updates

    def balance(self, a: float, rho: float = 1.0) -> float:
        """Above 0 where E[x^2] grows by less than rho per update, 0 where it grows by rho."""
        from scipy import linalg

        n, s = len(self.weights), self.weights
        powers = (self.fade / rho) ** np.arange(n)
        couple = linalg.toeplitz(s * powers, np.zeros(n))  # over j = |k - l|: l = k - j, and then l = k + j
        couple[:, 1:] += powers[:, None] * linalg.hankel(s)[:, 1:]
        if not self.meets:
            couple[:, 0] = 0.0
        system = np.eye(n)
        system[1:] += self.keep / rho * (a * self.kappa * couple - np.eye(n))[:-1]
        u = linalg.solve(system, self.first * np.eye(n)[0], overwrite_a=True, check_finite=False)
        return rho - 1.0 + 2.0 * a * float(self.weights @ u) - a * a * float(self.squares @ rho ** -np.arange(n))

    def limit(self) -> float:
        """The least a > 0 whose balance is 0."""
        if not self.weights.any():
            return math.inf
        low = high = 0.05 / (1.0 + self.delay) / self.largest  # far below the limit, whatever the distribution
        while self.balance(high) > 0:
            low, high = high, _FACTOR * high
        return _root(self.balance, low, high)

    def growth(self, a: float, least: float) -> float:
        """The largest rho whose balance is 0, searched from its bound (1 + a max s)^2 down to `least`."""
        factor = 1.0 + min(_FACTOR - 1.0, 0.5 / (1.0 + self.delay))  # as fine as the distance of the eigenvalues
        rho = high = factor * (1.0 + a * self.largest) ** 2
        while self.balance(a, rho) > 0:
            if rho == least:
                return least
            high, rho = rho, max(rho / factor, least)
        return _root(lambda rho: self.balance(a, rho), rho, high)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy import optimize

    return float(optimize.brentq(function, low, high, xtol=1e-12, rtol=1e-10))


# --- m workers with exponential compute times ----------------------------------------------------------------------


def exponential_limit(workers: int, rule: RuleLike | ArrayLike = "constant", rest: float = REST) -> float:
    """The largest a = eta_0 lambda for which E[x^2] of m exponential workers does not grow; an exact result.

    For a constant step it is (1 + sqrt(1 + 8m)) / (2m). Other rules get the geometric staleness of such workers, and
    their scales from it.

    Args:
        workers: m, the number of workers; >= 1.
        rule: a rule, its text, a function, or an array of scales.
        rest: the probability of the stalest updates, which are left out, in (0, 1). At most 4,096 ages of a view are
            followed, so many workers need a larger `rest`.

    Raises:
        UsageError: if more ages would be needed.

    >>> exponential_limit(4).__round__(5), exponential_limit(4, "tail").__round__(4)
    (0.84307, 0.9463)
    """
    m, rest = integer("workers", workers, 1), real("rest", rest, 0, 1, above=True, below=True)
    scales = _scales(m, rule)
    if (constant := float(scales[0])) > 0 and (scales == constant).all():
        return (1 + math.sqrt(1 + 8 * m)) / (2 * m) / constant
    return _exponential(m, scales, rest).limit()


def exponential_growth(
    step: float, workers: int, rule: RuleLike | ArrayLike = "constant", rest: float = REST
) -> float:
    """The factor by which E[x^2] of m exponential workers grows per update in the end.

    The least factor returned is 1 - 1/m, the probability that a given worker does not make an update. It stands for
    all smaller factors too. Factors just above it need a smaller `rest`.

    Args:
        step: a = eta_0 lambda, the step size times the curvature; the scales multiply it; >= 0.
        workers: m, the number of workers; >= 1.
        rule: a rule, its text, a function, or an array of scales.
        rest: the probability of the stalest updates, which are left out, in (0, 1).

    >>> exponential_growth(0.84307033, 4).__round__(6), exponential_growth(0.9, 4) > 1 > exponential_growth(0.5, 4)
    (1.0, True)
    """
    m, a = integer("workers", workers, 1), real("step", step, 0)
    return _exponential(m, _scales(m, rule), rest).growth(a, max(1.0 - 1.0 / m, _SMALLEST))


def exponential_variance(
    step: float, workers: int, rule: RuleLike | ArrayLike = "constant", noise: float = 1.0, rest: float = REST
) -> float:
    """Var[x] of m exponential workers in the long run, if each update adds independent noise.

    For a constant step it is noise (1 + m a) / (a (2 + a - m a^2)). If the scale s of an update also multiplies its
    noise, give the mean variance, noise E[s^2].

    Args:
        step: a = eta_0 lambda, the step size times the curvature; the scales multiply it; > 0.
        workers: m, the number of workers; >= 1.
        rule: a rule, its text, a function, or an array of scales.
        noise: the variance of what an update adds, eta_0^2 times the variance of a gradient, in x^2; >= 0.
        rest: the probability of the stalest updates, which are left out, in (0, 1).

    Raises:
        UsageError: if the step is not below `exponential_limit`, because the variance then grows without bound.

    >>> exponential_variance(0.2, 4).__round__(6)
    4.411765
    """
    m, a = integer("workers", workers, 1), positive("step", step)
    _below(a, exponential_limit(m, rule, rest))
    scales = _scales(m, rule)
    if not scales.any():
        raise UsageError("all scales are 0, so noise is never reduced: give a rule that makes steps")
    return real("noise", noise, 0) / _exponential(m, scales, rest).balance(a)


def _scales(m: int, rule: RuleLike | ArrayLike) -> Array:
    return table(rule, geometric(m=m), m)


def _exponential(m: int, scales: Array, rest: float) -> _Process:
    ages = min(len(geometric(m=m, rest=rest)), len(scales))
    if ages > LONGEST:
        raise UsageError(f"{m} workers need {ages:,} ages, of at most {LONGEST:,}: take fewer workers, or a larger "
                         f"rest than {rest:g}")  # fmt: skip
    p, q, s = 1.0 / m, 1.0 - 1.0 / m, scales[:ages]
    squares = s**2 * p * q ** np.arange(ages)
    return _Process(p, q, max(1.0 - 2.0 * p, 0.0), p / q if q else 0.0, False, s, squares, float(s.max()), m - 1.0)


# --- an independent staleness for each update ----------------------------------------------------------------------


def independent_limit(
    staleness: StalenessDistribution, rule: RuleLike | ArrayLike = "constant", workers: int = 1, rest: float = REST
) -> float:
    """The largest a = eta_0 lambda for which E[x^2] does not grow, if the staleness of each update is independent.

    The staleness of real workers is not independent. For 2 to 16 exponential workers, this limit is 7 to 16 % below
    `exponential_limit`. But from four workers on, the ratio of the limits of two rules is right within 2 %. For a
    constant staleness, the limit equals `constant_limit`.

    Args:
        staleness: the distribution of each update's staleness; not empty.
        rule: a rule, its text, a function, or an array of scales.
        workers: the number of workers that the rule is given; >= 1.
        rest: the probability of the stalest updates, which are taken for a little less stale, in [0, 1]. It must be
            so large that at most 4,096 entries of the distribution are left.

    Raises:
        UsageError: if more entries are left.

    >>> independent_limit(geometric(m=4)).__round__(4), independent_limit(geometric(m=4), "tail", 4).__round__(4)
    (0.7432, 0.8293)
    """
    return _independent(staleness, rule, workers, rest).limit()


def independent_growth(
    step: float,
    staleness: StalenessDistribution,
    rule: RuleLike | ArrayLike = "constant",
    workers: int = 1,
    rest: float = REST,
) -> float:
    """The factor by which E[x^2] grows per update in the end, if the staleness of each update is independent.

    It is the spectral radius of the sum over k of p_k A_k ⊗ A_k, where A_k is the companion matrix of
    x[t+1] = x[t] - a s_k x[t-k], and ⊗ the Kronecker product. The least factor returned is the larger of 0.001 and
    1e-150^(1/K), where K is the number of entries of the distribution. It stands for all smaller factors too.

    Args:
        step: a = eta_0 lambda, the step size times the curvature; the scales multiply it; >= 0.
        staleness: the distribution of each update's staleness; not empty.
        rule: a rule, its text, a function, or an array of scales.
        workers: the number of workers that the rule is given; >= 1.
        rest: as for `independent_limit`.

    >>> from asapnb.staleness import constant
    >>> independent_growth(0.25, constant(1)).__round__(4)  # (1/2)^2, see constant_best
    0.25
    """
    process = _independent(staleness, rule, workers, rest)
    least = max(_SMALLEST, 1e-150 ** (1 / len(process.weights)))  # no power of it overflows
    return process.growth(real("step", step, 0), least)


def independent_variance(
    step: float,
    staleness: StalenessDistribution,
    rule: RuleLike | ArrayLike = "constant",
    workers: int = 1,
    noise: float = 1.0,
    rest: float = REST,
) -> float:
    """Var[x] in the long run, if each update has an independent staleness and adds independent noise.

    For a constant staleness it equals `constant_variance`.

    Args:
        step: a = eta_0 lambda, the step size times the curvature; the scales multiply it; > 0.
        staleness: the distribution of each update's staleness; not empty.
        rule: a rule, its text, a function, or an array of scales.
        workers: the number of workers that the rule is given; >= 1.
        noise: the variance of what an update adds, eta_0^2 times the variance of a gradient, in x^2; >= 0.
        rest: as for `independent_limit`.

    Raises:
        UsageError: if the step is not below `independent_limit`, because the variance then grows without bound.

    >>> from asapnb.staleness import constant
    >>> independent_variance(0.5, constant(1)).__round__(9)
    2.4
    """
    a, process = positive("step", step), _independent(staleness, rule, workers, rest)
    _below(a, process.limit())
    return real("noise", noise, 0) / process.balance(a)


def _independent(staleness: StalenessDistribution, rule: RuleLike | ArrayLike, workers: int, rest: float) -> _Process:
    law = seen(staleness)
    s = table(rule, law, integer("workers", workers, 1))
    ages = 1 + int((law.survival("inclusive") <= real("rest", rest, 0, 1)).argmax())
    if ages > LONGEST:
        raise UsageError(f"the staleness goes up to {ages - 1:,}, of at most {LONGEST - 1:,}: take a larger rest "
                         f"than {rest:g}")  # fmt: skip
    p, s = law.padded(ages).pmf, s[:ages]
    return _Process(1.0, 1.0, 1.0, 1.0, True, p * s, p * s**2, float(s[p > 0].max()), law.mean())


def _below(a: float, limit: float) -> None:
    if a >= limit:
        raise UsageError(f"step is {a}: must be below {limit:.6g}, or the variance grows without bound")
