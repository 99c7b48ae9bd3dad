"""The points of a sweep on a Dask cluster that is there already; the run files come back as bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, UsageError
from ..record.files import put_in_place
from .points import Outcome, carry_out, lost
from .spec import Point

_PATIENCE = 10.0  # seconds to reach the scheduler


def on_cluster(points: Sequence[Point], folder: Path, address: str) -> Iterator[Outcome]:
    """The outcome of each point, as they come, its run file put into `folder` first.

    A worker that dies has its points computed by others, by Dask's own rule; only this process writes here, so none
    is recorded twice.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise MissingExtraError('a Dask cluster needs distributed: pip install "asapnb[dask]"') from None
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {address!r}: give its address, such as tcp://localhost:8786 ({error})"
        ) from None
    with client:
        futures = {client.submit(_computed, point, pure=False): point for point in points}
        for future in as_completed(list(futures)):
            point = futures.pop(future)
            try:
                outcome, content = future.result()
            except Exception as error:  # Dask gave it up: several workers died of it
                yield lost(point, f"{type(error).__name__}: {error}")
                continue
            if content is not None:
                put_in_place(folder / point.file, partial(_write, content))
            future.release()
            yield outcome


def _write(content: bytes, part: Path) -> None:
    part.write_bytes(content)


def _computed(point: Point) -> tuple[Outcome, Any]:
    """On a worker: the outcome of a point and its run file, one thread for each of the worker's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, point.file)
        outcome = carry_out(point, path, threads=1)
        return outcome, path.read_bytes() if outcome.done else None
