"""`calibrate`: how long a gradient, a read and an update take on this machine, as a `Timing` for virtual time."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..errors import UsageError
from ..kernels.arrays import aligned, array_type
from ..numbers import integer, real
from ..problems.base import Dtypes, Problem
from ..schemes import SCHEMES, LockBased, Scheme, as_scheme
from ..training.arguments import MOST_UPDATES, documented
from ..training.compiling import compiled
from ..training.cores import at_once, cores
from ..training.options import Options, resolve
from .calibrate_ranks import measure_ranks
from .collect import Access
from .measured import LEAST, Calibration, Measured, Timer, measuring, warm
from .ranks import Ranks, joining
from .shared import Shared
from .team import Team, compile_loop

_FEW = 20  # fewer further attempts of Leashed than these say nothing about their times
_ROOM = 2**18  # the last rounds of a worker, which are kept
_STEP_SIZE = 1e-9  # so small that the parameters hardly move


@documented("calibrate")
def calibrate(
    problem: Problem,
    *,
    batch_size: int = 16,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    workers: int | Sequence[int] | None = None,
    seconds: float = 2.0,
    seed: int = 0,
    comm: Any = None,
) -> Calibration:
    """Measure how long a gradient, a read and an update take on this machine, with 1, 2 … all cores at work.

    Each thread has a core of its own, and does what a worker of `train` does: it draws a minibatch, reads the shared
    parameters, computes a gradient and applies it. No time includes waiting for another thread.

    With `comm` the ranks of MPI train instead, with 1, 2 … all workers at a time. Then messages are measured, too, as
    `network`. Such times are for `simulate` with a `ParameterServer`.

    Args:
        problem: what is minimised; its gradient is measured at its initial parameters.
        workers: the largest number of workers at once; 1, 2 … up to this number are measured. Or a list of the
            numbers to measure, such as [1, 8, 64]. At most one worker per core, or per rank besides the server. By
            default up to this limit, or to what a CPU quota allows.
        seconds: how long to measure each number of workers, in seconds; above 0.
        comm: a communicator of mpi4py, such as `MPI.COMM_WORLD`, for scheme=ParameterServer(). Every rank must call
            with the same arguments. Rank 0 is the server and returns the times. The others are workers and return
            None.
        {arguments}

    Returns:
        A `Calibration`, a dict with a `Timing` for each number of workers; `save_timing` writes it to a file. Each
        time has at most 100 quantiles, and the mean that was measured. There is a `retry` only if there were at least
        20 further attempts. The attribute `spread` says how much times differ, and `preset` is a timing of this
        machine's shape.

    Raises:
        UsageError: for arguments that cannot be used, and for a loss that is not finite.
        RankError: for a rank of MPI that has failed, or no longer answers.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    >>> timings = calibrate(problem, workers=1, seconds=0.1)
    >>> list(timings), timings[1].compute.mean > 0
    ([1], True)
    >>> made = ab.schedule(timings[1], workers=64, updates=1000)  # 64 such cores
    """
    found = list(measure(**locals()))
    return Calibration(found) if found else None  # type: ignore[return-value]


def measure(
    problem: Problem,
    *,
    batch_size: int = 16,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    workers: int | Sequence[int] | None = None,
    seconds: float = 2.0,
    seed: int = 0,
    comm: Any = None,
) -> Generator[Measured, None, None]:
    """Measure as `calibrate` does, and yield what was measured for each number of workers.

    Args:
        problem: what is minimised.
        batch_size: number of training samples per gradient; at most all of them.
        scheme: LockBased or Leashed; with `comm`, ParameterServer.
        workers: the largest number of workers at once, or a list of numbers; at most one per core, or rank.
        seconds: how long to measure each number of workers, in seconds; above 0.
        seed: determines the initial parameters and the order of the data; an integer from 0.
        comm: the communicator of MPI. Ranks of workers must iterate over the result, too, though it yields nothing.

    Raises:
        UsageError: as `calibrate`.
    """
    with joining(comm) as ranks:
        scheme = _measurable(scheme, ranks)
        counts = _counts(workers, ranks)
        seconds = real("seconds", seconds, 0, above=True)
        options = _options(problem, scheme, batch_size, seed, ranks)
        if ranks is not None:
            return measure_ranks(problem, options, counts, seconds, ranks)
        access, loop = compiled(compile_timed, scheme.timed_loop or "", problem)
        return (_measured(problem, replace(options, workers=count), access, loop, seconds) for count in counts)


def _measurable(scheme: Scheme | str, ranks: Ranks | None) -> Scheme:
    """The scheme; UsageError if its times cannot be measured here."""
    scheme = as_scheme(scheme)
    measurable = [one() for one in SCHEMES.values() if (one.timed_loop if ranks is None else one.server_loop)]
    if scheme in measurable:
        return scheme
    names = " and ".join(map(str, measurable))
    if ranks is not None:
        raise UsageError(f"scheme is {scheme!r:.80}: on MPI calibrate measures {names}, whose times fit all its "
                         "options; without comm (--mpi) it measures threads")  # fmt: skip
    if scheme.messages:
        raise UsageError(f"scheme is {scheme!r:.80}: its times are measured on MPI, as in mpiexec -n 3 asapnb "
                         "calibrate --mpi, or from Python with comm=MPI.COMM_WORLD")  # fmt: skip
    raise UsageError(f"scheme is {scheme!r:.80}: calibrate measures {names}; for any other scheme use the "
                     "times of LockBased()")  # fmt: skip


def _counts(workers: int | Sequence[int] | None, ranks: Ranks | None) -> list[int]:
    """How many workers to measure: each once, the fewest first."""
    most, what = (len(cores()), "cores") if ranks is None else (ranks.workers, "ranks besides the server")
    why = f" (the {what}; a timing for that many workers serves for more, too)"
    if isinstance(workers, Sequence | np.ndarray) and not isinstance(workers, str) and len(workers):
        return sorted({integer(f"workers[{i}]", count, 1, most, note=why) for i, count in enumerate(workers)})
    default = at_once() if ranks is None else most
    return list(range(1, (default if workers is None else integer("workers", workers, 1, most, note=why)) + 1))


def _options(problem: Problem, scheme: Scheme, batch_size: int, seed: int, ranks: Ranks | None) -> Options:
    """The options of a run without evaluations and without an end."""
    given = {"scheme": scheme, "batch_size": batch_size, "seed": seed, "comm": ranks, "pin_workers": ranks is None}
    return resolve("train", problem, {**given, "step_size": _STEP_SIZE, "updates": MOST_UPDATES, "eval_every": 0})


def compile_timed(loop: str, dtypes: Dtypes) -> tuple[Access, Callable[..., int]]:
    """As `compile_loop`, for a loop that measures: it also takes an array of times and the least number of rounds."""
    return compile_loop(loop, dtypes, array_type(np.int64, 2), types.int64)


def _measured(
    problem: Problem, options: Options, access: Access, loop: Callable[..., int], seconds: float
) -> Measured:
    """Let the workers make rounds for so many seconds; returns their times."""
    shared, start = measuring(problem, options)
    found: dict[int, NDArray[np.int64]] = {}
    further: dict[int, NDArray[np.int64]] = {}

    def work(gradient: Any, shared: Shared, own: Any, me: int) -> None:
        times = aligned((_ROOM, 4), np.int64)
        rounds = loop(gradient, shared, own, me, times, LEAST)
        found[me] = times[warm(rounds, _ROOM) : rounds, :3]
        retries = times[times[:, 3] > 0, 3]
        further[me] = retries[warm(len(retries), _ROOM) :]

    timer = Timer(shared, access, seconds)
    timer.serve(Team(problem, options, shared, work, start))
    timer.check(problem, options)
    each = [found[me] for me in range(options.workers)]
    compute, read, update = np.concatenate(each).T * 1e-9
    retry = np.concatenate([further[me] for me in range(options.workers)]) * 1e-9
    retry = retry if len(retry) >= _FEW else retry[:0]
    rounds = tuple(map(len, each))
    return Measured(options.workers, rounds, compute, read, update, retry, timer.rate, timer.share)
