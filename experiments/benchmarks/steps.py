"""Time per training step (gradient and SGD update) of one worker, beside the core's peak and PyTorch on one thread.

    python experiments/benchmarks/steps.py

PyTorch takes part where it is installed; its inputs are floating-point tensors already, asapnb's are bytes. "ceiling"
is the ratio to PyTorch that the peak of the core would allow.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
from common import Effort, Table, interleaved, main, median, timed
from networks import bare_step, networks
from numba import types
from numba.extending import intrinsic

from asapnb.compiled import KERNEL_PATH, kernel
from asapnb.problems import Problem
from asapnb.problems.emit import F32, I32, constant, fma, loop, splat
from asapnb.problems.tiles import LANES

# The ratio to PyTorch that each step should reach, by batch size
AIMS = {
    "MLP": {16: 4.5, 128: 2.7, 512: 2.6},
    "LeNet 28×28×1": {16: 5.9, 128: 4.1, 512: 4.0},
    "LeNet 32×32×3": {16: 4.6, 128: 3.7, 512: 3.6},
}
CHAINS = 12 if KERNEL_PATH == "avx2" else 24  # enough to hide the latency of an FMA, few enough for the registers


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


def torch_step(problem: Problem, batch: int) -> Callable[[int], None]:
    """The same step in PyTorch."""
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
        stages = [nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
        dense = [nn.Flatten(), nn.Linear(features, 120), nn.ReLU(), nn.Linear(120, 10)]
        model = nn.Sequential(*stages, nn.MaxPool2d(2), *dense)
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


def measure(effort: Effort) -> list[Table]:
    """One row for each network and batch size."""
    problems, seconds, torch = networks(), effort.seconds(0.02), find_spec("torch") is not None
    cases = {("peak", 0, "fma"): timed(lambda n: fma_chains(10_000 * n), seconds)}
    for name, aims in AIMS.items():
        for batch in aims:
            cases[name, batch, "asapnb"] = timed(bare_step(problems[name], batch), seconds)
            if torch:
                cases[name, batch, "torch"] = timed(torch_step(problems[name], batch), seconds)
    times = interleaved(cases, effort.rounds)
    peak = 2 * LANES * CHAINS * 10_000 / median(times["peak", 0, "fma"])
    rows = []
    for name, aims in AIMS.items():
        for batch, aim in aims.items():
            ours, count = times[name, batch, "asapnb"], flops(problems[name]) * batch
            theirs = times.get((name, batch, "torch"), np.full(len(ours), np.nan))
            row = {"network": name, "batch": batch, "ms per step": median(ours) * 1e3}
            row |= {"GFLOP/s": count / median(ours) / 1e9, "of peak": count / median(ours) / peak}
            row |= {"best": count / min(ours) / peak}
            if torch:
                row |= {"PyTorch, ms": median(theirs) * 1e3, "ratio": median(theirs / ours)}
                row |= {"best ratio": min(theirs) / min(ours)}
                row |= {"ceiling": median(theirs) * peak / count, "aim": ("≥", aim)}
            rows.append(row)
    formats = {"ms per step": ".3f", "GFLOP/s": ".1f", "of peak": ".0%", "best": ".0%", "PyTorch, ms": ".2f"}
    note = f"Kernels: {KERNEL_PATH}; one core's FMA peak: {peak / 1e9:.0f} GFLOP/s (float32)."
    note += " Best: in the fastest round, when the machine had the least else to do."
    note += "" if torch else " PyTorch is not installed here."
    formats |= dict.fromkeys(("ratio", "best ratio", "ceiling"), ".2f")
    return [Table("Training step, one thread", rows, formats, "ratio", note)]


if __name__ == "__main__":
    main(measure, rounds=15)
