"""Where the runs of a report come from: sweeps, with the points that failed or were not carried out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..record import to_toml
from ..record.schema import UNENDED
from ..sweep import describe, load_manifest
from ..sweep.manifest import NAME


@dataclass(frozen=True)
class Failure:
    """A point of a sweep without a whole run: what it was, what became of it, and the error, if one is known."""

    point: str
    status: str
    error: str


@dataclass(frozen=True)
class SweepSource:
    """A sweep that runs of a report come from."""

    folder: str
    facts: list[tuple[str, str]]
    toml: str
    failures: list[Failure]


def sweeps(paths: Iterable[Any]) -> list[SweepSource]:
    """The sweeps whose folders are among these; RecordError for a manifest that cannot be read."""
    folders = [path for path in paths if isinstance(path, str | os.PathLike) and Path(path, NAME).is_file()]
    return [_source(Path(folder)) for folder in folders]


def _source(folder: Path) -> SweepSource:
    manifest = load_manifest(folder)
    sweep, outcomes, head = manifest.sweep, manifest.outcomes, manifest.head
    left = [point for point in manifest.points if point.name not in outcomes]
    counts = Counter(outcome.status for outcome in outcomes.values())
    said = [f"{count:,} {status}" for status, count in counts.most_common()]
    said += [f"{len(left):,} not carried out yet"] if left else []
    failures = [
        Failure(describe(point.axes), outcomes[point.name].status, (outcomes[point.name].error or "").strip())
        for point in manifest.points
        if point.name in outcomes and outcomes[point.name].status in UNENDED
    ]
    failures += [Failure(describe(point.axes), "not carried out yet", "") for point in left]
    facts = [
        ("points", f"{len(manifest.points):,} runs of {sweep.kind}: {', '.join(said)}"),
        ("command", str(head.get("command", ""))),
        ("begun", f"{head.get('created_utc')} with asapnb {head.get('versions', {}).get('asapnb')}"),
        ("hosts", ", ".join(sorted({outcome.host for outcome in outcomes.values()}))),
    ]
    return SweepSource(
        str(folder), [(name, value) for name, value in facts if value], to_toml(sweep.plain()), failures
    )
