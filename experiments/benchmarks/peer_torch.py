"""A network in PyTorch, trained by processes that share its parameters: Hogwild as in PyTorch's own example,
mnist_hogwild. One process of several threads is plain PyTorch.

What was found to make PyTorch faster here, at batches of 16 to 256, is in: samples are indexed in memory, without a
DataLoader; an update is one call, without an optimizer; convolutions are channels_last; the MLP does without oneDNN.
(torch.compile made steps of this size slower.)
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.multiprocessing import get_context

import asapnb as ab

TAKEN = 8  # minibatches that a process takes at once from the order that all share
PATIENCE = 3600.0  # seconds that processes wait for each other


def model_of(problem: ab.Problem) -> nn.Sequential:
    """The layers of `mlp` or `lenet`."""
    channels = problem.data.shape[0]
    dense = [parameter.shape for parameter in problem.layout if parameter.name.startswith("dense")]
    sizes = [dense[0][0], *(shape[0] for shape in dense if len(shape) == 1)]
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    if problem.name == "mlp":
        return nn.Sequential(nn.Flatten(), *layers)
    first = [nn.Conv2d(channels, 6, 5), nn.MaxPool2d(2), nn.ReLU()]
    stages = [*first, nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*stages, *layers).to(memory_format=torch.channels_last)


def tensors(problem: ab.Problem, flat: np.ndarray) -> list[torch.Tensor]:
    """asapnb's parameters in the shapes of PyTorch's, which keeps a dense layer as (outputs, inputs)."""
    found = [torch.from_numpy(flat[at : at + int(np.prod(shape))]).reshape(shape) for _, shape, at in problem.layout]
    return [tensor.T if tensor.ndim == 2 else tensor for tensor in found]


def work(model, inputs, labels, order, ticket, gate, times, batch, step_size, threads):
    """One process: in every piece, take minibatches until there are none left, and note when it began and ended."""
    torch.set_num_threads(threads)
    torch.backends.mkldnn.enabled = any(isinstance(layer, nn.Conv2d) for layer in model)
    params, loss = list(model.parameters()), nn.functional.cross_entropy
    while True:
        gate.wait(PATIENCE)
        begun = time.perf_counter()
        while True:
            with ticket.get_lock():
                left = ticket.value  # samples that nobody has taken yet
                ticket.value -= TAKEN * batch
            if left <= 0:
                break
            for chosen in order[max(0, left - TAKEN * batch) : left].split(batch):
                gradient = torch.autograd.grad(loss(model(inputs[chosen]), labels[chosen]), params)
                with torch.no_grad():
                    torch._foreach_add_(params, gradient, alpha=-step_size)
        times[:] = torch.tensor([begun, time.perf_counter()], dtype=torch.float64)
        gate.wait(PATIENCE)


class Processes:
    """Processes that train one model piece by piece, and wait in between."""

    def __init__(self, problem: ab.Problem, batch: int, step_size: float, processes: int, threads: int):
        started, context = time.perf_counter(), get_context("spawn")
        self._problem, self._model = problem, model_of(problem).share_memory()
        inputs, labels = (torch.from_numpy(a).share_memory_() for a in (problem.data.train.inputs, problem.labels))
        self._order = torch.zeros(problem.n_samples, dtype=torch.int64).share_memory_()
        self._ticket, self._gate = context.Value("q", 0), context.Barrier(processes + 1)
        self._times = torch.zeros(processes, 2, dtype=torch.float64).share_memory_()
        shared = (self._model, inputs, labels, self._order, self._ticket, self._gate)
        self._processes = [
            context.Process(target=work, args=(*shared, times, batch, step_size, threads), daemon=True)
            for times in self._times
        ]
        for process in self._processes:
            process.start()
        self.learn(
            np.arange(2 * TAKEN * batch * processes) % problem.n_samples
        )  # they are there, and have touched their memory
        self.start_seconds = time.perf_counter() - started

    def begin(self, params: np.ndarray) -> None:
        """Go back to these parameters."""
        with torch.no_grad():
            for parameter, value in zip(self._model.parameters(), tensors(self._problem, params), strict=True):
                parameter.copy_(value)

    def learn(self, samples: np.ndarray) -> float:
        """One pass over these samples; returns the seconds from the first process's start to the last one's end."""
        self._order[: len(samples)] = torch.from_numpy(samples)
        self._ticket.value = len(samples)
        self._gate.wait(PATIENCE)
        self._gate.wait(PATIENCE)
        return float(self._times[:, 1].max() - self._times[:, 0].min())

    def accuracy(self) -> float:
        """On the test samples, with the parameters as asapnb keeps them."""
        found = [parameter.detach() for parameter in self._model.parameters()]
        flat = np.concatenate([(p.T if p.ndim == 2 else p).contiguous().numpy().ravel() for p in found])
        return self._problem.metrics(flat, "test").accuracy

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
            process.join()
