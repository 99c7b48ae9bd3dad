"""The largest stable step of f(x) = lambda x^2 / 2, for workers of any timing under any scheme."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import UsageError
from ..markup import block, pairs
from ..numbers import choice, integer, real
from ..rules import RuleLike, as_rule
from ..rules.tables import table_length
from ..schemes import LockBased, Scheme
from ..simulator.scheduling import Simulation
from ..staleness import StalenessDistribution, constant, geometric
from ..timing import Timing, exponential
from ..training.arguments import MOST_UPDATES
from ..training.options import MomentumKind
from .arguments import Array, table
from .delayed import constant_limit
from .executions import Executions
from .moments import REST, exponential_limit, independent_limit

_ROUNDS = 60  # whose growth is counted
_NEAR = 0.02  # relative distance of the two steps whose growth is compared from the limit
_FACTOR = 1.25  # ratio of successive steps of the search
_TRIES = 8  # pairs of steps, if the first is not by the limit
_LEAST = -100.0  # growth that stands for anything less
_EXACT = 100  # exponential workers up to which the exact limit takes less time than a simulated one
_AGES = 1024  # of a view, where a limit need not be precise


@dataclass(frozen=True)
class StableStep:
    """What `stable_step` returns: the largest stable step. `float()` of it is `step`.

    Attributes:
        step: a = eta_0 lambda, the step size times the curvature; infinite where every scale is 0.
        error: the standard error of `step`; 0 where it is exact.
        exact: whether the step comes from a formula.
        mean_scale: E[scale] under the staleness. step * mean_scale is the largest stable mean step.
        staleness: the staleness of the workers in the long run.

    >>> found = stable_step("tail", workers=4)
    >>> found.exact, found.error, found.mean_scale.__round__(9), found.staleness.mean().__round__(3)
    (True, 0.0, 1.0, 3.0)
    """

    step: float
    error: float
    exact: bool
    mean_scale: float
    staleness: StalenessDistribution

    def __float__(self) -> float:
        return self.step

    def __str__(self) -> str:
        return f"{self.step:.4g} (exact)" if self.exact else f"{self.step:.4g} ± {self.error:.1g}"

    def _repr_html_(self) -> str:
        rows = [("largest stable step", str(self)), ("mean scale", f"{self.mean_scale:.4g}")]
        return block(pairs([*rows, ("staleness", repr(self.staleness))]), title="Stable step")


def stable_step(
    rule: RuleLike | ArrayLike = "constant",
    *,
    workers: int,
    timing: Timing | str = Timing(exponential(1)),  # noqa: B008 (frozen)
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    momentum: float = 0.0,
    momentum_kind: MomentumKind = "per_worker",
    direct_share: float = 0.0,
    replicas: int = 200,
    batches: int = 4,
    seed: int = 0,
) -> StableStep:
    """The largest a = eta_0 lambda for which E[x^2] does not grow, for workers of any timing under any scheme.

    An update is x <- x - a s(tau) x[t - tau]. The simulator's schedule gives its staleness tau. The rule gives the
    scales s, for the staleness of a long execution. Noise of mean 0 does not change the limit.

    Some limits come from a formula. One worker, and schemes without staleness, have 2 / s(0). Equal workers whose
    reads and updates take no time have `constant_limit` for constant compute times, and `exponential_limit` for
    exponential ones. This holds without momentum.

    All other limits are simulated. The rate at which E[x^2] grows is estimated at two steps near the limit, and the
    limit is where the straight line through both is 0. After every `workers` updates the executions are drawn anew,
    in proportion to how much they have grown (Grassberger 2002). So rare large executions get their full weight.

    Args:
        rule: a rule, its text, a function, or an array of scales whose last entry serves every staler update.
        workers: the number of workers; >= 1.
        timing: how long gradients, reads, updates and messages take, as for `schedule`.
        scheme: how the workers share the parameters. No limit is known for a buffer, for a gradient table, or for
            Hogwild if reads or updates take time.
        momentum: in [0, 1).
        momentum_kind: "per_worker" or "shared", as for a run. No limit is known for "ordered".
        direct_share: in [0, 1], as for a run.
        replicas: how many executions to simulate at once; >= 2. With too few, the limit of broad laws such as
            Pareto's comes out too large.
        batches: how many independent repetitions to make, >= 2. The standard error comes from them.
        seed: the seed of the schedules; >= 0.

    Raises:
        UsageError: for arguments that cannot be used, and for rules whose steps depend on more than the staleness.

    Source of the method: Grassberger, "Go with the winners", 2002.

    >>> print(stable_step(workers=4), stable_step("tail", workers=4))
    0.8431 (exact) 0.9463 (exact)
    >>> found = stable_step("tail", workers=4, timing="lognormal(mean=1, cv=0.3)", replicas=50, batches=4)
    >>> abs(found.step - 0.556) < 0.01, found.exact
    (True, False)
    """
    workers, replicas = integer("workers", workers, 1), integer("replicas", replicas, 2)
    batches = integer("batches", batches, 2)
    momentum, seed = real("momentum", momentum, 0, 1, below=True), integer("seed", seed, 0, 2**63 - 1)
    direct = real("direct_share", direct_share, 0, 1) if momentum else 0.0
    shared = choice("momentum_kind", momentum_kind, ("per_worker", "shared")) == "shared"
    _check_rule(rule)
    whole = Simulation(timing, scheme, workers, MOST_UPDATES, seed)
    if not whole.scheme.fresh and (whole.scheme.gradients(workers) > 1 or whole.scheme.table_of(workers)):
        raise UsageError(f"scheme is {whole.scheme}: no limit is known where a version is a mean of gradients of "
                         "several ages; choose a scheme in which each gradient makes one")  # fmt: skip
    if (known := _known(rule, whole, momentum, direct)) is not None:
        return known
    if whole.has_views and not whole.only_computes:
        raise UsageError(f"scheme is {scheme}: its views mix versions, so no single staleness describes them; "
                         "choose another scheme, or a timing without read and update times")  # fmt: skip
    executions = Executions(whole, replicas, seed)
    law = executions.staleness
    scales = table(rule, law, workers)
    mean = float(scales @ law.pmf)
    if not scales[law.pmf > 0].any():
        return StableStep(math.inf, 0.0, True, mean, law)

    def growth(a: float, batch: int) -> float:
        return max(_LEAST, executions.growth(a, scales, _ROUNDS, seed + batch, momentum, shared, direct))

    step, error = _root(growth, (1 if direct else 1 - momentum) * _guess(law, scales), batches)
    return StableStep(step, error, False, mean, law)


def _check_rule(rule: Any) -> None:
    """UsageError for a rule whose steps depend on more than the staleness."""
    if isinstance(rule, np.ndarray | Sequence) and not isinstance(rule, str):
        return
    chosen = as_rule(rule)
    if chosen.schedule is not None or chosen.shuffled:
        raise UsageError(f"rule is {chosen}: its steps depend on more than the staleness, so no limit is known; take "
                         "a rule that is a function of the staleness")  # fmt: skip


def _known(rule: RuleLike | ArrayLike, whole: Simulation, momentum: float, direct: float) -> StableStep | None:
    """The limit where there is a formula."""
    workers = whole.workers
    if whole.scheme.fresh or workers == 1:
        gain = 1.0 if direct == 0 else direct * (1 + momentum) + (1 - direct) * (1 - momentum)
        return _exact(rule, workers, constant(0), lambda s: 2.0 * (1.0 + momentum) / (gain * s[0]))
    compute = {*whole.timing.times("compute", workers)}
    if momentum or whole.timing.pauses or len(compute) > 1 or not whole.only_computes or whole.scheme.messages:
        return None
    if whole.scheme.intervals or whole.scheme.useless_from is not None:
        return None
    law = compute.pop().name
    if law == "constant":
        return _exact(rule, workers, constant(workers - 1), lambda s: constant_limit(workers - 1) / s[workers - 1])
    if law == "exponential":
        seen = geometric(m=workers)
        scales = table(rule, seen, workers)
        if workers <= _EXACT or np.ptp(scales) == 0:
            return _exact(scales, workers, seen, lambda s: exponential_limit(workers, s))
    return None


def _exact(
    rule: RuleLike | ArrayLike, workers: int, seen: StalenessDistribution, limit: Callable[[Array], float]
) -> StableStep:
    scales = table(rule, seen.padded(table_length(workers, seen.support)), workers)
    mean = float(scales[: len(seen)] @ seen.pmf)
    return StableStep(float(limit(scales)) if mean else math.inf, 0.0, True, mean, seen)


def _guess(law: StalenessDistribution, scales: Array) -> float:
    """The limit for independent staleness, roughly."""
    ages = min(len(law), _AGES)
    return independent_limit(law, scales, rest=max(REST, float(law.survival("inclusive")[ages - 1])))


def _root(growth: Callable[[float, int], float], guess: float, batches: int) -> tuple[float, float]:
    """Where growth(a, batch) is 0 in the mean of the batches, and its standard error; growth rises with a."""
    low = high = guess
    below = above = growth(guess, 0)
    while above <= 0:
        low, below, high = high, above, _FACTOR * high
        above = growth(high, 0)
    while below > 0:
        high, above, low = low, below, low / _FACTOR
        below = growth(low, 0)
    found = low - below * (high - low) / (above - below)
    for _ in range(_TRIES):
        middle = found
        ends = middle * np.array([1 - _NEAR, 1 + _NEAR])
        grown = np.array([[growth(a, batch) for a in ends] for batch in range(batches)])
        roots = middle - grown.mean(axis=1) * (ends[1] - ends[0]) / np.diff(grown).mean()
        found = float(np.clip(roots.mean(), middle / _FACTOR, middle * _FACTOR))
        if abs(found - middle) <= 2 * _NEAR * middle:
            break
    return found, float(roots.std(ddof=1)) / math.sqrt(batches)
