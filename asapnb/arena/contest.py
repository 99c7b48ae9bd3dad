"""A contestant in the cells of the suite: its best step size, and its runs at this and at the equal one."""

from __future__ import annotations

import math
import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..analysis.targets import between, first_at_or_below
from ..errors import AsapnbError, UsageError
from ..numbers import integer
from ..record import Run
from ..simulator import replay
from .cells import SUITE
from .contestants import Contestant, contestant
from .results import Result, Runs, Score
from .stability import stable
from .suite import GRID, Cell, Suite, step_size

_Task = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments

_FARTHEST = 10 * GRID  # from the equal step, on the grid: a factor of 1,024
_DIVERGED = 100.0  # times the initial loss of a minibatch, which has noise


@dataclass(frozen=True)
class _Outcome:
    """One run: when it reached the target (None if it did not), its last loss and its mean scale."""

    time: float | None
    loss: float
    mean_scale: float


def compete(
    rule: Any,
    *,
    suite: Suite = SUITE,
    jobs: int = 1,
    progress: Callable[[str, int, int], object] | None = None,
    **settings: Any,
) -> Result:
    """Run a rule in the arena. `standings` compares the result with those of the built-in rules.

    Args:
        rule: a `Contestant`, or what `contestant` takes: a rule, its text, or a function f(staleness, workers).
        suite: the cells and seeds to run; by default all. `SUITE.quickly()` and `SUITE.only(scenarios, problems)` are
            parts of it.
        jobs: how many processes run at a time. With more than 1, a script must call this under
            `if __name__ == "__main__":`.
        progress: a function that is called after each part, with the name of the part, the number of parts done, and
            the number of all parts.
        settings: as in `contestant`.

    Returns:
        The `Result`, with the best step size in each cell and the times of all runs.

    Raises:
        UsageError, RuleError: for a rule or a setting that cannot be used, and for a rule that fails in a run. The
            error names the cell.

    >>> from asapnb.arena import SUITE, compete
    >>> found = compete("tail", suite=SUITE.only(["geometric"], ["quadratic"]).quickly())
    >>> found.cells["geometric/quadratic"].best.arrived
    5
    """
    one = rule if isinstance(rule, Contestant) and not settings else contestant(rule, **settings)
    cells, found = suite.cells, dict[str, Any]()
    jobs = integer("jobs", jobs, 1)
    if not cells:
        raise UsageError(
            "the suite has no such cell: not every problem is run in every scenario; see asapnb.arena.SUITE.cells"
        )
    tasks: dict[str, _Task] = {cell.name: (score, (cell, one, suite.seeds, suite.tuning)) for cell in cells}
    tasks |= {f"stable step, {where.name}": (stable, (one, where)) for where in suite.scenarios}
    for name, made in _carried_out(one, tasks, min(jobs, len(cells))):
        found[name] = made
        if progress is not None:
            progress(name, len(found), len(tasks))
    scores = {cell.name: found[cell.name] for cell in cells}
    limits = {where.name: found[f"stable step, {where.name}"] for where in suite.scenarios}
    return Result(one.name, str(one.rule), dict(one.settings), one.knows_staleness, suite.version, scores, limits)


