"""Help for tests of your own rules: Hypothesis strategies for staleness, and `assert_framework`.

>>> from asapnb.testing import assert_framework
>>> assert_framework("tail(amplitude=0.5)", conditions=("C1", "C2", "C3", "C4"))

This module needs Hypothesis (`pip install hypothesis`). asapnb itself does not.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingExtraError
from .numbers import choice
from .rules import CONDITIONS, RuleLike, as_rule, check
from .staleness import StalenessDistribution

try:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
except ImportError as error:
    raise MissingExtraError(
        "asapnb.testing needs Hypothesis, which is not installed: pip install hypothesis"
    ) from error

__all__ = ["assert_framework", "delay_sequences", "distributions", "histograms"]


@st.composite
def histograms(draw: st.DrawFn, max_size: int = 2000) -> NDArray[np.int64]:
    """A strategy for counts of staleness 0, 1, …: int64 arrays of length 1 to `max_size`, not all 0.

    An example has few bins, or many with zeros among them. Counts go up to 1e12 and span up to 12 decades. They are
    in any order, rising or falling, or all at one staleness. Examples shrink to few bins with small counts.

    >>> from hypothesis import find
    >>> find(histograms(), lambda counts: counts.size > 1).size
    2
    """
    count = st.one_of(st.integers(0, 9), st.integers(0, 10**12))
    few = np.array(draw(st.lists(count, min_size=1, max_size=min(12, max_size))), dtype=np.int64)
    few[-1] += not few.any()
    more = draw(st.one_of(st.just(0), st.integers(0, max_size - len(few))))
    if not more:
        return few
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    many = np.floor(10 ** rng.uniform(0, draw(st.sampled_from([0.3, 3, 12])), more)).astype(np.int64)
    many[rng.random(more) < draw(st.sampled_from([0, 0.5, 0.95, 1]))] = 0
    counts, order = np.append(few, many), draw(st.sampled_from(["any", "rising", "falling"]))
    return counts if order == "any" else np.sort(counts)[:: 1 if order == "rising" else -1]


def distributions(max_size: int = 2000) -> st.SearchStrategy[StalenessDistribution]:
    """A strategy for staleness distributions of length 1 to `max_size`, made from `histograms`.

    >>> from hypothesis import find
    >>> find(distributions(), lambda seen: seen.mean() > 0).support
    1
    """
    return histograms(max_size).map(StalenessDistribution.from_counts)


def delay_sequences(max_size: int = 200, max_delay: int = 2000) -> st.SearchStrategy[NDArray[np.int64]]:
    """A strategy for the staleness of updates t = 0, 1, … in the order of application: int64 arrays.

    tau[t] <= t, because no view is older than the start, and tau[t] <= `max_delay`. There is no other limit, so the
    sequences include the worst that an adversary could choose.

    >>> from hypothesis import find
    >>> find(delay_sequences(), lambda tau: tau.sum() > 2).tolist()
    [0, 1, 2]
    """

    def possible(values: list[int]) -> NDArray[np.int64]:
        return np.minimum(np.array(values, dtype=np.int64), np.arange(len(values)))

    return st.lists(st.integers(0, max_delay), min_size=1, max_size=max_size).map(possible)


def assert_framework(
    rule: RuleLike,
    conditions: Collection[str] = ("C1", "C2", "C3"),
    *,
    workers: int | None = None,
    tolerance: float = 1e-9,
    max_examples: int | None = None,
) -> None:
    """Assert that a rule meets conditions of the ASAP.SGD framework, under every staleness distribution that is
    drawn.

    Args:
        rule: a rule, its text, or a function f(staleness, workers) that returns the scales; see `asapnb.check`.
        conditions: some of "C1", "C2", "C3", "C4".
        workers: the number of workers that the rule is told; None for any from 1 to 256.
        tolerance: how far E[scale] may be from 1.
        max_examples: how many distributions to draw; None for the number in your Hypothesis settings.

    Raises:
        AssertionError: if a condition fails. The message says by how much, at which staleness, and under which
            distribution, the simplest that Hypothesis finds.
        RuleError: if the rule cannot be evaluated.

    >>> assert_framework("inverse", ["C2", "C3"])
    """
    rule = as_rule(rule)
    names = [choice("condition", name, CONDITIONS) for name in conditions]
    some_workers = st.integers(1, 256) if workers is None else st.just(workers)
    chosen: dict[str, Any] = {} if max_examples is None else {"max_examples": max_examples}

    # No database: its key is this function, whatever the rule.
    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), **chosen)
    @given(distributions(), some_workers)
    def holds(staleness: StalenessDistribution, workers: int) -> None:
        report = check(rule, staleness, workers, tolerance=tolerance)
        for name in names:
            if not report[name].holds:
                raise AssertionError(f"{rule}: {report[name]}")

    holds()
