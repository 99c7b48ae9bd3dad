"""Time per training step (gradient and SGD update) of one worker, beside the core's peak and PyTorch on one thread.

    python experiments/benchmarks/steps.py [--json FILE]

Every round measures every case once, so that a slow minute hits all alike; the medians of the rounds are shown.
The data are random: times do not depend on them. PyTorch takes part where it is installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
from numba import types
from numba.extending import intrinsic

from asapnb.compiled import KERNEL_PATH, kernel
from asapnb.data import Dataset
from asapnb.problems import Problem, lenet, mlp
from asapnb.problems.emit import F32, I32, constant, fma, loop, splat
from asapnb.problems.tiles import LANES

ROUNDS, SECONDS = 15, 0.02  # a measurement repeats its step for at least so long
BATCHES = (16, 128, 512)
CHAINS = (
    12 if KERNEL_PATH == "avx2" else 24
)  # independent FMAs: enough to hide their latency, few enough for registers


@intrinsic
def _fma_chains(typing, n):
    def generate(context, builder, signature, arguments):
        factor = splat(builder, builder.sitofp(arguments[0], F32), LANES)
        start = [constant(F32, [float(i)] * LANES) for i in range(CHAINS)]
        sums = loop(builder, arguments[0], start, lambda _, sums: [fma(builder, s, factor, factor) for s in sums])
        total = sums[0]
        for value in sums[1:]:
            total = builder.fadd(total, value)
        return builder.extract_element(total, I32(0))

    return types.float32(types.int64), generate


@kernel()
def fma_chains(n):
    """n times CHAINS vector FMAs that depend on nothing but themselves."""
    return _fma_chains(n)


@kernel()
def sgd_steps(n, gradient, params, update, batches, plan, workspace, inputs, labels):
    """n steps of SGD on the given minibatches, in turn."""
    for step in range(n):
        gradient(params, update, batches[step % len(batches)], plan, workspace, inputs, labels)
        for i in range(params.size):
            params[i] -= np.float32(1e-4) * update[i]


def problems() -> dict[str, Problem]:
    """The networks, on random images."""
    rng = np.random.default_rng(0)
    data = {}
    for shape in ((1, 28, 28), (3, 32, 32)):
        images, labels = rng.integers(0, 256, (2048, *shape)).astype(np.uint8), np.arange(2048) % 10
        data[shape[1]] = Dataset.from_arrays(images, labels, images[:10], labels[:10])
    return {"MLP": mlp(data[28]), "LeNet 28×28×1": lenet(data[28]), "LeNet 32×32×3": lenet(data[32])}


def flops(problem: Problem) -> int:
    """Multiplications and additions of one sample: 2 per weight and place forward, as much per gradient backward."""
    total, side = 0, problem.data.shape[1]
    for number, (name, shape, _) in enumerate(problem.layout[::2]):
        places = 1
        if name.startswith("conv"):
            side = side - shape[-1] + 1
            places, side = side * side, side // 2
        total += 2 * int(np.prod(shape)) * places * (2 if number == 0 else 3)  # nobody needs the inputs' gradient
    return total


def our_step(problem: Problem, batch: int) -> Callable[[int], None]:
    """A function that runs n steps."""
    params = problem.init(0)
    batches = np.stack(problem.batches(seed=0, epoch=0, batch_size=batch)[: 2048 // batch])
    update, workspace = np.empty_like(params), np.empty(problem.workspace_size(batch), np.float32)
    state = (params, update, batches, problem.plan, workspace, problem.inputs, problem.labels)
    return lambda n: sgd_steps(n, problem.gradient, *state)


def torch_step(problem: Problem, batch: int) -> Callable[[int], None]:
    """The same step in PyTorch, on inputs that are floating-point tensors already."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    channels, side, _ = problem.data.shape
    if problem.name == "mlp":
        sizes = [784, 128, 128, 128, 10]
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        model = nn.Sequential(nn.Flatten(), *layers[:-1])
    else:
        features = 16 * (((side - 4) // 2 - 4) // 2) ** 2
        convolutions = [
            nn.Conv2d(channels, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(features, 120), nn.ReLU(), nn.Linear(120, 10))
    x, y = torch.from_numpy(problem.data.train.inputs), torch.from_numpy(problem.labels)
    batches = [torch.from_numpy(indices) for indices in problem.batches(seed=0, epoch=0, batch_size=batch)]
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=1e-4), nn.CrossEntropyLoss()

    def run(n: int) -> None:
        for step in range(n):
            indices = batches[step % len(batches)]
            optimizer.zero_grad(set_to_none=True)
            loss(model(x[indices]), y[indices]).backward()
            optimizer.step()

    return run


def seconds_per_step(run: Callable[[int], object], repeats: int) -> float:
    """Mean time of one step over `repeats`."""
    start = time.perf_counter()
    run(repeats)
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    cases: dict[tuple[str, int, str], Callable[[int], object]] = {}
    work = {}
    for name, problem in problems().items():
        for batch in BATCHES:
            work[name, batch] = flops(problem) * batch
            cases[name, batch, "asapnb"] = our_step(problem, batch)
            if find_spec("torch"):
                cases[name, batch, "torch"] = torch_step(problem, batch)
    cases["peak", 0, "fma"] = lambda n: fma_chains(10_000 * n)
    repeats = {}
    for key, run in cases.items():
        run(1)  # compile, and touch the memory
        repeats[key] = max(1, round(SECONDS / seconds_per_step(run, 1)))
    times: dict[tuple[str, int, str], list[float]] = {key: [] for key in cases}
    for _ in range(ROUNDS):
        for key, run in cases.items():
            times[key].append(seconds_per_step(run, repeats[key]))
    median = {key: statistics.median(values) for key, values in times.items()}
    peak = 2 * LANES * CHAINS * 10_000 / median["peak", 0, "fma"]
    out = sys.stdout
    out.write(f"kernels: {KERNEL_PATH}; one core's FMA peak: {peak / 1e9:.0f} GFLOP/s (float32)\n")
    out.write(f"{'':15}{'batch':>6}{'ms per step':>13}{'GFLOP/s':>9}{'of peak':>9}{'torch, ms':>11}{'ratio':>7}\n")
    rows = []
    for (name, batch), count in work.items():
        ours, torch = median[name, batch, "asapnb"], median.get((name, batch, "torch"))
        rows.append({"network": name, "batch": batch, "ms": ours * 1e3, "gflops": count / ours / 1e9})
        rows[-1] |= {"share": count / ours / peak, "torch_ms": torch and torch * 1e3}
        out.write(f"{name:15}{batch:6}{ours * 1e3:13.3f}{count / ours / 1e9:9.1f}{count / ours / peak:9.0%}")
        out.write(f"{torch * 1e3:11.2f}{torch / ours:7.1f}\n" if torch else f"{'-':>11}{'-':>7}\n")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"kernels": KERNEL_PATH, "peak_gflops": peak / 1e9, "steps": rows}, file, indent=1)


if __name__ == "__main__":
    main()
