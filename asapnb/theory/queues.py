"""Workers that queue for one lock or server, and workers that publish without one."""

import math
from dataclasses import dataclass

import numpy as np

from ..numbers import choice, integer
from .arguments import Array, positive


@dataclass(frozen=True)
class Repairman:
    """What `machine_repairman` returns: m workers that compute and then queue for one server, in the long run.

    Attributes:
        throughput: updates per second.
        queue: the mean number of workers that wait or are served.
        time: the mean time of a worker's visit in seconds, including the time it waits.
        utilisation: the share of the time in which the server works, in [0, 1].

    >>> found = machine_repairman(16, compute=1.0, service=0.1)
    >>> found.queue.__round__(2), found.time.__round__(2), found.utilisation.__round__(2)
    (6.22, 0.64, 0.98)
    """

    throughput: float
    queue: float
    time: float
    utilisation: float


def machine_repairman(workers: int, compute: float, service: float, law: str = "exponential") -> Repairman:
    """The machine repairman: workers with exponential compute times, and one visit to a server per update.

    It describes a lock that is taken once per update (`LockBased(fused=True)`), or a parameter server.

    Args:
        workers: m, the number of workers; >= 1.
        compute: the mean time of a gradient, in seconds (or any other unit, which the results then have); > 0.
        service: the mean time of a visit, in the same unit; > 0.
        law: the law of the time of a visit. "exponential" is the queue M/M/1//m, with pi_n proportional to
            m!/(m-n)! rho^n. "constant" is the queue M/D/1//m, solved by the Markov chain of how many workers wait
            when a visit ends.

    >>> machine_repairman(16, compute=1.0, service=0.1).throughput.__round__(3)
    9.777
    >>> machine_repairman(16, compute=1.0, service=0.1, law="constant").throughput.__round__(3)
    9.958
    """
    m, compute, service = integer("workers", workers, 1), positive("compute", compute), positive("service", service)
    ratio = service / compute
    idle = _IDLE[choice("law of the service", law, _IDLE)](m, ratio)
    throughput = (1.0 - idle) / service
    queue = m - throughput * compute
    return Repairman(throughput, queue, queue / throughput, 1.0 - idle)


def _idle_exponential(m: int, ratio: float) -> float:
    """pi_0, from logarithms of the weights."""
    log_weights = np.concatenate(([0.0], np.cumsum(np.log(ratio * np.arange(m, 0, -1.0)))))
    return float(1.0 / np.exp(log_weights - log_weights.max()).sum() * math.exp(-log_weights.max()))


def _idle_constant(m: int, ratio: float) -> float:
    """The share of time without service. A service leaves nobody behind with probability left[0]."""
    left = _left_behind(m, ratio)
    empty = float(left[0]) / m  # mean idle time per service, in mean compute times
    return empty / (ratio + empty)


def _left_behind(m: int, ratio: float) -> Array:
    """The probabilities that 0 … m-1 workers wait when a service of constant time ends."""
    from scipy import stats

    arrives, chain = -math.expm1(-ratio), np.zeros((m, m))
    for waiting in range(m):
        there = max(waiting, 1)  # where nobody waits, the next worker comes alone
        chain[waiting, there - 1 :] = stats.binom.pmf(np.arange(m - there + 1), m - there, arrives)
    equations = np.eye(m) - chain.T
    equations[-1] = 1.0  # one equation follows from the others; in its place: the probabilities sum to 1
    return np.maximum(np.linalg.solve(equations, np.eye(m)[-1]), 0.0)


_IDLE = {"exponential": _idle_exponential, "constant": _idle_constant}


def leashed_fluid(workers: int, compute: float, update: float) -> float:
    """The mean number of workers in Leashed's publishing loop, m / (compute / update + 1).

    This is right if every gradient has one attempt (`Leashed(persistence=0)`). With more attempts the loop holds more
    workers, because only one at a time can succeed.

    Args:
        workers: m, the number of workers; >= 1.
        compute: the mean time of a gradient, in any unit; > 0.
        update: the mean time of an attempt to publish, in the same unit; > 0.

    Source: Bäckström et al., IPDPS 2021.

    >>> leashed_fluid(16, compute=1.0, update=0.1).__round__(3)
    1.455
    """
    return integer("workers", workers, 1) / (positive("compute", compute) / positive("update", update) + 1.0)
