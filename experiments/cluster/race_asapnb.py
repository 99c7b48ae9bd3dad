"""asapnb on ranks of MPI, as a contender of `race.py`."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from mpi4py import MPI
from racing import problem_of, read_task, run

import asapnb as ab

COMM = MPI.COMM_WORLD


class OnRanks:
    """The server of a run for each piece; its workers call `learn` with the same seeds."""

    def __init__(self, problem: ab.Problem, task: dict[str, Any]):
        self._problem, self._batch = problem, task["batch"]
        self._options = {"batch_size": self._batch, "step_size": task["step_size"], "workers": COMM.size - 1,
                         "eval_every": 0, "eval_samples": 1, "divergence_factor": 1e9, "comm": COMM}  # fmt: skip

    def begin(self, params: np.ndarray) -> None:
        """Start from these parameters."""
        self._params = params

    def learn(self, samples: np.ndarray) -> float:
        """As many samples; returns the seconds of the training clock."""
        COMM.bcast((len(samples), int(samples[0])))
        return self._learn(len(samples), int(samples[0]))

    def _learn(self, samples: int, seed: int) -> float:
        updates = math.ceil(samples / self._batch)
        run = ab.train(self._problem, ab.ParameterServer(), updates=updates, seed=seed, start=self._params,
                       **self._options)  # fmt: skip
        if run is None:
            return 0.0
        self._params, self._accuracy = run.params["final"], float(run.evals["test_accuracy"][-1])
        return float(run.attributes["seconds"])

    def follow(self) -> None:
        """As a worker: take part in every piece."""
        self._params = np.zeros(self._problem.n_params, self._problem.dtype)
        while (piece := COMM.bcast(None)) is not None:
            self._learn(*piece)

    def accuracy(self) -> float:
        """On the test samples."""
        return self._accuracy


def main() -> None:
    """Race on rank 0, follow on the others."""
    started, task = time.perf_counter(), read_task()
    problem = problem_of(task)
    learner = OnRanks(problem, task)
    if COMM.rank != 0:
        learner.follow()
        return
    learner.begin(problem.init(0))
    learner.learn(np.arange(task["batch"]))
    run(learner, problem, task, started)
    COMM.bcast(None)


if __name__ == "__main__":
    main()
