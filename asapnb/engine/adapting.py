"""Lengths of intervals that follow the measured progress of a run on threads.

A *window* is a number of successive gradients under one length. Its progress is the fall of the training loss per
second: minus the slope of the least-squares line through the losses of its minibatches, by the times of the updates.

Garby and Tsigas (Euro-Par 2025) also adapt the length to the progress. This module does it as `trials` says.
"""

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import words
from .collect import Access
from .initial import InitialState

_LONGEST = 64  # times the workers: the longest interval that is tried
_WINDOW = 500  # gradients of a window, at least


def trials(length: int, most: int) -> Generator[int, float, None]:
    """Yield the length of one window after the other; take the progress of each. From 1 to `most`.

    A trial has four windows, of the lengths K, K′, K′ and K, so that progress that slows down steadily favours
    neither. If it was greater in the windows of K′, K′ is the next K. K′ is 2K; after a trial that K has won, it is
    K/2, and after another such trial 2K again.

    >>> windows = trials(8, most=64)
    >>> [next(windows), *(windows.send(progress) for progress in (1.0, 3.0, 2.0, 1.0))]
    [8, 16, 16, 8, 16]
    """
    up = True
    while True:
        if (other := _neighbour(length, up, most)) == length:
            up = not up
            other = _neighbour(length, up, most)
        found = []
        for one in (length, other, other, length):
            found.append((yield one))
        if found[1] + found[2] > found[0] + found[3]:
            length = other
        else:
            up = not up


def _neighbour(length: int, up: bool, most: int) -> int:
    """The length that is tried beside this one."""
    return min(2 * length, max(most, length)) if up else max(length // 2, 1)


def progress(seconds: NDArray[np.float64], losses: NDArray[Any]) -> float:
    """How much a loss falls per second, by the least-squares line.

    Args:
        seconds: when, shape (n,), not all equal.
        losses: the losses, shape (n,).

    >>> progress(np.array([0.0, 1.0, 2.0]), np.array([5.0, 4.0, 3.0]))
    1.0
    """
    apart = seconds - seconds.mean()
    return float(-(apart @ losses.astype(np.float64)) / (apart @ apart))


class Window:
    """Times and losses of the rows of one window so far."""

    def __init__(self) -> None:
        self._rows: list[NDArray[Any]] = []

    def progress(self, rows: NDArray[Any], least: int) -> float | None:
        """Take the next rows; once there are `least` and 500, over some time, the progress, else None."""
        self._rows.append(rows[["t_apply", "loss"]])
        if sum(map(len, self._rows)) < max(_WINDOW, least):
            return None
        window = np.concatenate(self._rows)
        return progress(window["t_apply"], window["loss"]) if np.ptp(window["t_apply"]) > 0 else None


class Adapting:
    """Sets the length of the next interval while workers go on; `history` are all lengths, as `Scheme.intervals`."""

    def __init__(self, control: NDArray[np.int64], access: Access, start: InitialState, workers: int) -> None:
        self._control, self._access, self._workers = control, access, workers
        self._seen = len(start.updates["version"])  # rows, and so gradients that are finished
        self._length = int(control[words.LENGTH])  # that has been asked for last
        self.history = list(start.lengths) or [(0, self._length)]
        self._trials = trials(self._length, _LONGEST * workers)
        self._begin(next(self._trials))

    def _begin(self, length: int) -> None:
        """Ask for the length of the next window."""
        self._since = self._seen if length == self._length else None  # the first gradient of the window
        self._length = length
        self._window = Window()
        self._access.put(self._control, words.INTERVALS + 1, length)

    def observe(self, rows: NDArray[Any]) -> None:
        """Take the next rows. Once a window is complete, another begins at the next boundary."""
        get, first = self._access.get, self._seen
        self._seen += len(rows)
        if self._since is None:
            if get(self._control, words.LENGTH) != self._length:
                return
            self._since = get(self._control, words.SINCE)
            self.history.append((self._since, self._length))
        rows = rows[max(self._since - first, 0) :]
        found = self._window.progress(rows, 4 * max(self._length, self._workers))
        if found is not None:
            self._begin(self._trials.send(found))
