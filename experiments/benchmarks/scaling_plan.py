"""What `scaling.py` measures: numbers of workers, cases, and how long each may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import asapnb as ab

SCHEMES: dict[str, ab.schemes.Scheme] = {
    "sequential": ab.Sequential(),
    "lock-based": ab.LockBased(),
    "hogwild, in place": ab.Hogwild("in_place"),
    "hogwild, snapshot": ab.Hogwild("snapshot"),
    "leashed": ab.Leashed(),
    "synchronous": ab.Synchronous(),
}
BARE = "bare"  # threads that share nothing, each with its own parameters: what the machine allows
RULES = ("constant", "tail")
MODELS = ("small MLP", "LeNet", "MLP", "quadratic")
TIMED = "LeNet"  # the model whose time to a loss is measured
LEAST, MOST = 0.1, 0.7  # seconds of a measurement
ENOUGH = 2  # rounds that a plan should have room for


class Case(NamedTuple):
    """One thing that every round measures: a throughput, or with a rule the time to a loss."""

    model: str
    scheme: str
    workers: int
    pinned: bool
    rule: str = ""


def worker_counts(at_once: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12 and so on up to all threads that can run at once, and twice as many.

    >>> worker_counts(1), worker_counts(2), worker_counts(10)
    ([1, 2], [1, 2, 4], [1, 2, 3, 4, 6, 8, 10, 20])
    """
    powers = [2**k for k in range(at_once.bit_length())]
    return sorted({1, at_once, 2 * at_once, *(n for k in powers for n in (k, 3 * k // 2) if n <= at_once)})


def thinned(counts: Sequence[int], at_once: int) -> list[int]:
    """Every second number of workers, and always 1, all, and twice as many.

    >>> thinned([1, 2, 3, 4, 6, 8, 16], 8)
    [1, 3, 6, 8, 16]
    """
    return sorted({*counts[::2], 1, at_once, 2 * at_once})


def all_cases(counts: Sequence[int], at_once: int, pinnings: Sequence[bool]) -> list[Case]:
    """Throughput of each model and scheme, and time to a loss of one model under two rules."""
    found = [
        Case(model, scheme, workers, pinned)
        for model, workers, scheme, pinned in product(MODELS, counts, (BARE, *SCHEMES), pinnings)
        if workers == 1 or scheme != "sequential"
    ]
    for workers, scheme, rule in product(thinned(counts, at_once), SCHEMES, RULES):
        fresh = SCHEMES[scheme].fresh  # so both rules are the same
        if (workers == 1 or scheme != "sequential") and not (fresh and rule != RULES[0]):
            found.append(Case(TIMED, scheme, workers, pinnings[0], rule))
    return found


def cost(case: Case, timed: float) -> float:
    """A guess at the seconds that a case takes, if a throughput is measured as shortly as possible."""
    return (timed if case.rule else LEAST) + 0.1 + 0.002 * case.workers


def planned(at_once: int, pinnings: Sequence[bool], seconds: float, timed: float) -> list[Case]:
    """The cases that fit into the time at least twice; what is left out first is what is missed least.

    Args:
        at_once: threads that can run at the same time.
        pinnings: whether to pin: where that can be done (True, False), else (False,).
        seconds: that there are.
        timed: those that a time to a loss may take.

    >>> few, many = planned(2, (True, False), 440.0, 1.0), planned(192, (True, False), 440.0, 1.0)
    >>> {case.pinned for case in few if case.model == "MLP"}, {case.pinned for case in many if case.model == "MLP"}
    ({False, True}, {True})
    """
    counts = worker_counts(at_once)
    kept = thinned(thinned(counts, at_once), at_once)
    leave_out: list[Callable[[Case], bool]] = [
        lambda case: False,
        lambda case: case.pinned != pinnings[0] and case.model != TIMED,
        lambda case: case.scheme == "hogwild, snapshot" and bool(case.rule),
        lambda case: case.workers not in thinned(counts, at_once),
        lambda case: case.pinned != pinnings[0],
        lambda case: case.workers not in kept,
    ]
    cases = all_cases(counts, at_once, pinnings)
    for left_out in leave_out:
        cases = [case for case in cases if not left_out(case)]
        if ENOUGH * sum(cost(case, timed) for case in cases) <= seconds:
            break
    return cases


def slot(seconds: float, left: int, overhead: float) -> float:
    """The length of the next measurement, so that `left` of them fit into the time that is left.

    >>> slot(100.0, 1000, 0.1), slot(100.0, 250, 0.1), slot(100.0, 10, 0.1)
    (0.1, 0.30000000000000004, 0.7)
    """
    return min(MOST, max(LEAST, seconds / max(1, left) - overhead))
