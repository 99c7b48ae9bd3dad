"""Staleness by formula: the models of the literature, and mixtures of them.

Each returns a `StalenessDistribution` whose pmf sums to 1. The tail of an infinite model is cut off where a
probability of less than `rest` remains. `truncated` is the probability that was cut off, and the other probabilities
are divided by 1 - truncated. So what holds for all distributions, such as E[F(tau)] = 1/2 with the midpoint F, holds
for these too, up to rounding.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import integer, real, reals
from ..text import parse_call
from .distribution import StalenessDistribution, staleness_array

REST = 1e-15
LONGEST = 2**24  # entries of a pmf, 128 MB


def geometric(p: float | None = None, m: float | None = None, rest: float = REST) -> StalenessDistribution:
    """P(tau = k) = p (1 - p)^k: the staleness of m = 1/p equal workers with exponential compute times.

    Their reads and updates take no time. The mean is m - 1, the variance m (m - 1), and the sum of the squared
    probabilities 1/(2m - 1).

    Args:
        p: the probability of staleness 0, in (0, 1]. Give either p or m.
        m: 1/p, the number of workers; >= 1.
        rest: the probability that may be cut off at the end of the tail, in (0, 1).

    >>> geometric(m=4)
    StalenessDistribution(mean=3, support=121, length=122, truncated=5.72e-16)
    """
    if (p is None) == (m is None):
        raise UsageError("geometric takes either p, in (0, 1], or m = 1/p: geometric(p=0.0625) or geometric(m=16)")
    if m is not None:
        p = 1.0 / real("m", m, 1)
    else:
        p = real("p", p, 0, 1, above=True, note="; by the number of workers, m = 1/p, write geometric(m=16)")
    if p == 1.0:
        return constant(0)
    log_q = math.log1p(-p)
    length = _checked(math.log(real("rest", rest, 0, 1, above=True, below=True)) / log_q + 1, f"geometric(p={p:.6g})")
    return _cut_off(np.exp(log_q * np.arange(length)), math.exp(log_q * length))


def poisson(mean: float, rest: float = REST) -> StalenessDistribution:
    """P(tau = k) = mean^k exp(-mean) / k!, for a mean >= 0.

    Args:
        mean: the mean staleness, in updates; >= 0.
        rest: the probability that may be cut off at the end of the tail, in (0, 1).

    >>> poisson(15)
    StalenessDistribution(mean=15, support=55, length=56, truncated=4.23e-16)
    """
    return cmp(real("mean", mean, 0), 1.0, rest)


def cmp(rate: float, dispersion: float, rest: float = REST) -> StalenessDistribution:
    """Conway-Maxwell-Poisson: P(tau = k) proportional to rate^k / (k!)^dispersion; both >= 0.

    Dispersion 1 is Poisson. Dispersion 0 is geometric with p = 1 - rate, for a rate below 1. Above 1, the variance is
    less than the mean. The most likely staleness is about rate^(1/dispersion).

    Args:
        rate: how fast the probabilities rise at first; >= 0.
        dispersion: how fast they fall later; >= 0.
        rest: the probability that may be cut off at the end of the tail, in (0, 1).

    Source for staleness: Bäckström, Papatriantafilou, Tsigas: MindTheStep-AsyncPSGD, 2019, arXiv 1911.03444.

    >>> cmp(225, 2).variance() < poisson(15).variance()
    True
    """
    rate, dispersion = real("rate", rate, 0), real("dispersion", dispersion, 0)
    rest = real("rest", rest, 0, 1, above=True, below=True)
    name = f"cmp(rate={rate:.6g}, dispersion={dispersion:.6g})"
    if rate == 0.0:
        return constant(0)
    if dispersion == 0.0:
        if rate >= 1.0:
            raise UsageError(f"rate is {rate}: must be < 1 when dispersion is 0 (then the model is geometric)")
        return geometric(p=1.0 - rate, rest=rest)
    peak = math.exp(min(700.0, math.log(rate) / dispersion))
    _checked(peak, name)
    mode = math.floor(peak)
    # From the mode outwards: products of ratios below 1 neither overflow nor lose accuracy.
    falling = np.cumprod(np.arange(mode, 0, -1.0) ** dispersion / rate)[::-1]
    size, beyond = 64, math.inf
    while beyond > 1e-3 * rest:
        size = _checked(mode + 2 * size, name) - mode
        with np.errstate(over="ignore"):
            ratios = rate / np.arange(mode + 1.0, mode + size + 1.0) ** dispersion
        rising = np.cumprod(ratios)
        last = float(ratios[-1])
        beyond = float(rising[-1]) * last / (1.0 - last) if last < 1.0 else math.inf  # ratios fall: a geometric bound
    weights = np.concatenate((falling, [1.0], rising))
    after = np.append(np.cumsum(weights[:0:-1])[::-1], 0.0) + beyond  # the mass past each k
    total = math.fsum(weights)
    length = int((after <= rest * total).argmax()) + 1
    return _cut_off(weights[:length], float(after[length - 1]) / total)


def constant(tau: int) -> StalenessDistribution:
    """Always the same staleness. m equal workers that take turns have staleness m - 1.

    Args:
        tau: the staleness, in updates; >= 0.

    >>> constant(3).pmf
    array([0., 0., 0., 1.])
    """
    tau = integer("tau", tau)
    return uniform(tau, tau)


def uniform(low: int, high: int) -> StalenessDistribution:
    """The integers low … high, both included, with equal probabilities.

    Args:
        low: the smallest staleness; >= 0.
        high: the largest staleness; >= low.

    >>> uniform(1, 2).pmf
    array([0. , 0.5, 0.5])
    """
    first, last = integer("low", low), integer("high", high)
    if first > last:
        raise UsageError(f"uniform from {first} to {last}: low must not be above high")
    weights = np.zeros(_checked(last + 1, f"uniform({first}, {last})"))
    weights[first:] = 1.0
    return StalenessDistribution.from_counts(weights)


def empirical(values: ArrayLike) -> StalenessDistribution:
    """The distribution of observed staleness.

    Args:
        values: the staleness of each update, integers >= 0, in any order; one axis.

    >>> empirical([1, 1, 3]).mean()
    1.6666666666666665
    """
    tau = staleness_array(values)
    _checked(int(tau.max(initial=0)) + 1, "empirical(values)")
    return StalenessDistribution.from_counts(np.bincount(tau))


def exponential_workers(rates: ArrayLike, rest: float = REST) -> StalenessDistribution:
    """The staleness of workers with exponential compute times of these rates. Reads and updates take no time.

    With p_i = rates[i] / sum(rates), P(tau = k) = sum_i p_i^2 (1 - p_i)^k: worker i makes the share p_i of the
    updates, and its staleness is geometric(p_i). The mean is len(rates) - 1, whatever the rates.

    Args:
        rates: the rate of each worker, in any unit; > 0, one axis.
        rest: the probability that may be cut off at the end of the tail, in (0, 1).

    >>> exponential_workers([1, 1, 10]).mean().__round__(9)
    2.0
    """
    shares = reals("rates", rates, 0)
    if not shares.all():
        raise UsageError(f"rates are {shares}: give one for each worker, > 0")
    p, workers = np.unique(shares / math.fsum(shares), return_counts=True)
    slowest = geometric(p=min(1.0, p[0]), rest=rest)
    if len(shares) == 1:
        return slowest
    length, log_q = len(slowest), np.log1p(-p)
    pmf = sum(n * x**2 * np.exp(log * np.arange(length)) for n, x, log in zip(workers, p, log_q, strict=True))
    return _cut_off(pmf, float(workers * p @ np.exp(log_q * length)))


def mixture(distributions: Sequence[StalenessDistribution], weights: ArrayLike) -> StalenessDistribution:
    """A mixture: the share weights[i] / sum(weights) of the updates follows distributions[i].

    Written as text, a mixture is `mixture(geometric(m=4), poisson(20), weights=[3, 1])`.

    Args:
        distributions: the distributions; none is empty.
        weights: a number >= 0 for each distribution, not all 0.

    >>> mixture([constant(0), constant(2)], [3, 1]).pmf
    array([0.75, 0.  , 0.25])
    """
    shares = reals("weights", weights, 0)
    if len(shares) != len(distributions) or not shares.any():
        raise UsageError(f"weights are {shares}: give one >= 0 for each of the {len(distributions)} distributions, "
                         "not all 0")  # fmt: skip
    for i, part in enumerate(distributions):
        if not isinstance(part, StalenessDistribution) or part.is_empty:
            raise UsageError(f"distributions[{i}] is {part}: must be a staleness distribution that is not empty")
    shares = shares / math.fsum(shares)
    pmf = np.zeros(max(len(part) for part in distributions))
    for part, share in zip(distributions, shares, strict=True):
        pmf[: len(part)] += share * part.pmf
    return _cut_off(pmf, math.fsum(share * part.truncated for part, share in zip(distributions, shares, strict=True)))


def _mixture(*distributions: StalenessDistribution, weights: ArrayLike) -> StalenessDistribution:
    return mixture(distributions, weights)


# Every model of staleness by its name in a text, such as "geometric".
MODELS: dict[str, Callable[..., StalenessDistribution]] = {
    model.__name__: model for model in (geometric, poisson, cmp, constant, uniform, empirical, exponential_workers)
}


def parse_staleness(text: str) -> StalenessDistribution:
    """Read a distribution from a text that calls one of the models.

    Args:
        text: such as "geometric(m=16)".

    Raises:
        UsageError: if the text cannot be read.

    >>> parse_staleness("geometric(m=16)").mean().__round__(9), parse_staleness("uniform(0, 8)").mean()
    (15.0, 4.0)
    >>> parse_staleness("mixture(constant(0), poisson(20), weights=[3, 1])").mean().__round__(9)
    5.0
    """
    return parse_call(text, {**MODELS, "mixture": _mixture}, "staleness", MODELS)


def _cut_off(weights: NDArray[np.float64], truncated: float) -> StalenessDistribution:
    return replace(StalenessDistribution.from_counts(weights), truncated=truncated)


def _checked(length: float, name: str) -> int:
    """The length of a pmf as an integer. UsageError if it is above LONGEST."""
    if length > LONGEST:
        raise UsageError(f"{name} needs {length:.3g} entries, of at most {LONGEST:,}: choose smaller values, or "
                         "a larger rest")  # fmt: skip
    return math.ceil(length)
