"""Which runs share a line, a box or a panel, and what that is called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..analysis import Record, grouped, records, varying
from ..errors import UsageError
from ..record import Run
from .labels import count, short
from .style import LOOKS, Look, look

_BARE = ("rule", "scheme", "problem", "data", "kind", "timing")  # whose values say themselves what they are
PANELS = 12
_CLOCKS = {"virtual": "virtual time", "recorded": "recorded time"}


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing that is shown but the seed: their label, look and values of the keys."""

    label: str
    look: Look
    key: tuple[Any, ...]
    records: list[Record]


Runs = Iterable[Run | Record | str | os.PathLike[str]] | Run | Record | str | os.PathLike[str]


def as_records(runs: Runs) -> list[Record]:
    """Runs, run files, folders of them, or records, as records."""
    given = [runs] if isinstance(runs, Run | Record | str | os.PathLike) else list(runs)
    found = [one if isinstance(one, Record) else records(one) for one in given]
    return [record for one in found for record in ([one] if isinstance(one, Record) else one)] or records([])


def groups(found: Sequence[Record], by: Sequence[str] | None = None, but: Sequence[str] = ()) -> list[Group]:
    """The runs by the values of these keys, in their order; by default of all that vary, but for seeds and `but`.

    UsageError for more groups than there are looks.
    """
    keys = [key for key in varying(found) if key not in (*but, "seed")] if by is None else list(dict.fromkeys(by))
    parts = grouped(found, keys)
    if len(parts) > LOOKS:
        raise UsageError(
            f"there are {len(parts)} groups of runs, by {', '.join(keys)}: at most {LOOKS} can be told apart in a "
            f"figure; show some of them (--where {keys[0]}={next(iter(parts))[0]}), or fewer keys (--by {keys[0]})"
        )
    names = [short([values[i] for values in parts]) for i in range(len(keys))]
    labels = [", ".join(named(key, of[n]) for key, of in zip(keys, names, strict=True)) for n in range(len(parts))]
    return [Group(labels[n], look(n), *part) for n, part in enumerate(parts.items())]


@dataclass(frozen=True)
class Panel:
    """The groups of one panel; its label is empty if there is no other."""

    label: str
    lines: list[Group]


def panels(found: Sequence[Record], by: Sequence[str] | None = None, most: int = 6) -> list[Panel]:
    """The groups, in one panel or, where they are more than `most` by several keys, in one for each value of a key.

    That is the number of workers if they differ in it, else the key of fewest values, but never the rule.
    """
    keys = [key for key in varying(found) if key != "seed"] if by is None else list(dict.fromkeys(by))
    apart = [key for key in keys if key != "rule"]
    if len(keys) < 2 or len(grouped(found, keys)) <= most:
        return [Panel("", groups(found, keys))]
    key = "workers" if "workers" in apart else min(apart, key=lambda key: len(grouped(found, [key])))
    rest = [other for other in keys if other != key]
    looks = {group.key: group for group in groups(found, rest)}
    parts = grouped(found, [key])
    if len(parts) > PANELS:
        raise UsageError(
            f"{key} has {len(parts)} values: at most {PANELS} panels fit in a figure; show some of them "
            f"(--where {key}={next(iter(parts))[0]}), or fewer keys (--by {rest[0]})"
        )
    titles = [named(key, text) for text in short([value for (value,) in parts])]
    return [
        Panel(title, [replace(looks[values], records=some) for values, some in grouped(part, rest).items()])
        for title, part in zip(titles, parts.values(), strict=True)
    ]


def few(parts: list[Group]) -> list[Group]:
    """The groups, if each can have a panel; UsageError if not."""
    if len(parts) > PANELS:
        raise UsageError(
            f"there are {len(parts)} groups of runs: at most {PANELS} fit in a figure; show fewer (--where)"
        )
    return parts


def named(key: str, value: str) -> str:
    """A value of a key as a reader would say it.

    >>> named("rule", "tail"), named("workers", "1"), named("step_size", "0.05")
    ('tail', '1 worker', 'step size 0.05')
    """
    if key == "workers":
        return count(int(value), "worker")
    return value if key in _BARE else f"{key.replace('_', ' ')} {value}"


def clock_of(found: Sequence[Record]) -> str:
    """Whose time the runs' times are; of several kinds, all of them.

    For a time axis use `time_label`, which refuses those.
    """
    return "; ".join(sorted({_clock(record) for record in found}))


def _clock(record: Record) -> str:
    if record.clock in _CLOCKS:
        return _CLOCKS[record.clock]
    return "wall time of threads" + (f" on {count(record.cores, 'core')}" if record.cores else "")


def time_label(found: Sequence[Record], unit: str = "s") -> str:
    """What a time axis says; UsageError where the runs' times are not of one clock."""
    clocks = {_clock(record) for record in found}
    if len(clocks) > 1:
        raise UsageError(
            f"the runs have times of {len(clocks)} clocks ({'; '.join(sorted(clocks))}), which share no axis: "
            'choose some with where (--where), or x="updates" (--x updates)'
        )
    return f"{clocks.pop()}, {unit}"
