"""The workforce: how many workers are in force at each version, a number or a table of changes during a run."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .formatting import count, shortened
from .numbers import integer, steps
from .text import parse_call

MOST_CHANGES = 10_000  # of a table: it is kept as one text in a run file
_MOST_CALLS = 10_000_000  # of a function of the version, which is called for each
LAST_VERSION = 2**46


@dataclass(frozen=True, repr=False)
class Workforce:
    """How many workers are in force, and from which version on. Worker i is in force while i < number.

    Attributes:
        changes: pairs (version, number), in the order of versions; the first has version 0. Each number differs from
            the one before.
        adapts_to: the largest number, for a number that follows the measured progress of a run on threads or MPI.
            Then `changes` are those so far. None for a table that is known in advance.

    >>> force = as_workforce([(0, 8), (5000, 16)])
    >>> print(force), force.most, force.at(4999), force.at(5000)
    0:8, 5000:16
    (None, 16, 8, 16)
    >>> as_workforce(str(force)) == force
    True
    """

    changes: tuple[tuple[int, int], ...]
    adapts_to: int | None = None

    @property
    def most(self) -> int:
        """The largest number."""
        return max(number for _, number in self.changes) if self.adapts_to is None else self.adapts_to

    @property
    def is_steady(self) -> bool:
        """Whether the number never changes."""
        return len(self.changes) == 1 and self.adapts_to is None

    def until(self, version: int) -> Workforce:
        """The part of the table up to a version, as a workforce."""
        return Workforce(tuple(change for change in self.changes if change[0] <= version))

    @property
    def plain(self) -> int | str:
        """The number if it never changes, otherwise the text of the table; `as_workforce` reads both."""
        return self.most if self.is_steady else str(self)

    @property
    def said(self) -> str:
        """How many workers there are, and when, in words.

        >>> as_workforce(8).said, as_workforce("0:8, 5000:16").said
        ('8 workers', '8 to 16 workers (0:8, 5000:16)')
        """
        return self.briefly if self.is_steady else f"{self.briefly} ({shortened(self)})"

    @property
    def briefly(self) -> str:
        """How many workers there are, in words, without when.

        >>> as_workforce(8).briefly, as_workforce("0:8, 5000:16").briefly
        ('8 workers', '8 to 16 workers')
        """
        least = 1 if self.adapts_to is not None else min(number for _, number in self.changes)
        most = count(self.most, "worker")
        return most if least == self.most else f"{least:,} to {most}"

    def at(self, version: int) -> int:
        """The number in force once `version` updates have been made."""
        return self.changes[bisect_right(self.changes, version, key=lambda change: change[0]) - 1][1]

    def check_reads(self, workers: NDArray[Any], versions: NDArray[Any]) -> None:
        """RuntimeError for a worker that has read a version at which it was not in force, if that is a table."""
        if self.is_steady or self.adapts_to is not None:
            return
        since, numbers = np.array(self.changes).T
        idle = workers >= numbers[np.searchsorted(since, versions, "right") - 1]
        if idle.any():
            row = int(idle.argmax())
            raise RuntimeError(
                f"worker {workers[row]} has read version {versions[row]}, where it was not in force: the trait "
                "`elastic` of its scheme is True, but a loop does not make it wait"
            )

    def within(self, after: int, until: int) -> Iterator[tuple[int, int]]:
        """The changes at versions above `after` and up to `until`."""
        return (change for change in self.changes if after < change[0] <= until)

    def then(self, version: int, number: int) -> Workforce:
        """This workforce with another number from a later version on."""
        return Workforce((*self.changes, (version, number)), self.adapts_to)

    def __str__(self) -> str:
        if self.is_steady:
            return str(self.most)
        if self.adapts_to is not None:
            return f"adaptive({self.most})"
        return ", ".join(f"{version}:{number}" for version, number in self.changes)

    def __repr__(self) -> str:
        return f"Workforce({str(self)!r})"


def adaptive(most: int) -> Workforce:
    """A number of workers that follows the measured progress of a run on threads or on MPI. It begins with `most`.

    >>> adaptive(16)
    Workforce('adaptive(16)')
    """
    most = integer("the largest number of adaptive workers", most, 1)
    return Workforce(((0, most),), most)


Numbers: TypeAlias = Workforce | int | str | Iterable[tuple[int, int]]  # what `as_workforce` takes
WorkersLike: TypeAlias = Numbers | Callable[[int], int]  # what a run takes


def as_workforce(value: Any, most: int | None = None, name: str = "workers") -> Workforce:
    """Make a workforce of a number, of pairs (version, number), or of the text of either.

    Args:
        value: the number, the pairs, or their text.
        most: the largest number allowed; None for any.
        name: the name of the value in errors.

    Raises:
        UsageError: for anything else, and for a number that is not allowed.

    >>> as_workforce("0:8, 5000:16"), as_workforce(8)
    (Workforce('0:8, 5000:16'), Workforce('8'))
    """
    if isinstance(value, Workforce):
        if value.adapts_to is not None:
            integer(name, value.most, 1, most)
            return value
        value = value.changes
    elif isinstance(value, str) and value.strip().startswith("adaptive"):
        adapting: Workforce = parse_call(value, {"adaptive": adaptive}, name)
        return as_workforce(adapting, most, name)
    elif isinstance(value, str):
        value = int(value) if value.strip().isdecimal() and len(value) < 20 else value
    elif isinstance(value, Iterable):
        value = list(itertools.islice(value, MOST_CHANGES + 1))
    found = steps(name, value, 1, LAST_VERSION if most is None else most, MOST_CHANGES)
    changes = found if isinstance(found, tuple) else ((0, found),)
    integer(f"the last version of {name}", changes[-1][0], 0, LAST_VERSION)
    return Workforce(tuple(one for i, one in enumerate(changes) if not i or one[1] != changes[i - 1][1]))


def workforce_of(value: Any, updates: int, most: int | None = None) -> Workforce:
    """As `as_workforce`; the value may also be a function of the version.

    Such a function is called in advance for each version of a run of so many updates.

    >>> workforce_of(lambda version: 2 if version < 30 else 4, updates=100)
    Workforce('0:2, 30:4')
    """
    if isinstance(value, Workforce) or not callable(value):
        return as_workforce(value, most)
    if updates > _MOST_CALLS:
        raise UsageError(
            f"workers is a function, and the run has {updates:,} updates: it is called for each, and at most "
            f'{_MOST_CALLS:,} calls are allowed; give a table, such as "0:8, 5000:16"'
        )
    found: list[tuple[int, int]] = []
    for version in range(updates):
        number = value(version)
        if not found or number != found[-1][1]:
            found.append((version, number))
    return as_workforce(found, most)
