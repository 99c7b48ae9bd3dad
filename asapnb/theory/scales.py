"""What a rule's scales do under a law of staleness: the mean step, the effective delay, the implicit momentum."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import UsageError
from ..numbers import choice, integer, real
from ..rules import RuleLike
from ..staleness import CDF_KINDS, Kind, StalenessDistribution
from .arguments import seen, table

_NEGLIGIBLE = 1e-9  # share of the contributions that a momentum need not explain
_GEOMETRIC = 1e-6  # relative difference up to which contributions count as a geometric series


def mean_inverse(workers: int) -> float:
    """The mean scale of the rule `inverse` for m exponential workers: E[1/(tau + 1)] = ln m / (m - 1).

    Args:
        workers: m, the number of workers; >= 1.

    >>> mean_inverse(64).__round__(3)
    0.066
    """
    m = integer("workers", workers, 1)
    return math.log(m) / (m - 1) if m > 1 else 1.0


def mean_exponential(beta: float, workers: int) -> float:
    """The mean scale of the rule `exponential` for m exponential workers: p / (1 - (1 - p) exp(-beta)), p = 1/m.

    Args:
        beta: the parameter of the rule, exp(-beta tau); >= 0.
        workers: m, the number of workers; >= 1.

    >>> mean_exponential(0.5, 1), mean_exponential(0.1, 16).__round__(3)
    (1.0, 0.412)
    """
    m = integer("workers", workers, 1)
    return 1.0 / (1.0 - (m - 1) * math.expm1(-real("beta", beta, 0)))


def fleet_beta(threshold: float) -> float:
    """The beta of the rule `fleet`, exp(-beta tau): (2/T) ln(1 + T/2).

    With it, the scale at tau = T/2 is 1/(T/2 + 1), as with the rule `inverse`.

    Args:
        threshold: T, in updates; >= 0.

    Source: Damaskinos et al.: FLeet, Middleware 2020.

    >>> fleet_beta(2).__round__(4)
    0.6931
    """
    half = real("threshold", threshold, 0) / 2
    return math.log1p(half) / half if half else 1.0


def mean_fleet(workers: int) -> float:
    """The mean scale of the rule `fleet` with T = m + 1, for m exponential workers.

    Args:
        workers: m, the number of workers; >= 1.

    >>> [mean_fleet(m).__round__(3) for m in (8, 64, 256)]
    [0.312, 0.134, 0.095]
    """
    return mean_exponential(fleet_beta(integer("workers", workers, 1) + 1), workers)


def tail_mean(staleness: StalenessDistribution, amplitude: float = 1.0, cdf: Kind = "midpoint") -> float:
    """The mean scale of TAIL-tau: 1 with the midpoint, 1 + A s2 ("exclusive") or 1 - A s2 ("inclusive").

    Here s2 = sum p_k^2 is the sum of the squared probabilities.

    Args:
        staleness: the distribution of the staleness; not empty.
        amplitude: A, in [0, 1].
        cdf: which F the rule takes: "midpoint", "exclusive" or "inclusive"; see `StalenessDistribution.cdf`.

    >>> from asapnb.staleness import geometric
    >>> tail_mean(geometric(m=4), cdf="exclusive").__round__(4)  # 1 + 1/(2m - 1)
    1.1429
    """
    sign = {"midpoint": 0.0, "exclusive": 1.0, "inclusive": -1.0}[choice("kind of cdf", cdf, CDF_KINDS)]
    return 1.0 + sign * real("amplitude", amplitude, 0, 1) * seen(staleness).s2()


def tail_variance(staleness: StalenessDistribution, amplitude: float = 1.0) -> float:
    """The variance of the scale of TAIL-tau with the midpoint: A^2 (1 - sum p_k^3) / 3, which is at most A^2 / 3.

    Args:
        staleness: the distribution of the staleness; not empty.
        amplitude: A, in [0, 1].

    >>> from asapnb.staleness import uniform
    >>> tail_variance(uniform(0, 9)).__round__(6)
    0.33
    """
    return real("amplitude", amplitude, 0, 1) ** 2 * (1.0 - float((seen(staleness).pmf ** 3).sum())) / 3.0


def tail_effective_delay(staleness: StalenessDistribution, amplitude: float = 1.0) -> float:
    """The effective delay of TAIL-tau with the midpoint: E[tau] - A E|tau - tau'| / 2, in updates.

    tau and tau' are the staleness of two independent updates.

    Args:
        staleness: the distribution of the staleness; not empty.
        amplitude: A, in [0, 1].

    >>> from asapnb.staleness import uniform
    >>> tail_effective_delay(uniform(0, 9)).__round__(6)
    2.85
    """
    law = seen(staleness)
    return law.mean() - real("amplitude", amplitude, 0, 1) * law.gini_mean_difference() / 2.0


def effective_delay(rule: RuleLike | ArrayLike, staleness: StalenessDistribution, workers: int = 1) -> float:
    """The mean staleness of what is applied, E[scale tau] / E[scale] = E[tau] + Cov(scale, tau) / E[scale].

    It is in updates. If the scale of a rule never rises with tau, it is at most E[tau]. It is NaN if every scale is
    0.

    Args:
        rule: a rule, its text, a function, or an array of scales.
        staleness: the distribution of the staleness; not empty.
        workers: the number of workers that the rule is given; >= 1.

    >>> from asapnb.staleness import uniform
    >>> effective_delay("tail", uniform(0, 9)).__round__(6)
    2.85
    """
    law = seen(staleness)
    weights = law.pmf * table(rule, law, integer("workers", workers, 1))
    total = float(weights.sum())
    return float(weights @ np.arange(len(weights))) / total if total else math.nan


@dataclass(frozen=True)
class HeavyBall:
    """Gradient descent with momentum: x[t+1] = x[t] + D[t+1], D[t+1] = momentum D[t] - step eta_0 grad f(x[t]).

    Attributes:
        step: what the step size eta_0 is multiplied by; without a unit.
        momentum: in [0, 1).

    >>> HeavyBall(step=0.25, momentum=0.75)
    HeavyBall(step=0.25, momentum=0.75)
    """

    step: float
    momentum: float


def implicit_momentum(rule: RuleLike | ArrayLike, staleness: StalenessDistribution, workers: int = 1) -> HeavyBall:
    """The momentum that asynchronous SGD has on average, on a quadratic.

    If the contributions are a geometric series, p_k scale_k = step momentum^k, then the mean of the parameters moves
    as a `HeavyBall` with this step and momentum. For m exponential workers with a constant step, the momentum is
    1 - 1/m and the step 1/m (Mitliagkas et al. 2016). The rule mindthestep("geometric", momentum) has the momentum
    that it is given (Bäckström et al. 2019).

    Args:
        rule: a rule, its text, a function, or an array of scales.
        staleness: the distribution of the staleness; not empty.
        workers: the number of workers that the rule is given; >= 1.

    Raises:
        UsageError: if the contributions are not a geometric series within 1e-6; for example, if they end.

    >>> from asapnb.staleness import geometric
    >>> ball = implicit_momentum("constant", geometric(m=4), workers=4)
    >>> ball.step.__round__(9), ball.momentum.__round__(9)
    (0.25, 0.75)
    >>> implicit_momentum("tail", geometric(m=4), workers=4).momentum.__round__(9)  # (1 - 1/m)^2
    0.5625
    """
    law = seen(staleness)
    given = law.pmf * table(rule, law, integer("workers", workers, 1))
    first, momentum = float(given[0]), float(given[1] / given[0]) if len(given) > 1 and given[0] else 0.0
    series = first * momentum ** np.arange(len(given))
    left = first * momentum ** len(given) / (1.0 - momentum) if momentum < 1 else math.inf
    off = np.abs(given - series)
    if not first or left > _NEGLIGIBLE * given.sum() or (off > _GEOMETRIC * series + _NEGLIGIBLE * first).any():
        raise UsageError(f"the contributions p_k scale_k of {rule!r:.60} under {law!r} are not a geometric series, "
                         "so there is no momentum; those of constant() and mindthestep('geometric') under geometric "
                         "staleness are")  # fmt: skip
    return HeavyBall(first, momentum)
