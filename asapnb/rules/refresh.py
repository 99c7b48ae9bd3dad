"""When a rule looks at the staleness seen so far and makes a new table: once, or every so many updates.

Updates are numbered from 1 in the order in which they are applied; update t creates version t.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass

from ..errors import UsageError

WARM_UP = 10  # updates per worker that `every` waits for before its first table


@dataclass(frozen=True, repr=False)
class Once:
    """One table, from the updates start < t <= end, in force from then on; see `once`."""

    start: int
    end: int

    half_life = None

    def __repr__(self) -> str:
        return f"once({self.start}, {self.end})"

    @property
    def window(self) -> tuple[int, int | None]:
        """The updates counted: start < t <= end."""
        return self.start, self.end

    def due(self, seen: int, workers: int) -> int | None:
        """The number of the first update after `seen` that a table is made at; None when there is none."""
        return self.end if seen < self.end else None


@dataclass(frozen=True, repr=False)
class Every:
    """A table after a warm-up and then after each further n updates; see `every`."""

    n: int
    half_life: float | None = None

    def __repr__(self) -> str:
        return f"every({self.n})" if self.half_life is None else f"every({self.n}, half_life={self.half_life!r})"

    @property
    def window(self) -> tuple[int, int | None]:
        """The updates counted: all."""
        return 0, None

    def due(self, seen: int, workers: int) -> int | None:
        """The number of the first update after `seen` that a table is made at."""
        first = WARM_UP * workers
        return first if seen < first else first + self.n * ((seen - first) // self.n + 1)


Refresh = Once | Every


def _update_number(name: str, value: object, least: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"{name} is {value!r}: must be an integer (a number of updates)") from None
    if number < least:
        raise UsageError(f"{name} is {number}: must be at least {least}")
    return number


def once(start: int, end: int) -> Once:
    """Make one table from the updates start < t <= end; every scale is 1 until then.

    >>> once(0, 1000)
    once(0, 1000)
    """
    first = _update_number("start", start, 0)
    return Once(first, _update_number("end", end, first + 1))


def every(n: int, half_life: float | None = None) -> Every:
    """Make a table after 10 updates per worker and then after each further n; every scale is 1 until then.

    With a `half_life` (in updates) the past is forgotten: an update counts half as much after that many more. A
    refresh every tenth of the half-life is as often as makes a difference, so n >= half_life / 10.

    >>> every(200, half_life=2000)
    every(200, half_life=2000)
    """
    period = _update_number("n", n, 1)
    if half_life is None:
        return Every(period)
    if isinstance(half_life, bool | str) or not 0 < half_life < math.inf:
        raise UsageError(f"half_life is {half_life!r}: must be > 0 (in updates), or None to forget nothing")
    if period < half_life / 10:
        raise UsageError(
            f"n = {period} with half_life = {half_life}: refresh at most 10 times per half-life, "
            f"so n >= {math.ceil(half_life / 10)}"
        )
    return Every(period, half_life)


DEFAULT_REFRESH = every(200, half_life=2000)
