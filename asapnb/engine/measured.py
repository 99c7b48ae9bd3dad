"""What a calibration measures: times by the number of workers, the `Timing` of each, and the clock that ends it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..problems.base import Problem
from ..record import UPDATES
from ..timing import Timing
from ..timing.spread import Spread, spread_of
from ..training.apart import Session, apart
from ..training.cores import places
from ..training.options import Options
from ..training.reporting import Hooks
from ..training.steps import ONES
from ..training.words import DIVERGED, INTERRUPTED, TIMED_OUT
from . import words
from .collect import Access
from .initial import InitialState
from .memory import allocate, check_fits
from .preset import preset_of, quantiles, smt_of
from .shared import Shared
from .team import Team
from .words import RING

LEAST = 20  # rounds that each worker makes, however long they take
_WARM_UP = 0.1  # the share of rounds, the first, that are left out


@dataclass(frozen=True, eq=False)
class Measured:
    """The times of all rounds that some workers made at once. A round is a read, a gradient and an update.

    Attributes:
        workers: how many workers there were.
        rounds: how many rounds each worker made.
        compute: seconds of each gradient, with all that a worker does for itself; float64, shape (rounds of all,),
            those of worker 0 first.
        read: seconds of each read, likewise.
        update: seconds of each update, likewise; for Leashed, of each first attempt.
        retry: seconds of each further attempt of Leashed; empty if there were fewer than 20.
        gradients_per_second: gradients per second of all workers together.
        share: the share of their cores that the workers had, 0 to 1. It is below 1 where something else was running.
    """

    kinds: ClassVar[tuple[str, ...]] = ("compute", "read", "update", "retry")

    workers: int
    rounds: tuple[int, ...]
    compute: NDArray[np.float64]
    read: NDArray[np.float64]
    update: NDArray[np.float64]
    retry: NDArray[np.float64]
    gradients_per_second: float
    share: float

    @cached_property
    def timing(self) -> Timing:
        """These times as a `Timing`: at most 100 quantiles of each."""
        retry = quantiles(self.retry) if len(self.retry) else None
        compute, read, update = map(quantiles, (self.compute, self.read, self.update))
        return Timing(compute, read, update, retry=retry)

    @cached_property
    def each(self) -> list[NDArray[np.float64]]:
        """The entries of `compute` of each worker, one array for each."""
        return np.split(self.compute, np.cumsum(self.rounds)[:-1])

    @cached_property
    def spread(self) -> Spread:
        """How much the times of gradients differ, within a worker and between workers."""
        return spread_of(self.each)

    @property
    def timing_of_each(self) -> Timing:
        """As `timing`, with a compute time for each worker. So it fits this number of workers only."""
        return replace(self.timing, compute=[quantiles(some) for some in self.each])

    @property
    def steps(self) -> dict[str, NDArray[np.float64]]:
        """The times of each kind of step, by its name, such as "read"; without kinds that have no times."""
        return {name: times for name in self.kinds if len(times := getattr(self, name))}

    @staticmethod
    def fit(found: "Sequence[Measured]") -> tuple[float | None, Timing]:
        """The `smt` and the `preset` of a `Calibration`."""
        where = places()
        physical = len(set(where))
        smt = smt_of({one.workers: one.each for one in found}, where)
        one = measured_for(found, physical)
        times = {name: float(np.median(some)) for name, some in one.steps.items() if name != "compute"}
        return smt, preset_of(one.spread, physical, smt, **times)


class Calibration(dict[int, Timing]):
    """What `calibrate` returns: a dict with a `Timing` for each number of workers.

    Attributes:
        spread: by number of workers, a `Spread`: how much the times of gradients differ.
        smt: how many times as long a gradient takes where two workers share a core; None if none did.
        preset: a timing of this machine's shape, "machine(…)", from as many workers as there are cores. On MPI it has
            the typical times, with all workers at work.
        measured: by number of workers, a `Measured`: all times that were measured.
    """

    def __init__(self, found: Sequence[Measured]) -> None:
        super().__init__({one.workers: one.timing for one in found})
        self.spread = {one.workers: one.spread for one in found}
        self.smt, self.preset = found[0].fit(found)
        self.measured = {one.workers: one for one in found}


def measured_for(found: Sequence[Measured], cores: int) -> Measured:
    """The measurement with the most workers of which none shares a core; otherwise that with the fewest workers."""
    return max((one for one in found if one.workers <= cores), key=lambda one: one.workers, default=found[0])


def warm(count: int, room: int) -> int:
    """The index of the first measurement that counts. Where they exceed the room, the first are gone already."""
    return int(_WARM_UP * count) if count < room else 0


def measuring(problem: Problem, options: Options) -> tuple[Shared, InitialState]:
    """Memory for workers that train in order to be measured."""
    check_fits(problem, options)
    start = InitialState(problem.init(options.seed))
    shared = allocate(problem, options, ONES, start, float(np.finfo(np.float32).max))
    shared.tables[0, words.LENGTHS], shared.scales[0, 0] = 1, 1.0  # one table: the scale is 1 throughout
    return shared, start


class Timer:
    """Serves the workers as the controller of a run does: takes their rows, and stops them when the time is over.

    Args:
        shared: what the workers share.
        access: to it.
        seconds: how long they work.
        enough: whether they have done the least that they must.
    """

    def __init__(
        self, shared: Shared, access: Access, seconds: float, enough: Callable[[], bool] = lambda: True
    ) -> None:
        self.access, self._shared, self._seconds, self._enough = access, shared, seconds, enough
        self._rows = np.empty(RING, UPDATES)
        self._cpu = time.process_time()
        self.rate = self.share = 0.0
        self.finite = True  # all losses, also those of rounds after the time was over
        self.staleness = np.zeros(1, np.int64)  # updates by their staleness

    def serve(self, team: Team) -> None:
        """Let a team work until the time is over; raises what ended it before, but see `check`."""

        def work(session: Session[None]) -> None:
            session.attach(self)
            team.work(self)

        apart(work, Hooks())

    def check(self, problem: Problem, options: Options) -> None:
        """After the work: KeyboardInterrupt if a signal has ended it, UsageError if a loss was not finite."""
        self.salvage()
        if self.reason == INTERRUPTED:
            raise KeyboardInterrupt
        if not self.finite or self.reason == DIVERGED:
            raise UsageError(f"the loss of {problem!r} is not finite near its initial parameters: give another seed "
                             f"than {options.seed}, or another problem")  # fmt: skip

    @property
    def reason(self) -> int:
        """Why the workers stop; 0 if they do not."""
        return self.access.get(self._shared.control, words.STOP)

    def stop(self, reason: int) -> None:
        """Ask all workers to stop; the first reason given stands."""
        self.access.swap(self._shared.control, words.STOP, 0, reason)

    def tick(self) -> bool:
        """Take the rows and look at the clock; True if there were so many that more should be taken at once."""
        count = self.salvage()
        get, control = self.access.get, self._shared.control
        passed = (self.access.now() - get(control, words.ORIGIN)) * 1e-9
        if passed >= self._seconds and not self.reason and self._enough():
            self.rate = get(control, words.VERSION) / passed
            self.share = (time.process_time() - self._cpu) / (passed * int(control[words.WORKERS]))
            self.stop(TIMED_OUT)
        return count > RING // 2

    def hurried(self) -> bool:
        """Never: a calibration is over in a moment."""
        return False

    def failure(self) -> BaseException | None:
        """Nothing: there are no callbacks."""
        return None

    def salvage(self, *, ended: bool = False) -> int:
        """Take the finished rows, for their losses and their staleness only; returns how many."""
        shared, access = self._shared, self.access
        drained = access.get(shared.control, words.DRAINED)
        count = access.copy(drained, 0, shared.rows, shared.written, self._rows)
        access.put(shared.control, words.DRAINED, drained + count)
        self.finite &= bool(np.isfinite(self._rows["loss"][:count]).all())
        seen = np.bincount(self._rows["tau"][:count], minlength=len(self.staleness))
        seen[: len(self.staleness)] += self.staleness
        self.staleness = seen
        return count
