"""The messages of a run on MPI: each is a row and a vector, the parameters or a gradient."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import LINE_BYTES, aligned
from ..record.schema import UPDATES

# Tags: what the server says, then what a worker says. MPI allows at least 32,767.
ANSWER, STOP, ALIVE = 30401, 30402, 30403  # parameters; the end; nothing, but that the server is there
GRADIENT, NOT_FINITE, LEAVING, BROKEN = 30411, 30412, 30413, 30414  # LEAVING: with a gradient, after a signal
REPORT, VERDICT = 30421, 30422  # before the run
TASK, SHARE, PING, ECHO = 30431, 30432, 30433, 30434  # of a calibration
GONE = 30441  # of a process that an error ends, to those that may wait for it to call train

_HEADER = -(-UPDATES.itemsize // LINE_BYTES) * LINE_BYTES
_LEAST = 4096  # bytes of a message: room for the text of an error
_YIELD = 1e-3  # seconds that a process looks for a message again and again, if nobody else needs its core
_SUSPENDED = 5.0  # seconds between two looks that say that this process was suspended, and others with it
_PAUSE = 1e-3  # seconds between two looks at most; they are a twentieth of what has been waited

T = TypeVar("T")


class Message:
    """Memory for one message: `row` and `vector` are views of `buffer`, which MPI sends and receives whole."""

    def __init__(self, n_params: int, dtype: np.dtype[Any]) -> None:
        size = max(_HEADER + n_params * dtype.itemsize, _LEAST)
        self.buffer: NDArray[np.uint8] = aligned(size, np.uint8)
        self.row: NDArray[Any] = self.buffer[: UPDATES.itemsize].view(UPDATES)
        self.vector: NDArray[Any] = self.buffer[_HEADER:].view(dtype)[:n_params]

    @property
    def text(self) -> str:
        """The text that the message holds instead."""
        return bytes(self.buffer[:_LEAST]).rstrip(b"\0").decode("utf-8", "replace")

    @text.setter
    def text(self, text: str) -> None:
        self.buffer[:_LEAST] = np.frombuffer(encoded(text), np.uint8)


def encoded(text: str) -> bytes:
    """A text as a message holds it."""
    return text.encode()[:_LEAST].ljust(_LEAST, b"\0")


def awaited(look: Callable[[], T | None], enough: Callable[[], bool] = lambda: False) -> T | None:
    """What `look` finds, once it finds something; None as soon as it is `enough` to have waited.

    MPI itself would wait without a pause, which takes the core from the process that is waited for.

    Args:
        look: returns None while there is nothing.
        enough: asked between looks that are a moment apart.
    """
    begun = time.monotonic()
    while (found := look()) is None:
        waited = time.monotonic() - begun
        if waited < _YIELD:
            os.sched_yield()
        elif enough():
            return None
        else:
            time.sleep(min(waited / 20, _PAUSE))
    return found


class Watch:
    """The seconds since it was made. Where nobody has looked at it for a while, it counts a few only."""

    def __init__(self) -> None:
        self._seconds, self._looked = 0.0, time.monotonic()

    def __call__(self) -> float:
        """The seconds so far."""
        before, self._looked = self._looked, time.monotonic()
        self._seconds += min(self._looked - before, _SUSPENDED)
        return self._seconds


def over(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have passed, from now on, in which this process was not suspended."""
    watch = Watch()
    return lambda: watch() > seconds
