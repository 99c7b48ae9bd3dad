"""The staleness of workers whose compute times are known. Reads and updates take no time here."""

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

    Let p_i = rate_i / sum of all rates. In the long run, P(tau = k) = sum_i p_i^2 (1 - p_i)^k. For equal workers this
    is geometric.

    Args:
        rates: the number of equal workers; or the rate of each worker, shape (m,), in any unit; > 0.
        update: the number t = 0, 1, … of an update, to get the distribution of that update alone. No update can be
            staler than t. None for the long run.

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
    """The share of all updates that each worker makes: it is in proportion to 1 / (mean compute time).

    Args:
        mean_times: the mean compute time of each worker, shape (m,), in any unit; > 0.

    >>> update_shares([1.0, 1.0, 2.0])
    array([0.4, 0.4, 0.2])
    """
    speeds = 1.0 / reals("mean_times", mean_times, 0, above=True)
    return speeds / speeds.sum()


def staleness_by_worker(mean_times: ArrayLike) -> Array:
    """The mean staleness of each worker's updates in the long run, in updates: for worker i, the sum of T_i / T_j.

    The sum is over all other workers j. The compute times may be fixed, or random and independent. The mean over all
    updates, weighted by `update_shares`, is m - 1.

    Args:
        mean_times: T_i, the mean compute time of each worker, shape (m,), in any unit; > 0.

    >>> staleness_by_worker([1.0, 1.0, 2.0])
    array([1.5, 1.5, 4. ])
    """
    times = reals("mean_times", mean_times, 0, above=True)
    return times * (1.0 / times).sum() - 1.0


def staleness_given_time(time: ArrayLike, mean_time: float, workers: int) -> Array:
    """The mean staleness of a gradient that took `time`: (m - 1) time / mean_time, in updates.

    All m workers have the same distribution of compute times. It must not be on a lattice, as constant times are. It
    follows that for many workers tau / (m - 1) has the shape of the distribution of the compute times.

    Args:
        time: how long the gradient took, a number or shape (n,), in any unit; >= 0.
        mean_time: the mean compute time of all, in the same unit; > 0.
        workers: m, the number of workers; >= 1.

    >>> staleness_given_time([0.5, 2.0], mean_time=1.0, workers=9)
    array([ 4., 16.])
    """
    times, others = reals("time", np.atleast_1d(time), 0), integer("workers", workers, 1) - 1
    return times * others / positive("mean_time", mean_time)


def round_time(workers: int, mean: float = 1.0, shift: float = 0.0, wait_for: int | None = None) -> float:
    """The mean time of a synchronous round of m workers whose compute times are shift + exponential(mean).

    It is shift + mean (H_m - H_(m-K)), where H_n is the harmonic number and K = `wait_for`. For comparison,
    asynchronous workers make m updates in the time shift + mean.

    Args:
        workers: m, the number of workers; >= 1.
        mean: the mean of the exponential part of a compute time, in any unit, which the result then has; >= 0.
        shift: the fixed part of a compute time, in the same unit; >= 0.
        wait_for: K, in [1, m]: the round ends with the first K gradients (K-sync). None for all of them.

    Source: Dutta et al. 2018.

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

    Let n = min(m, K) and q = 1 - 1/n. If G more gradients of the interval are still to begin when a gradient begins,
    its staleness is k with probability q^min(k, G) / n, for k < G + n. Of the K gradients, n begin with G = K - n,
    and one with each smaller G.

    For any compute times, the mean is (n - 1)(1 - n / 2K), because the staleness of each whole interval adds up to
    (n - 1)(K - n/2). For any compute times and K <= m, the law is uniform on 0 … K - 1.

    Args:
        workers: m, the number of workers; >= 1.
        interval: K, the number of gradients of an interval; >= 1.

    Source of the intervals: Garby, Tsigas 2025.

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
    """The mean time of an interval of K gradients, of m equal workers with exponential compute times.

    It is mean ((K - n) / n + H_n), where n = min(m, K) and H_n is the harmonic number. Without intervals, K gradients
    take the time mean K / m.

    Args:
        workers: m, the number of workers; >= 1.
        interval: K, the number of gradients of an interval; >= 1.
        mean: the mean compute time, in any unit; the result is in the same unit; >= 0.

    >>> interval_time(4, 16), interval_time(4, 1, mean=2.0)
    (5.083333333333333, 2.0)
    """
    size = integer("interval", interval, 1)
    n = min(integer("workers", workers, 1), size)
    return (size - n) / n * real("mean", mean, 0) + round_time(n, mean)


def buffered_staleness(delays: StalenessDistribution, buffer: int) -> StalenessDistribution:
    """The staleness under a buffer, where K gradients make a version.

    A gradient that is delayed by k other gradients has the staleness floor((U + k) / K). U is how full the buffer was
    when it was read, uniform on 0 … K - 1. So the staleness is floor(k / K), or one more with probability
    (k mod K) / K. The mean is E[k] / K. This is exact if U does not depend on k, which holds if workers are many or
    their times irregular.

    Args:
        delays: the distribution of k, the number of gradients that others add between the read and the arrival of a
            gradient. This is the staleness without a buffer.
        buffer: K, the number of gradients of a version; >= 1.

    Source of the buffer: Nguyen et al. 2022 (FedBuff).

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
    """The size K of a buffer with `discard_after=1` that keeps at least half of the share q of all gradients.

    K is the q-quantile of the delays, and at least 1. Each new version makes the gradients in flight useless. Of the
    gradients whose delay is at most d, at most d are in flight, because they arrive among the next d. So if N
    gradients have such a delay, the number V of versions, made of K gradients each, fulfils V (K + d) >= N - K + 1.
    With d = K, at least q/2 of all gradients are kept in the long run, however late the others are.

    Args:
        delays: the distribution of the number of gradients that arrive between the read and the arrival of a
            gradient. This is the staleness without a buffer.
        share: q, above 0 and up to 1.

    Source of the idea: Attia, Gaash, Koren, "Faster stochastic optimization with arbitrary delays via asynchronous
    mini-batching", ICML 2025, arXiv 2408.07503. The bound above is proved here.

    >>> from asapnb.theory import exponential_workers
    >>> fresh_buffer(exponential_workers([1.0] * 8), 0.5)
    5
    """
    return max(1, int(delays.quantile(real("share", share, 0, 1, above=True))))
