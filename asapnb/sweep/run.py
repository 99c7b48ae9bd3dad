"""Carrying out a sweep: what is done is skipped, what is left goes to processes, here or on a cluster."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.options import cores, whole
from ..errors import RecordError
from . import manifest as manifests
from .cluster import on_cluster
from .manifest import Manifest
from .points import FAILED, Outcome, check_points
from .processes import in_processes
from .spec import Point, Sweep, load_sweep


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: the points that are done, of how many, those that failed, and the last outcome, if any."""

    done: int
    failed: int
    total: int
    skipped: int
    outcome: Outcome | None = None


def run_sweep(
    source: Sweep | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    address: str | None = None,
    resume: bool = False,
    extend: bool = False,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Manifest:
    """Carry out every point of a sweep: a run file for each, and a manifest, in the folder `out`.

    Args:
        source: a sweep, or the TOML file that holds one.
        out: the folder; it is made if it is not there.
        jobs: processes at a time. By default one per core; of runs on real threads one, as others beside it would
            change its staleness and its times.
        address: that of the scheduler of a Dask cluster, which computes instead; the run files come back here.
        resume: go on in a folder that holds the sweep already: what is done is skipped, failed and half-written runs
            are done again.
        extend: with `resume`, also if the sweep has points now that it had not.
        force: start anew in such a folder.
        progress: called with a `Progress` at the beginning and after each point.

    Returns:
        The `Manifest`, with the outcome of each point. A point that fails is recorded, and the others are done.

    Raises:
        UsageError, RuleError, DataError: before anything is run, for a sweep that cannot be.
        RecordError: for a folder that holds a sweep, if nothing was said of that, or another one, with the
            differences; or that another process is working in.

    >>> import tempfile
    >>> from asapnb.sweep import parse_sweep
    >>> sweep = parse_sweep({
    ...     "kind": "simulate", "base": {"problem": "quadratic([1, 10])", "updates": 50},
    ...     "grid": {"rule": ["constant", "tail"], "workers": [2, 4]},
    ... })
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = run_sweep(sweep, folder, jobs=1)
    >>> [outcome.status for outcome in manifest.outcomes.values()]
    ['finished', 'finished', 'finished', 'finished']
    """
    sweep = source if isinstance(source, Sweep) else load_sweep(source)
    jobs = whole("jobs", _jobs(sweep) if jobs is None else jobs, 1)
    check_points(sweep.points)
    folder = _folder(out)
    with manifests.alone(folder):
        found = manifests.begin(sweep, folder, resume=resume, force=force, extend=extend)
        left = [point for point in sweep.points if point.name not in found.outcomes]
        outcomes = dict(found.outcomes)
        skipped, counts = len(outcomes), Counter[str]()

        def report(outcome: Outcome | None) -> None:
            if progress is not None:
                progress(Progress(skipped + counts.total(), counts[FAILED], len(sweep.points), skipped, outcome))

        report(None)
        with manifests.written(folder) as file:
            for outcome in _outcomes(left, folder, jobs, address):
                manifests.note(file, outcome)
                outcomes[outcome.point] = outcome
                counts[outcome.status] += 1
                report(outcome)
    return Manifest(found.head, outcomes)


def _outcomes(points: Sequence[Point], folder: Path, jobs: int, address: str | None) -> Iterator[Outcome]:
    return on_cluster(points, folder, address) if address is not None else in_processes(points, folder, jobs)


def _jobs(sweep: Sweep) -> int:
    return 1 if sweep.kind == "train" else len(cores())


def _folder(out: str | os.PathLike[str]) -> Path:
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot make the folder {folder}: {error.strerror}") from None
    return folder
