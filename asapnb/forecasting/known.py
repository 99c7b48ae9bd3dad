"""What formulas say of the staleness and the pace of a scheme under a timing, where there are any."""

import math
from dataclasses import dataclass

from ..schemes import Hogwild, LockBased, Scheme, Sequential, Synchronous
from ..staleness import StalenessDistribution, constant, uniform
from ..staleness.models import LONGEST
from ..theory import exponential_workers, interval_staleness, interval_time, machine_repairman, round_time
from ..timing import Time, Timing

_MOST = 1024  # exponential workers whose distribution is made


@dataclass(frozen=True)
class Known:
    """What formulas say about a long run; None where there is no formula.

    Attributes:
        mean: E[τ], in updates.
        staleness: the distribution of τ.
        rate: updates per second.
        why: the formulas, as text.
    """

    mean: float | None = None
    staleness: StalenessDistribution | None = None
    rate: float | None = None
    why: str = ""

    @property
    def deviation(self) -> float | None:
        """The standard deviation of τ, in updates."""
        return None if self.staleness is None else math.sqrt(max(self.staleness.variance(), 0.0))


def known(timing: Timing, scheme: Scheme, workers: int, local_steps: int = 1) -> Known:
    """What formulas say of so many workers, each of whose updates takes so many gradients.

    >>> from asapnb.timing import exponential
    >>> found = known(Timing(exponential(2.0)), LockBased(), 4)
    >>> found.mean.__round__(9), found.deviation.__round__(6), found.rate
    (3.0, 3.464102, 2.0)
    >>> known(Timing(exponential(1.0), update=0.1), LockBased(), 4).mean is None
    True
    """
    compute = timing.times("compute", workers)
    if scheme.fresh:
        pace = _pace_of_fresh(timing, scheme, compute) if local_steps == 1 else None
        return Known(0.0, constant(0), pace, "nothing is stale")
    if scheme.intervals:
        return _in_intervals(timing, scheme, compute) if local_steps == 1 else Known()
    at_once = scheme.instant or isinstance(scheme, Hogwild)
    if at_once and not timing.pauses and _takes_none(timing, workers, "read", "update"):
        means = [time.mean for time in compute]
        if not all(map(math.isfinite, means)):
            return Known()
        law, why = _law(compute) if local_steps == 1 else (None, "")
        rate = math.fsum(1.0 / (local_steps * mean) for mean in means)
        return Known(workers - 1.0, law, rate, f"mean m − 1 and rate Σ 1/E[C]{why}")
    if isinstance(scheme, LockBased) and scheme.fused and not timing.pauses:
        pace = _pace_of_queue(timing, compute) if local_steps == 1 else None
        return Known(workers - 1.0, None, pace, f"mean m − 1{'' if pace is None else '; machine repairman'}")
    return Known()


def _in_intervals(timing: Timing, scheme: Scheme, compute: tuple[Time, ...]) -> Known:
    """What is known of intervals of one length, where reads and updates take no time and all join at once."""
    workers, (size, *more) = len(compute), (length for _, length in scheme.intervals)
    if (
        more
        or timing.pauses
        or size > LONGEST
        or not _takes_none(timing, workers, "read", "update", "join", "network")
    ):
        return Known()
    n = min(workers, size)
    mean, why = (n - 1) * (1 - n / (2 * size)), "mean (n − 1)(1 − n/2K), n = min(m, K)"
    if len(set(compute)) > 1:
        return Known(mean, uniform(0, size - 1) if size == n else None, None, why)
    if compute[0].name == "exponential":
        rate = size / interval_time(workers, size, compute[0].mean)
        return Known(mean, interval_staleness(workers, size), rate, f"{why}; exponential")
    if compute[0].variance == 0:
        rate = size / (math.ceil(size / workers) * compute[0].mean)
        return Known(mean, uniform(0, size - 1) if size == n else None, rate, why)
    return Known(mean, uniform(0, size - 1) if size == n else None, None, why)


def _law(compute: tuple[Time, ...]) -> tuple[StalenessDistribution | None, str]:
    """The distribution of the staleness of workers that read and update in no time, and what it is called."""
    if {time.name for time in compute} == {"exponential"} and len(compute) <= _MOST:
        equal = len(set(compute)) == 1
        rates = [1.0 / time.mean for time in compute]
        return exponential_workers(rates), f"; {'geometric' if equal else 'Σ pᵢ²(1 − pᵢ)ᵏ'}"
    if len(set(compute)) == 1 and compute[0].variance == 0:
        return constant(len(compute) - 1), "; constant"
    return None, ""


def _pace_of_fresh(timing: Timing, scheme: Scheme, compute: tuple[Time, ...]) -> float | None:
    """Updates per second of one worker, or rounds per second."""
    workers = len(compute)
    if isinstance(scheme, Sequential):
        return 1.0 / math.fsum(timing.times(name, workers)[0].mean for name in ("read", "compute", "update"))
    if not isinstance(scheme, Synchronous) or scheme.batches or timing.pauses or len(set(compute)) > 1:
        return None
    if not _takes_none(timing, workers, "read", "update"):
        return None
    time, parameters = compute[0], dict(compute[0].parameters)
    if time.name == "exponential":
        return 1.0 / round_time(workers, time.mean, wait_for=scheme.gradients(workers))
    if time.name == "shifted_exponential":
        return 1.0 / round_time(workers, parameters["mean"], parameters["shift"], scheme.gradients(workers))
    return 1.0 / time.mean if time.variance == 0 else None


def _pace_of_queue(timing: Timing, compute: tuple[Time, ...]) -> float | None:
    """Updates per second of equal exponential workers, where one visit to the lock is an update and a read."""
    update = timing.times("update", len(compute))
    law = {"exponential": "exponential", "constant": "constant"}.get(update[0].name)
    plain = _takes_none(timing, len(compute), "read") and len({*compute}) == len({*update}) == 1
    if law is None or not plain or compute[0].name != "exponential" or not update[0].mean:
        return None
    return machine_repairman(len(compute), compute[0].mean, update[0].mean, law).throughput


def _takes_none(timing: Timing, workers: int, *purposes: str) -> bool:
    """Whether none of these steps takes any time."""
    return all(time.support == (0.0, 0.0) for name in purposes for time in timing.times(name, workers))
