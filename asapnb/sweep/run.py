"""Running a sweep: finished points are skipped, the others go to processes, here or on a cluster."""

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import UsageError
from ..numbers import integer
from ..signals import leaving
from ..training.cores import at_once
from . import manifest as manifests
from .cluster import connected, on_cluster
from .manifest import Manifest
from .points import Outcome, check_points, sources
from .processes import in_processes
from .replays import SOURCE, check_apart
from .spec import Point, Sweep, load_sweep


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        done: how many points are done, including skipped ones.
        failed: how many of them failed.
        total: the number of all points.
        skipped: how many points were done before.
        seconds: real seconds since the sweep began.
        point: the last point that is done; None before there is one.
        outcome: its outcome.
        waiting: why nothing can happen at the moment; "" otherwise.
    """

    done: int
    failed: int
    total: int
    skipped: int
    seconds: float
    point: Point | None = None
    outcome: Outcome | None = None
    waiting: str = ""

    @property
    def seconds_left(self) -> float | None:
        """How many seconds the remaining points take at the pace so far; None before the first point.

        >>> Progress(done=6, failed=0, total=10, skipped=4, seconds=5.0).seconds_left
        10.0
        """
        made = self.done - self.skipped
        return self.seconds / made * (self.total - self.done) if made else None


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
        out: the folder. It is made if it does not exist.
        jobs: how many processes run at a time. The default is one per core. For runs on real threads it is one,
            because other runs at the same time would change staleness and times.
        address: the address of the scheduler of a Dask cluster, which then computes the runs. The run files come back
            into `out`.
        resume: continue in a folder that holds the sweep already. Finished points are skipped. Failed and
            half-written runs are made again.
        extend: like `resume`, but the sweep may have more points than before.
        force: start anew in a folder that holds a sweep. The run files of that sweep are removed; other files stay.
        progress: a function that is called with a `Progress` at the beginning, after each point, and when a cluster
            has lost all workers.

    Returns:
        The `Manifest`, with the outcome of each point. A point that fails is recorded, and the others go on.

    Raises:
        UsageError, RuleError, DataError, MissingExtraError: before anything is run, for a sweep that cannot run.
        RecordError: for a folder that holds a sweep, without `resume`, `extend` or `force`; that holds another sweep,
            whose differences it lists; that another process works in; or that cannot be written to.

    The processes import the calling script, so a script must call this under `if __name__ == "__main__":`.

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
    if address is not None and jobs is not None:
        raise UsageError(f"jobs is {jobs}, but the cluster has workers of its own: take jobs (--jobs) out")
    if force and (resume or extend):
        raise UsageError(
            "resume and force exclude each other: take force (--force) or resume (--resume, --extend) out"
        )
    if jobs is None:
        jobs = 1 if sweep.kind == "train" else at_once()
    jobs = integer("jobs", jobs, 1, 1024)
    check_points(sweep.points)
    folder = Path(out)
    outcomes: dict[str, Outcome] = {}
    total = skipped = done = bad = 0
    started = time.monotonic()

    def report(point: Point | None = None, outcome: Outcome | None = None, waiting: str = "") -> None:
        if progress is not None:
            progress(Progress(done, bad, total, skipped, time.monotonic() - started, point, outcome, waiting))

    with ExitStack() as stack:
        stack.enter_context(leaving())  # SIGTERM, too, ends the processes in good order
        files = sources(sweep.points)
        check_apart([point.config[SOURCE] for point in sweep.points if SOURCE in point.config], folder)
        carry_out: Callable[..., Generator[Outcome]] = partial(in_processes, jobs=jobs, files=files)
        if address is not None:
            client = stack.enter_context(connected(address, files))
            carry_out = partial(on_cluster, client=client, files=files, waits=lambda why: report(waiting=why))
        stack.enter_context(manifests.alone(folder))
        found = manifests.begin(sweep, folder, resume=resume or extend, force=force, extend=extend)
        outcomes |= found.outcomes
        ended = {name for name, outcome in outcomes.items() if outcome.done}
        left = {point.name: point for point in found.points if point.name not in ended}
        total, started = len(found.points), time.monotonic()
        done = skipped = total - len(left)
        report()
        made = stack.enter_context(closing(carry_out(list(left.values()), folder)))  # or Ctrl-C would leave processes
        for outcome in made:
            outcome = manifests.note(folder, outcome)
            outcomes[outcome.point] = outcome
            done, bad = done + 1, bad + (not outcome.done)
            report(left[outcome.point], outcome)
    return Manifest(found.head, outcomes)
