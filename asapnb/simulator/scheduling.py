"""`schedule`: run the events of a scheme under a timing, for any number of workers."""

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..formatting import shortened
from ..kernels.arrays import aligned
from ..memory import check_memory
from ..numbers import integer
from ..schemes import LockBased, Scheme, as_scheme
from ..timing import Timing, as_timing
from ..timing.sampling import CONSTANT, NETWORK, READ, UPDATE
from ..training.apart import abandonable
from ..training.arguments import MAX_SIMULATED, MOST_UPDATES
from ..training.compiling import load
from ..training.possible import check_elastic, check_known, check_possible
from ..workforce import WorkersLike, workforce_of
from .brief import MOVE, BriefRows
from .loops.common import JOINED, open_world
from .loops.counting import count as count_rows
from .schedules import Schedule, Tally
from .words import CHOICE, QUOTA, VERSION
from .world import ROW, WORKER, World, make_world

_CHUNK = 2**14  # rows at a time where they are not kept: 1 MB, so that they stay in the cache
_WORKER = WORKER.itemsize + 44  # bytes: with five states of random numbers and a place in the queue
_PIECE = 2**20  # rows between two looks whether the schedule is still wanted: a fraction of a second
# Of a world, what events change, besides the tree
_CHANGING = ("words", "clock", "workers", "streams", "queue", "others", "paces", "held", "turns")
_INSTANT, _MOVES = "asapnb.simulator.loops.instant:run", "asapnb.simulator.loops.instant:moves"


def schedule(
    timing: Timing | str,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    workers: WorkersLike = 16,
    updates: int = 10_000,
    seed: int = 0,
    local_steps: int = 1,
) -> Schedule:
    """Simulate, in virtual time, who reads which version and when the gradient is applied.

    Args:
        timing: how long gradients, reads, updates and messages take, in virtual seconds: a `Timing`, or its text,
            such as "compute=exponential(1), update=0.05".
        scheme: how the workers share the parameters: a scheme, or its text.
        workers: number of workers, 1 to 16 million. For a number that changes: "0:8, 5000:16", pairs
            [(0, 8), (5000, 16)], or a function of the version.
        updates: number of versions to make; under Synchronous, of rounds.
        seed: determines all times; an integer from 0. The k-th gradient of a worker takes the same time under every
            scheme.
        local_steps: number of gradients that a worker computes, one after the other, for an update.

    Returns:
        The `Schedule`. Gradients that are still in flight at the end leave no row.

    Raises:
        UsageError: for arguments that cannot be used, and for times so long that virtual time overflows.

    Events at the same time happen in the order in which they were scheduled. A schedule takes 64 bytes a row, and
    about 110 bytes for each worker. Where reads and updates take no time, it takes 16 bytes a row and works out the
    other columns when you ask for them (see `Schedule`).

    >>> import asapnb as ab
    >>> made = ab.schedule("compute=exponential(1)", ab.LockBased(), workers=4, updates=100_000, seed=1)
    >>> round(made.staleness.mean(), 2), made.tau[:3]
    (3.0, array([0, 0, 2], dtype=int32))
    """
    return abandonable(lambda: make_schedule(timing, scheme, workers, updates, seed, local_steps, brief=True))


