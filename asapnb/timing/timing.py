"""A `Timing`: how long each step of a worker takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..errors import UsageError
from ..numbers import choice, integer, real
from .arrays import compile_times
from .laws import constant
from .sampling import Times
from .times import LONGEST, Time, seconds
from .workers import as_times, entries, for_workers, text

PURPOSES = ("compute", "read", "update", "network", "join", "retry")  # in the order of `sampling`
FIELDS = (*PURPOSES, "pauses")


@dataclass(frozen=True, repr=False)
class Timing:
    """The times of the steps of all workers, in virtual seconds.

    Each argument but `pauses` is one time for all workers, or one for each: a `Time`, a number of seconds, a text, a
    list of these, `groups(…)`, `slowed(…)` or `machine(…)`.

    Args:
        compute: how long a gradient takes; the mean must be above 0.
        read: how long reading the parameters takes.
        update: how long applying an update takes.
        network: how long each message between a worker and a parameter server takes.
        join: the second at which a worker reads for the first time.
        pauses: (worker, start, length) of each pause, in seconds. During a pause the worker stands still, so what it
            computes ends later by as much.
        retry: how long each further attempt of Leashed to publish takes; None for the times of `update`. Other
            schemes make no such attempts.

    Raises:
        UsageError: for times that cannot be used.

    >>> from asapnb.timing import parse_timing
    >>> timing = Timing(compute="exponential(1)", update=0.05)
    >>> timing
    Timing(compute=exponential(mean=1.0), update=0.05)
    >>> parse_timing(str(timing)) == timing
    True
    """

    compute: Any = 1.0
    read: Any = 0.0
    update: Any = 0.0
    network: Any = 0.0
    join: Any = 0.0
    pauses: Any = ()
    retry: Any = None

    def __post_init__(self) -> None:
        for name, value in self._given().items():
            object.__setattr__(self, name, as_times(value, name))
        object.__setattr__(self, "pauses", _pauses(self.pauses))
        if any(time.mean == 0.0 for time in entries(self.compute)):
            raise UsageError(f"compute is {text(self.compute):.80}: its mean must be above 0 for every worker, or "
                             "virtual time would stand still; write for example compute=exponential(1)")  # fmt: skip

    def _given(self) -> dict[str, Any]:
        """The times by purpose; `retry` is left out if it is None."""
        values = {name: getattr(self, name) for name in PURPOSES}
        return {name: value for name, value in values.items() if name != "retry" or value is not None}

    def times(self, purpose: str, workers: int) -> tuple[Time, ...]:
        """The time of each worker for a purpose such as "compute".

        >>> from asapnb.timing import slowed
        >>> [time.mean for time in Timing(compute=slowed(1.0, 3)).times("compute", 3)]
        [3.0, 1.0, 1.0]
        """
        given = {"retry": self.update, **self._given()}
        return for_workers(given[choice("purpose", purpose, PURPOSES)], integer("workers", workers, 1), purpose)

    def compiled(self, workers: int) -> Times:
        """The arrays that a compiled loop draws from. UsageError if lists, groups or pauses are of other workers."""
        workers = integer("workers", workers, 1)
        beyond = max((worker for worker, _, _ in self.pauses), default=0)
        if beyond >= workers:
            raise UsageError(f"pauses name worker {beyond} of {workers}: workers count from 0 to {workers - 1}")
        given = {name: for_workers(value, 1 if isinstance(value, Time) else workers, name)
                 for name, value in self._given().items()}  # fmt: skip
        rows = [given.get(name, given["update"]) for name in PURPOSES]
        return compile_times(rows, self.pauses, workers)

    def notes(self) -> list[str]:
        """Why averages over a run are unreliable: a sentence for each time whose mean or variance is infinite.

        >>> from asapnb.timing import pareto
        >>> Timing(compute=pareto(minimum=1, alpha=0.9)).notes()
        ['compute: pareto(minimum=1.0, alpha=0.9) has an infinite mean, so averages depend on the length of the run.']
        """
        found = []
        for purpose, value in self._given().items():
            for time in dict.fromkeys(entries(value)):
                if not time.finite_mean:
                    effect = "an infinite mean, so averages depend on the length of the run"
                elif not math.isfinite(time.variance):
                    effect = "an infinite variance, so averages settle slowly"
                else:
                    continue
                found.append(f"{purpose}: {time!r:.120} has {effect}.")
        return found

    def changed(self) -> dict[str, Any]:
        """The fields that differ from the defaults, as texts; pauses as a list."""
        values = {name: text(value) for name, value in self._given().items() if value != _DEFAULTS.get(name)}
        return {**values, "pauses": list(self.pauses)} if self.pauses else values

    def __repr__(self) -> str:
        return f"Timing({', '.join(f'{key}={value}' for key, value in self.changed().items())})"


_DEFAULTS = {field.name: constant(field.default) for field in fields(Timing) if isinstance(field.default, float)}


def _pauses(pauses: Any) -> tuple[tuple[int, float, float], ...]:
    advice = "give (worker, start, length) for each, such as pauses=[(0, 10.0, 5.0)]"
    if not isinstance(pauses, list | tuple | np.ndarray):
        raise UsageError(f"pauses are {pauses!r:.80}: {advice}")
    found = []
    for i, pause in enumerate(pauses):
        if not isinstance(pause, list | tuple | np.ndarray) or len(pause) != 3:
            raise UsageError(f"pauses[{i}] is {pause!r:.80}: {advice}")
        worker, start, length = pause
        of = f"of pauses[{i}]"
        number = real(f"the worker {of}", worker, 0, LONGEST)  # in a row of an array it is a float
        number = integer(f"the worker {of}", int(number) if number.is_integer() else worker)
        found.append((number, seconds(f"the start {of}", start), seconds(f"the length {of}", length)))
    return tuple(found)


def timing_of(fields: Mapping[str, Any]) -> Timing:
    """The timing with these fields. UsageError, with the nearest name, for an unknown field.

    >>> timing_of({"compute": ["exponential(1)", 2.0], "update": 0.05})
    Timing(compute=[exponential(mean=1.0), 2.0], update=0.05)
    """
    return Timing(**{choice("field of a timing", key, FIELDS): value for key, value in fields.items()})
