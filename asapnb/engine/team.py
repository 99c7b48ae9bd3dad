"""The worker threads, one per worker. Each stays in compiled code from the start of the clock to the end."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from numba import types

from ..compiled import specialise
from ..problems.base import Dtypes, Problem, gradient_signature
from ..record.schema import UPDATES
from ..schemes import Scheme
from ..training.compiling import Compile, load
from ..training.cores import pinning
from ..training.options import Options
from ..training.starting import start_all
from ..training.words import FAILED
from . import words
from .collect import Access, compile_access
from .initial import InitialState
from .memory import own_buffers
from .shared import Own, Shared, worker_types

POLL_SECONDS = 0.005


class Server(Protocol):
    """Serves the workers while they work: the `Controller` of a run, or the timer of a calibration."""

    access: Access

    def tick(self) -> bool:
        """Serve them once; True if they should be served again at once."""

    def stop(self, reason: int) -> None:
        """Ask them to stop; the first reason given stands."""

    def hurried(self) -> bool:
        """Whether the end is to be as quick as possible."""

    def failure(self) -> BaseException | None:
        """What has failed outside the team and this, if it is known."""

    def salvage(self, *, ended: bool = False) -> object:
        """Take all finished rows, after a failure."""


def compile_loop(loop: str, dtypes: Dtypes, *more: types.Type) -> tuple[Access, Callable[..., Any]]:
    """The access to what workers share, and a worker loop; `more` are the types of its further arguments."""
    gradient = types.FunctionType(gradient_signature(*dtypes))
    return compile_access(UPDATES), specialise(load(loop), gradient, *worker_types(*dtypes), types.int64, *more)


class Crew(NamedTuple):
    """How a run has its workers.

    Attributes:
        loop: what is compiled for them, "module:function".
        compile: compiles it, and the access to what the workers share.
        team: makes the team, from problem, options, shared memory, what was compiled, and the initial state.
    """

    loop: str
    compile: Compile[tuple[Access, Any]]
    team: "Callable[..., Team]"


def threads(scheme: Scheme) -> Crew:
    """The workers of a run of this process alone."""
    return Crew(scheme.chosen_loop or "", compile_loop, Team)


class Team:
    """The workers of one run."""

    def __init__(
        self, problem: Problem, options: Options, shared: Shared, loop: Callable[..., Any], start: InitialState
    ) -> None:
        self._problem, self._options, self._shared, self._loop = problem, options, shared, loop
        self._start = start
        self.owns: list[Own | None] = [None] * options.workers
        self.pinned: dict[int, int] = {}  # worker: core
        self._errors: list[BaseException] = []

    def work(self, server: Server) -> None:
        """Start the workers and the clock, then serve the workers until all have ended. Raises what one raised."""
        threads = self._members(server)
        try:
            start_all(threads, "workers")
            self._start_clock(server)
            while any(thread.is_alive() for thread in threads):
                if not server.tick():
                    _wait(threads)
            if self._errors:
                raise self._errors[0]
        except BaseException as error:
            self._errors.append(error)
            server.stop(FAILED)
            server.access.put(self._shared.control, words.GO, 1)
            while any(thread.is_alive() for thread in threads):
                server.salvage()  # or they might wait for room in the ring for ever
                _wait(threads)
            server.salvage(ended=True)
            self._errors.clear()  # with their tracebacks they would keep the team in memory
            raise

    def _members(self, server: Server) -> list[threading.Thread]:
        """The threads that work."""
        return [
            threading.Thread(target=self._worker, args=(me, server), name=f"asapnb-worker-{me}", daemon=True)
            for me in range(self._options.workers)
        ]

    def _start_clock(self, server: Server) -> None:
        get, put, control = server.access.get, server.access.put, self._shared.control
        while get(control, words.READY) < self._options.workers and not self._errors:
            time.sleep(0.0005)
        before = int(self._start.seconds * 1e9) + 1 if self._start.version else 0  # rounded up: times must increase
        put(control, words.ORIGIN, server.access.now() - before)
        put(control, words.GO, 1)

    def _worker(self, me: int, server: Server) -> None:
        try:
            if self._options.pin_workers and hasattr(os, "sched_setaffinity"):
                available = pinning()
                self.pinned[me] = available[me % len(available)]
                os.sched_setaffinity(0, {self.pinned[me]})  # of this thread
            else:
                _spread(me, self._options.workers)
            own = self.owns[me] = own_buffers(self._problem, self._options, self._shared, self._start, me)
            self._loop(self._problem.gradient, self._shared, own, me)
        except BaseException as error:
            self._fail(error, server)

    def _fail(self, error: BaseException, server: Server) -> None:
        """Note what a member raised, and stop the others."""
        self._errors.append(error)
        server.stop(FAILED)
        server.access.put(self._shared.control, words.BROKEN, 1)


def _spread(me: int, workers: int) -> None:
    """Let this worker begin on a core of its own, from which the system may move it.

    Otherwise it leaves some together on one core for the first tenth of a second, while others stand idle. The first
    core differs between processes, as several of them may train at the same time.
    """
    if not hasattr(os, "sched_setaffinity") or not 1 < workers <= len(allowed := pinning()):
        return
    os.sched_setaffinity(0, {allowed[(me + os.getpid()) % len(allowed)]})
    os.sched_setaffinity(0, allowed)


def _wait(threads: list[threading.Thread]) -> None:
    """A moment's sleep, cut short when a worker ends."""
    alive = next((thread for thread in threads if thread.is_alive()), None)
    if alive is not None:
        alive.join(POLL_SECONDS)
