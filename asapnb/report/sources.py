"""The sweeps that runs of a report come from, with the points that failed or did not run."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..record import to_toml
from ..sweep import describe
from ..sweep.manifest import NAME, readable_manifest

_NAMED = 50  # failures, of a longer list
_REASONS = 20  # the most that are counted one by one


@dataclass(frozen=True)
class Failure:
    """A point of a sweep without a complete run: its name, its status, and the error and its gist, if known."""

    point: str
    status: str
    error: str = ""
    gist: str = ""


@dataclass(frozen=True)
class SweepSource:
    """A sweep that runs of a report come from.

    Attributes:
        folder: where it is.
        facts: what was run, when and by whom.
        toml: the sweep as a file.
        failures: points without a whole run, the first of many.
        failed: how many such points there are.
        reasons: if not all of them are listed, how many there are of each kind.
    """

    folder: str
    facts: list[tuple[str, str]]
    toml: str
    failures: list[Failure]
    failed: int
    reasons: list[str]


def sweeps(paths: Iterable[Any]) -> list[SweepSource]:
    """The sweeps whose folders are among these; RecordError for a manifest that cannot be read."""
    return [_source(Path(path)) for path in paths if is_sweep(path)]


def is_sweep(one: Any) -> bool:
    """Whether `one` is the path of a folder with a manifest."""
    return isinstance(one, str | os.PathLike) and os.path.isfile(os.path.join(one, NAME))


def _source(folder: Path) -> SweepSource:
    manifest = readable_manifest(folder)
    sweep, outcomes, head = manifest.sweep, manifest.outcomes, manifest.head
    left = [point for point in manifest.points if point.name not in outcomes]
    counts = Counter(outcome.status for outcome in outcomes.values())
    said = [f"{count:,} {status}" for status, count in counts.most_common()]
    said += [f"{len(left):,} not carried out yet"] if left else []
    failures = [
        Failure(describe(point.axes), outcome.status, (outcome.error or "").strip(), outcome.gist)
        for point in manifest.points
        if (outcome := outcomes.get(point.name)) is not None and not outcome.done
    ]
    failures += [Failure(describe(point.axes), "not carried out yet") for point in left]
    facts = [
        ("points", f"{len(manifest.points):,} runs of {sweep.kind}: {', '.join(said)}"),
        ("command", str(head.get("command", ""))),
        ("begun", f"{head.get('created_utc')} with asapnb {(head.get('versions') or {}).get('asapnb')}"),
        ("hosts", ", ".join(sorted({outcome.host for outcome in outcomes.values()}))),
    ]
    return SweepSource(
        str(folder), [(name, value) for name, value in facts if value], to_toml(_spelled(sweep.plain())),
        failures[:_NAMED], len(failures), _reasons(failures) if len(failures) > _NAMED else [],
    )  # fmt: skip


def _reasons(failures: Iterable[Failure]) -> list[str]:
    """How many points there are of each status and error, those of most points first."""
    counts = Counter(": ".join(filter(None, (one.status, one.gist))) for one in failures).most_common()
    rest = sum(n for _, n in counts[_REASONS:])
    return [f"{n:,} {reason}" for reason, n in counts[:_REASONS]] + [f"{rest:,} for other reasons"] * (rest > 0)


def _spelled(value: Any) -> Any:
    """A table with "none" for None, as in a sweep file.

    >>> _spelled({"grid": [{"eval_samples": [None, 100]}]})
    {'grid': [{'eval_samples': ['none', 100]}]}
    """
    if isinstance(value, Mapping):
        return {name: _spelled(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    return "none" if value is None else value
