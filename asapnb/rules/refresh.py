"""When a rule looks at the staleness seen so far and makes a new table: once, or every so many updates.

Updates are numbered from 1 in the order in which they are applied; update t creates version t. When the number of
workers changes, a table is made in any case. The staleness then changes too, so `every` begins to count anew, with a
warm-up, unless it is told to keep what it has counted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError
from ..numbers import choice, integer, real

OnChange = Literal["restart", "keep"]
WARM_UP = 10  # updates per worker before the first table of `every`


@dataclass(frozen=True, repr=False)
class Once:
    """One table, made from the updates start < t <= end and used from then on; see `once`."""

    start: int
    end: int

    half_life = None
    restarts = False  # when the number of workers changes

    def __repr__(self) -> str:
        return f"once({self.start}, {self.end})"

    def window(self, workers: int) -> tuple[int, int | None]:
        """The updates counted: start < t <= end."""
        return self.start, self.end

    def due(self, seen: int, workers: int) -> int | None:
        """The number of the next update, after `seen`, at which a table is made; None if there is none."""
        return self.end if seen < self.end else None


@dataclass(frozen=True, repr=False)
class Every:
    """A table after a warm-up and then after each further n updates; see `every`."""

    n: int
    half_life: float | None = None
    warmup: int = WARM_UP
    on_change: OnChange = "restart"

    @property
    def restarts(self) -> bool:
        """Whether counting begins anew when the number of workers changes."""
        return self.on_change == "restart"

    def __repr__(self) -> str:
        said = [f"{self.n}"]
        if self.half_life is not None:
            said.append(f"half_life={int(self.half_life) if self.half_life.is_integer() else self.half_life}")
        if self.warmup != WARM_UP:
            said.append(f"warmup={self.warmup}")
        if not self.restarts:
            said.append(f"on_change={self.on_change}")
        return f"every({', '.join(said)})"

    def window(self, workers: int) -> tuple[int, int | None]:
        """The updates counted: all."""
        return 0, None

    def due(self, seen: int, workers: int) -> int | None:
        """The number of the next update, after `seen`, at which a table is made."""
        first = self.warmup * workers
        return first if seen < first else first + self.n * ((seen - first) // self.n + 1)


@dataclass(frozen=True, repr=False)
class ReleasedCode:
    """One table, from a window that depends on the number of workers; see `released_code`."""

    half_life = None
    restarts = False
    share = 0.8  # of the sample, in the CDF

    def __repr__(self) -> str:
        return "released_code()"

    def window(self, workers: int) -> tuple[int, int | None]:
        """The updates counted: start < t <= end."""
        return 10 * workers, 15 * workers - 1

    def due(self, seen: int, workers: int) -> int | None:
        """The number of the next update, after `seen`, at which a table is made; None if there is none."""
        end = 15 * workers - 1
        return end if seen < end else None


Refresh = Once | Every | ReleasedCode


def once(start: int, end: int) -> Once:
    """Make one table, from the updates start < t <= end. Until then every scale is 1, unless the run has a `prior`.

    Updates are numbered from 1 in the order in which they are applied.

    Args:
        start: the last update that does not count; >= 0.
        end: the last update that counts; > start.

    >>> once(0, 1000)
    once(0, 1000)
    """
    first = integer("start", start)
    return Once(first, integer("end", end, first + 1))


def every(n: int, half_life: float | None = None, warmup: int = WARM_UP, on_change: OnChange = "restart") -> Every:
    """Make a first table after `warmup` updates per worker, and then a new one after every n updates.

    Until the first table every scale is 1. A `prior` of the run makes the rule act from the first update. A table
    that is made from few updates is left to chance, so do not make the warm-up too short.

    Args:
        n: updates between two tables; >= 1, and >= half_life / 10, because tables made more often hardly differ.
        half_life: after how many updates an observed staleness counts half as much as a new one; > 0. None to count
            all updates the same.
        warmup: updates per worker before the first table; >= 0. With 0, the first table is made after n updates.
        on_change: what happens when the number of workers changes. "restart" forgets what was counted and begins with
            a new warm-up, in which every scale is 1 unless there is a `prior`. "keep" keeps what was counted and
            makes a table for the new number at once.

    Raises:
        UsageError: for values out of range.

    >>> every(200, half_life=2000)
    every(200, half_life=2000)
    """
    period, warmup = integer("n", n, 1), integer("warmup", warmup, note=" (updates per worker)")
    choice("on_change", on_change, ("restart", "keep"))
    if half_life is None:
        return Every(period, None, warmup, on_change)
    half_life = real("half_life", half_life, 0, above=True, note=" (in updates), or None to forget nothing")
    if period < half_life / 10:
        raise UsageError(
            f"n = {period} with half_life = {half_life}: refresh at most 10 times per half-life, "
            f"so n >= {math.ceil(half_life / 10)}"
        )
    return Every(period, half_life, warmup, on_change)


def released_code() -> ReleasedCode:
    """Make one table as the released code of ASAP.SGD does (commit ddf760e): from the updates 10m < t < 15m.

    m is the number of workers. Use it with tail(cdf="exclusive"), for comparison. The released code fills only 32 of
    40 places of its sample, so its distribution function ends at 0.8. The mean scale is then 1 + A (0.2 + 0.8 s), and
    the smallest scale is 1 - 0.6 A, where s is the sum of the squared probabilities. It is not known whether the
    published runs used this code.

    >>> released_code().window(workers=8)
    (80, 119)
    """
    return ReleasedCode()


DEFAULT_REFRESH = every(200, half_life=2000)
REFRESHES: dict[str, Callable[..., Refresh]] = {"once": once, "every": every, "released_code": released_code}


def checked_refresh(refresh: Once | Every | None) -> Once | Every:
    """The refresh that was asked for; every(200, half_life=2000) for None."""
    if not isinstance(refresh, Once | Every | None):
        raise UsageError(f"refresh is {refresh!r}: must be once(start, end) or every(n, half_life)")
    return refresh or DEFAULT_REFRESH
