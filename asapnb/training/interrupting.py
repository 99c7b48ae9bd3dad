"""Ctrl-C during a run: the first one ends it in good order."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from .words import INTERRUPTED


class Stoppable(Protocol):
    """Something that can stop its workers."""

    def stop(self, reason: int) -> None:
        """Ask the workers to stop, for this reason."""


@contextmanager
def interruptible(workers: Stoppable) -> Iterator[None]:
    """Let the first Ctrl-C stop the workers, so that the run ends in good order. A second one raises as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        workers.stop(INTERRUPTED)
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT) or signal.SIG_DFL  # None: it was not set from Python
    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
