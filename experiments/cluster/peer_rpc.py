"""A parameter server on PyTorch's RPC, as a contender of `race.py`.

It is built as in PyTorch's tutorial "Implementing batch RPC processing using asynchronous executions": trainers send
their gradients in a call that applies them and returns the model. The batch of that tutorial is one gradient here, so
that every gradient is an update. Three things are faster than there: the call returns tensors instead of a module,
momentum is left out, and a step is one call of PyTorch.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import numpy as np
import torch
import torch.distributed.rpc as rpc
from racing import WORKERS, problem_of, read_task, run
from racing_torch import Gradients, Tensors, accuracy, parameters
from torch.multiprocessing import get_context

import asapnb as ab

PATIENCE = 600  # seconds


class Server:
    """The parameters, and what trainers call."""

    def __init__(self, step_size: float):
        self.params: Tensors = []
        self._step_size, self._lock = step_size, threading.Lock()

    @staticmethod
    @rpc.functions.async_execution
    def update_and_fetch(server: rpc.RRef, gradient: Tensors) -> torch.futures.Future:
        """Apply a gradient, and return the parameters."""
        self, found = server.local_value(), torch.futures.Future()
        with self._lock:
            torch._foreach_add_(self.params, gradient, alpha=-self._step_size)
            found.set_result([parameter.clone() for parameter in self.params])
        return found

    @staticmethod
    def fetch(server: rpc.RRef) -> Tensors:
        """The parameters."""
        return server.local_value().params


_gradients: list[Gradients] = []  # of this process


def train_piece(task: dict[str, Any], server: rpc.RRef, samples: torch.Tensor) -> None:
    """On a trainer: all minibatches of these samples."""
    if not _gradients:
        _gradients.append(Gradients(task))
    params = rpc.rpc_sync(server.owner(), Server.fetch, args=(server,))
    for chosen in samples.split(task["batch"]):
        gradient = _gradients[0].at(params, chosen)
        params = rpc.rpc_sync(server.owner(), Server.update_and_fetch, args=(server, gradient))


class OnRpc:
    """The server, and trainers that it tells what to do."""

    def __init__(self, problem: ab.Problem, task: dict[str, Any]):
        self._problem, self._task = problem, task
        self._server = Server(task["step_size"])
        self._there = rpc.RRef(self._server)

    def begin(self, params: np.ndarray) -> None:
        """Start from these parameters."""
        self._server.params = [one.clone() for one in parameters(self._problem, params)]

    def learn(self, samples: np.ndarray) -> float:
        """One pass over these samples; returns the seconds that it took."""
        shares = torch.from_numpy(samples).chunk(WORKERS)
        begun = time.perf_counter()
        torch.futures.wait_all([
            rpc.rpc_async(f"rank{rank}", train_piece, args=(self._task, self._there, share))
            for rank, share in enumerate(shares, 1)
        ])  # fmt: skip
        return time.perf_counter() - begun

    def accuracy(self) -> float:
        """On the test samples."""
        return accuracy(self._problem, self._server.params)


def begin_rpc(rank: int, port: int) -> None:
    """Take part in RPC."""
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    options = rpc.TensorPipeRpcBackendOptions(num_worker_threads=16, rpc_timeout=PATIENCE)
    rpc.init_rpc(f"rank{rank}", rank=rank, world_size=WORKERS + 1, rpc_backend_options=options)


def follow(rank: int, port: int) -> None:
    """The process of a trainer."""
    begin_rpc(rank, port)
    rpc.shutdown(timeout=PATIENCE)


def main() -> None:
    """The process of the server."""
    started, task = time.perf_counter(), read_task()
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    trainers = [get_context("spawn").Process(target=follow, args=(rank, port)) for rank in range(1, WORKERS + 1)]
    for trainer in trainers:
        trainer.start()
    begin_rpc(0, port)
    torch.set_num_threads(1)
    problem = problem_of(task)
    learner = OnRpc(problem, task)
    learner.begin(problem.init(0))
    learner.learn(np.arange(WORKERS * task["batch"]))
    run(learner, problem, task, started)
    rpc.shutdown(timeout=PATIENCE)
    for trainer in trainers:
        trainer.join(PATIENCE)


if __name__ == "__main__":
    main()
