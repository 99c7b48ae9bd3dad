"""The worker threads: one per worker, each in compiled code from the start of the clock to its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, Protocol

import numpy as np
from numba import types

from ..compiled import specialise
from ..problems.base import Problem, gradient_signature
from ..schemes import Hogwild, Leashed, LockBased, Scheme, Sequential, Synchronous
from . import shared as words
from .controller import Controller
from .memory import own_buffers
from .options import Options, cores
from .shared import Own, Shared, worker_types
from .start import Start

POLL_SECONDS = 0.005
_LOOPS = {
    Sequential: "sequential",
    Synchronous: "synchronous",
    LockBased: "lock_based",
    Hogwild: "hogwild",
    Leashed: "leashed",
}


def compile_loop(scheme: type[Scheme], dtype: np.dtype[Any], inputs: np.dtype[Any]) -> Callable[..., None]:
    """The worker loop of a scheme for problems of these dtypes; imported only now, as importing may compile."""
    loop = import_module(f".loops.{_LOOPS[scheme]}", __package__).work
    gradient = types.FunctionType(gradient_signature(dtype, inputs))
    return specialise(loop, gradient, *worker_types(dtype, inputs), types.int64)


class Team:
    """The workers of one run."""

    def __init__(
        self, problem: Problem, options: Options, shared: Shared, loop: Callable[..., None], start: Start
    ) -> None:
        self._problem, self._options, self._shared, self._loop = problem, options, shared, loop
        self._start = start
        self.owns: list[Own | None] = [None] * options.workers
        self.pinned: dict[int, int] = {}  # worker: core
        self._errors: list[BaseException] = []

    def work(self, controller: Controller) -> None:
        """Start the clock and the workers, serve them until they have ended; raises what a worker raised."""
        threads = [
            threading.Thread(target=self._worker, args=(me, controller), name=f"asapnb-worker-{me}", daemon=True)
            for me in range(self._options.workers)
        ]
        try:
            for thread in threads:
                thread.start()
            self._start_clock(controller)
            while any(thread.is_alive() for thread in threads):
                if not controller.tick():
                    _wait(threads)
            if self._errors:
                raise self._errors[0]
        except BaseException:
            controller.stop(words.FAILED)
            controller.access.put(self._shared.control, words.GO, 1)
            while any(thread.is_alive() for thread in threads):
                controller.salvage()  # or they might wait for room in the ring for ever
                _wait(threads)
            controller.salvage(ended=True)
            raise

    def _start_clock(self, controller: Controller) -> None:
        get, put, control = controller.access.get, controller.access.put, self._shared.control
        while get(control, words.READY) < self._options.workers and not self._errors:
            time.sleep(0.0005)
        before = int(self._start.seconds * 1e9) + 1 if self._start.version else 0  # rounded up: no time goes back
        put(control, words.ORIGIN, controller.access.now() - before)
        put(control, words.GO, 1)

    def _worker(self, me: int, controller: Controller) -> None:
        try:
            if self._options.pin_workers and hasattr(os, "sched_setaffinity"):
                available = cores()
                core = available[me % len(available)]
                os.sched_setaffinity(0, {core})  # of this thread
                self.pinned[me] = core
            own = self.owns[me] = own_buffers(self._problem, self._options, self._shared, self._start, me)
            self._loop(self._problem.gradient, self._shared, own, me)
        except BaseException as error:
            self._errors.append(error)
            controller.stop(words.FAILED)
            controller.access.put(self._shared.control, words.BROKEN, 1)


def _wait(threads: list[threading.Thread]) -> None:
    """A moment's sleep, cut short when a worker ends."""
    alive = next((thread for thread in threads if thread.is_alive()), None)
    if alive is not None:
        alive.join(POLL_SECONDS)


class Stoppable(Protocol):
    """What has workers that can be asked to stop."""

    def stop(self, reason: int) -> None:
        """Ask them, for this reason."""


@contextmanager
def interruptible(controller: Stoppable) -> Iterator[None]:
    """Make the first Ctrl-C stop the workers and let the run end in good order; a second one raises as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_interrupt(number: int, frame: FrameType | None) -> Any:
        controller.stop(words.INTERRUPTED)
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT) or signal.SIG_DFL  # None: it was not set from Python
    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
