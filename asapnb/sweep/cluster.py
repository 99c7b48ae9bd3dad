"""Running the points of a sweep on an existing Dask cluster; the run files come back as bytes."""

import contextlib
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from .. import __version__
from ..errors import MissingExtraError, RecordError, UsageError, shown
from ..record.files import put_in_place
from ..record.owner import own
from .points import Outcome, carry_out, differing, failed, needs
from .spec import Point

PATIENCE = 5.0  # seconds to reach the scheduler, for its first worker to come, and until a wait is worth a word
_AHEAD = 2  # points given to each thread: one to compute and one to follow; more would keep more results in memory


@contextmanager
def connected(address: str, files: Mapping[str, str]) -> Iterator[Any]:
    """A client of the scheduler at this address, once all its workers are known to have this asapnb and these files.

    `files` maps paths to their SHA-256. MissingExtraError without distributed; UsageError if no scheduler or worker
    answers, or if a worker lacks something.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError('a Dask cluster needs distributed: pip install "asapnb[dask]"') from None
    _check_address(address)
    client: Any = Client.__new__(Client)
    try:
        client.__init__(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # what answers may be another program: its bytes are read as sizes
        client.__del__()  # else the collector does: if that is while another client starts, both wait for ever
        raise UsageError(
            f"no Dask scheduler answers at {address!r}: give its address, such as tcp://localhost:8786 ({error})"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UsageError(
                f"the Dask scheduler at {address} has no workers: start some, as dask worker {address} --nthreads 1"
            ) from None
        for worker, found in client.run(_lacks, __version__, dict(files), on_error="return").items():
            if found is not None:
                raise UsageError(f"the Dask worker {worker} cannot take part: {found}")
        yield client


def _check_address(address: str) -> None:
    """UsageError for an address of no known kind, which would only be found out after many seconds."""
    from distributed.comm.registry import backends, get_backend

    scheme, given, rest = address.rpartition("://")
    try:
        get_backend(scheme if given else "tcp")
        known = bool(rest.strip())
    except ValueError:
        known = False
    if not known:
        raise UsageError(
            f"{shown(address)} is no address of a Dask scheduler: give one such as tcp://localhost:8786, which "
            f"begins with {', '.join(f'{name}://' for name in sorted(backends))} or without any of these"
        )


def on_cluster(
    points: Sequence[Point],
    folder: Path,
    client: Any,
    files: Mapping[str, str],
    waits: Callable[[str], None] = lambda why: None,
) -> Generator[Outcome]:
    """The outcome of each point as it comes, after its run file was put into `folder`.

    If a worker dies, Dask gives its points to others. Only this process writes to the folder, so no point is recorded
    twice.

    Args:
        points: the points to run.
        folder: where the run files go.
        client: of the cluster, from `connected`.
        files: paths that the points need, with their SHA-256.
        waits: called with the reason when nothing can happen, as all workers are gone; once until one comes.

    Raises:
        RecordError: when the scheduler is gone.
    """
    compute, needed = partial(_computed, version=__version__), needs(files)
    waiting, running, finished = deque(points), dict[Any, Point](), SimpleQueue[Any]()
    said, patience = False, PATIENCE
    while waiting or running:
        room = _AHEAD * max(1, _threads(client, folder)) if waiting else 0
        while waiting and len(running) < room:
            point = waiting.popleft()
            future = client.submit(compute, point, needed(point), pure=False)
            running[future] = point
            future.add_done_callback(finished.put)
        with contextlib.suppress(Empty):
            future = finished.get(timeout=PATIENCE)
            if future.cancelled():
                raise _gone(folder)
            if (outcome := _fetched(future, running[future], folder, patience)) is not None:
                del running[future]
                patience = PATIENCE
                yield outcome
                continue
            patience *= 2
            future.add_done_callback(finished.put)
        lost = not _threads(client, folder)
        if lost and not said:
            waits(f"all workers of the Dask cluster are gone: waiting for new ones to make {len(running):,} points; "
                  f"start some, or end with Ctrl-C and continue later with --resume")  # fmt: skip
        said = lost


def _threads(client: Any, folder: Path) -> int:
    """The threads of all workers there are; RecordError when the scheduler is gone."""
    try:
        return sum(client.nthreads().values())
    except (OSError, TimeoutError):
        raise _gone(folder) from None


def _gone(folder: Path) -> RecordError:
    return RecordError(
        f"the Dask scheduler is gone: what is done is in {folder}; go on with resume=True (--resume) when there is "
        "one again"
    )


def _fetched(future: Any, point: Point, folder: Path, patience: float) -> Outcome | None:
    """The outcome of a future, after its run file was put in place; then the cluster may forget both.

    None if it has not come within so many seconds: it is large, or was lost with its worker and is made again.
    """
    try:
        outcome, content = future.result(timeout=patience)
    except Exception as error:
        if future.status != "error":
            return None
        outcome, content = failed(point, f"{type(error).__name__}: {error}"), None  # several workers died of it
    future.release()
    if content is not None:
        try:
            owner = own(folder.resolve() / point.file)
        except RecordError as error:  # somebody else writes it
            return failed(point, str(error))
        with owner:
            put_in_place(owner.path, lambda part: part.write_bytes(content), owner)
    return outcome


def _lacks(version: str, files: Mapping[str, str]) -> str | None:
    """On a worker: what it lacks to make the same runs as the others; None if nothing."""
    if version != __version__:
        return f"it has asapnb {__version__}, the sweep is of {version}; install the same on all machines"
    file = differing(files)
    return f"it has no {file}, or another one; put the same file there on all machines" if file else None


def _computed(point: Point, files: Mapping[str, str], version: str) -> tuple[Outcome, bytes | None]:
    """On a worker: the outcome of a point and its run file."""
    from distributed import get_worker

    if (lack := _lacks(version, files)) is not None:  # it may have come after the others were asked
        return failed(point, lack), None
    with tempfile.TemporaryDirectory(dir=get_worker().local_directory) as folder:
        path = Path(folder, point.file)
        outcome = carry_out(point, path, threads=1)
        return outcome, path.read_bytes() if path.exists() else None
