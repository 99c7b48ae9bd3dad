"""Where a step's time goes, part by part, and what each part could take at least: by the core's FMA units, its loads
and its memory, all measured in the same rounds.

    python experiments/benchmarks/limits.py

The parts are timed inside of a step, with the caches as they are there. Flops, loads and bytes are counted from the
shapes, by `work`; the longest of the three times is the limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from common import Effort, Table, interleaved, main, median, timed
from networks import training_state
from numba import types
from numba.extending import intrinsic
from steps import CHAINS, fma_chains

import asapnb as ab
from asapnb.compiled import KERNEL_PATH, kernel, part, specialise
from asapnb.kernels.arrays import aligned, array_type
from asapnb.kernels.atomics import clock
from asapnb.problems import convolution, dense
from asapnb.problems.emit import F32, I32, at, constant, i64, load, loop
from asapnb.problems.ends import announce, end, gather
from asapnb.problems.interpreter import row_output_gradient
from asapnb.problems.records import FIRST_RECORD, RECORD, Blocks, Header, Rows, blocks, header
from asapnb.problems.tiles import LANES, SHAPES

PARTS = ("samples", "scores", "loss", "d of outputs", "gradient of weights", "gradient of inputs", "sums", "update")
GATHER, FORWARD, LOSS, OUTPUTS, WEIGHTS, INPUTS, SUMS, UPDATE = range(len(PARTS))
SINGLE = (GATHER, LOSS, SUMS, UPDATE)  # for the whole network at once
LAYERS = 8
SIZES = {"32 KB": 2**15, "512 KB": 2**19, "8 MB": 2**23, "256 MB": 2**28}  # on most machines L1, L2, L3 and memory
SAMPLES = 60_000  # more than the caches hold, as of real data sets
FLOAT = 4  # bytes


@kernel()
def descend(n, params, gradient):
    """n updates."""
    for _ in range(n):
        for i in range(params.size):
            params[i] -= np.float32(1e-4) * gradient[i]


@intrinsic
def _load_chains(typing, n, values):
    def generate(context, b, signature, arguments):
        data = context.make_array(signature.args[1])(context, b, arguments[1]).data

        def step(k, sums):
            here = at(b, data, b.mul(b.and_(k, i64(15)), i64(LANES)))  # at another place each time
            return [b.fadd(total, load(b, at(b, here, i * LANES), LANES)) for i, total in enumerate(sums)]

        sums = loop(b, arguments[0], [constant(F32, [0.0] * LANES)] * CHAINS, step)
        return b.extract_element(reduce(b.fadd, sums), I32(0))

    return types.float32(types.int64, values), generate


@kernel()
def load_chains(n, values):
    """n times CHAINS vectors from the first-level cache, each added to a sum of its own."""
    return _load_chains(n, values)


@kernel()
def exponentials(n, values):
    """n times the exponential of each value."""
    for _ in range(n):
        for i in range(values.size):
            values[i] = math.exp(-values[i])


@part()
def lap(times, what, layer, since):
    """Add the time since then; returns the time."""
    now = clock()
    times[what, layer] += now - since
    return now


@part()
def rows_forward(times, params, plan, workspace, count, now):
    """The scores of layers on rows."""
    h = header(plan)
    for i in range(h.on_blocks, h.layers):
        dense.forward(plan, i, params, workspace, count)
        now = lap(times, FORWARD, i, now)
    return now


@part()
def rows_backward(times, params, gradient, plan, workspace, count, accumulate, now):
    """Their gradients."""
    h = header(plan)
    for i in range(h.layers - 1, h.on_blocks - 1, -1):
        dense.backward(plan, i, params, gradient, workspace, count, accumulate)
        now = lap(times, WEIGHTS, i, now)
        if i > 0:
            dense.input_gradient(plan, i, params, workspace, count)
            now = lap(times, INPUTS, i, now)
            if i > h.on_blocks:
                row_output_gradient(plan, i - 1, workspace, count)
                now = lap(times, OUTPUTS, i - 1, now)
    return now


@part()
def blocks_forward(times, params, plan, workspace, codes, count, now):
    """The outputs of layers on blocks."""
    for i in range(header(plan).on_blocks):
        for block in range((count + LANES - 1) // LANES):
            convolution.forward(plan, i, params, workspace, codes, block)
        now = lap(times, FORWARD, i, now)
    return now


@part()
def blocks_backward(times, plan, workspace, codes, count, now):
    """Their gradients, block by block."""
    for block in range((count + LANES - 1) // LANES):
        for i in range(header(plan).on_blocks - 1, -1, -1):
            convolution.output_gradient(plan, i, workspace, codes, block)
            now = lap(times, OUTPUTS, i, now)
            b = blocks(plan, i)
            convolution.weights_gradient(plan, i, workspace, b.x + block * b.x_block)
            now = lap(times, WEIGHTS, i, now)
            convolution.input_gradient(plan, i, workspace)
            if i > 0:
                now = lap(times, INPUTS, i, now)
    return now


@kernel()
def steps(n, times, params, gradient, batches, plan, workspace, inputs, labels):
    """The steps of `networks._sgd_steps`, timed part by part: the gradient's own loop, with a clock in between."""
    h, codes = header(plan), workspace.view(np.int8)
    for step in range(n):
        indices, now = batches[step % len(batches)], clock()
        if h.on_blocks:
            for i in range(h.on_blocks):
                convolution.prepare(plan, i, params, workspace)
            now = lap(times, SUMS, 0, now)
        for first in range(0, len(indices), h.chunk):
            count = min(len(indices) - first, h.chunk)
            announce(plan, labels, indices, first, count)
            gather(plan, workspace, inputs, indices, first, count)
            now = lap(times, GATHER, 0, now)
            now = blocks_forward(times, params, plan, workspace, codes, count, now)
            now = rows_forward(times, params, plan, workspace, count, now)
            end(plan, workspace, labels, indices, first, count, np.float32(1 / len(indices)))
            now = lap(times, LOSS, 0, now)
            now = rows_backward(times, params, gradient, plan, workspace, count, first > 0, now)
            now = blocks_backward(times, plan, workspace, codes, count, now)
        if h.on_blocks:
            for i in range(h.on_blocks):
                convolution.collect(plan, i, gradient, workspace)
            now = lap(times, SUMS, 0, now)
        for i in range(params.size):
            params[i] -= np.float32(1e-4) * gradient[i]
        lap(times, UPDATE, 0, now)


