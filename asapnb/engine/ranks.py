"""The processes of a run on MPI: they meet before it, and either all begin or none does.

Rank 0 is the server, the others are workers. Each reports what it has built, or why it could not. The server
compares the reports and gives its verdict. So bad input, and whatever differs between ranks, is an error on all of
them, before any computes.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ..compiled import KERNEL_PATH
from ..errors import AsapnbError, RankError, UsageError
from ..identity import Piece
from ..mpi import checked, library, provenance
from ..problems.base import Problem
from ..record import machine
from ..rules import Rule
from ..training.options import Options
from .messages import GONE, REPORT, STOP, VERDICT, Watch, awaited, encoded, over
from .reports import OF_SERVER, READ, Report, Verdict, blank_report, facts_of, of_workers

MUSTER_SECONDS = 600.0  # that ranks may take to load data and to compile
WORRY_SECONDS = 60.0  # until it is said who is waited for
LEAVING_SECONDS = 10.0  # that others may take to answer a rank that is being ended
_NAMED = 5  # ranks that an error names
_KNOWN = "_asapnb_known"  # the attribute of an error of which other ranks know

_ABSENT = (
    "it has not joined in time: it has ended, or does something else. All ranks must make the same calls in the same "
    "order; see what it wrote"
)

T = TypeVar("T")


class Ranks:
    """The communicator of a run, as one of its ranks sees it.

    How the others learn of an error here depends on how far the run is, see `fail`:

    1. A rank prepares, reports, and waits for the verdict of the server (`_exchange`); `share` does the same earlier.
    2. All have agreed to begin, and make a communicator for the run alone (`meet`).
    3. The run has `begun`: workers wait for their first message.
    4. Server and workers exchange messages and set `begun` back; they end the run themselves (`serving`, `remote`).
    """

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.workers = self.size - 1
        self.hosts: list[str] = []  # of all ranks
        self.reports: list[Report] = []  # of all ranks, on the server
        self.begun = False  # all ranks agree to begin, so that workers wait for messages
        self.told = False  # the server knows why there is no run, and has answered
        world = library().COMM_WORLD.Get_group()
        self._world = comm.Get_group().Translate_ranks(range(self.size), world)  # negative for those elsewhere
        self.shares = False  # workers have their arguments from the server
        self._reported = False  # this rank has, and there is no verdict yet
        self._agreed = False  # the verdict was that all begin
        self.lost = False  # one no longer answers
        self.goes_on = False  # after the block of `joining`; who makes it so calls `leave` in the end
        self._own: Any = None  # the communicator of the run, once it has begun

    @property
    def serves(self) -> bool:
        """Whether this is the server."""
        return self.rank == 0

    def name(self, rank: int) -> str:
        """A rank as errors name it."""
        host = f", host {self.hosts[rank]}" if rank < len(self.hosts) and self.hosts[rank] else ""
        return f"rank {rank} ({'server' if rank == 0 else f'worker {rank - 1}'}{host})"

    def meet(self, problem: Problem, options: Options, rule: Rule, code: Sequence[Piece]) -> None:
        """Report what this rank has built, and begin if all ranks can.

        Raises:
            UsageError: with what differs between ranks, or was refused on one.
            RankError: with what failed on one, or that one has not come.
        """
        facts = facts_of(problem, options, rule, code, OF_SERVER if self.shares else READ)
        self._exchange(replace(blank_report(), facts=facts, machine=machine(KERNEL_PATH)), MUSTER_SECONDS)
        self._agreed = True
        self.comm = self._own = self._duplicate(self.comm)
        self.begun = True

    def share(self, what: str, make: Callable[[], T]) -> T:
        """What the server makes, on every rank; to be called before `meet`.

        Args:
            what: it is for; must be the same on all ranks.
            make: is called on the server. What it returns is pickled.

        Raises:
            UsageError, RankError: as `meet`.
        """
        made = make() if self.serves else None
        self.shares = True
        found: T = self._exchange(replace(blank_report(), facts={"call": what}), MUSTER_SECONDS, made)
        return found

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks of an error on this one, unless they know."""
        ending = not isinstance(error, Exception)
        vars(error)[_KNOWN] = True
        if ending:
            _ends.append(said(error))
        if self.told or self.lost:
            return
        if not self._agreed:  # 1. The others wait for reports, or for the verdict
            refused = isinstance(error, AsapnbError) and not isinstance(error, RankError)
            report = replace(blank_report(), error="it is being ended" if ending else said(error), refused=refused)
            with suppress(AsapnbError, library().Exception):
                self._exchange(report, LEAVING_SECONDS if ending else MUSTER_SECONDS)
                self.abandon()  # the server did not hear of it, and lets all begin
        elif self.begun and self.serves:  # 3. The workers wait for their first message
            self._dismiss(self.last_word(error))
        elif self.begun or self._own is None:  # 3. The server expects a gradient; or 2.
            self.abandon()

    def last_word(self, error: BaseException) -> bytes:
        """What the server's last message to a worker says of an error."""
        return encoded(said(error) if isinstance(error, RankError) else f"{self.name(0)}: {said(error)}")

    def silent(self, rank: int, seconds: float) -> RankError:
        """The error of a rank from which nothing has come for so long, while the run goes on."""
        why = "it has ended or hangs, or its host is gone"
        return RankError(f"{self.name(rank)} has sent nothing for {seconds:.0f} s: {why}")

    def _dismiss(self, word: bytes) -> None:
        """The server's last word to workers that wait for the first message; later ones are those of `serving`."""
        self.begun = False
        sends = [self.comm.Isend(word, rank, STOP) for rank in range(1, self.size)]
        if awaited(lambda: library().Request.Testall(sends) or None, over(LEAVING_SECONDS)) is None:
            self.abandon()

    def abandon(self) -> None:
        """A rank no longer answers: end the others with this process. MPI would wait for it for ever."""
        if not self.lost:
            self.lost = True
            atexit.register(_abort, self.comm)

    def leave(self) -> None:
        """All has ended in good order: give the communicator of the run back, as MPI has two thousand or so.

        After an error it is kept: a message that nobody has taken would reach the next run with it.
        """
        if self._own is not None and not self.lost:
            self._own.Free()

    def facts(self) -> dict[str, Any]:
        """Where the ranks are, and what carries their messages, for the run file."""
        where = [
            {"rank": rank, "host": one.host, "pid": one.pid, "cores": one.cores}
            for rank, one in enumerate(self.reports)
        ]
        return {"ranks": where, "hosts": {one.host: one.machine for one in self.reports}, "mpi": provenance()}

    def _exchange(self, report: Report, seconds: float, more: Any = None) -> Any:
        """Report, unless this rank has, and learn what the server says; returns what more it says."""
        if self.serves:
            verdict = self._judged(report, seconds)._replace(more=more)
            for rank in range(1, self.size):
                if self.reports[rank].host:  # or it has not come
                    self.comm.send(verdict, rank, VERDICT)
        else:
            if not self._reported:
                self.comm.send(report, 0, REPORT)
            self._reported = True
            verdict = self.received(0, VERDICT, seconds if seconds < MUSTER_SECONDS else 2 * seconds)
            self._reported = False
        self.hosts = verdict.hosts
        if verdict.error is not None:
            self.told = True
            raise (UsageError if verdict.refused else RankError)(verdict.error)
        return verdict.more

    def _judged(self, report: Report, seconds: float) -> Verdict:
        """Collect the reports; returns what to tell all ranks."""
        watch, come = Watch(), self.reports[1:] if self._reported else []
        self.reports, self._reported = [report, *come], True
        while len(self.reports) < self.size:
            rank = len(self.reports)
            try:
                self.reports.append(self.received(rank, REPORT, max(seconds - watch(), 0.1)))
            except RankError as error:
                self.reports.append(Report("", error=str(error).removeprefix(f"{self.name(rank)}: "), refused=False))
        self._reported = False
        self.hosts = [one.host for one in self.reports]
        if report.error is not None:
            return Verdict(self.hosts, f"{self.name(0)}: {report.error}", report.refused)
        wrong = [(rank, text) for rank, one in enumerate(self.reports) if (text := self._wrong(rank, one))]
        if not wrong:
            return Verdict(self.hosts)
        more = f"; and {len(wrong) - _NAMED} ranks more" if len(wrong) > _NAMED else ""
        text = "; ".join(f"{self.name(rank)}: {text}" for rank, text in wrong[:_NAMED]) + more
        return Verdict(self.hosts, text, all(self.reports[rank].refused for rank, _ in wrong))

    def _wrong(self, rank: int, report: Report) -> str | None:
        """What is wrong with a report; None if nothing is."""
        for what, ours in {} if report.error is not None else self.reports[0].facts.items():
            theirs = report.facts.get(what)
            if theirs != ours:
                return f"its {what} is {theirs}, and that of {self.name(0)} is {ours}: all ranks must have the same"
        return report.error

    def received(self, rank: int, tag: int, seconds: float) -> Any:
        """A message with what one rank says, which is awaited for a time."""
        found = self._come(rank, tag, seconds)
        if found is None:
            raise RankError(f"{self.name(rank)}: {_ABSENT}")
        return found.recv()

    def _come(self, rank: int, tag: int, seconds: float) -> Any:
        """A message of one rank that has come; None if none has after so long."""
        look, soon = partial(self._probed, rank, tag), min(WORRY_SECONDS, seconds)
        found = awaited(look, over(soon))
        if found is None and soon < seconds:
            if self.serves:
                what = "it may be loading or compiling, or may have ended; the others wait for it"
                warnings.warn(f"{self.name(rank)} has not joined yet: {what}", RuntimeWarning, stacklevel=2)
            found = awaited(look, over(seconds - soon))
        if found is None:
            self.abandon()
        return found

    def _probed(self, rank: int, tag: int) -> Any:
        """A message of a rank, if one has come; RankError if the process of that rank has ended instead."""
        found, place, world = self.comm.improbe(rank, tag), self._world[rank], library().COMM_WORLD
        if found is None and place >= 0 and (place in _gone or world.iprobe(place, GONE)):
            _gone[place] = _gone.get(place) or world.recv(source=place, tag=GONE)
            raise RankError(f"{self.name(rank)}: it has ended: {_gone[place]}")
        return found

    def _duplicate(self, comm: Any) -> Any:
        """A communicator of this run alone."""
        own, request = comm.Idup()
        if awaited(lambda: request.Test() or None, over(MUSTER_SECONDS)) is None:
            self.abandon()
            raise RankError("a rank has ended after it had reported: see what it wrote")
        return own


