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
    """The losses and metrics of the parameters at one version: a row of /evals.

    Attributes:
        step: the version; 0 for the initial parameters.
        t: when that version was made, in seconds of training time (virtual seconds in virtual time).
        train_loss: the mean loss of the training samples evaluated (see `eval_samples`).
        test_loss: the mean loss of the test samples; NaN without test samples.
        test_accuracy: the share of test samples that are classified correctly, 0 to 1; NaN if the problem has no
            classes.
        test_r2: the coefficient of determination R² on the test samples; NaN if the problem is not a regression.
        test_rmse: the root mean squared error on the test samples; NaN if the problem is not a regression.
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
    """How far a run is: the figures that a live display shows.

    Attributes:
        status: "running", or the status with which the run has ended.
        seconds: training time so far, in seconds (virtual seconds in virtual time).
        updates: number of versions made so far.
        total_updates: number of versions to make in all.
        epoch: number of passes over the data so far.
        epochs: number of passes over the data to make in all.
        batch_loss: the mean loss of the last 100 gradients; NaN if there were none.
        evaluation: the newest `Evaluation`.
        mean_staleness: the mean staleness of all applied updates.
        staleness_p99: the 99th percentile of their staleness.
        scale_range: the smallest and the largest scale in force, over the staleness seen so far.
        dropped: number of gradients given up so far.
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

    The thread exists within a `with` block. It is not one of concurrent.futures, because these take no more work once
    the main thread of the process has ended.
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

        A `quick` evaluation is made at once, because handing it over would take longer.
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
        """The evaluations finished since the last call, in order. If one raised an error, this raises it.

        Args:
            wait: also wait for pending evaluations.
            unless: stop waiting, and give the pending evaluations up, when this returns True.
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
