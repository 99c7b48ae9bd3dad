"""What the contenders on PyTorch share: a trainer's network and data, and parameters in the shapes of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from racing import problem_of
from torch import nn

# isort: split
from peer_torch import model_of, tensors  # of the benchmarks, which `racing` makes known

import asapnb as ab

Tensors = list[torch.Tensor]


class Gradients:
    """A worker: its network, all data, and a core."""

    def __init__(self, task: dict[str, Any]):
        torch.set_num_threads(1)
        torch.backends.mkldnn.enabled = task["network"] == "lenet"  # as in peer_torch
        problem = problem_of(task)
        self._model = model_of(problem)
        self._params = list(self._model.parameters())
        self._inputs, self._labels = (torch.from_numpy(a) for a in (problem.data.train.inputs, problem.labels))

    def at(self, params: Tensors, chosen: torch.Tensor) -> Tensors:
        """The gradient at these parameters, of a minibatch."""
        with torch.no_grad():
            for mine, value in zip(self._params, params, strict=True):
                mine.copy_(value)
        loss = nn.functional.cross_entropy(self._model(self._inputs[chosen]), self._labels[chosen])
        return list(torch.autograd.grad(loss, self._params))


def parameters(problem: ab.Problem, flat: np.ndarray) -> Tensors:
    """asapnb's parameters in the shapes of PyTorch's."""
    return [one.contiguous() for one in tensors(problem, flat)]


def accuracy(problem: ab.Problem, params: Tensors) -> float:
    """On the test samples."""
    flat = np.concatenate([(one.T if one.ndim == 2 else one).contiguous().numpy().ravel() for one in params])
    return problem.metrics(flat, "test").accuracy