class Work(NamedTuple):
    """What a part must do at least: vector FMAs, vector loads, bytes of arrays, bytes of samples, exponentials."""

    fmas: float = 0
    loads: float = 0
    bytes: float = 0
    sample_bytes: float = 0
    exponentials: float = 0


def tile(fmas: float, rows: int, columns: int, further: int = 0, values: float = 0) -> Work:
    """The work of a register tile of rows × columns, which loads as many vectors, and `further`, for each term."""
    return Work(fmas, fmas * (rows + columns + further) / (rows * columns), FLOAT * values)


def product(m: int, n: int, k: int) -> Work:
    """Of `primitives.product`: whole vectors of columns, one or two at a time."""
    vectors = -(-n // LANES)
    return tile(m * vectors * k, SHAPES.product[0], min(vectors, 2), values=m * n + n * k)


def work(problem: ab.Problem, batch: int) -> dict[tuple[int, int], Work]:
    """The work of each (part, layer) of a step."""
    plan, size = problem.plan, batch * problem.outputs
    h = Header(*plan[: len(Header._fields)])
    pixels = math.prod(problem.data.shape)
    found = {
        (GATHER, 0): Work(bytes=FLOAT * batch * pixels, sample_bytes=batch * pixels),
        (LOSS, 0): Work(bytes=2 * FLOAT * size, exponentials=size),
        (UPDATE, 0): Work(bytes=3 * FLOAT * problem.n_params),
    }
    for i in range(h.layers):
        record = plan[FIRST_RECORD + i * RECORD :]
        if i >= h.on_blocks:
            io = Rows(*record[: len(Rows._fields)])
            whole = -(-batch // LANES) * LANES
            found[FORWARD, i] = product(batch, io.units, io.features)
            found[WEIGHTS, i] = product(io.features, io.units, batch)
            found[INPUTS, i] = product(io.features, whole, io.units)
            found[OUTPUTS, i] = Work(bytes=3 * FLOAT * batch * io.units)
            continue
        b, many = Blocks(*record[: len(Blocks._fields)]), -(-batch // LANES)
        taps = math.prod(problem.layout[2 * i].shape[1:])
        outputs = b.filters * b.rows * b.columns * b.pooling**2
        fmas, values = many * outputs * taps, many * LANES * outputs
        window, pair, weights = (one[0] for one in (SHAPES.window, SHAPES.pair, SHAPES.weights5))
        found[FORWARD, i] = tile(fmas, window, 4, 1) if b.pooling > 1 else tile(fmas, pair, 2, 1)
        found[WEIGHTS, i] = tile(fmas, weights, 5, values=values)
        found[INPUTS, i] = tile(fmas, pair, 2, 1, values=values)
        found[OUTPUTS, i] = Work(bytes=FLOAT * values)
        sums = Work(bytes=3 * FLOAT * LANES * b.filters * (taps + 1))  # cleared, and read
        found[SUMS, 0] = Work(*(x + y for x, y in zip(found.get((SUMS, 0), Work()), sums, strict=True)))
    return found


def parts(problem: ab.Problem, batch: int, seconds: float) -> Callable[[], np.ndarray]:
    """Measures the seconds of each part and layer in a step."""
    kinds, state = training_state(problem, batch)
    run = specialise(steps, types.int64, array_type(np.int64, 2), *kinds[1:])
    n = max(1, round(seconds / (batch * 5e-6)))

    def measure() -> np.ndarray:
        times = np.zeros((len(PARTS), LAYERS), np.int64)
        run(n, times, *state[1:])
        return times / n / 1e9

    measure()
    return measure


def bandwidth(size: int, seconds: float) -> Callable[[], float]:
    """Measures the seconds of an update of parameters that fill so many bytes, together with their gradient."""
    params, gradient = aligned(size // 8, np.float32), aligned(size // 8, np.float32)
    return timed(lambda n: descend(n, params, gradient), seconds)


def measure(effort: Effort) -> list[Table]:
    """Bandwidths, then a row for each part that takes at least one percent of its step."""
    images = np.random.default_rng(0).integers(0, 256, (SAMPLES, 1, 28, 28), np.uint8)
    data = ab.Dataset.from_arrays(images, np.arange(SAMPLES) % 10, images[:10], np.arange(10))
    problems = {"MLP": ab.mlp(data)} | ({} if effort.quick else {"LeNet": ab.lenet(data)})
    sizes = SIZES | {name: 8 * problem.n_params for name, problem in problems.items()}
    small, seconds = aligned(2**12, np.float32), effort.seconds(0.02)
    cases: dict[Any, Callable[[], Any]] = {size: bandwidth(size, seconds) for size in effort.some(sizes.values())}
    cases |= {8 * problem.n_params: bandwidth(8 * problem.n_params, seconds) for problem in problems.values()}
    cases |= {
        "fma": timed(lambda n: fma_chains(10_000 * n), seconds),
        "loads": timed(lambda n: load_chains(10_000 * n, small), seconds),
        "exp": timed(lambda n: exponentials(n, small), seconds),
    }
    steps = [(name, batch) for name in problems for batch in effort.some((16, 128))]
    cases |= {step: parts(problems[step[0]], step[1], seconds) for step in steps}
    times = interleaved(cases, effort.rounds)
    fma, read = median(times["fma"]) / (CHAINS * 10_000), median(times["loads"]) / (CHAINS * 10_000)
    speed = {size: 1.5 * size / median(times[size]) for size in cases if isinstance(size, int)}
    levels = [
        {"parameters and gradient": f"of the {name}" if name in problems else name, "GB/s": speed[size] / 1e9}
        for name, size in sizes.items()
        if size in speed
    ]
    rows: list[dict[str, Any]] = []
    for name, batch in steps:
        of, found = work(problems[name], batch), np.median(times[name, batch], axis=0)
        memory = speed.get(SIZES["256 MB"], math.inf)
        limits = {
            place: {
                "FMA": one.fmas * fma,
                "loads": one.loads * read,
                "cache": one.bytes / speed[8 * problems[name].n_params],
                "memory": one.sample_bytes / memory,
                "exp": one.exponentials * median(times["exp"]) / small.size,
            }
            for place, one in of.items()
        }
        rows += table_rows({"network": name, "batch": batch}, found, limits)
    formats = {"µs": ".2f", "of step": ".1%", "least, µs": ".2f", "of limit": ".0%"}
    note = (
        f"Kernels: {KERNEL_PATH}; {2 * LANES / fma / 1e9:.0f} GFLOP/s, {1 / read / 1e9:.1f} billion vector loads a "
        f"second. {SAMPLES:,} samples. cache: at the bandwidth of an update of so many parameters."
    )
    return [
        Table("Bandwidth of an update, one thread", levels, {"GB/s": ".0f"}, note="12 bytes for each parameter."),
        Table("What limits the parts of a step, one thread", rows, formats, note=note),
    ]


def table_rows(case: dict[str, Any], found: np.ndarray, limits: dict[tuple[int, int], dict[str, float]]) -> list[Any]:
    """The parts of a step in their order, then the whole of it."""
    rows, whole = [], 0.0
    for (what, layer), seconds in np.ndenumerate(found):
        if seconds == 0:
            continue
        times = limits[what, layer]
        limit = max(times, key=times.__getitem__)
        whole += times[limit]
        if seconds > 0.01 * found.sum():
            row = case | {"part": PARTS[what], "layer": str(layer + 1) if what not in SINGLE else ""}
            row |= {"µs": 1e6 * seconds, "of step": seconds / found.sum(), "limit": limit}
            rows.append(row | {"least, µs": 1e6 * times[limit], "of limit": times[limit] / seconds})
    row = case | {"part": "all", "layer": "", "µs": 1e6 * found.sum(), "of step": 1.0, "limit": ""}
    return [*rows, row | {"least, µs": 1e6 * whole, "of limit": whole / found.sum()}]


if __name__ == "__main__":
    main(measure, rounds=9)
