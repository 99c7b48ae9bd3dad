"""A run works in a thread of its own. The thread that called for it waits, calls its hooks and receives signals.

So no callback slows the run, and no exception of theirs, or of a signal handler, comes between two steps of it.

Messages to the calling thread wait in order. `on_eval` gets every evaluation. Of reports that follow one another
`progress` gets the last, and none that has waited for more than a second while a newer one is there.
"""

import atexit
import contextvars
import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ..errors import StopTraining, UsageError
from ..signals import TERMINATING, Terminated, caught, terminated
from .evaluation import Evaluation, Progress
from .reporting import Hooks
from .starting import start_all
from .words import FAILED, INTERRUPTED, STOPPED

LAG = 1.0  # seconds that a report may wait while there is a newer one
GRACE = 1.0  # seconds that the end of a run waits for its callbacks, as one that raises makes it a failed run
_FORKED = (
    "this process was forked while a run was going on in its parent. It lacks the threads of the run, and locks that "
    'they held stay locked: start this process before the run, or by multiprocessing.get_context("spawn")'
)
_EXIT_SECONDS = 30.0  # for runs to end when the process does
_LOOK_SECONDS = 0.1  # between two looks at what a lost wake-up would have said

T = TypeVar("T")


class Stoppable(Protocol):
    """Something that can stop its workers."""

    def stop(self, reason: int) -> None:
        """Ask the workers to stop, for this reason; the first reason given stands."""


class _Hurry(KeyboardInterrupt):
    """The second Ctrl-C, raised in a callback."""


class Session(Generic[T]):
    """A run at work: what its thread and the calling thread share.

    The thread of the run calls `attach`, `settle` and the `hooks`; the calling thread does all else.
    """

    def __init__(self, work: "Callable[[Session[T]], T]", hooks: Hooks) -> None:
        self._work, self._hooks, self._context = work, hooks, contextvars.copy_context()
        self._begin: SimpleQueue[bool] = SimpleQueue()
        self._bell: SimpleQueue[None] = SimpleQueue()  # rings for each message, and at the end
        self._messages: deque[tuple[Evaluation | Progress, float]] = deque()  # and when they came
        self._attached: Stoppable | None = None
        self._reason = 0  # to stop; 0 while there is none
        self._signals: list[int] = []
        self._calling = False  # a callback
        self._answering = False  # a message: calling, then stopping the run if the callback has raised
        self._deaf = False  # no callback is called any more
        self._reported = -LAG  # when the last call of `progress` ended
        self._found: T | None = None
        self._stopped_by: str | None = None  # the callback that has asked for it, and why
        self._failure: BaseException | None = None  # what ended the work
        self._error: BaseException | None = None  # what came up in the calling thread
        self.over = False

    @property
    def hooks(self) -> Hooks:
        """The hooks for the run: they hand over to the calling thread, and never wait for it."""
        return Hooks(
            on_eval=self._hooks.on_eval and self._tell,
            progress=self._hooks.progress and self._tell,
            hurried=lambda: len(self._signals) > 1,
            heard=lambda: self._deaf or self.over or not (self._messages or self._answering),
            stopped_by=lambda: self._stopped_by,
            failure=lambda: self._error,
        )

    def attach(self, workers: Stoppable) -> None:
        """From now on `stop` stops these; so it does if it has been called already."""
        self._attached = workers
        if self._reason:
            workers.stop(self._reason)

    def settle(self) -> None:
        """Let callbacks that are under way, or about to be called, raise what they will."""
        deadline = time.monotonic() + GRACE
        while (self._messages or self._answering) and not self._deaf and time.monotonic() < deadline:
            time.sleep(0.001)

    def stop(self, reason: int) -> None:
        """Ask the run to end in good order; the first reason given stands."""
        self._reason = self._reason or reason
        attached = self._attached
        if attached is not None:
            attached.stop(self._reason)

    def _tell(self, message: Evaluation | Progress) -> None:
        item = message, time.monotonic()
        try:  # only this thread appends, so the last is this report or, if it has been fetched by now, nothing
            if isinstance(message, Progress) and isinstance(self._messages[-1][0], Progress):
                self._messages[-1] = item
                return
        except IndexError:
            pass
        self._messages.append(item)
        self._bell.put(None)

    def _run(self) -> None:
        """The thread of the run. It begins when told to, or not at all."""
        try:
            if self._begin.get():
                self._found = self._context.run(self._work, self)
        except BaseException as error:
            self._failure = error
        finally:
            del self._work  # which may refer to this
            self._attached, self.over = None, True
            _live.discard(self)
            self._bell.put(None)

    def wait(self) -> None:
        """Serve the run until it is over, whatever comes up meanwhile."""
        while not self.over or (self._messages and not self._deaf):
            try:
                self._serve()
            except BaseException as error:
                if not (isinstance(error, _Hurry | Terminated) and self._signals):
                    self._error = self._error or error
                    self.stop(FAILED)
                self._deaf, self._answering = True, False

    def _serve(self) -> None:
        """Call the hooks until the run is over."""
        while not self.over or self._messages:
            with suppress(Empty):
                self._bell.get(timeout=_LOOK_SECONDS)
            if self._deaf:
                self._messages.clear()
            elif self._messages:
                self._answering = self._calling = True
                try:
                    self._call(*self._messages.popleft())
                finally:
                    self._calling = False
                self._answering = False

    def _call(self, message: Evaluation | Progress, since: float) -> None:
        if isinstance(message, Evaluation):
            if self._hooks.on_eval is not None:
                self._ask("on_eval", self._hooks.on_eval, message)
        elif self._hooks.progress is not None:
            long_ago = time.monotonic() - LAG
            if not self._messages or since > long_ago or self._reported < long_ago:
                self._ask("progress", self._hooks.progress, message)
                self._reported = time.monotonic()

    def _ask(self, name: str, hook: Callable[[Any], object], message: Evaluation | Progress) -> None:
        """Call a hook; if it returns False or raises `StopTraining`, the run ends in good order."""
        try:
            answer, why = hook(message), ""
        except StopTraining as error:
            answer, why = False, f": {error}" if str(error) else ""
        if isinstance(answer, bool | np.bool_) and not answer:
            self._stopped_by = self._stopped_by or f"{name}{why}"
            self.stop(STOPPED)

    def signalled(self, number: int) -> None:
        """In the handler of a signal: the first stops the run, the second makes its end faster.

        A callback that is under way is left by an exception, if it is the second signal, or if the process is to end.
        """
        self._signals.append(number)
        self.stop(INTERRUPTED)
        self._deaf = self._deaf or self.over or len(self._signals) > 1 or number in TERMINATING
        if self._calling and self._deaf:
            raise terminated(number) if number in TERMINATING else _Hurry

    def result(self) -> T:
        """What the work returned, once it is over; raises what ended it, or what came up in the calling thread."""
        number = next((number for number in self._signals if number in TERMINATING), None)
        error = self._error or self._failure
        if self._error is not None and self._failure is not None and self._failure is not self._error:
            self._error.add_note(f"Then the run did not end in good order: {self._failure!r}")
        try:
            if error is not None:
                raise error
            if number is not None:
                ended = terminated(number)
                ended.run = self._found
                raise ended
            return self._found  # type: ignore[return-value]
        finally:
            del error  # with its traceback it would keep this frame, and so the run, in memory


