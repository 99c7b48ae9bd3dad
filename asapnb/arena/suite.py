"""What a suite is: scenarios of staleness, problems, and the cells where they meet. `cells` has the one of asapnb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ..errors import unknown
from ..problems import Problem
from ..schemes import as_scheme
from ..simulator import Schedule, schedule
from ..staleness import StalenessDistribution
from ..training.prior import Prior, as_prior
from . import recorded

GRID = 8  # step sizes to a factor of 2: they are 2^(k/8) for integers k, for every contestant and problem


@dataclass(frozen=True)
class Scenario:
    """Workers whose updates become stale in one way.

    Attributes:
        name: the name of the scenario.
        about: what it stands for.
        workers: the number of workers.
        timing: their times in the simulator; None for the recorded schedule.
        scheme: how the workers share the parameters.
        has_limit: whether the largest stable step is computed. With heavy tails that would take too long.
    """

    name: str
    about: str
    workers: int
    timing: str | None
    scheme: str = "lock-based"
    has_limit: bool = True

    def schedule(self, updates: int, seed: int) -> Schedule:
        """The schedule of this many updates. For a seed all contestants get the same one."""
        return _schedule(self, updates, seed)

    @property
    def prior(self) -> Prior:
        """The staleness to expect, which rules know from the first update."""
        return _prior(self)

    @property
    def staleness(self) -> StalenessDistribution:
        """The staleness distribution, as rules get it."""
        return self.prior.staleness(as_scheme(self.scheme), self.workers)


@dataclass(frozen=True)
class Task:
    """A problem and what counts as solved.

    Attributes:
        name: the name of the problem.
        about: what it is.
        build: a function that makes it.
        batch_size: samples per gradient.
        target: the training loss to reach.
        budget: the largest number of updates of a run.
        eval_every: updates between evaluations. Times between two evaluations are interpolated.
        eval_samples: how many training samples the loss is the mean of; None for all, or if it is known exactly.
    """

    name: str
    about: str
    build: Callable[[], Problem]
    batch_size: int
    target: float
    budget: int
    eval_every: int
    eval_samples: int | None = None

    @property
    def problem(self) -> Problem:
        """The problem, built once."""
        return _built(self.build)


@dataclass(frozen=True)
class Cell:
    """A problem in a scenario.

    Attributes:
        scenario: the scenario.
        task: the problem.
        reference: an integer; the step size 2^(reference/8) is the best one of `constant`. It is the equal step size
            of all contestants, and the search for the best one begins there.
    """

    scenario: Scenario
    task: Task
    reference: int

    @property
    def name(self) -> str:
        """Its scenario and its problem."""
        return f"{self.scenario.name}/{self.task.name}"


@dataclass(frozen=True)
class Suite:
    """Cells, and the seeds of their runs.

    Attributes:
        version: the version of the suite. Results of different versions cannot be compared.
        cells: the cells.
        seeds: the seeds of the runs that are reported.
        tuning: the seeds of the runs that choose a step size. These runs are not reported.
        quick_cells: the names of the cells of the quick suite.
        quick_seeds: the quick suite reports this many seeds, the first ones.
    """

    version: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    tuning: tuple[int, ...]
    quick_cells: tuple[str, ...] = ()
    quick_seeds: int = 1

    def only(self, scenarios: Iterable[str] = (), problems: Iterable[str] = ()) -> Suite:
        """The part with these scenarios and problems, by name. () stands for all. UsageError for an unknown name."""
        wanted = {"scenario": tuple(scenarios), "task": tuple(problems)}
        cells = self.cells
        for part, names in wanted.items():
            known = list(dict.fromkeys(getattr(cell, part).name for cell in self.cells))
            for name in names:
                if name not in known:
                    raise unknown("scenario" if part == "scenario" else "problem of the arena", name, known)
            cells = tuple(cell for cell in cells if not names or getattr(cell, part).name in names)
        return replace(self, cells=cells)

    def quickly(self) -> Suite:
        """The quick suite: fewer cells and seeds. Its runs are also runs of the whole suite."""
        cells = tuple(cell for cell in self.cells if cell.name in self.quick_cells)
        return replace(self, cells=cells, seeds=self.seeds[: self.quick_seeds])

    @property
    def scenarios(self) -> Sequence[Scenario]:
        """The scenarios of its cells."""
        return list(dict.fromkeys(cell.scenario for cell in self.cells))

    @property
    def tasks(self) -> Sequence[Task]:
        """The problems of its cells."""
        return list(dict.fromkeys(cell.task for cell in self.cells))


def step_size(k: float) -> float:
    """The step size 2^(k/8) of the grid.

    >>> step_size(0), step_size(-16)
    (1.0, 0.25)
    """
    return float(2.0 ** (k / GRID))


@cache
def _schedule(scenario: Scenario, updates: int, seed: int) -> Schedule:
    if scenario.timing is None:
        return recorded.window(updates, seed)
    return schedule(scenario.timing, scenario.scheme, scenario.workers, updates, seed)


@cache
def _prior(scenario: Scenario) -> Prior:
    found = as_prior(recorded.staleness() if scenario.timing is None else f"compute={scenario.timing}")
    assert found is not None
    return found


@cache
def _built(build: Callable[[], Problem]) -> Problem:
    return build()
