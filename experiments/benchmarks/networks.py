"""The networks of the benchmarks, their bare training step, and the engine's step, to be measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from common import steps_in
from numba import types

import asapnb as ab
from asapnb.compiled import kernel, specialise
from asapnb.kernels.arrays import aligned, array_type
from asapnb.problems.base import gradient_signature
from asapnb.training.cores import cores

CORES = len(cores())
HOGWILD, SNAPSHOT = ab.Hogwild("in_place"), ab.Hogwild("snapshot")
ASYNCHRONOUS = {
    "lock-based": ab.LockBased(),
    "hogwild, in place": HOGWILD,
    "hogwild, snapshot": SNAPSHOT,
    "leashed": ab.Leashed(),
}


def random_images(channels: int, side: int) -> ab.Dataset:
    """Times do not depend on what the images show."""
    images = np.random.default_rng(0).integers(0, 256, (2048, channels, side, side)).astype(np.uint8)
    labels = np.arange(2048) % 10
    return ab.Dataset.from_arrays(images, labels, images[:10], labels[:10])


def networks() -> dict[str, ab.Problem]:
    """The three networks that are compared with PyTorch."""
    small, large = random_images(1, 28), random_images(3, 32)
    return {"MLP": ab.mlp(small), "LeNet 28×28×1": ab.lenet(small), "LeNet 32×32×3": ab.lenet(large)}


@kernel()
def _sgd_steps(n, gradient, params, update, batches, plan, workspace, inputs, labels):
    for step in range(n):
        gradient(params, update, batches[step % len(batches)], plan, workspace, inputs, labels)
        for i in range(params.size):
            params[i] -= np.float32(1e-4) * update[i]


def training_state(problem: ab.Problem, batch: int) -> tuple[list[types.Type], list[Any]]:
    """What a compiled loop of steps works on: gradient function, parameters, gradient, batches and the rest of the
    gradient's arguments; the Numba types of these, and the values.
    """
    signature = gradient_signature(*problem.dtypes)
    params, gradient, _, *others = signature.args
    theta = aligned(problem.n_params, problem.dtype)
    theta[:] = problem.init(0)
    batches = np.stack(problem.batches(seed=0, epoch=0, batch_size=batch)[: problem.n_samples // batch])
    scratch = [aligned(size, problem.dtype) for size in (problem.n_params, problem.workspace_size(batch))]
    values = [
        problem.gradient,
        theta,
        scratch[0],
        batches,
        problem.plan,
        scratch[1],
        problem.inputs,
        problem.flat_labels,
    ]
    return [types.FunctionType(signature), params, gradient, array_type(np.int64, 2), *others], values


def bare_step(problem: ab.Problem, batch: int) -> Callable[[int], None]:
    """A function that runs n steps of SGD on given minibatches: nothing but gradient and update."""
    kinds, state = training_state(problem, batch)
    steps = specialise(_sgd_steps, types.int64, *kinds)
    return lambda n: steps(n, *state)


def engine_step(problem: ab.Problem, batch: int, scheme: Any, workers: int, seconds: float) -> Callable[[], float]:
    """Measures the training time of the whole engine per gradient (an update; of Synchronous, a worker's share)."""
    each = workers if scheme == ab.Synchronous() else 1

    def run(n: int) -> float:
        updates = max(1, n // each)
        options = {"step_size": 1e-4, "batch_size": batch, "updates": updates, "eval_every": 0, "eval_samples": 10}
        return ab.train(problem, scheme, "tail", workers, **options).attributes["seconds"] / (updates * each)

    n = max(workers, steps_in(bare_step(problem, batch), seconds) * min(workers, CORES))
    return lambda: run(n)
