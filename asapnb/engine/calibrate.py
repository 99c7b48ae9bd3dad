"""`calibrate`: how long a gradient, a read and an update take on this machine, as a `Timing` for virtual time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..errors import UsageError
from ..kernels.arrays import aligned, array_type
from ..numbers import integer, real
from ..problems.base import Dtypes, Problem
from ..record import UPDATES
from ..schemes import SCHEMES, LockBased, Scheme, as_scheme
from ..signals import TERMINATING, caught, terminated
from ..timing import Timing
from ..timing.spread import Spread, spread_of
from ..training.arguments import MOST_UPDATES, documented
from ..training.compiling import compiling_beside, of_names
from ..training.options import Options, at_once, cores, places, resolve
from ..training.steps import ONES
from ..training.words import INTERRUPTED, TIMED_OUT
from . import words
from .collect import Access, compile_access
from .initial import InitialState
from .memory import allocate, check_fits
from .preset import preset_of, quantiles, smt_of
from .shared import Shared
from .team import Team, compile_loop
from .words import RING

_FEW = 20  # fewer further attempts of Leashed than these say nothing about their times
_ROOM = 2**18  # the last rounds of a worker, which are kept
_LEAST = 20  # rounds that each worker makes, however long they take
_WARM_UP = 0.1  # the share of rounds, the first, that are left out
_STEP_SIZE = 1e-9  # so small that the parameters hardly move


@dataclass(frozen=True, eq=False)
class Measured:
    """The times of all rounds that a number of workers made at once.

    Attributes:
        workers: how many worked.
        rounds: how many of them each worker made.
        compute: seconds of each gradient, with all that a worker does for itself; float64, one entry a round, those
            of worker 0 first.
        read: seconds of each read, likewise.
        update: seconds of each update; of Leashed, of each first attempt.
        retry: seconds of each further attempt of Leashed; empty if there were fewer than 20.
        gradients_per_second: of all workers together.
        share: the part of their cores that the workers had, 0 to 1; below 1 where something else was running.
    """

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
        """Seconds of computing of each worker."""
        return np.split(self.compute, np.cumsum(self.rounds)[:-1])

    @cached_property
    def spread(self) -> Spread:
        """How much the times of computing differ, within a worker and between workers."""
        return spread_of(self.each)


class Calibration(dict[int, Timing]):
    """What `calibrate` returns: a `Timing` for each number of workers, and how much the times of computing differ.

    Attributes:
        spread: a `Spread` for each number of workers.
        smt: how many times as long a worker takes that shares its core; None if none did.
        preset: a timing of the shape of this machine, "machine(…)", from as many workers as there are cores.
    """

    def __init__(self, found: Sequence[Measured]) -> None:
        super().__init__({one.workers: one.timing for one in found})
        self.spread = {one.workers: one.spread for one in found}
        self.smt, self.preset = fitted(found)


def measured_for(found: Sequence[Measured], cores: int) -> Measured:
    """The section of most workers of which none shares a core, or else that of the fewest."""
    return max((one for one in found if one.workers <= cores), key=lambda one: one.workers, default=found[0])


def fitted(found: Sequence[Measured]) -> tuple[float | None, Timing]:
    """How much slower workers are that share a core, if that was measured, and the timing of this machine's shape."""
    where = places()
    physical = len(set(where))
    smt = smt_of({one.workers: one.each for one in found}, where)
    one = measured_for(found, physical)
    times = {name: times for name in ("read", "update", "retry") if len(times := getattr(one, name))}
    return smt, preset_of(one.spread, physical, smt, **{name: float(np.median(some)) for name, some in times.items()})


@documented("calibrate")
def calibrate(
    problem: Problem,
    *,
    batch_size: int = 16,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    workers: int | Sequence[int] | None = None,
    seconds: float = 2.0,
    seed: int = 0,
) -> Calibration:
    """How long a gradient, a read and an update take on this machine, with 1, 2 … all cores at work.

    Each thread has a core of its own, and does what a worker of `train` does: draws a minibatch, reads the shared
    parameters, computes a gradient, applies it. Waiting for another is no part of any time.

    Args:
        problem: what is minimised; its gradient is measured at its initial parameters.
        workers: the largest number of workers at once; 1, 2 … up to it are measured. Or a list of such numbers, as
            [1, 8, 64]. At most one per core; by default up to the cores, or to what a CPU quota allows.
        seconds: how long to measure each number of workers, in seconds; above 0.
        {arguments}

    Returns:
        A dict with a `Timing` for each number of workers, as `save_timing` takes them: at most 100 quantiles of each
        time, with the mean that was measured. Without a `retry` if there were fewer than 20 further attempts. Its
        `spread` says how much times differ, and its `preset` is a timing of this machine's shape.

    Raises:
        UsageError: for arguments that cannot be used, and a loss that is not finite.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    >>> timings = calibrate(problem, workers=1, seconds=0.1)
    >>> list(timings), timings[1].compute.mean > 0
    ([1], True)
    >>> made = ab.schedule(timings[1], workers=64, updates=1000)  # 64 such cores
    """
    measured = measure(problem, batch_size=batch_size, scheme=scheme, workers=workers, seconds=seconds, seed=seed)
    return Calibration(list(measured))


