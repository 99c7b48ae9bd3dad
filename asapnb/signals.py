"""Signals that end a process: Ctrl-C, and SIGTERM and SIGHUP where nobody else handles them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(SystemExit):
    """Raised after SIGTERM or SIGHUP, once the run has ended in good order. The process exits with 143 or 129.

    Attributes:
        run: the run that it ended; None if there was none.
    """

    run: Any = None


def terminated(number: int) -> Terminated:
    """The exception that ends the process as this signal would."""
    return Terminated(128 + number)


class _Handler:
    """What a signal does in a block. SIGTERM and SIGHUP then also do what they do in the block around it."""

    def __init__(self, act: Callable[[int], None], before: Any) -> None:
        self._act, self._before = act, before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._act(number)
        if number in TERMINATING and isinstance(self._before, _Handler):
            self._before(number, frame)


class _Leave(_Handler):
    """Ends the process, by an exception in the main thread."""

    def __init__(self) -> None:
        super().__init__(self._leave, None)

    @staticmethod
    def _leave(number: int) -> None:
        raise terminated(number)


_changed: list[dict[int, Any]] = []  # the handlers from before, of each block that has not ended


@contextmanager
def caught(act: Callable[[int], None]) -> Iterator[None]:
    """In this block, the first and every further signal calls `act` with its number, instead of ending the process.

    It leaves alone signals that are ignored, and handlers of SIGTERM and SIGHUP that other code has set. Only the
    main thread receives signals; in other threads this does nothing.

    >>> with caught(print):
    ...     signal.raise_signal(signal.SIGTERM)
    15
    """
    with _handled((signal.SIGINT, *TERMINATING), lambda before: _Handler(act, before)):
        yield


@contextmanager
def leaving() -> Iterator[None]:
    """In this block, SIGTERM and SIGHUP raise `Terminated` instead of ending the process on the spot.

    >>> with leaving():
    ...     signal.raise_signal(signal.SIGTERM)
    Traceback (most recent call last):
        ...
    asapnb.signals.Terminated: 143
    """
    with _handled(TERMINATING, lambda before: before if isinstance(before, _Handler) else _Leave()):
        yield


@contextmanager
def deadly() -> Iterator[None]:
    """In this block, signals end the process on the spot. It is for calls of C that may not return for long."""
    with _handled((signal.SIGINT, *TERMINATING), lambda before: signal.SIG_DFL):
        yield


@contextmanager
def _handled(numbers: tuple[int, ...], make: Callable[[Any], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    _changed.append(before)
    try:
        for number in numbers:
            old = signal.getsignal(number)
            if old in (None, signal.SIG_IGN):  # None: it was not set from Python
                continue
            if number == signal.SIGINT or old == signal.SIG_DFL or isinstance(old, _Handler):
                before[number] = old
                signal.signal(number, make(old))
        yield
    finally:
        _restore(before)
        _changed[:] = [block for block in _changed if block is not before]


def _restore(handlers: dict[int, Any]) -> None:
    try:
        list(map(signal.signal, handlers, handlers.values()))
    except BaseException:  # of a handler of the user's, between two
        list(map(signal.signal, handlers, handlers.values()))
        raise


def _restore_all() -> None:
    """In a forked child: its signals are not those of the block that its parent is in."""
    while _changed:
        _restore(_changed.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_all)
