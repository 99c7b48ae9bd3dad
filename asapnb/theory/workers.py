"""Staleness of workers whose compute times are known, where reads and updates take no time."""

import numpy as np
from numpy.typing import ArrayLike

from .. import staleness
from ..errors import UsageError
from ..numbers import integer, real, reals
from ..staleness import StalenessDistribution
from ..staleness.models import LONGEST
from .arguments import Array, positive


def exponential_workers(rates: ArrayLike, update: int | None = None) -> StalenessDistribution:
    """The staleness of workers with independent exponential compute times.

    With p_i the share of worker i in the rates, P(tau = k) = sum_i p_i^2 (1 - p_i)^k in the long run, which is
    geometric for equal workers.

    Args:
        rates: how many equal workers there are, or the rate of each, shape (m,), in any unit; > 0.
        update: the number t = 0, 1, … of an update, for the distribution of that update alone. What would be
            staler than t has staleness t. None for the long run.

    >>> exponential_workers(4).mean().__round__(9), exponential_workers(4, update=2).pmf
    (3.0, array([0.25  , 0.1875, 0.5625]))
    """
    shares = np.ones(integer("rates", rates, 1)) if np.ndim(rates) == 0 else reals("rates", rates, 0, above=True)
    if update is None:
        return staleness.exponential_workers(shares)
    shares, k = shares / shares.sum(), np.arange(integer("update", update) + 1)
    pmf = (shares**2) @ (1.0 - shares[:, None]) ** k
    pmf[-1] = shares @ (1.0 - shares) ** k[-1]
    return StalenessDistribution.from_pmf(pmf)


def update_shares(mean_times: ArrayLike) -> Array:
    """The share of all updates that each worker makes, proportional to 1 / its mean compute time (in any unit).

    >>> update_shares([1.0, 1.0, 2.0])
    array([0.4, 0.4, 0.2])
    """
    speeds = 1.0 / reals("mean_times", mean_times, 0, above=True)
    return speeds / speeds.sum()


def staleness_by_worker(mean_times: ArrayLike) -> Array:
    """E[tau] of the updates of each worker i in the long run, in updates: the sum over the others j of T_i / T_j.

    The times may be fixed, or random and independent. Weighted by `update_shares`, the mean is m - 1.

    >>> staleness_by_worker([1.0, 1.0, 2.0])
    array([1.5, 1.5, 4. ])
    """
    times = reals("mean_times", mean_times, 0, above=True)
    return times * (1.0 / times).sum() - 1.0


def staleness_given_time(time: ArrayLike, mean_time: float, workers: int) -> Array:
    """E[tau] of a gradient that took `time`, in updates: (m - 1) time / mean_time.

    The m workers share one distribution of compute times, which must not be on a lattice. So for many workers
    tau / (m - 1) has the shape of the distribution of the compute times.

    Args:
        time: how long the gradient took, a number or shape (n,), in any unit; >= 0.
        mean_time: the mean compute time of all, in the same unit; > 0.
        workers: m, how many there are; >= 1.

    >>> staleness_given_time([0.5, 2.0], mean_time=1.0, workers=9)
    array([ 4., 16.])
    """
    times, others = reals("time", np.atleast_1d(time), 0), integer("workers", workers, 1) - 1
    return times * others / positive("mean_time", mean_time)


def round_time(workers: int, mean: float = 1.0, shift: float = 0.0, wait_for: int | None = None) -> float:
    """E[time] of a synchronous round of m workers whose compute times are shift + exponential(mean).

    shift + mean (H_m - H_(m-K)), with H_n the harmonic number and K = `wait_for`. Asynchronous workers make m updates
    in the time shift + mean. Dutta et al. 2018.

    Args:
        workers: m, how many there are; >= 1.
        mean: the mean of the exponential part of a compute time, in any unit, which the result then has; >= 0.
        shift: the fixed part of a compute time, in the same unit; >= 0.
        wait_for: K, in [1, m]: the round ends with the first K gradients (K-sync). None for all of them.

    >>> round_time(4), round_time(4, wait_for=1)
    (2.083333333333333, 0.25)
    """
    m = integer("workers", workers, 1)
    first = m if wait_for is None else integer("wait_for", wait_for, 1)
    if first > m:
        raise UsageError(f"wait_for is {first}: must be at most the number of workers, {m}")
    return real("shift", shift, 0) + real("mean", mean, 0) * float((1.0 / np.arange(m, m - first, -1)).sum())