def make_schedule(
    timing: Any, scheme: Any, workers: Any, updates: int, seed: int, local_steps: int = 1, *, brief: bool = False
) -> Schedule:
    """Make a schedule in this thread, as `schedule` does. `brief` may leave out columns that follow from others."""
    simulation = Simulation(timing, scheme, workers, updates, seed, local_steps)
    if brief and simulation.instant:
        return Schedule(**simulation.facts, given=_brief(simulation))
    check_rows(simulation.updates * simulation.rows_per_update, ROW.itemsize)
    parts, left = [], simulation.updates
    while left:  # more than once if gradients were dropped
        part = aligned(max(left * simulation.rows_per_update, simulation.table) + simulation.margin, ROW)
        views = np.empty(len(part) if simulation.has_views else 0)
        count = _filled(simulation, part, views)
        parts.append((part[:count], views[:count]))
        left = simulation.left
    rows, views = parts[0] if len(parts) == 1 else (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if rows["dropped"].any():
        rows = rows[_application_order(rows)]
    simulation.workforce.check_reads(rows["worker"], rows["read_version"])
    return Schedule(**simulation.facts, given=rows, t_view=views if simulation.has_views else None)


def _brief(simulation: "Simulation") -> BriefRows:
    """The rows of a schedule in which reads and updates take no time, without what follows from them."""
    check_rows(simulation.updates, MOVE.itemsize)
    simulation.make_brief()
    moves = aligned(simulation.updates, MOVE)
    _filled(simulation, moves, np.empty(0))
    return BriefRows(moves, *simulation.first_reads())


def _filled(simulation: "Simulation", rows: NDArray[Any], views: NDArray[np.float64]) -> int:
    """Fill rows until nothing is left or they have no more room; returns how many there are."""
    count, least = 0, simulation.rows_per_update + simulation.margin
    while simulation.left and len(rows) - count >= least:
        end = count + _PIECE + least
        count += simulation.fill(rows[count:end], views[count:end])
    return count


def staleness_only(
    timing: Timing | str,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    workers: WorkersLike = 16,
    updates: int = 1_000_000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    local_steps: int = 1,
) -> Tally:
    """Make a schedule as `schedule` does, but keep counts instead of rows, so that 10⁹ updates are possible.

    Args:
        timing: how long gradients, reads, updates and messages take, in virtual seconds: a `Timing`, or its text.
        scheme: how the workers share the parameters: a scheme, or its text.
        workers: number of workers, 1 to 16 million. For a number that changes: "0:8, 5000:16", pairs
            [(0, 8), (5000, 16)], or a function of the version.
        updates: number of versions to make, 1 to 2⁴⁶; under Synchronous, of rounds.
        seed: determines all times; an integer from 0.
        progress: called now and then with the number of updates so far.
        local_steps: number of gradients that a worker computes, one after the other, for an update.

    Returns:
        The `Tally`: counts of staleness, updates of each worker, and times.

    Raises:
        UsageError: for arguments that cannot be used, and for times so long that virtual time overflows.

    >>> tally = staleness_only("exponential(1)", workers=4, updates=100_000, seed=1)
    >>> round(tally.staleness.mean(), 2), int(tally.by_worker.sum())
    (3.0, 100000)
    """
    simulation = Simulation(timing, scheme, workers, updates, seed, local_steps)
    check_rows(simulation.rows_per_update, ROW.itemsize)
    part = aligned(max(_CHUNK, simulation.rows_per_update) + simulation.margin, ROW)
    views = np.empty(len(part) if simulation.has_views else 0)
    counts, by_worker = np.zeros(1024, np.int64), np.zeros(simulation.workers, np.int64)
    totals, seconds = np.zeros(4, np.int64), np.zeros(2)
    while simulation.left:
        rows = part[: simulation.fill(part, views)]
        if (stalest := int(rows["tau"].max(initial=0))) >= len(counts):
            counts = np.concatenate([counts, np.zeros(stalest, np.int64)])
        count_rows(rows, counts, by_worker, totals, seconds)
        if progress is not None:
            progress(simulation.updates - simulation.left)
    return Tally(
        **simulation.facts,
        seconds=float(seconds[0]),
        counts=counts[: np.flatnonzero(counts).max(initial=0) + 1],
        by_worker=by_worker,
        dropped=int(totals[0]),
        failed=int(totals[1]),
        gradient_seconds=float(seconds[1] / by_worker.sum()),
    )


def check_rows(count: int, each: int) -> None:
    """UsageError if there is no memory for so many rows of so many bytes."""
    check_memory(f"a schedule of {count:,} rows", count * each, "make fewer updates, or only count their staleness "
                 "(staleness_only, or asapnb simulate --staleness-only)")  # fmt: skip


class Simulation:
    """A simulation of a schedule: its checked arguments, and the state of its workers."""

    def __init__(self, timing: Any, scheme: Any, workers: Any, updates: Any, seed: Any, local_steps: Any = 1) -> None:
        self.scheme = as_scheme(scheme)
        self.updates = integer("updates", updates, 1, MOST_UPDATES)
        self.workforce = workforce_of(workers, self.updates, MAX_SIMULATED)
        self.workers = self.workforce.most
        self.timing = as_timing(timing, self.workers)
        self.seed = integer("seed", seed, 0, 2**63 - 1)
        self.local_steps = integer("local_steps", local_steps, 1)
        check_possible(self.scheme, threaded=False)
        self.scheme.check_workers(self.workers)
        check_elastic(self.scheme, self.workforce)
        check_known(self.workforce)
        check_memory(f"the state of {self.workers:,} workers", self.workers * _WORKER, "simulate fewer")
        self._world = make_world(self.timing, self.scheme, self.workforce, self.updates, self.local_steps)
        if not self.scheme.messages and _takes_time(self._world, NETWORK):
            raise UsageError(
                f"network is {shortened(self.timing.network)}: {self.scheme} sends no messages; leave it out, or "
                "choose parameter-server"
            )
        self.instant = self.scheme.instant and self.only_computes and self.workforce.is_steady
        open_world(self._world, self.seed, self.instant)
        self._run = load(_INSTANT if self.instant else self.scheme.event_loop or "")

    def make_brief(self) -> None:
        """Fill rows of `MOVE` from the start on. Only for a simulation that is `instant`."""
        self._run = load(_MOVES)

    def first_reads(self) -> tuple[NDArray[Any], ...]:
        """For each worker, after brief rows: version, ticket and time of its first read, if there was one."""
        found = self._world.workers
        version = np.where(found["phase"] == JOINED, MOST_UPDATES, found["seen"])
        return version, found["batch"].copy(), found["t_read"].copy()

    @property
    def only_computes(self) -> bool:
        """Whether reads and updates take no time."""
        return not _takes_time(self._world, READ, UPDATE)

    @property
    def has_views(self) -> bool:
        """Whether views take time to read, so that they may be inconsistent."""
        return not self.scheme.consistent

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that a schedule and a tally have in common."""
        names = ("scheme", "timing", "workers", "updates", "seed", "local_steps", "workforce")
        return {name: getattr(self, name) for name in names}

    @property
    def rows_per_update(self) -> int:
        """The gradients that make a version."""
        return self.scheme.gradients(self.workers)

    @property
    def table(self) -> int:
        """Workers with a gradient table, for each of which the next version may have to wait."""
        return self.scheme.table_of(self.workers)

    @property
    def margin(self) -> int:
        """The loop goes on only while this many rows are free beyond those of the updates."""
        return 2 * self.workers + 1 if self.scheme.mass_drops and not self.instant else 0

    @property
    def left(self) -> int:
        """Updates still to be made."""
        return int(self._world.words[QUOTA] - self._world.words[VERSION])

    def forked(self, random: np.random.Generator) -> "Simulation":
        """A copy of this simulation in its present state, which goes on with random times of its own."""
        fork, now = copy(self), self._world
        fork._world = world = now._replace(
            tree=now.tree._replace(keys=now.tree.keys.copy(), ids=now.tree.ids.copy()),
            **{name: getattr(now, name).copy() for name in _CHANGING},
        )
        for states in (world.workers["stream"], world.streams):
            states[...] = random.integers(2**64, size=states.shape, dtype=np.uint64)
        world.words[CHOICE] = random.integers(2**63)
        return fork

    def fill(self, rows: NDArray[Any], views: NDArray[np.float64]) -> int:
        """Go on until the rows are full or nothing is left; returns how many rows there are."""
        count: int = self._run(self._world, rows, views)
        if not count:
            done = self._world.words[VERSION]
            raise UsageError(f"virtual time overflows after {done:,} updates: choose shorter times ({self.timing})")
        return count


def _takes_time(world: World, *purposes: int) -> bool:
    """Whether any of these takes time."""
    times, used = world.times, np.unique(world.times.first[list(purposes)])
    return bool(((times.kinds[used] != CONSTANT) | (times.numbers[used, 0] != 0)).any())


def _application_order(rows: NDArray[Any]) -> NDArray[np.intp]:
    """The order of rows in which a dropped gradient follows the last version that its worker saw."""
    dropped = rows["dropped"] != 0
    seen = np.where(dropped, rows["read_version"] + rows["tau"], rows["version"])
    return np.lexsort((dropped, seen))
