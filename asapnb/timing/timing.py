"""A `Timing`: how long each step of a worker takes, and what a text or a table says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError, unknown
from ..text import parse_call
from .arrays import compile_times
from .sampling import Times
from .times import Time, constant, number
from .workers import HELPERS, as_times, entries, for_workers, text

PURPOSES = ("compute", "read", "update", "network", "join", "retry")  # in the order of `sampling`


@dataclass(frozen=True, repr=False)
class Timing:
    """The times of the steps of all workers, in virtual seconds.

    Each but `pauses` is a time for all workers or one for each: a `Time`, a number, a text, a list of these,
    `groups(…)` or `slowed(…)`. They are kept as `Time`, a tuple of `Time`, `Groups` or `Slowed`.

    Args:
        compute: a gradient; its mean must be above 0.
        read: reading the parameters.
        update: applying an update.
        network: each message between a worker and a parameter server.
        join: when a worker reads for the first time.
        pauses: (worker, start, length) of each time a worker stands still: what it computes then ends as much later.
        retry: each further attempt of Leashed to publish; None: as `update`. Other schemes make none.

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
        """The times by purpose, but for a `retry` that is as `update`."""
        values = {name: getattr(self, name) for name in PURPOSES}
        return {name: value for name, value in values.items() if name != "retry" or value is not None}

    def times(self, purpose: str, workers: int) -> tuple[Time, ...]:
        """The time of each worker for a purpose such as "compute".

        >>> from asapnb.timing import slowed
        >>> [time.mean for time in Timing(compute=slowed(1.0, 3)).times("compute", 3)]
        [3.0, 1.0, 1.0]
        """
        return for_workers({"retry": self.update, **self._given()}[purpose], workers, purpose)

    def compiled(self, workers: int) -> Times:
        """What a compiled loop needs, for so many workers; their number must suit lists, groups and pauses."""
        if not isinstance(workers, int | np.integer) or isinstance(workers, bool) or workers < 1:
            raise UsageError(f"workers is {workers!r}: must be an integer, at least 1")
        beyond = max((worker for worker, _, _ in self.pauses), default=0)
        if beyond >= workers:
            raise UsageError(f"pauses name worker {beyond} of {workers}: workers count from 0 to {workers - 1}")
        given = {name: for_workers(value, 1 if isinstance(value, Time) else workers, name)
                 for name, value in self._given().items()}  # fmt: skip
        rows = [given.get(name, given["update"]) for name in PURPOSES]
        return compile_times(rows, self.pauses, int(workers))

    def notes(self) -> list[str]:
        """What a reader of results should know, in sentences.

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
        """The fields that are not as by default: texts, or pauses as a list."""
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
        if number(f"the worker of pauses[{i}]", worker) != int(worker):
            raise UsageError(f"the worker of pauses[{i}] is {worker!r}: must be an integer, at least 0")
        start, length = number(f"the start of pauses[{i}]", start), number(f"the length of pauses[{i}]", length)
        found.append((int(worker), start, length))
    return tuple(found)


def parse_timing(text: str, workers: int | None = None) -> Timing:
    """The timing that a text names: fields, a bare time (of computing), `Timing(…)`, or the path of a .toml file.

    `workers` chooses the section of a file, see `load_timing`.

    >>> parse_timing("compute=exponential(1), update=0.05")
    Timing(compute=exponential(mean=1.0), update=0.05)
    >>> parse_timing("[exponential(1), 2.0]").times("compute", 2)
    (exponential(mean=1.0), constant(2.0))
    """
    text = text.strip()
    if text.endswith(".toml"):
        from .files import load_timing

        return load_timing(text, workers)
    wrapped = text if text.startswith("Timing") else f"Timing({text})"
    timing: Timing = parse_call(wrapped, {"Timing": Timing}, "timing", HELPERS)
    return timing


def as_timing(value: Any, workers: int | None = None) -> Timing:
    """A timing from a `Timing`, a text, a path, a mapping of its fields, or times of computing.

    >>> as_timing({"compute": ["exponential(1)", 2.0], "update": 0.05})
    Timing(compute=[exponential(mean=1.0), 2.0], update=0.05)
    """
    if isinstance(value, Timing):
        return value
    if isinstance(value, str | Path):
        return parse_timing(str(value), workers)
    if not isinstance(value, Mapping):
        return Timing(compute=value)
    for key in value:
        if key not in (*PURPOSES, "pauses"):
            raise unknown("field of a timing", key, (*PURPOSES, "pauses"))
    return Timing(**value)
