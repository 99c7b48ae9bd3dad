"""`calibrate` on MPI: how long a server, its workers and the messages between them take, while they train."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..mpi import library
from ..problems.base import Problem
from ..record.schema import UPDATES
from ..rules import constant
from ..staleness import StalenessDistribution
from ..timing import Timing, empirical, gamma
from ..training.apart import Session, apart
from ..training.code import pieces
from ..training.compiling import compiled
from ..training.options import Options
from ..training.reporting import Hooks
from . import clocks, remote, serving
from .clocks import Offset
from .collect import Access
from .measured import LEAST, Measured, Timer, measuring, warm
from .memory import check_fits
from .messages import SHARE, TASK
from .preset import QUANTILES, coefficient, parts, quantiles, rounded
from .ranks import Ranks
from .team import Server, Team

_ROOM = 2**18  # the last rounds, which are kept
_CLOCK, _WORK = "clock", "work"  # what the server asks of a worker
_STAMPS = ("sent", "idle", "found", "since", "served", "ended")  # of the server's clock, in nanoseconds
_ROUND = np.dtype([(name, np.int64) for name in ("worker", *_STAMPS)])


@dataclass(frozen=True, eq=False)
class MeasuredRanks(Measured):
    """What a server and so many workers measured. `compute` is of the workers, `update` and `read` of the server.

    Attributes:
        pull: seconds from the end of an answer to when the worker began the gradient, one entry a round.
        push: seconds from the end of a gradient to when the server found it, of those that met an idle server.
        clock: seconds by which a pull may be too long and its push too short, or the other way round.
        staleness: of all updates.
    """

    kinds: ClassVar[tuple[str, ...]] = ("compute", "update", "read", "pull", "push")

    pull: NDArray[np.float64]
    push: NDArray[np.float64]
    clock: float
    staleness: StalenessDistribution

    @cached_property
    def timing(self) -> Timing:
        """These times as a `Timing`: at most 100 quantiles of each. A message is as often a pull as a push."""
        network = [self.pull, self.push] if len(self.push) >= LEAST else [self.pull]
        both = [value for times in network for value in parts(times, QUANTILES // len(network))]
        compute, read, update = map(quantiles, (self.compute, self.read, self.update))
        return Timing(compute, read, update, empirical(both))

    @staticmethod
    def fit(found: Sequence[Measured]) -> tuple[float | None, Timing]:
        """No `smt`, and the typical times of the section of most workers."""
        one = found[-1]
        compute = gamma(rounded(one.spread.typical), coefficient(one.spread))
        rest = {name: rounded(float(np.median(one.steps[name]))) for name in ("read", "update")}
        network = rounded(one.timing.times("network", 1)[0].mean)
        return None, Timing(compute, **rest, network=network)


Rounds = Generator[MeasuredRanks, None, None]


class _TimedTeam(serving.ServerTeam):
    """A server that notes when it found, served and answered each gradient."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.rounds: deque[tuple[float, ...]] = deque(maxlen=_ROOM)
        self.rows: deque[bytes] = deque(maxlen=_ROOM)  # as they came from the workers
        self._sent = [0] * self._options.workers
        self._idle = self._found = self._since = self._served = 0
        self.share = 1.0

    def work(self, server: Server) -> None:
        """As a team; what is not finite is an error here, and needs no warning."""
        Team.work(self, server)

    @property
    def least(self) -> int:
        """The fewest rounds that a worker has made."""
        return int(self._made.min())

    def _last_word(self, server: Server) -> bytes:
        """Nothing: workers then wait for what they are asked to do next."""
        return b""

    def _serve_all(self, server: Server) -> None:
        before = scheduled()
        super()._serve_all(server)
        self.share = share(before, scheduled())

    def _look(self) -> list[int] | None:
        self._found = self._since = time.monotonic_ns()
        return super()._look()

    def _take(self, me: int, tag: int, server: Server) -> None:
        row, sent, since = self._inbox[me].row.tobytes(), self._sent[me], self._since
        super()._take(me, tag, server)
        self._since = time.monotonic_ns()
        self.rows.append(row)
        self.rounds.append((me, sent, self._idle, self._found, since, self._served, self._since))
        self._idle = self._since

    def _go_on(self, me: int, server: Server) -> None:
        self._served = time.monotonic_ns()
        super()._go_on(me, server)
        self._sent[me] = time.monotonic_ns()


def measure_ranks(problem: Problem, options: Options, counts: Sequence[int], seconds: float, ranks: Ranks) -> Rounds:
    """Prepare to measure, on every rank; what is returned does so, and yields on the server what it has measured.

    Args:
        problem: what is minimised, as on all ranks.
        options: of a run with all workers, without an end.
        counts: how many workers to measure; those of the server count.
        seconds: how long to measure each number of workers; likewise.
        ranks: of the calibration.

    Raises:
        UsageError, RankError: as `Ranks.meet`.
    """
    check_fits(problem, options)
    code = pieces(problem, constant(), options.schedule, options.scheme)
    prepare = _server if ranks.serves else _worker
    rounds = prepare(problem, options, counts, seconds, ranks)
    ranks.meet(problem, options, constant(), code)
    ranks.begun, ranks.goes_on = False, True  # they wait for what they are asked to do
    return rounds()


