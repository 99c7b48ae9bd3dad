"""asapnb itself, as one of those that `accuracy.py` compares."""

from __future__ import annotations

import math
import time

import numpy as np

import asapnb as ab

CORES = 2


class Asapnb:
    """asapnb on two threads. Each piece is a run that starts from the parameters that the one before left."""

    def __init__(self, problem: ab.Problem, batch: int, step_size: float, scheme: str):
        started = time.perf_counter()
        self._problem, self._scheme = problem, scheme
        self._samples = batch * (CORES if scheme == "synchronous" else 1)  # of an update
        self._options = {"workers": CORES, "step_size": step_size, "batch_size": batch}
        self._options |= {
            "eval_every": 0,
            "eval_samples": 1,
            "divergence_factor": 1e9,
        }  # compared with one sample's loss
        self.begin(problem.init(0))
        self.learn(np.arange(batch))
        self.start_seconds = time.perf_counter() - started

    def begin(self, params: np.ndarray) -> None:
        """Start from these parameters."""
        self._params = params

    def learn(self, samples: np.ndarray) -> float:
        """As many samples, drawn by asapnb itself; returns the seconds of the training clock."""
        updates, seed = math.ceil(len(samples) / self._samples), int(samples[0])
        options = self._options | {"updates": updates, "seed": seed}
        run = ab.train(self._problem, self._scheme, start=self._params, **options)
        self._params, self._accuracy = run.params["final"], float(run.evals["test_accuracy"][-1])
        return float(run.attributes["seconds"])

    def accuracy(self) -> float:
        """On the test samples."""
        return self._accuracy

    def close(self) -> None:
        """No thread is left."""
