"""Which runs are compared with which: cells of runs that are alike in all else, and pairs within a cell."""

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from ..errors import UsageError
from .records import Record, split, varying

SCHEDULE = ("scheme", "workers", "timing", "trace")
_CELL = ("data", "problem", "batch_size", "reshuffle", *SCHEDULE)


def cells(
    baseline: Sequence[Record], other: Sequence[Record], compared: Collection[str] = _CELL
) -> dict[tuple[tuple[str, Any], ...], tuple[list[Record], list[Record]]]:
    """The runs of both in each cell that both have, by the keys and values that tell the cells apart.

    The keys that tell cells apart are those that a schedule or a loss depends on, and any other with several values
    within a cell. The two sets may differ in a key of the first kind only if it is in `compared`.
    """
    if not baseline or not other:
        raise UsageError("there are no runs to compare: both sets need some")
    keys = [key for key in varying([*baseline, *other]) if key != "seed"]
    differing = compared_keys(baseline, other)
    keys = [key for key in keys if key not in differing or (key in _CELL and key not in compared)]
    chosen = [key for key in keys if key in _CELL]
    for key in keys:
        groups = [group for side in (baseline, other) for group in split(side, chosen).values()]
        if key not in chosen and any(len({record.value(key) for record in group}) > 1 for group in groups):
            chosen.append(key)
    ours, theirs = split(baseline, chosen), split(other, chosen)
    return {
        tuple(zip(chosen, values, strict=True)): (ours[values], theirs[values]) for values in ours if values in theirs
    }


def partners(pair: tuple[list[Record], list[Record]]) -> tuple[list[Record], list[Record]]:
    """The runs of each side that have a partner of equal seed, or schedule; UsageError without such pairs."""
    if keys_alike([pair], schedule_of):
        return pair
    ours, theirs = pair
    common = set(map(seed_of, ours)) & set(map(seed_of, theirs))
    ours, theirs = ([record for record in runs if seed_of(record) in common] for runs in pair)
    if not common or not len(ours) == len(theirs) == len(common):
        seeds = [sorted(int(record.value("seed") or 0) for record in runs) for runs in pair]
        raise UsageError(
            f"the runs are no pairs: the baseline has the seeds {seeds[0]}, the others {seeds[1]}; leave paired out"
        )
    return ours, theirs


def compared_keys(baseline: Sequence[Record], other: Sequence[Record]) -> set[str]:
    """The keys that differ between the two sets but not within them."""
    return set(varying([*baseline, *other])) - set(varying(baseline)) - set(varying(other)) - {"seed"}


def schedule_of(record: Record) -> Hashable:
    """Equal for runs of a cell that have the same initial parameters, order of data, and schedule."""
    if record.is_virtual:
        return seed_of(record)
    facts = record.run.attributes
    source = facts.get("replayed") or {"created_utc": facts["created_utc"], "path": record.path}
    return seed_of(record), source["created_utc"], str(source["path"])


def seed_of(record: Record) -> Hashable:
    """The seed of a run."""
    return record.value("seed")


def keys_alike(found: list[tuple[list[Record], list[Record]]], key: Callable[[Record], Hashable]) -> bool:
    """Whether in each cell both have the same keys, each once."""
    pairs = [tuple(sorted(map(repr, map(key, runs))) for runs in pair) for pair in found]
    return all(ours == theirs and len(set(ours)) == len(ours) for ours, theirs in pairs)
