"""The factor that a rule itself gives an update, compiled. `rules.schedules` defines them.

Twin: `factor` of the classes in rules/schedules.py, which `scales` in tests/naive.py applies row by row.
"""

import math
from typing import Any

from ..compiled import kernel, part
from ..rules.kinds import AT_ARRIVAL, BUDGET_FIT, BUDGET_SHARE, NO_FACTOR

UNIT = 1 << 32  # a scale of 1 in the sum of applied scales: fixed-point, so that the order of additions has no effect
_ABANDONED, _ZEROED = 1, 2  # as in `record.schema`, whose text no kernel should depend on


@part()
def own_factor(kind: int, numbers: Any, first: int, t: int, tau: int, window: int) -> float:
    """The rule's own factor of an update of staleness `tau` that lands on version `t`.

    `kind` and `numbers`, from `first` on, are those of the rule. `window` is the sum of scale · factor over the
    updates that the view has not seen, in units of 1 / UNIT.
    """
    if kind == NO_FACTOR:
        return 1.0
    if kind == AT_ARRIVAL:
        return numbers[min(first + t + tau, numbers.size - 1)]
    spent = window / UNIT
    if kind == BUDGET_SHARE:
        return numbers[first + 1] * max(0.0, numbers[first] - spent)
    if kind == BUDGET_FIT:
        share = numbers[first] / (tau + 1)
        return share if spent + share <= numbers[first + 1] else 0.0
    return math.nan  # a kind without a branch here: the run diverges at once


@part()
def applied(scale: Any, factor: Any) -> int:
    """The contribution of an update to the sum of applied scales, in units of 1 / UNIT."""
    return round(float(scale) * float(factor) * UNIT)


@kernel()
def fill_factors(rows: Any, kind: int, numbers: Any, sums: Any, gradients: Any) -> None:
    """Multiply `factor` of rows in order by that of their rule, and fill `dropped`.

    `factor` is that of the schedule before. `sums[v]` is the sum of scale · factor up to version v; where several
    gradients make a version, as many as `gradients[v]`, of their means.
    """
    newest = 0
    for i in range(rows.size):
        row = rows[i]
        t = row.read_version + row.tau
        row.factor *= own_factor(kind, numbers, 0, t, row.tau, sums[t] - sums[row.read_version])
        if row.dropped != _ABANDONED:
            if row.scale * row.factor == 0:
                row.dropped = _ZEROED
            if row.version > newest:
                newest = row.version
                sums[newest] = sums[newest - 1]
            sums[newest] += applied(row.scale, row.factor) // gradients[newest]