def apart(work: Callable[[Session[T]], T], hooks: Hooks) -> T:
    """Carry out `work` in a thread of its own; meanwhile call the hooks, and receive signals, in this thread.

    The first Ctrl-C, SIGTERM or SIGHUP asks the work to stop, the second to hurry. A callback that raises, or a
    signal handler of the user's, asks it to stop, too. In any case this returns, or raises, once the work has ended.

    Args:
        work: called with the `Session`. Before it there is nothing to save: a signal does what it did before.
        hooks: the functions to call.

    Raises:
        UsageError: in a process that was forked while a run was going on in its parent.
        Terminated: after SIGTERM or SIGHUP.
    """
    check_not_forked()
    _end_runs_at_exit()
    session = Session(work, hooks)
    thread = threading.Thread(target=session._run, name="asapnb-run", daemon=True)
    try:
        start_all([thread], "threads")
        with caught(session.signalled):
            _live.add(session)
            session._begin.put(True)
            session.wait()
    except BaseException:  # of a handler of the user's, between two lines of this function
        session.stop(FAILED)
        raise
    finally:
        session._begin.put(False)  # unless it has begun
        if thread.ident is not None:
            session.wait()
            thread.join()
    return session.result()


_live: set[Session[Any]] = set()
_forked_in_a_run = False


def check_not_forked() -> None:
    """UsageError in a process that was forked while a run was going on in its parent.

    To be called before anything is compiled: a thread of the run may have held the lock of the compiler.
    """
    if _forked_in_a_run:
        raise UsageError(_FORKED)


def _after_fork() -> None:
    global _forked_in_a_run
    _forked_in_a_run = _forked_in_a_run or bool(_live)
    for session in _live:  # if the child returns from a callback, it is told so
        session._failure, session._deaf, session.over = UsageError(_FORKED), True, True
    _live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _end_runs_at_exit() -> None:
    """When the process ends, runs in daemon threads are stopped and their files finished."""
    import h5py  # noqa: F401 (so that its own exit hook runs after this one)

    atexit.register(_end_runs)


def _end_runs() -> None:
    def hurry(number: int) -> None:
        for session in runs:
            session._signals.append(number)

    runs, deadline = list(_live), time.monotonic() + _EXIT_SECONDS
    with caught(hurry):
        for session in runs:
            session._deaf = True
            session.stop(INTERRUPTED)
        while not all(session.over for session in runs) and time.monotonic() < deadline:
            time.sleep(0.005)


def abandonable(function: Callable[[], T]) -> T:
    """The result of a function, which is abandoned if Ctrl-C or another signal raises an exception meanwhile.

    A thread computes it, as compiled code would answer no signal before its end. An abandoned thread ends with the
    step of compiled code that it is in.

    >>> abandonable(lambda: 6 * 7)
    42
    """
    check_not_forked()
    if threading.current_thread() is not threading.main_thread():  # which alone receives signals
        return function()
    context, done = contextvars.copy_context(), SimpleQueue[tuple[Any, BaseException | None]]()

    def work() -> None:
        try:
            done.put((context.run(function), None))
        except BaseException as error:
            done.put((None, error))

    thread = threading.Thread(target=work, name="asapnb-preparation", daemon=True)
    try:
        start_all([thread], "threads")
        found, error = done.get()
    except BaseException:
        _raise_in(thread)
        raise
    try:
        if error is not None:
            raise error
        thread.join()
        return found
    finally:
        del error


def _raise_in(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread, at its next step of Python."""
    import ctypes

    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
