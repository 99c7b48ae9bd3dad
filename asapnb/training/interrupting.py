"""Ctrl-C during a run: the first stops it in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from .words import INTERRUPTED


class Stoppable(Protocol):
    """What has workers that can be asked to stop."""

    def stop(self, reason: int) -> None:
        """Ask them, for this reason."""


@contextmanager
def interruptible(workers: Stoppable) -> Iterator[None]:
    """Make the first Ctrl-C stop the workers and let the run end in good order; a second one raises as usual."""
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