def measure(
    problem: Problem,
    *,
    batch_size: int = 16,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    workers: int | Sequence[int] | None = None,
    seconds: float = 2.0,
    seed: int = 0,
) -> Iterator[Measured]:
    """Measure as `calibrate` does, and yield what was measured for each number of workers.

    Args:
        problem: what is minimised.
        batch_size: samples per gradient, 1 to the training samples.
        scheme: LockBased or Leashed.
        workers: the largest number of workers at once, or a list of numbers; at most one per core.
        seconds: how long to measure each number of workers, in seconds; above 0.
        seed: initial parameters and the order of the data follow from it; an integer >= 0.

    Raises:
        UsageError: as `calibrate`.
    """
    scheme = as_scheme(scheme)
    measurable = [one() for one in SCHEMES.values() if one.timed_loop]
    if scheme not in measurable:
        names = " and ".join(map(str, measurable))
        raise UsageError(f"scheme is {scheme!r:.80}: calibrate measures {names}; for any other take the times of "
                         "LockBased()")  # fmt: skip
    counts = _counts(workers)
    seconds = real("seconds", seconds, 0, above=True)
    options = [_options(problem, scheme, count, batch_size, seed) for count in counts]
    reference = scheme.timed_loop or ""
    with compiling_beside(compile_rest, reference, problem):
        problem.compile()
    access, loop = compile_access(UPDATES), _compile(reference, problem.dtypes)
    return (_measured(problem, one, access, loop, seconds) for one in options)


def _counts(workers: int | Sequence[int] | None) -> list[int]:
    """How many workers to measure: each once, the fewest first."""
    most, why = len(cores()), " (the cores; a timing for that many workers serves for more, too)"
    if isinstance(workers, Sequence | np.ndarray) and not isinstance(workers, str) and len(workers):
        return sorted({integer(f"workers[{i}]", count, 1, most, note=why) for i, count in enumerate(workers)})
    return list(range(1, (at_once() if workers is None else integer("workers", workers, 1, most, note=why)) + 1))


def _options(problem: Problem, scheme: Scheme, workers: int, batch_size: int, seed: int) -> Options:
    """The options of a run without evaluations and without an end."""
    given = {"scheme": scheme, "workers": workers, "batch_size": batch_size, "seed": seed}
    endless = {"step_size": _STEP_SIZE, "updates": MOST_UPDATES, "eval_every": 0, "pin_workers": True}
    return resolve("train", problem, {**given, **endless})


def compile_rest(loop: str, *dtypes: str) -> None:
    """Fill the cache on disk with all that a calibration compiles besides its problem.

    Args:
        loop: the worker loop, "module:function".
        dtypes: the names of those of the problem.
    """
    _compile(loop, of_names(dtypes))
    compile_access(UPDATES)


def _compile(loop: str, dtypes: Dtypes) -> Callable[..., int]:
    return compile_loop(loop, dtypes, array_type(np.int64, 2), types.int64)


def _measured(
    problem: Problem, options: Options, access: Access, loop: Callable[..., int], seconds: float
) -> Measured:
    """Let the workers make rounds for so many seconds; returns their times."""
    start = InitialState(problem.init(options.seed))
    check_fits(problem, options)
    shared = allocate(problem, options, ONES, start, float(np.finfo(np.float32).max))
    shared.tables[0, words.LENGTHS], shared.scales[0, 0] = 1, 1.0  # one table: the scale is 1 throughout
    found: dict[int, NDArray[np.int64]] = {}
    further: dict[int, NDArray[np.int64]] = {}

    def work(gradient: Any, shared: Shared, own: Any, me: int) -> None:
        times = aligned((_ROOM, 4), np.int64)
        rounds = loop(gradient, shared, own, me, times, _LEAST)
        found[me] = times[_warm(rounds) : rounds, :3]
        retries = times[times[:, 3] > 0, 3]
        further[me] = retries[_warm(len(retries)) :]

    timer = _Timer(shared, access, seconds)
    signals: list[int] = []

    def stop(number: int) -> None:
        signals.append(number)
        timer.stop(INTERRUPTED)

    with caught(stop):
        Team(problem, options, shared, work, start).work(timer)
    timer.salvage()
    if timer.reason == INTERRUPTED:
        raise terminated(signals[0]) if set(signals) & set(TERMINATING) else KeyboardInterrupt
    if not timer.finite:
        raise UsageError(f"the loss of {problem!r} is not finite near its initial parameters: give another seed than "
                         f"{options.seed}, or another problem")  # fmt: skip
    each = [found[me] for me in range(options.workers)]
    compute, read, update = np.concatenate(each).T * 1e-9
    retry = np.concatenate([further[me] for me in range(options.workers)]) * 1e-9
    retry = retry if len(retry) >= _FEW else retry[:0]
    rounds = tuple(map(len, each))
    return Measured(options.workers, rounds, compute, read, update, retry, timer.rate, timer.share)


def _warm(count: int) -> int:
    """The first measurement that counts. If there were more than there is room for, the first are gone already."""
    return int(_WARM_UP * count) if count < _ROOM else 0


class _Timer:
    """Serves the workers as the controller of a run does: takes their rows, and stops them when the time is over."""

    def __init__(self, shared: Shared, access: Access, seconds: float) -> None:
        self.access, self._shared, self._seconds = access, shared, seconds
        self._rows = np.empty(RING, UPDATES)
        self._cpu = time.process_time()
        self.rate = self.share = 0.0
        self.finite = True  # all losses, also those of rounds after the time was over

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
        if passed >= self._seconds and not self.reason:
            self.rate = get(control, words.VERSION) / passed
            self.share = (time.process_time() - self._cpu) / (passed * int(control[words.WORKERS]))
            self.stop(TIMED_OUT)
        return count > RING // 2

    def salvage(self, *, ended: bool = False) -> int:
        """Take the finished rows, for their losses only; returns how many."""
        shared, access = self._shared, self.access
        drained = access.get(shared.control, words.DRAINED)
        count = access.copy(drained, 0, shared.rows, shared.written, self._rows)
        access.put(shared.control, words.DRAINED, drained + count)
        self.finite &= bool(np.isfinite(self._rows["loss"][:count]).all())
        return count
