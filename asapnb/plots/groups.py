"""Groups of runs that share a line, a box or a panel, and their names."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

from numpy.typing import NDArray

from ..analysis import Record, grouped, records, varying
from ..errors import UsageError
from ..formatting import count
from ..record import Run
from .labels import short
from .style import LOOKS, Figure, Look, look, new_figure

# Values of these keys need no name of the key before them
_BARE = ("rule", "scheme", "problem", "data", "kind", "timing")
PANELS = 12
_RULES: ContextVar[Sequence[Any]] = ContextVar("rules that have colours", default=())
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
    found = [record for one in given for record in ([one] if isinstance(one, Record) else records(one))]
    return found or records([])  # which says that there are none


def groups(found: Sequence[Record], by: Sequence[str] | None = None) -> list[Group]:
    """The runs by the values of these keys, in the order of the values; by default of all that vary but the seed.

    UsageError for more groups than there are looks.
    """
    keys = keys_of(found, by)
    parts = _groups(found, keys)
    _check_looks(parts, keys)
    return parts


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
        by: the keys; by default all that vary, except the seed.
        most: how many groups a panel may hold before they are split.

    Raises:
        UsageError: for more lines than there are looks.
    """
    parts = split(found, by, most, room=PANELS)
    _check_looks(list({line.key: line for part in parts for line in part.lines}.values()), keys_of(found, by))
    return parts


def split(
    found: Sequence[Record], by: Sequence[str] | None = None, most: int = 6, room: float = math.inf
) -> list[Panel]:
    """The groups in one panel or, if they are more than `most`, in a panel for each value of some of the keys.

    Keys make panels until a panel holds at most `most` groups or one key is left: first the number of workers, then
    keys of few values, never the rule. A group looks the same in all panels.

    Args:
        found: the runs.
        by: the keys; by default all that vary, except the seed.
        most: how many groups a panel may hold before they are split.
        room: how many panels there may be; a key that would make more of them is not split.
    """
    lines, apart = keys_of(found, by), list[str]()
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


def keys_of(found: Sequence[Record], by: Sequence[str] | None) -> list[str]:
    """The keys `by`, each once; by default all that vary, except the seed."""
    return [key for key in varying(found) if key != "seed"] if by is None else list(dict.fromkeys(by))


@contextmanager
def rules_coloured(found: Sequence[Record]) -> Iterator[None]:
    """Within it, a rule of these runs has the same colour in all figures, whichever runs a figure shows."""
    token = _RULES.set(_RULES.get() or _rules(found))
    try:
        yield
    finally:
        _RULES.reset(token)


def _rules(found: Sequence[Record]) -> list[Any]:
    return [rule for (rule,) in grouped(found, ["rule"])]


def _groups(found: Sequence[Record], keys: Sequence[str]) -> list[Group]:
    label, parts = _labeller(found, keys), grouped(found, keys)
    looks = _looks(_RULES.get() or _rules(found), keys, list(parts))
    return [Group(label(key), of, key, some) for of, (key, some) in zip(looks, parts.items(), strict=True)]


def _looks(rules: Sequence[Any], keys: Sequence[str], values: Sequence[tuple[Any, ...]]) -> list[Look]:
    """A look for each group. A rule has one colour; its groups differ in their dashes, as far as these go round."""
    at = keys.index("rule") if "rule" in keys else None
    if at is not None and len(rules) > 1 and {group[at] for group in values} <= {*rules}:
        seen, found = Counter[Any](), []
        for group in values:
            found.append(look(rules.index(group[at]), seen[group[at]]))
            seen[group[at]] += 1
        if len(set(found)) == len(found):
            return found
    return [look(n) for n in range(len(values))]


def spare_looks(used: Iterable[Look]) -> Iterator[Look]:
    """The looks that no group has, over and over."""
    taken = set(used)
    return cycle([one for one in map(look, range(LOOKS)) if one not in taken] or [look(0)])


def _check_looks(parts: Sequence[Group], keys: Sequence[str]) -> None:
    """UsageError unless each group can have a look of its own."""
    if len(parts) > LOOKS:
        raise UsageError(
            f"there are {len(parts)} groups of runs, by {', '.join(keys)}: at most {LOOKS} can be told apart in a "
            f"figure; show some of them (--where {keys[0]}={parts[0].records[0].value(keys[0])}), or fewer keys "
            f"(--by {keys[0]})"
        )


def _labeller(found: Sequence[Record], keys: Sequence[str]) -> Callable[[Sequence[Any]], str]:
    """A function that names a group by its values of these keys."""
    texts = {key: texts_of(found, key) for key in keys}
    return lambda values: ", ".join(named(key, texts[key][v]) for key, v in zip(keys, values, strict=True))


def texts_of(found: Sequence[Record], key: str) -> dict[Any, str | None]:
    """The name of each value of a key, None for None: rules and schemes without arguments if these do not differ."""
    values = [value for (value,) in grouped(found, [key])]
    return {v: None if v is None else text for v, text in zip(values, short(values), strict=True)}


def in_panels(
    parts: Sequence[Group], columns: int, width: float, height: float, ylabel: str, share: bool = False
) -> tuple[Figure, NDArray[Any]]:
    """A figure with an empty panel for each group, and its axes by row and column; UsageError for more than 12.

    Args:
        parts: the groups, whose labels are the titles.
        columns: how many panels stand side by side.
        width: of the figure, in inches.
        height: of each row, in inches.
        ylabel: of the leftmost panels.
        share: whether all panels have the same axes.
    """
    if len(parts) > PANELS:
        raise UsageError(
            f"there are {len(parts)} groups of runs: at most {PANELS} fit in a figure; show fewer (--where)"
        )
    rows = -(-len(parts) // columns)
    figure = new_figure(width, 0.9 + height * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    for axes, part in zip(grid.ravel(), parts, strict=False):
        axes.set_title(part.label)
    for axes in grid.ravel()[len(parts) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel(ylabel)
    return figure, grid


def named(key: str, value: str | None) -> str:
    """A value of a key as a reader would say it; None for runs that have no such key.

    >>> named("rule", "tail"), named("workers", "1"), named("step_size", "0.05"), named("timing", None)
    ('tail', '1 worker', 'step size 0.05', 'no timing')
    """
    title = key.replace("_", " ")
    if value is None:
        return f"no {title}"
    if key == "workers":
        return count(int(value), "worker") if value.isdecimal() else f"workers {value}"  # of a number that changes
    return value if key in _BARE else f"{title} {value}"


def clock_of(found: Sequence[Record], x: str = "") -> str:
    """The clocks of these runs, joined if there are several; empty if `x` is seconds, as the axis names their clock.

    For a time axis use `time_label`, which refuses several clocks.
    """
    return "" if x == "seconds" else "; ".join(sorted({_clock(record) for record in found}))


def _clock(record: Record) -> str:
    if record.clock in _CLOCKS:
        return _CLOCKS[record.clock]
    return "wall time" + (f" on {count(record.cores, 'core')}" if record.cores else "")


def time_label(found: Sequence[Record], unit: str = "s") -> str:
    """The label of a time axis; UsageError if the runs have several clocks."""
    clocks = {_clock(record) for record in found}
    if len(clocks) > 1:
        raise UsageError(
            f"the runs have times of {len(clocks)} clocks ({'; '.join(sorted(clocks))}), which share no axis: "
            'choose some with where (--where), or x="updates" (--x updates)'
        )
    return f"{clocks.pop()}, {unit}"
