"""A parameter server on Ray, as a contender of `race.py`.

It is built as Ray's example "Parameter server", in its asynchronous part: actors compute gradients at weights, a
driver waits for the next one, and passes it to the actor of the server, whose answer is the weights. As there, both
are NumPy arrays in Ray's store, and the driver starts every call.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ray
import torch
from racing import WORKERS, problem_of, read_task, run
from racing_torch import Gradients, accuracy, parameters

import asapnb as ab

Arrays = list[np.ndarray]


@ray.remote
class Server:
    """The parameters."""

    def __init__(self, step_size: float):
        torch.set_num_threads(1)
        self._step_size = step_size

    def set_weights(self, weights: Arrays) -> None:
        """Begin with these."""
        self._params = [torch.from_numpy(np.array(one)) for one in weights]

    def apply_gradient(self, gradient: Arrays) -> Arrays:
        """Apply it, and return the parameters."""
        torch._foreach_add_(self._params, [torch.from_numpy(one) for one in gradient], alpha=-self._step_size)
        return self.get_weights()

    def get_weights(self) -> Arrays:
        """The parameters."""
        return [one.numpy() for one in self._params]


@ray.remote
class Worker:
    """What computes gradients."""

    def __init__(self, task: dict[str, Any]):
        self._gradients = Gradients(task)

    def compute_gradient(self, weights: Arrays, samples: np.ndarray) -> Arrays:
        """The gradient at these weights, of a minibatch."""
        found = self._gradients.at([torch.from_numpy(one) for one in weights], torch.from_numpy(samples))
        return [one.numpy() for one in found]


class OnRay:
    """The driver."""

    def __init__(self, problem: ab.Problem, task: dict[str, Any]):
        self._problem, self._batch = problem, task["batch"]
        self._server = Server.remote(task["step_size"])
        self._workers = [Worker.remote(task) for _ in range(WORKERS)]

    def begin(self, params: np.ndarray) -> None:
        """Start from these parameters."""
        ray.get(self._server.set_weights.remote([one.numpy() for one in parameters(self._problem, params)]))

    def learn(self, samples: np.ndarray) -> float:
        """One pass over these samples; returns the seconds that it took."""
        batches = iter(np.array_split(samples, np.arange(self._batch, len(samples), self._batch)))
        begun = time.perf_counter()
        weights = self._server.get_weights.remote()
        working = {worker.compute_gradient.remote(weights, next(batches)): worker for worker in self._workers}
        while working:
            (ready, *_), _ = ray.wait(list(working))
            worker = working.pop(ready)
            weights = self._server.apply_gradient.remote(ready)
            if (batch := next(batches, None)) is not None:
                working[worker.compute_gradient.remote(weights, batch)] = worker
        ray.get(weights)
        return time.perf_counter() - begun

    def accuracy(self) -> float:
        """On the test samples."""
        weights = ray.get(self._server.get_weights.remote())
        return accuracy(self._problem, [torch.from_numpy(np.array(one)) for one in weights])


def main() -> None:
    """Drive."""
    started, task = time.perf_counter(), read_task()
    ray.init(num_cpus=WORKERS + 1, include_dashboard=False, logging_level="error", log_to_driver=False)
    problem = problem_of(task)
    learner = OnRay(problem, task)
    learner.begin(problem.init(0))
    learner.learn(np.arange(WORKERS * task["batch"]))
    run(learner, problem, task, started)
    ray.shutdown()


if __name__ == "__main__":
    main()
