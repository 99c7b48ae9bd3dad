"""The hooks of a run that is started from Python: a notebook shows how far it is, a script says nothing.

A display is called as a callback of the user's is, in the calling thread; see `apart`. It never ends a run.
"""

import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from ..errors import UsageError, shown
from ..markup import block, line, table
from .evaluation import Evaluation, Progress
from .following import COLUMNS, Following, row
from .reporting import Hooks

ProgressHook: TypeAlias = Callable[[Progress], object] | bool | None
_LINES = 12  # of evaluations that a notebook shows while a run goes on
_PAUSE = 0.25  # seconds between two changes of what a notebook shows


class _Screen(Protocol):
    """Where a run is shown."""

    def show(self, following: Following, lines: list[tuple[str, ...]], now: Progress) -> None:
        """Show the lines of new evaluations, and how far the run is."""


def watched(
    on_eval: Callable[[Evaluation], object] | None,
    progress: ProgressHook,
    clock: str = "",
    max_seconds: float | None = None,
) -> Hooks:
    """The hooks of a run.

    Args:
        on_eval: called with each evaluation; None for nothing.
        progress: called with a report a few times a second. None: a notebook shows it, and nothing else does. True:
            elsewhere lines on stderr show it. False: nothing does.
        clock: whose seconds the times of the run are: "" for real ones, "virtual" or "recorded".
        max_seconds: the limit of time of the run, if it has one.

    UsageError for what cannot be called.
    """
    if not (on_eval is None or callable(on_eval)):
        raise UsageError(f"on_eval is {shown(on_eval)}: must be a function of an Evaluation, or None")
    if progress is None or isinstance(progress, bool):
        if progress is False or not (progress or in_notebook()):
            return Hooks(on_eval)
        watcher = _Watcher(Following(max_seconds, clock), _Notebook() if in_notebook() else _Stderr())
        return Hooks(watcher.around(on_eval), watcher.progress)
    if not callable(progress):
        raise UsageError(f"progress is {shown(progress)}: must be a function of a Progress, True, False or None")
    return Hooks(on_eval, progress)


def in_notebook() -> bool:
    """Whether this is the process of a notebook: a kernel of Jupyter, of Colab or of an editor."""
    shell = None
    with suppress(AttributeError):
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    named = any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)
    return named and multiprocessing.parent_process() is None  # a fork of a kernel cannot show anything


class _Watcher:
    """Shows a run. If that fails, it says so once, and the run goes on."""

    def __init__(self, following: Following, screen: _Screen) -> None:
        self._following, self._screen = following, screen
        self._failed = False

    def around(self, on_eval: Callable[[Evaluation], object] | None) -> Callable[[Evaluation], object]:
        """A hook that notes the evaluation, and does what `on_eval` does."""

        def noted(evaluation: Evaluation) -> object:
            self._following.evaluated(evaluation)
            return None if on_eval is None else on_eval(evaluation)

        return noted

    def progress(self, now: Progress) -> None:
        """Show how far the run is."""
        if self._failed:
            return
        if not self._following.begun:  # a resumed run: show the evaluation before
            self._following.evaluated(now.evaluation)
        try:
            self._screen.show(self._following, self._following.reported(now), now)
        except Exception as error:
            self._failed = True
            warnings.warn(f"progress is not shown: {type(error).__name__}: {error}", stacklevel=2)


class _Stderr:
    """A line for each evaluation on stderr."""

    def __init__(self) -> None:
        self._begun = False

    def show(self, following: Following, lines: list[tuple[str, ...]], now: Progress) -> None:
        """Write the lines."""
        heads = [] if self._begun else [following.heads]
        self._begun = True
        for cells in (*heads, *lines):
            sys.stderr.write(f"{row(cells, COLUMNS.values())}\n")
        sys.stderr.flush()


class _Notebook:
    """One output of a cell, which changes: a table and a bar while the run goes on, a line at its end."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, ...]] = []
        self._handle: Any = None
        self._changed = 0.0

    def show(self, following: Following, lines: list[tuple[str, ...]], now: Progress) -> None:
        """Change the output, unless it has just been changed."""
        self._lines += lines
        ended, moment = now.status != "running", time.monotonic()
        if self._handle is not None and not ended and moment < self._changed + _PAUSE:
            return
        self._changed = moment
        state = _ended(following, self._lines, now) if ended else _under_way(following, self._lines, now)
        if self._handle is None:
            from IPython.display import display

            self._handle = display(state, display_id=True)
        else:
            self._handle.update(state)


class _State:
    """What an output shows, as text and as HTML."""

    def __init__(self, text: str, html: str) -> None:
        self._text, self._html = text, html

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


def _under_way(following: Following, lines: list[tuple[str, ...]], now: Progress) -> _State:
    """A run that goes on: its last evaluations, and a bar."""
    standing = following.standing(now)
    shown = table(following.heads, lines[-_LINES:], [True] * len(COLUMNS))
    bar = f"<progress value='{standing.done:.3f}' max='1' style='width:24em;vertical-align:middle'></progress>"
    text = f"{standing.done:.0%}, {standing.text}"
    return _State(text, block(shown, bar, line(text)))


def _ended(following: Following, lines: list[tuple[str, ...]], now: Progress) -> _State:
    """A run that has ended, in a line."""
    last = dict(zip(COLUMNS, lines[-1], strict=True)) if lines else {}
    figures = [f"{name} {last[name]}" for name in ("train loss", "accuracy", "mean τ") if last.get(name, "–") != "–"]
    text = ", ".join([f"{now.status}: {now.updates:,} updates in {now.seconds:.3g} {following.unit}", *figures])
    return _State(text, block(line(text)))
