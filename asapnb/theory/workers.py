"""Staleness of workers whose compute times are known, where reads and updates take no time."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import staleness
from ..errors import UsageError
from ..numbers import integer, real
from ..staleness import StalenessDistribution
from .arguments import Array, numbers, positive


def exponential_workers(rates: Any, update: int | None = None) -> StalenessDistribution:
    """The staleness of workers with independent exponential compute times: a number of equal ones, or their rates.

    With p_i the share of worker i in the rates, P(tau = k) = sum_i p_i^2 (1 - p_i)^k in the long run: geometric for
    equal workers. With `update`, the law of that one update, 0 the first: what would be staler than the run is old is
    as stale as that, so that the first has staleness 0. UsageError for rates that are not > 0.

    >>> exponential_workers(4).mean().__round__(9), exponential_workers(4, update=2).pmf
    (3.0, array([0.25  , 0.1875, 0.5625]))
    """
    shares = np.ones(integer("rates", rates, 1)) if np.ndim(rates) == 0 else numbers("rates", rates, above=True)
    if update is None:
        return staleness.exponential_workers(shares)
    shares, k = shares / shares.sum(), np.arange(integer("update", update) + 1)
    pmf = (shares**2) @ (1.0 - shares[:, None]) ** k
    pmf[-1] = shares @ (1.0 - shares) ** k[-1]
    return StalenessDistribution.from_pmf(pmf)


def update_shares(mean_times: Any) -> Array:
    """The share of all updates that each worker makes: proportional to 1 / its mean compute time.

    >>> update_shares([1.0, 1.0, 2.0])
    array([0.4, 0.4, 0.2])
    """
    speeds = 1.0 / numbers("mean_times", mean_times, above=True)
    shares: Array = speeds / speeds.sum()
    return shares


def staleness_by_worker(mean_times: Any) -> Array:
    """E[tau] of the updates of each worker, sum over the others of T_i / T_j, in the long run.

    For fixed times as for random ones that are independent; weighted by `update_shares` it is m - 1.

    >>> staleness_by_worker([1.0, 1.0, 2.0])
    array([1.5, 1.5, 4. ])
    """
    times = numbers("mean_times", mean_times, above=True)
    result: Array = times * (1.0 / times).sum() - 1.0
    return result


def staleness_given_time(time: Any, mean_time: float, workers: int) -> Array:
    """E[tau | a gradient took `time`] = (m - 1) time / mean: of m workers with one law of compute times (no lattice).

    For many workers tau / (m - 1) has therefore the shape of the law of the compute times.

    >>> staleness_given_time([0.5, 2.0], mean_time=1.0, workers=9)
    array([ 4., 16.])
    """
    result: Array = (
        numbers("time", np.atleast_1d(time)) * (integer("workers", workers, 1) - 1) / positive("mean_time", mean_time)
    )
    return result


def round_time(workers: int, mean: float = 1.0, shift: float = 0.0, wait_for: int | None = None) -> float:
    """E[time] of a synchronous round of m workers whose compute times are shift + exponential(mean).

    It ends with the last gradient, or with the first `wait_for` (K-sync): shift + mean (H_m - H_(m-K)), with H_n the
    harmonic number. Asynchronous workers make m updates in the time shift + mean. Dutta et al. 2018.

    >>> round_time(4), round_time(4, wait_for=1)
    (2.083333333333333, 0.25)
    """
    m = integer("workers", workers, 1)
    first = m if wait_for is None else integer("wait_for", wait_for, 1)
    if first > m:
        raise UsageError(f"wait_for is {first}: must be at most the number of workers, {m}")
    return real("shift", shift, 0) + real("mean", mean, 0) * float((1.0 / np.arange(m, m - first, -1)).sum())