def interval_staleness(workers: int, interval: int) -> StalenessDistribution:
    """The staleness of m equal workers with exponential compute times, in intervals of K gradients.

    With n = min(m, K) and q = 1 - 1/n, a gradient that begins when G more are still to begin in its interval has
    staleness k with probability q^min(k, G) / n, for k < G + n. Of the K gradients n begin with G = K - n, and one
    with each G below that. The mean is (n - 1)(1 - n / 2K), whatever the compute times: the staleness of each whole
    interval adds up to (n - 1)(K - n/2). For K <= m the law is uniform on 0 … K - 1, whatever the compute times.

    Args:
        workers: m, how many there are; >= 1.
        interval: K, the gradients of an interval (Garby, Tsigas 2025); >= 1.

    >>> interval_staleness(4, 3).pmf.round(3), interval_staleness(4, 16).mean()
    (array([0.333, 0.333, 0.333]), 2.625)
    """
    size = integer("interval", interval, 1, LONGEST)
    n = min(integer("workers", workers, 1), size)
    k, left = np.arange(size), size - n
    powers = (1.0 - 1.0 / n) ** np.arange(left + 1)
    sums = np.concatenate(([0.0], np.cumsum(powers[:left])))  # sums[i]: of the first i powers
    below = sums[np.minimum(k + 1, left)] - sums[np.minimum(np.maximum(k - n + 1, 0), left)]
    above = np.maximum(left - 1 - k, 0) * powers[np.minimum(k, left)]
    return StalenessDistribution.from_pmf((n * powers[np.minimum(k, left)] + below + above) / (n * size))


def interval_time(workers: int, interval: int, mean: float = 1.0) -> float:
    """E[time] of an interval of K gradients of m equal workers with exponential compute times.

    mean ((K - n) / n + H_n), with n = min(m, K) and H_n the harmonic number. Without boundaries they take mean K / m.

    Args:
        workers: m, how many there are; >= 1.
        interval: K, the gradients of an interval; >= 1.
        mean: of the compute times, in any unit, which the result then has; >= 0.

    >>> interval_time(4, 16), interval_time(4, 1, mean=2.0)
    (5.083333333333333, 2.0)
    """
    size = integer("interval", interval, 1)
    n = min(integer("workers", workers, 1), size)
    return (size - n) / n * real("mean", mean, 0) + round_time(n, mean)


def buffered_staleness(delays: StalenessDistribution, buffer: int) -> StalenessDistribution:
    """The staleness of gradients of which K make a version, from their delays, which count gradients.

    A delay of k is the staleness floor((U + k) / K), where U is how full the buffer was at the read, uniform on
    0 … K - 1: so floor(k / K), or one more with probability (k mod K) / K. The mean is E[k] / K. This is exact if U
    does not depend on k, as where workers are many or their times irregular.

    Args:
        delays: how many gradients others add between a read and the arrival: the staleness without a buffer.
        buffer: K, the gradients of a version (Nguyen et al. 2022); >= 1.

    >>> from asapnb.staleness import constant
    >>> buffered_staleness(constant(7), 4).pmf
    array([0.  , 0.25, 0.75])
    """
    size = integer("buffer", buffer, 1, LONGEST)
    whole, rest = np.divmod(np.arange(len(delays.pmf)), size)
    more = rest / size
    found = np.bincount(whole, delays.pmf * (1.0 - more), minlength=int(whole[-1]) + 2)
    found[1:] += np.bincount(whole, delays.pmf * more, minlength=int(whole[-1]) + 1)
    return StalenessDistribution.from_pmf(np.trim_zeros(found, "b"))


def fresh_buffer(delays: StalenessDistribution, share: float) -> int:
    """The buffer K for `discard_after=1` with which a fixed share of all gradients is kept: the quantile rule.

    K is the q-quantile of the delays, and 1 at least. A version makes useless those gradients that are in flight. Of
    those with a delay of d or less at most d are, as all arrive among the next d. So if N gradients have such delays,
    the versions V made of K each fulfil V (K + d) >= N - K + 1. With d = K, at least q/2 of all gradients are kept in
    the long run, however late the others are.

    Args:
        delays: how many gradients arrive between a read and the arrival: the staleness without a buffer.
        share: q, above 0 and up to 1.

    Source of the idea: Attia, Gaash, Koren, "Faster stochastic optimization with arbitrary delays via asynchronous
    mini-batching", ICML 2025, arXiv 2408.07503. The bound above is proved here.

    >>> from asapnb.theory import exponential_workers
    >>> fresh_buffer(exponential_workers([1.0] * 8), 0.5)
    5
    """
    return max(1, int(delays.quantile(real("share", share, 0, 1, above=True))))