def _carried_out(one: Contestant, tasks: Mapping[str, _Task], jobs: int) -> Iterator[tuple[str, Any]]:
    """The results of all tasks, as they come."""
    if jobs == 1:
        yield from ((name, function(*arguments)) for name, (function, arguments) in tasks.items())
        return
    try:
        pickle.dumps(one)
    except Exception as error:
        raise UsageError(
            f"the rule {one.rule} cannot be sent to another process ({error}): put it in a file, as rules.py:name, "
            "or use jobs=1"
        ) from None
    context, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    with ProcessPoolExecutor(jobs, context, initializer=_deaf) as pool:
        try:
            # those of the networks, which take longest, come last: begin with them
            waiting = {pool.submit(tasks[name][0], *tasks[name][1]): name for name in [*tasks][::-1]}
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BrokenProcessPool:
            raise UsageError(
                'a process of the arena ended early: in a script, call this under if __name__ == "__main__"; if '
                "memory ran out, take fewer jobs"
            ) from None
        except BaseException:  # also Ctrl-C: nobody waits for what is still computed
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _deaf() -> None:
    """In a process of the arena: Ctrl-C is for the one that waits."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def score(cell: Cell, one: Contestant, seeds: Sequence[int], tuning: Sequence[int]) -> Score:
    """What a contestant does in a cell.

    Args:
        cell: the cell.
        one: the contestant.
        seeds: of the reported runs.
        tuning: of the runs that choose the step size.
    """
    begun = time.process_time()
    k, edge = tuned(cell, one, tuning)
    best = [run(cell, one, k, seed) for seed in seeds]
    equal = best if k == cell.reference else [run(cell, one, cell.reference, seed) for seed in seeds]
    return Score(k, edge, _runs(best), _runs(equal), time.process_time() - begun)


def _runs(outcomes: Sequence[_Outcome]) -> Runs:
    return Runs(tuple(one.time for one in outcomes), float(np.mean([one.mean_scale for one in outcomes])))


def tuned(cell: Cell, one: Contestant, seeds: Sequence[int]) -> tuple[int, bool]:
    """The place of the best step size on the grid, and whether the search ended at its edge.

    From the equal step it goes up or down by factors of 2 as long as that is better. Then the best place is refined,
    by a half, a quarter and an eighth of a factor of 2. Better is the shorter restricted mean time, a run that does
    not arrive counting as its budget; where no run arrives, the lower last loss.

    Args:
        cell: the cell.
        one: the contestant.
        seeds: of the runs.
    """
    known: dict[int, tuple[float, float]] = {}

    def cost(k: int) -> tuple[float, float]:
        if k not in known:
            runs = [run(cell, one, k, seed) for seed in seeds]
            times = [cell.task.budget if found.time is None else found.time for found in runs]
            known[k] = float(np.mean(times)), float(np.mean([found.loss for found in runs]))
        return known[k]

    k = cell.reference
    for far in (GRID, GRID // 2, GRID // 4, GRID // 8):
        while True:
            best = min((k - far, k, k + far), key=cost)  # at a tie the lower one: all diverged
            moved, k = best != k, best
            if abs(k - cell.reference) >= _FARTHEST:
                return k, True
            if not moved or far < GRID:
                break
    return k, False


def run(cell: Cell, one: Contestant, k: int, seed: int) -> _Outcome:
    """One run of a contestant; an error names the cell.

    Args:
        cell: the cell.
        one: the contestant.
        k: its step size is 2^(k/8).
        seed: of the schedule, the initial parameters and the order of the data.
    """
    scenario, task = cell.scenario, cell.task
    try:
        made = replay(
            scenario.schedule(cell.task.budget, seed),
            task.problem,
            rule=one.rule_for(scenario.workers),
            step_size=step_size(k),
            batch_size=task.batch_size,
            target_loss=task.target,
            eval_every=task.eval_every,
            eval_samples=task.eval_samples,
            divergence_factor=_DIVERGED,
            prior=scenario.prior if one.knows_staleness else None,
            threads=1,
            record="summary",
            progress=False,
            **one.settings,
        )
    except AsapnbError as error:
        raise type(error)(
            f"{one.name} failed in {cell.name}, step size {step_size(k):.4g}, seed {seed}: {error}"
        ) from error
    if made.status == "interrupted":
        raise KeyboardInterrupt
    return _Outcome(_time(made, task.target), _loss(made), float(made.attributes["mean_scale"] or math.nan))


def _loss(made: Run) -> float:
    last = float(made.evals["train_loss"][-1])
    return last if made.status != "diverged" and math.isfinite(last) else math.inf


def _time(made: Run, target: float) -> float | None:
    """The updates until the target, interpolated linearly between two evaluations; None if it was not reached."""
    at = first_at_or_below(made.evals["train_loss"], target)
    return None if at is None else between(made.evals["step"], *at)
