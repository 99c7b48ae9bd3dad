"""What formulas say of asynchronous SGD, without a run: staleness, queues, limits of stability, convergence bounds.

A `rule` may be a `Rule`, its text, a function, or an array of scales. The last entry of an array serves every staler
update. A `step` is a = eta lambda, the step size times the curvature of f(x) = lambda x^2 / 2; it has no unit.
Staleness and effective delays are in updates. Times may be in any unit; results are in the same unit.
"""

from .bounds import concurrency_bound, convex_bound, nonconvex_bound, pl_bound, pl_mean_bound, strongly_convex_updates
from .delayed import constant_best, constant_limit, constant_radius, constant_variance
from .moments import (
    exponential_growth,
    exponential_limit,
    exponential_variance,
    independent_growth,
    independent_limit,
    independent_variance,
)
from .queues import Repairman, leashed_fluid, machine_repairman
from .scales import (
    HeavyBall,
    effective_delay,
    fleet_beta,
    implicit_momentum,
    mean_exponential,
    mean_fleet,
    mean_inverse,
    tail_effective_delay,
    tail_mean,
    tail_variance,
)
from .stability import StableStep, stable_step
from .workers import (
    buffered_staleness,
    exponential_workers,
    fresh_buffer,
    interval_staleness,
    interval_time,
    round_time,
    staleness_by_worker,
    staleness_given_time,
    update_shares,
)

__all__ = [
    "HeavyBall",
    "Repairman",
    "StableStep",
    "buffered_staleness",
    "concurrency_bound",
    "constant_best",
    "constant_limit",
    "constant_radius",
    "constant_variance",
    "convex_bound",
    "effective_delay",
    "exponential_growth",
    "exponential_limit",
    "exponential_variance",
    "exponential_workers",
    "fleet_beta",
    "fresh_buffer",
    "implicit_momentum",
    "independent_growth",
    "independent_limit",
    "independent_variance",
    "interval_staleness",
    "interval_time",
    "leashed_fluid",
    "machine_repairman",
    "mean_exponential",
    "mean_fleet",
    "mean_inverse",
    "nonconvex_bound",
    "pl_bound",
    "pl_mean_bound",
    "round_time",
    "stable_step",
    "staleness_by_worker",
    "staleness_given_time",
    "strongly_convex_updates",
    "tail_effective_delay",
    "tail_mean",
    "tail_variance",
    "update_shares",
]
