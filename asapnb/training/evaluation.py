"""Evaluations, made in a thread of their own, and the progress of a run."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..problems.base import Problem


@dataclass(frozen=True)
class Evaluation:
    """The losses and the accuracy at one version: a row of /evals.

    Attributes:
        step: the version; 0 for the initial parameters.
        t: when that version was made, in seconds.
        train_loss: the mean loss of the training samples evaluated.
        test_loss: the mean loss of the test samples; NaN without any.
        test_accuracy: the share of test samples that are classified right, 0 to 1; NaN if there is no such thing.
    """

    step: int
    t: float
    train_loss: float
    test_loss: float
    test_accuracy: float


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
    """Evaluates parameters in one background thread, in the order in which they are submitted."""

    def __init__(self, problem: Problem, samples: int | None) -> None:
        self._problem = problem
        self._samples = samples
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="asapnb-evaluation")
        self._waiting: list[Future[Evaluation]] = []

    def evaluate(self, params: np.ndarray, step: int, t: float) -> Evaluation:
        """Evaluate now, in this thread."""
        train_loss, _ = self._problem.evaluate(params, "train", self._samples)
        test_loss, test_accuracy = self._problem.evaluate(params, "test")
        return Evaluation(step, t, train_loss, test_loss, test_accuracy)

    def submit(self, params: np.ndarray, step: int, t: float, done: Callable[[], None]) -> None:
        """Evaluate in the background; `done` is called as soon as the parameters are no longer needed."""

        def task() -> Evaluation:
            try:
                return self.evaluate(params, step, t)
            finally:
                done()

        self._waiting.append(self._pool.submit(task))

    def finished(self, *, wait: bool = False) -> list[Evaluation]:
        """The evaluations finished since the last call, in order."""
        results = []
        while self._waiting and (wait or self._waiting[0].done()):
            results.append(self._waiting.pop(0).result())
        return results

    def close(self) -> None:
        """End the thread. Evaluations that have not begun are given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)
