"""The server of a run on MPI, as the team behind its controller: rank 0 applies what the other ranks compute."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import types

from ..compiled import specialise
from ..errors import RankError
from ..kernels.arrays import aligned
from ..mpi import library
from ..problems.base import Dtypes, Problem
from ..record.schema import UPDATES, blank_rows
from ..schemes import Scheme
from ..training.compiling import load
from ..training.options import Options
from ..training.words import DIVERGED, FAILED, INTERRUPTED
from . import words
from .collect import Access, compile_access
from .elastic import number_at
from .initial import InitialState
from .loops.server import answer
from .messages import ALIVE, ANSWER, BROKEN, LEAVING, NOT_FINITE, STOP, Message, Watch, awaited, over
from .ranks import LEAVING_SECONDS, Ranks
from .shared import Own, Shared, worker_types
from .team import Crew, Server, Team

SILENCE = 60.0  # seconds that a worker may be silent beyond ten times the longest gradient so far
ALIVE_SECONDS = 30.0  # between two messages to a worker that is held back


class Steps(NamedTuple):
    """The compiled steps of a server."""

    serve: Callable[..., None]
    answer: Callable[..., int]


def compile_server(loop: str, dtypes: Dtypes) -> tuple[Access, Steps]:
    """The access to what workers share, and the steps of a server, of which `loop` names the one that serves."""
    own = (*worker_types(*dtypes), types.int64)
    return compile_access(UPDATES), Steps(specialise(load(loop), *own, types.int64), specialise(answer, *own))


def server(scheme: Scheme, ranks: Ranks) -> Crew:
    """The workers of a run on MPI, for its server."""
    return Crew(scheme.server_loop or "", compile_server, partial(ServerTeam, ranks=ranks))


class ServerTeam(Team):
    """The workers of a run on MPI. A thread of the server serves them in the order in which their messages come.

    Each message of a worker gets one of the server: the parameters, or that the run is over. A worker that is too far
    ahead of the slowest, or for whom the interval has no gradient left, gets it later.
    """

    def __init__(
        self, problem: Problem, options: Options, shared: Shared, steps: Steps, start: InitialState, *, ranks: Ranks
    ) -> None:
        super().__init__(problem, options, shared, steps.serve, start)
        self._answer, self._ranks, self._mpi = steps.answer, ranks, library()
        m, n = options.workers, problem.n_params
        self._inbox, self._outbox = ([Message(n, problem.dtype) for _ in range(m)] for _ in range(2))
        self._taken = [self._own(me) for me in range(m)]  # with the row that comes with a gradient
        self._given = [own._replace(row=one.row) for own, one in zip(self._taken, self._outbox, strict=True)]
        self.owns = [*self._taken]
        self._sums = [0] * m  # of the scales that had been applied when a worker got its parameters
        self._made = np.zeros(m, np.int64)  # gradients of each worker
        self._held: list[int] = []  # workers that get their parameters later
        self._asked: dict[int, float] = {}  # workers that compute, and since when
        self._longest = 0.0  # seconds from an answer to its gradient
        self._watch = Watch()
        self._looked = self._said_alive = 0.0
        self._sends: list[Any] = []
        self._receives: list[Any] = []
        self._statuses = [self._mpi.Status() for _ in range(m)]
        self._lasts: list[Any] = []  # sends of the last messages
        self._notes: list[str] = []

    def _own(self, me: int) -> Own:
        """What a worker has at the server: its messages, and what its steps carry on."""
        options, dtype, start = self._options, self._problem.dtype, self._start.moments
        moments = aligned(0 if options.shares_moments else self._problem.n_params * options.moments, dtype)
        if start is not None and not options.shares_moments:
            moments[:] = start[me % len(start)]
        self._outbox[me].row[:] = blank_rows(1)
        if options.shards is not None:
            self._outbox[me].row["batch"] = self._start.own_ticket(me) - 1
        return Own(
            indices=aligned(0, np.int64),
            gradient=self._inbox[me].vector,
            workspace=aligned(0, dtype),
            snapshot=self._outbox[me].vector,
            moments=moments,
            local=aligned(0, dtype),
            row=self._inbox[me].row,
        )

    def work(self, server: Server) -> None:
        """Serve the workers until all have been told that the run is over. Raises what failed on a rank."""
        try:
            super().work(server)
        finally:
            for note in self._notes:
                warnings.warn(note, RuntimeWarning, stacklevel=2)

    def _members(self, server: Server) -> list[threading.Thread]:
        return [threading.Thread(target=self._serve, args=(server,), name="asapnb-server", daemon=True)]

    def _serve(self, server: Server) -> None:
        try:
            self._serve_all(server)
        except BaseException as error:
            self._ranks.abandon()  # its workers may wait for what never comes
            self._fail(error, server)

    def _serve_all(self, server: Server) -> None:
        """Serve the workers until each has been told that the run is over."""
        get, put, control = server.access.get, server.access.put, self._shared.control
        put(control, words.READY, self._options.workers)
        while get(control, words.GO) == 0:
            time.sleep(0.0005)
        self._ranks.begun = False  # from here on workers are dismissed one by one
        comm = self._ranks.comm
        self._receives = [comm.Recv_init(one.buffer, rank) for rank, one in enumerate(self._inbox, 1)]
        self._sends = [comm.Send_init(one.buffer, rank, ANSWER) for rank, one in enumerate(self._outbox, 1)]
        for me in range(self._options.workers):
            self._go_on(me, server)
        while self._asked or self._held:
            for me, tag in self._arrived(server):
                self._take(me, tag, server)
            if self._watch() - self._looked > 1:  # a worker may be silent while messages of others keep coming
                self._looked_around(server)
        self._end()

    def _arrived(self, server: Server) -> Iterator[tuple[int, int]]:
        """The workers whose messages have come, and their tags, as soon as there is one."""
        found = awaited(self._look, lambda: self._looked_around(server))
        for place, me in enumerate(found or ()):
            if me in self._asked:  # and has not been given up
                yield me, self._statuses[place].Get_tag()

    def _look(self) -> list[int] | None:
        """The workers whose messages have come; None if there are none."""
        return self._mpi.Request.Testsome(self._receives, self._statuses) or None

    def _take(self, me: int, tag: int, server: Server) -> None:
        """Take a message of a worker, then let workers go on."""
        self._longest = max(self._longest, self._watch() - self._asked.pop(me))
        if tag == BROKEN:
            self._fail(RankError(f"{self._ranks.name(me + 1)} failed: {self._inbox[me].text}"), server)
        elif tag == NOT_FINITE:
            row = self._inbox[me].row[0]
            self._notes.append(
                f"{self._ranks.name(me + 1)} computed a gradient that is not finite, at version "
                f"{row['read_version']:,} on minibatch {row['batch']:,}: it is not applied, and the run has diverged"
            )
            server.stop(DIVERGED)
        else:
            if tag == LEAVING:
                server.stop(INTERRUPTED)
            try:
                self._loop(self._shared, self._taken[me], me, self._sums[me])
            except Exception as error:  # of a loop of one's own
                self._fail(error, server)
        self._made[me] += 1
        self._let_go(server, me)

    def _let_go(self, server: Server, *workers: int) -> None:
        """Let workers go on, then those that are held back, as far as they may."""
        held, self._held = self._held, []
        for me in (*workers, *held):
            self._go_on(me, server)

    def _go_on(self, me: int, server: Server) -> None:
        """Send a worker the parameters, hold it back, or tell it that the run is over."""
        get, control = server.access.get, self._shared.control
        if get(control, words.STOP) != 0 or get(control, words.VERSION) >= control[words.QUOTA]:
            self._lasts.append(self._ranks.comm.Isend(self._last_word(server), me + 1, STOP))
            return
        most = self._options.scheme.most_ahead
        ahead = most is not None and self._made[me] - self._made.min() > most
        ahead |= get(control, words.TICKET) - control[words.LOST] >= get(control, words.CLOSES)
        if ahead or me >= number_at(self._shared, get(control, words.VERSION)):
            self._held.append(me)
            return
        self._sends[me].Wait()  # for the one before, which has arrived
        self._sums[me] = self._answer(self._shared, self._given[me], me)
        self._receives[me].Start()
        self._sends[me].Start()
        self._asked[me] = self._watch()

    def _last_word(self, server: Server) -> bytes:
        """What goes with the last message: nothing, or why the run has failed."""
        if server.access.get(self._shared.control, words.STOP) != FAILED:
            return b""
        error = self._errors[0] if self._errors else server.failure() or RuntimeError("the run has failed")
        return self._ranks.last_word(error)

    def _looked_around(self, server: Server) -> bool:
        """While no message comes: look for workers that are silent; True if there is nobody to wait for any more."""
        now = self._looked = self._watch()
        limit = LEAVING_SECONDS if server.hurried() else SILENCE + 10 * self._longest
        for me in [me for me, since in self._asked.items() if now - since > limit]:
            del self._asked[me]
            self._ranks.abandon()
            if not server.hurried():
                self._fail(self._ranks.silent(me + 1, limit), server)
        if self._held and server.access.get(self._shared.control, words.STOP) != 0:
            self._let_go(server)
        if now - self._said_alive > ALIVE_SECONDS:
            self._said_alive = now
            self._lasts += [self._ranks.comm.Isend(b"", me + 1, ALIVE) for me in self._held]
        return not self._asked and not self._held

    def _end(self) -> None:
        """Wait until all workers have their last message."""
        sent = awaited(lambda: self._mpi.Request.Testall(self._lasts) or None, over(LEAVING_SECONDS))
        if sent is None:
            self._ranks.abandon()
        for request in (*self._sends, *self._receives) if sent else ():
            request.Free()
