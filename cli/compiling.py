"""Telling the user that kernels are compiled, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_TEXT = "compiling kernels (first run only, not counted) …"


class Watch(event.Listener):
    """Adds up the time that Numba compiles; compilations may be nested."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self.seconds = 0.0
        self._announce, self._depth, self._begun = announce, 0, 0.0

    def on_start(self, event: object) -> None:
        """A compilation begins."""
        if not self.seconds and not self._depth:
            self._announce()
        self._begun = self._begun if self._depth else time.perf_counter()
        self._depth += 1

    def on_end(self, event: object) -> None:
        """A compilation has ended."""
        self._depth -= 1
        if not self._depth:
            self.seconds += time.perf_counter() - self._begun


@contextmanager
def announced(console: Console) -> Iterator[Watch]:
    """Print that kernels are compiled in this block, if any are, and at its end the time it took.

    Yields the `Watch` that has these `seconds`.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    spinner = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def announce() -> None:
        spinner.add_task(_TEXT, total=None)
        spinner.start()
        if not console.is_terminal:
            console.print(_TEXT)

    watch = Watch(announce)
    try:
        with event.install_listener("numba:compile", watch):
            yield watch
    finally:
        if watch.seconds:
            spinner.stop()
            console.print(f"compiled kernels in {watch.seconds:.1f} s", style="dim")