def _worker(
    problem: Problem, options: Options, counts: Sequence[int], seconds: float, ranks: Ranks
) -> Callable[[], Rounds]:
    """A worker works as the server asks, until there is no more to do."""
    worker = remote.prepared(problem, options, ranks)
    patience = len(counts) * (seconds + remote.SILENCE)

    def work(session: Session[None]) -> None:
        error: BaseException | None = None
        while (task := ranks.received(0, TASK, patience)) is not None:
            if task == _CLOCK:
                clocks.answer(ranks)
                continue
            before = scheduled()
            try:
                worker.work(session)
            except BaseException as raised:  # which the server knows, unless ranks are lost
                error = raised
                if ranks.lost:
                    raise
            ranks.comm.send(share(before, scheduled()), 0, SHARE)
        if error is not None:
            raise error

    def rounds() -> Rounds:
        apart(work, Hooks())
        ranks.leave()
        yield from ()

    return rounds


def _server(
    problem: Problem, options: Options, counts: Sequence[int], seconds: float, ranks: Ranks
) -> Callable[[], Rounds]:
    """The server measures; however it ends, the workers are told that there is no more to do."""
    crew = serving.server(options.scheme, ranks)
    access, steps = compiled(crew.compile, crew.loop, problem)

    def rounds() -> Rounds:
        try:
            for workers in counts:
                yield _measured(problem, replace(options, workers=workers), seconds, ranks, access, steps)
        finally:
            for rank in range(1, ranks.size):
                with suppress(library().Exception):
                    ranks.comm.send(None, rank, TASK)
        ranks.leave()

    return rounds


def _measured(
    problem: Problem, options: Options, seconds: float, ranks: Ranks, access: Access, steps: serving.Steps
) -> MeasuredRanks:
    """Train with so many workers for so many seconds; returns the times."""
    at_work = range(1, options.workers + 1)
    shared, start = measuring(problem, options)
    team = _TimedTeam(problem, options, shared, steps, start, ranks=ranks)
    timer = Timer(shared, access, seconds, enough=lambda: team.least >= LEAST)

    def offsets() -> list[Offset]:
        found = []
        for rank in at_work:
            ranks.comm.send(_CLOCK, rank, TASK)
            found.append(clocks.ask(ranks, rank))
        return found

    def work(session: Session[Any]) -> tuple[list[Offset], list[float], list[Offset]]:
        before, shares = offsets(), list[float]()
        session.attach(timer)
        for rank in at_work:
            ranks.comm.send(_WORK, rank, TASK)
        try:
            team.work(timer)
        finally:  # no message is left for the next run
            shares += [ranks.received(rank, SHARE, serving.SILENCE) for rank in at_work if not ranks.lost]
        return before, shares, offsets()

    before, shares, after = apart(work, Hooks())
    timer.check(problem, options)
    rounds = np.array(list(team.rounds), _ROUND)
    rows = np.frombuffer(b"".join(team.rows), UPDATES)
    each = [_times_of(me, rounds, rows, before[me], after[me]) for me in range(options.workers)]
    rate = sum(len(one["compute"]) / float(one.pop("seconds")) for one in each)
    together = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    return MeasuredRanks(
        workers=options.workers,
        rounds=tuple(len(one["compute"]) for one in each),
        retry=np.zeros(0),
        gradients_per_second=rate,
        share=min(team.share, *shares),
        clock=max(one.error for one in (*before, *after)),
        staleness=StalenessDistribution.from_counts(timer.staleness),
        **together,
    )


def _times_of(
    me: int, rounds: NDArray[Any], rows: NDArray[Any], before: Offset, after: Offset
) -> dict[str, NDArray[np.float64]]:
    """Seconds of all that a worker, and the server for it, did in each round but the first; and of these rounds."""
    own = np.flatnonzero(rounds["worker"] == me)
    own = own[warm(len(own), _ROOM) :]
    rounds, rows = rounds[own], rows[own]
    sent, idle, found, since, served, ended = (rounds[name] * 1e-9 for name in _STAMPS)
    duration = rows["t_ready"] - rows["t_read"]
    begun = rows["t_apply"] - np.interp(sent, [before.at, after.at], [before.ahead, after.ahead])
    ready = begun + duration
    return {
        "seconds": ended[-1] - sent[0],
        "compute": duration,
        "update": served - since,
        "read": ended - served,
        "pull": np.maximum(begun - sent, 0),
        "push": np.maximum(found - ready, 0)[idle <= ready],
    }


def scheduled() -> tuple[int, int]:
    """Nanoseconds that this thread has run so far, and has waited for a core; (0, 0) where that is not known."""
    try:
        ran, waited, _ = map(int, Path("/proc/thread-self/schedstat").read_text().split())
    except (OSError, ValueError):
        return 0, 0
    return ran, waited


def share(before: tuple[int, int], after: tuple[int, int]) -> float:
    """The part of the time that a thread had a core, of that in which it wanted one."""
    ran, waited = (later - earlier for earlier, later in zip(before, after, strict=True))
    return ran / (ran + waited) if ran else 1.0
