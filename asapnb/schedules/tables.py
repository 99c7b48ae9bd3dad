"""Schedules as tables: the factor of every version of a run, up to where it stays the same."""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ..errors import RuleError
from ..memory import check_memory
from ..numbers import integer
from .schedule import StepSchedule

_AT_ONCE = 2**18  # versions that a schedule is asked for at a time
_ENTRY = 12  # bytes of a factor, as float32 and as float64 for the workers
_SPOT = 1e-6  # by how much a factor may differ if a version is asked for alone; relative


def tabulate(schedule: StepSchedule, total: int) -> NDArray[np.float32]:
    """The factors of the versions 0, 1, … of a run: float32, one axis, at least one entry.

    The last entry holds for all later versions. Equal factors at the end are cut off, so `warmup(500)` takes 500
    entries, however long the run is. Twin: `factors` in tests/naive.py.

    Args:
        schedule: the schedule.
        total: the number of updates of the run; >= 1.

    Raises:
        RuleError: if a factor is negative or not finite, or if the factor of a version depends on which other
            versions the function is called with.
        UsageError: if the table does not fit into memory.

    >>> from asapnb.schedules import cosine, warmup
    >>> tabulate(warmup(4), total=10**12), len(tabulate(cosine(), total=1000))
    (array([0.25, 0.5 , 0.75, 1.  ], dtype=float32), 1000)
    """
    total = integer("total", total, 1)
    known = schedule.settled(total)
    count = total if known is None else min(total, known + 1)
    check_memory(
        f"the schedule {schedule}, with a factor for each of {count:,} updates,",
        _ENTRY * count,
        "make fewer updates (epochs, updates), or take a schedule that stays the same after a while, as warmup does",
    )
    table = np.empty(count, np.float32)
    for low in range(0, count, _AT_ONCE):
        versions = np.arange(low, min(low + _AT_ONCE, count))
        with np.errstate(all="ignore"):  # what comes of it is checked
            table[low : low + _AT_ONCE] = schedule(versions, total)
    _check_alone(schedule, total, table)
    return table[: _kept(table)]


def _kept(table: NDArray[np.float32]) -> int:
    """The entries up to where the last value begins."""
    other = np.flatnonzero(table != table[-1])
    return int(other[-1]) + 2 if len(other) else 1


def _check_alone(schedule: StepSchedule, total: int, table: NDArray[np.float32]) -> None:
    """RuleError if some version, asked for alone, has another factor."""
    for version in sorted({0, len(table) // 2, len(table) - 1}):
        alone = np.nan
        with np.errstate(all="ignore"), suppress(RuleError):
            alone = float(schedule(np.array([version]), total)[0])
        if not np.isclose(alone, table[version], rtol=_SPOT, atol=1e-37):
            raise RuleError(
                f"schedule {schedule} gives version {version:,} the factor {table[version]:g} among others and "
                f"{alone:g} alone: a factor may depend only on its version t and on the updates of the run, which "
                "the function gets as its parameter `total`"
            )
