"""Make a timing of measured times: of their quantiles, or in the shape of this machine, `machine(…)`."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError, UsageError
from ..record import Run
from ..timing import Time, Timing, empirical, machine
from ..timing.spread import Spread, spread_of

EachWorker = Sequence[NDArray[np.float64]]  # the times of each, in seconds
QUANTILES = 100  # kept of each measured time
_DIGITS = 4  # significant ones, of a measured time
_WIDEST = 1000.0  # coefficient of variation that a law takes
_FEW = 20  # times of each worker, below which a spread says little


def quantiles(seconds: NDArray[np.float64]) -> Time:
    """An empirical time of at most 100 values: the means of as many equal parts of the sorted measurements.

    >>> quantiles(np.arange(1000.0)).parameters[0][1][:3]
    (4.5, 14.5, 24.5)
    """
    return empirical(parts(seconds, QUANTILES))


def parts(seconds: NDArray[np.float64], count: int) -> list[float]:
    """Cut the sorted measurements into at most `count` equal parts, and return their means.

    The mean of these is the mean of the measurements.

    >>> parts(np.array([4.0, 1.0, 2.0, 3.0]), 2)
    [1.5, 3.5]
    """
    means = np.array([part.mean() for part in np.array_split(np.sort(seconds), min(count, len(seconds)))])
    if means.any():  # the parts differ by one in length
        means *= seconds.mean() / means.mean()
    return [float(f"{value:.5g}") for value in means]


def smt_of(compute: Mapping[int, EachWorker], places: Sequence[Hashable]) -> float | None:
    """How many times as long a gradient takes where two workers share a core; None if none did.

    In the measurement with the most workers, those that share a core are compared with those that have their own. If
    all share one, the others are those of the largest measurement in which none did.

    Args:
        compute: seconds of each gradient, by number of workers, then by worker.
        places: the physical core of each worker, when all are at work.

    >>> alone, slow = np.full(9, 1.0), np.full(9, 1.5)
    >>> smt_of({2: [alone, alone], 3: [slow, alone, slow]}, "aba"), smt_of({2: [alone, alone]}, "ab")
    (1.5, None)
    """
    most = max(compute)
    shares = [places[:most].count(place) > 1 for place in places[:most]]
    unshared = max((m for m in compute if len(set(places[:m])) == m), default=most)
    single = [some for some, shared in zip(compute[most], shares, strict=True) if not shared] or compute[unshared]
    if not any(shares) or (all(shares) and unshared == most):
        return None
    slow = [some for some, shared in zip(compute[most], shares, strict=True) if shared]
    shared, alone = (float(np.median(np.concatenate(some))) for some in (slow, single))
    return max(1.0, float(f"{shared / alone:.3g}")) if alone else None


def preset_of(spread: Spread, cores: int, smt: float | None, **others: float) -> Timing:
    """The timing of a machine whose workers all have the typical time, and the spread within a worker.

    Args:
        spread: the spread of the times of gradients, with all cores at work.
        cores: the number of physical cores.
        smt: how many times as long a gradient takes where two workers share a core. None if that is not known; then
            the timing has 1.
        others: seconds for further fields of a `Timing`, by name.

    >>> str(preset_of(Spread(1e-3, 2e-3, 9.0, 0.07, 0.01), cores=2, smt=None, update=1e-5))
    'Timing(compute=machine(cores=2, smt=1.0, cv=0.07, mean=0.001), update=1e-05)'
    """
    compute = machine(cores=cores, smt=smt or 1.0, cv=coefficient(spread), mean=rounded(spread.typical))
    return Timing(compute, **{name: rounded(value) for name, value in others.items()})


def coefficient(spread: Spread) -> float:
    """The coefficient of variation within a worker, as laws of time take it."""
    cv = min(float(f"{spread.within:.3g}"), _WIDEST)  # on a machine that has no time for it
    return cv if cv >= 1e-6 else 0.0


def rounded(seconds: float) -> float:
    """A measured time, to four digits."""
    return float(f"{seconds:.{_DIGITS}g}")


def machine_from(run: Run) -> Timing:
    """A timing in the shape of the machine on which a run of threads was made, from the rows of the run.

    The time of a round is that from one read to the next, including waiting. The timing takes its median, and its
    spread within a worker (see `asapnb.timing.Spread`), so that rare long suspensions do not count. Prefer
    `calibrate` where you can: it tells computing, reading and updating apart.

    Args:
        run: a run of kind "train", with at least 21 rows of each worker, and at most one worker per core.

    Returns:
        A `Timing` whose `compute` is a `machine(…)`.

    Raises:
        UsageError: for a run whose threads had no core of their own, and for another kind of run.
        RecordError: for a run with too few rows.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    >>> run = ab.train(problem, workers=1, updates=300)
    >>> timing = machine_from(run)
    >>> timing.compute.cores >= 1, 0 < timing.compute.mean < 1
    (True, True)
    """
    if not isinstance(run, Run) or run.kind != "train":
        what = f"a run of kind {run.kind}" if isinstance(run, Run) else f"{run!r:.80}"
        raise UsageError(f"machine_from needs a run on threads, and this is {what}: give one of `train`, or of "
                         "asapnb train")  # fmt: skip
    run.check_rows("it says nothing of the times of its workers")
    place, workers = run.attributes["machine"], int(run.attributes["workers"])
    cores = min(int(one) for one in (place.get("cores"), place["allowed"]) if one is not None)
    if workers > cores:
        raise UsageError(
            f"{run.name} has {workers} workers on {cores} cores: they were suspended in turn, so its times are not "
            "those of workers with a core each; give a run of at most one worker per core, or calibrate"
        )
    owner, read = run.updates["worker"], run.updates["t_read"]
    each = [np.diff(np.sort(read[owner == me])) for me in range(workers)]
    if (fewest := min(len(times) for times in each)) < _FEW:
        raise RecordError(
            f"{run.name} has {fewest + 1} rows of one worker: machine_from needs {_FEW + 1} of each; give a longer "
            "run"
        )
    return preset_of(spread_of(each), cores, None)
