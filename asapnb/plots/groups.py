"""Groups of runs that share a line, a box or a panel, and their names."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..analysis import Record, grouped, records, varying
from ..errors import UsageError
from ..formatting import count
from ..record import Run
from .labels import short
from .style import LOOKS, Look, look

_BARE = (
    "rule",
    "scheme",
    "problem",
    "data",
    "kind",
    "timing",
)  # values of these keys need no name of the key before them
PANELS = 12
_CLOCKS = {"virtual": "virtual time", "recorded": "recorded time"}


@dataclass(frozen=True)
class Group:
    """Runs that a figure shows as one: their label, their look, and their values of the keys."""

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


def groups(found: Sequence[Record], by: Sequence[str] | None = None) -> list[Group]:
    """The runs by the values of these keys, in the order of the values; by default of all that vary but the seed.

    UsageError for more groups than there are looks.
    """
    keys = _keys(found, by)
    return _distinct(_groups(found, keys), keys)


@dataclass(frozen=True)
class Panel:
    """The groups of one panel; its label is empty if there is no other. `hidden` counts groups left out for room."""

    label: str
    lines: list[Group]
    hidden: int = 0


def panels(found: Sequence[Record], by: Sequence[str] | None = None, most: int = 6) -> list[Panel]:
    """The groups as `split` puts them into at most 12 panels.

    Args:
        found: the runs.
        by: the keys; by default all that vary but the seed.
        most: how many groups a panel may hold before they are split.

    Raises:
        UsageError: for more lines than there are looks.
    """
    parts = split(found, by, most, room=PANELS)
    _distinct(list({line.key: line for part in parts for line in part.lines}.values()), _keys(found, by))
    return parts


def split(
    found: Sequence[Record], by: Sequence[str] | None = None, most: int = 6, room: float = math.inf
) -> list[Panel]:
    """The groups in one panel or, if they are more than `most`, in a panel for each value of some of the keys.

    Keys make panels until a panel holds at most `most` groups or one key is left: first the number of workers, then
    keys of few values, never the rule. A group looks the same in all panels.

    Args:
        found: the runs.
        by: the keys; by default all that vary but the seed.
        most: how many groups a panel may hold before they are split.
        room: how many panels there may be; a key that would make more of them is not split.
    """
    lines, apart = _keys(found, by), list[str]()
    for key in sorted(set(lines) - {"rule"}, key=lambda key: (key != "workers", len(grouped(found, [key])), key)):
        if len(lines) < 2 or len(grouped(found, lines)) <= most:
            break
        if len(grouped(found, [*apart, key])) <= room:
            apart.append(key)
            lines.remove(key)
    looks, label = {group.key: group for group in _groups(found, lines)}, _labeller(found, apart)
    return [
        Panel(label(at), [replace(looks[values], records=some) for values, some in grouped(part, lines).items()])
        for at, part in grouped(found, apart).items()
    ]


def _keys(found: Sequence[Record], by: Sequence[str] | None) -> list[str]:
    return [key for key in varying(found) if key != "seed"] if by is None else list(dict.fromkeys(by))


def _groups(found: Sequence[Record], keys: Sequence[str]) -> list[Group]:
    label = _labeller(found, keys)
    return [Group(label(key), look(n), key, some) for n, (key, some) in enumerate(grouped(found, keys).items())]


def _distinct(parts: list[Group], keys: Sequence[str]) -> list[Group]:
    """`parts`, if each of them can have a look of its own; UsageError if not."""
    if len(parts) > LOOKS:
        raise UsageError(
            f"there are {len(parts)} groups of runs, by {', '.join(keys)}: at most {LOOKS} can be told apart in a "
            f"figure; show some of them (--where {keys[0]}={parts[0].records[0].value(keys[0])}), or fewer keys "
            f"(--by {keys[0]})"
        )
    return parts


def _labeller(found: Sequence[Record], keys: Sequence[str]) -> Callable[[Sequence[Any]], str]:
    """A function that names a group by its values of these keys."""
    texts = {key: texts_of(found, key) for key in keys}
    return lambda values: ", ".join(named(key, texts[key][v]) for key, v in zip(keys, values, strict=True))


def texts_of(found: Sequence[Record], key: str) -> dict[Any, str | None]:
    """The name of each value of a key, None for None: rules and schemes without arguments if these do not differ."""
    values = [value for (value,) in grouped(found, [key])]
    return {v: None if v is None else text for v, text in zip(values, short(values), strict=True)}


def few(parts: list[Group]) -> list[Group]:
    """`parts`, if each of them can have a panel; UsageError if not."""
    if len(parts) > PANELS:
        raise UsageError(
            f"there are {len(parts)} groups of runs: at most {PANELS} fit in a figure; show fewer (--where)"
        )
    return parts


def named(key: str, value: str | None) -> str:
    """A value of a key as a reader would say it; None for runs that have no such key.

    >>> named("rule", "tail"), named("workers", "1"), named("step_size", "0.05"), named("timing", None)
    ('tail', '1 worker', 'step size 0.05', 'no timing')
    """
    title = key.replace("_", " ")
    if value is None:
        return f"no {title}"
    if key == "workers":
        return count(int(value), "worker")
    return value if key in _BARE else f"{title} {value}"


def clock_of(found: Sequence[Record]) -> str:
    """The clocks of these runs, joined if there are several.

    For a time axis use `time_label`, which refuses several clocks.
    """
    return "; ".join(sorted({_clock(record) for record in found}))


def _clock(record: Record) -> str:
    if record.clock in _CLOCKS:
        return _CLOCKS[record.clock]
    return "wall time of threads" + (f" on {count(record.cores, 'core')}" if record.cores else "")


def time_label(found: Sequence[Record], unit: str = "s") -> str:
    """The label of a time axis; UsageError if the runs have several clocks."""
    clocks = {_clock(record) for record in found}
    if len(clocks) > 1:
        raise UsageError(
            f"the runs have times of {len(clocks)} clocks ({'; '.join(sorted(clocks))}), which share no axis: "
            'choose some with where (--where), or x="updates" (--x updates)'
        )
    return f"{clocks.pop()}, {unit}"