@contextmanager
def joining(comm: Any) -> Iterator[Ranks | None]:
    """In this block the ranks of a communicator prepare a run together: an error on one is an error on all.

    Args:
        comm: an mpi4py communicator; None for a run of this process alone. Or the ranks, in an outer such block.

    Raises:
        UsageError: for a communicator that cannot be used, and what `Ranks.meet` says.
        RankError: what `Ranks.meet` says, and in the place of an error of MPI.
    """
    if comm is None or isinstance(comm, Ranks):
        yield comm
        return
    ranks = Ranks(checked(comm))
    try:
        try:
            yield ranks
        except library().Exception as error:
            name = ranks.name(ranks.rank)
            raise RankError(f"{name}: MPI failed, as it does when a rank or its host is gone: {error}") from error
    except BaseException as error:
        ranks.fail(error)
        raise
    if not ranks.goes_on:
        ranks.leave()


def said(error: BaseException) -> str:
    """An error as other ranks name it."""
    return str(error) if isinstance(error, AsapnbError) else f"{type(error).__name__}: {error}".removesuffix(": ")


_gone: dict[int, str] = {}  # ranks of the world that an error has ended, and which
_ends: list[str] = []  # what ends this process, if it is no mere error


@atexit.register
def _say_that_it_ends() -> None:
    """If an error ends this process: tell the ranks that may wait for it to call `train`. MPI tells nobody."""
    mpi, error = sys.modules.get("mpi4py.MPI"), getattr(sys, "last_value", None)
    text = _ends[-1] if _ends else None if error is None or _KNOWN in vars(error) else said(error)
    if text is not None and mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        world = mpi.COMM_WORLD
        sends = [world.isend(text[:1000], rank, GONE) for rank in (range(1, world.size) if world.rank == 0 else [0])]
        awaited(lambda: mpi.Request.testall(sends)[0] or None, over(1.0))


def all_know() -> None:
    """The job ends on all ranks: what ends this one need not be said, as nobody would receive it.

    MPICH loses exit codes where a message is left at the end: `mpiexec` then ends with 0 or 9.
    """
    _ends.clear()


def of_rank(ranks: Ranks | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a run that a rank looks at: those that must be the same on all ranks, or all."""
    if ranks is None or ranks.serves:
        return dict(given)
    return of_workers(given) if ranks.shares else {name: given[name] for name in given if name not in READ}


def _abort(comm: Any) -> None:
    """End all ranks; where MPI cannot, as it waits for a host that is gone, at least this one."""
    with open(os.devnull, "w") as nowhere:  # Abort keeps the interpreter's lock, so no thread of Python could do it
        faulthandler.dump_traceback_later(LEAVING_SECONDS, exit=True, file=nowhere)
        comm.Abort(1)
