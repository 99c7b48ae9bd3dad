"""A worker of a run on MPI: a rank that computes gradients for the server until it is told that the run is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from ..compiled import specialise
from ..errors import RankError
from ..kernels.arrays import aligned
from ..mpi import library
from ..problems.base import Dtypes, Problem, gradient_signature
from ..rules import Rule
from ..training.apart import Session, apart
from ..training.code import pieces
from ..training.compiling import compiled, load
from ..training.options import Options
from ..training.reporting import Hooks
from ..training.steps import ONES
from .initial import InitialState
from .loops.server import finish
from .memory import allocate, check_fits, local_room
from .messages import ALIVE, BROKEN, GRADIENT, LEAVING, NOT_FINITE, STOP, Message, Watch, awaited
from .ranks import LEAVING_SECONDS, Ranks, said
from .shared import Own, worker_types

_LOOP = "asapnb.engine.loops.server:begin"
SILENCE = 600.0  # seconds that the server may be silent; it says that it is there while it holds a worker back


def work(problem: Problem, options: Options, rule: Rule, ranks: Ranks) -> None:
    """Compute gradients for the server until the run is over.

    Args:
        problem: what is minimised, as on the server.
        options: the checked arguments, as on the server.
        rule: likewise.
        ranks: of the run.

    Raises:
        UsageError, RankError: as `Ranks.meet`; RankError also if the server no longer answers.
    """
    check_fits(problem, options)
    code = pieces(problem, rule, options.schedule, options.scheme)
    worker = prepared(problem, options, ranks)
    ranks.meet(problem, options, rule, code)
    apart(worker.work, Hooks())


def prepared(problem: Problem, options: Options, ranks: Ranks) -> Worker:
    """A worker, once all has been compiled that it needs."""
    return Worker(problem, options, ranks, compiled(compile_steps, _LOOP, problem))


Steps = tuple[Callable[..., int], Callable[..., bool]]  # of a worker, before and after its gradient


def compile_steps(loop: str, dtypes: Dtypes) -> Steps:
    """The steps of a worker; `loop` is the first of them."""
    own = worker_types(*dtypes)
    return specialise(load(loop), *own, types.int64), specialise(finish, *own, types.float64, types.int64)


class Worker:
    """A worker and its messages."""

    def __init__(self, problem: Problem, options: Options, ranks: Ranks, steps: Steps) -> None:
        self._ranks, self._mpi = ranks, library()
        self._begin, self._finish = steps
        # called without a look at the types of its arguments, and never as an argument, which takes 20 µs
        self._gradient = problem.gradient.overloads[gradient_signature(*problem.dtypes).args].entry_point
        n, dtype = problem.n_params, problem.dtype
        self._inbox, self._outbox = Message(n, dtype), Message(n, dtype)
        self._shared = allocate(problem, options, ONES, InitialState(np.zeros(n, dtype)), 0.0)
        self._own = Own(
            indices=aligned(options.batch_size, np.int64),
            gradient=self._outbox.vector,
            workspace=aligned(problem.workspace_size(options.batch_size), dtype),
            snapshot=self._inbox.vector,
            moments=aligned(0, dtype),
            local=aligned(local_room(n, options), dtype),
            row=self._outbox.row,
        )
        own = self._own  # where each gradient of a row is computed, and into what
        path = (own.local[:n], own.local[n:])
        self._places = [(own.snapshot, own.gradient), *[path] * (options.local_steps - 1)]
        self._leaving = False
        self._hooks, self._status = Hooks(), self._mpi.Status()
        self._error: BaseException | None = None

    def stop(self, reason: int) -> None:
        """Ask the server, in place of the next gradient or with it, to end the run: a signal has come."""
        self._leaving = True

    def work(self, session: Session[None]) -> None:
        """Answer the server until it says that the run is over; raises what failed here."""
        self._ranks.begun = False
        self._hooks = session.hooks
        session.attach(self)
        try:
            while (tag := self._next()) != STOP:
                if tag != ALIVE:
                    self._send(self._computed())
        except BaseException:
            self._ranks.abandon()
            raise
        if self._error is not None:
            raise self._error
        if self._status.Get_count() > 0:  # with what has failed
            self._ranks.told = True
            raise RankError(self._inbox.text)

    def _computed(self) -> int:
        """Compute the gradient that has been asked for; returns the tag of the answer."""
        self._outbox.row[:] = self._inbox.row
        self._outbox.row["t_apply"] = time.monotonic()
        shared, own = self._shared, self._own
        total, finite = 0.0, True
        try:
            for made, (point, gradient) in enumerate(self._places):
                indices = own.indices[: self._begin(shared, own, made)]
                loss = self._gradient(
                    point, gradient, indices, shared.plan, own.workspace, shared.inputs, shared.labels
                )
                total = loss if made == 0 else total + loss
                finite = self._finish(shared, own, total, made)
            if (failure := self._hooks.failure()) is not None:
                raise failure
        except BaseException as error:
            self._error, self._outbox.text = error, said(error)
            return BROKEN
        return NOT_FINITE if not finite else LEAVING if self._leaving else GRADIENT

    def _send(self, tag: int) -> None:
        self._complete(self._ranks.comm.Isend(self._outbox.buffer, 0, tag))

    def _next(self) -> int:
        """Receive the next message of the server; returns its tag."""
        self._complete(self._ranks.comm.Irecv(self._inbox.buffer, 0))
        return int(self._status.Get_tag())

    def _complete(self, request: Any) -> None:
        """Wait for a message to be sent or received, whose status is then in `_status`."""
        watch, hurried = Watch(), self._hooks.hurried

        def enough() -> bool:
            waited = watch()
            return waited > SILENCE or (waited > LEAVING_SECONDS and hurried())

        if awaited(lambda: request.Test(self._status) or None, enough) is None:
            if hurried():
                raise RankError(f"{self._ranks.name(self._ranks.rank)} was ended by a second signal")
            raise self._ranks.silent(0, SILENCE)
