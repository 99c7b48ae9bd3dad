"""Evaluations, made in a thread of their own, and the progress of a run."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from ..problems.base import Problem
from .starting import start_all

_LOOK_SECONDS = 0.02  # between two looks whether a pending evaluation is given up


@dataclass(frozen=True)
class Evaluation:
    """The losses and metrics at one version: a row of /evals.

    Attributes:
        step: the version; 0 for the initial parameters.
        t: when that version was made, in seconds.
        train_loss: the mean loss of the training samples evaluated.
        test_loss: the mean loss of the test samples; NaN without any.
        test_accuracy: the share of test samples that are classified right, 0 to 1; NaN if there is no such thing.
        test_r2: the coefficient of determination on the test samples; NaN if the problem is no regression.
        test_rmse: the root of the mean squared error on the test samples; NaN if the problem is no regression.
    """

    step: int
    t: float
    train_loss: float
    test_loss: float
    test_accuracy: float
    test_r2: float = math.nan
    test_rmse: float = math.nan


@dataclass(frozen=True)
class Progress:
    """How far a run is: the figures of a live display.

    Attributes:
        status: "running", or how the run ended.
        seconds: training time so far; virtual seconds in virtual time.
        updates: versions made so far.
        total_updates: versions to make.
        epoch: passes over the data so far.
        epochs: passes over the data to make.
        batch_loss: the mean loss of the last 100 gradients; NaN if there were none.
        evaluation: the newest one.
        mean_staleness: over all applied updates, in updates.
        staleness_p99: the 99th percentile of the staleness, in updates.
        scale_range: the least and the largest scale in force, over the staleness seen.
        dropped: gradients given up so far.
    """

    status: str
    seconds: float
    updates: int
    total_updates: int
    epoch: float
    epochs: float
    batch_loss: float
    evaluation: Evaluation
    mean_staleness: float
    staleness_p99: float
    scale_range: tuple[float, float]
    dropped: int


class Evaluator:
    """Evaluates parameters in one background thread, in the order in which they are submitted.

    The thread exists within a `with` block. It is no thread of concurrent.futures, which takes no more work once the
    main thread of the process has ended.
    """

    def __init__(self, problem: Problem, samples: int | None) -> None:
        self._problem, self._samples = problem, samples
        self._tasks: SimpleQueue[Callable[[], Evaluation] | None] = SimpleQueue()
        self._made: SimpleQueue[Evaluation | BaseException] = SimpleQueue()
        self._pending = 0
        self._quick = getattr(problem.evaluation, "quick", False)
        self._closed = self._given_up = False
        self._thread = threading.Thread(target=self._work, name="asapnb-evaluation", daemon=True)

    def __enter__(self) -> Evaluator:
        start_all([self._thread], "threads")
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread. Evaluations that have not begun are given up."""
        self._closed = True
        self._tasks.put(None)
        if not self._given_up:
            self._thread.join()

    def evaluate(self, params: np.ndarray, step: int, t: float) -> Evaluation:
        """Evaluate now, in this thread."""
        train, test = self._problem.metrics(params, "train", self._samples), self._problem.metrics(params, "test")
        return Evaluation(step, t, train.loss, test.loss, test.accuracy, test.r2, test.rmse)

    def submit(self, params: np.ndarray, step: int, t: float, done: Callable[[], None] = lambda: None) -> None:
        """Evaluate in the background; `done` is called as soon as the parameters are no longer needed.

        Where handing over would take longer than a `quick` evaluation, it is made at once.
        """

        def task() -> Evaluation:
            try:
                return self.evaluate(params, step, t)
            finally:
                done()

        self._pending += 1
        if self._quick:
            self._carry_out(task)
        else:
            self._tasks.put(task)

    def finished(self, *, wait: bool = False, unless: Callable[[], bool] = lambda: False) -> list[Evaluation]:
        """The evaluations finished since the last call, in order; raises what one raised.

        Args:
            wait: also those that are pending.
            unless: if this becomes true meanwhile, they are given up.
        """
        found = []
        while self._pending:
            try:
                made = self._made.get(wait, _LOOK_SECONDS)
            except Empty:
                self._given_up = wait and unless()
                if wait and not self._given_up:
                    continue
                break
            self._pending -= 1
            if isinstance(made, BaseException):
                raise made
            found.append(made)
        return found

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._closed:
            self._carry_out(task)
            del task

    def _carry_out(self, task: Callable[[], Evaluation]) -> None:
        try:
            self._made.put(task())
        except BaseException as error:
            self._made.put(error)
