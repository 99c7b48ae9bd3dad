"""`rescaled`: every worker contributes the same sum of steps, however fast it is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import RuleError
from ..numbers import reals
from ..staleness import StalenessDistribution
from .framework import Rule, with_mean_one
from .reading import RuleLike, as_rule
from .refresh import Every, Once, checked_refresh, every
from .registry import register

_OFTEN = every(100, warmup=0)
Scales = NDArray[np.float64]


def _of_share(staleness: StalenessDistribution, workers: int, own_share: float, rule: Rule) -> Scales:
    return _kept(staleness, workers, rule) / (workers * own_share if own_share else 1.0)


def _of_times(
    staleness: StalenessDistribution, workers: int, worker: int, rule: Rule, times: Sequence[float]
) -> Scales:
    if len(times) < workers:
        raise RuleError(f"times has {len(times)} entries for {workers} workers: give one entry for each worker")
    rates = 1.0 / np.array(times[:workers])
    return _kept(staleness, workers, rule) * (float(rates.mean()) / float(1.0 / times[worker]))


def _kept(staleness: StalenessDistribution, workers: int, rule: Rule) -> Scales:
    """The scales of a rule, their mean over this staleness kept at 1."""
    scales = rule(staleness, workers)
    return scales if staleness.is_empty else with_mean_one(scales, staleness)


@register("rescaled()", "C1 C2 C3 C4", "Mahran, Maranjyan, Richtárik 2026, arXiv 2605.13434")
def rescaled(
    rule: RuleLike = "constant", times: Sequence[float] | None = None, refresh: Once | Every | None = None
) -> Rule:
    """1/(m · share), where share is the worker's share of all updates; times scale(tau) / E[scale] of a further rule.

    Asynchronous SGD minimises a weighted mean of the workers' losses: the weight of a worker is how often it updates.
    If workers have different data, the result leans to the data of the fast ones. With this rule the sum of the steps
    of each worker is the same, so all weights are equal. The mean scale over all updates stays 1. The run needs
    `worker_tables=True`.

    Args:
        rule: a further rule, applied to the staleness of the worker's own updates. Its mean over these is kept at 1.
        times: how long a gradient takes on each worker, in any unit: one number per worker, > 0. The share of a
            worker is then in proportion to 1 / time, from the first update on. None to take the shares of the updates
            so far; until the first table, the scale is that of the further rule alone.
        refresh: when the shares are looked at anew; None for every(100, warmup=0). It counts the worker's own
            updates.

    Raises:
        RuleError: if the steps of the further rule depend on more than the staleness.

    Source of the idea: Mahran, Maranjyan, Richtárik, "Rescaled ASGD", 2026, arXiv 2605.13434, who make step sizes
    proportional to the computation times. asapnb adds the observed shares and the further rule.

    >>> rescaled(times=[1.0, 1.0, 4.0])(StalenessDistribution.from_counts([1]), workers=3, worker=2)
    array([3.])
    >>> rescaled("inverse")(StalenessDistribution.from_counts([1, 1]), workers=2, own_share=0.25).round(3)
    array([2.667, 1.333])
    """
    inner = as_rule(rule)
    if inner.schedule is not None or inner.shuffled or inner.sees:
        raise RuleError(f"rule is {inner}: rescaled takes a rule whose scales depend on the staleness alone")
    if times is None:
        return Rule("rescaled", _of_share, {"rule": inner}, _OFTEN if refresh is None else checked_refresh(refresh))
    given = tuple(reals("times", np.atleast_1d(times), 0, above=True).tolist())
    static = inner.function is as_rule("constant").function
    chosen = None if static and refresh is None else checked_refresh(refresh)
    return Rule("rescaled", _of_times, {"rule": inner, "times": given}, chosen)
