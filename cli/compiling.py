"""Telling the user that kernels are compiled, and how long it took."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_TEXT = "compiling kernels (first run only, not counted) …"


class Watch(event.TimingListener):
    """Adds up the time that Numba compiles, and tells when it begins to."""

    def __init__(self, announce: Callable[[], None]) -> None:
        super().__init__()
        self._announce = functools.cache(announce)  # once, however many compilations there are

    def on_start(self, event: object) -> None:
        """A compilation begins."""
        self._announce()
        super().on_start(event)

    @property
    def seconds(self) -> float:
        """How long all compilations took."""
        return self.duration if self.done else 0.0


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
