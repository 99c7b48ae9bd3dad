"""Run any plan: the loss and its gradient, or the loss and the outputs.

Samples go through the network in chunks; the gradients of the chunks add up. There are two interpreters: one of all
layers, and one of the plain layers alone, which compiles in two thirds of the time.
"""

# mypy: disable-error-code="no-untyped-def"
from functools import cache
from typing import Any

import numpy as np
from numba import float64

from ..compiled import kernel, part
from ..kernels.choice import by_number
from .dropout import drop_nothing, sample_keys
from .elementwise import rows_through_activation
from .ends import announce, end, gather, keep
from .layers import BLOCK_LAYERS, PLAIN_BLOCK_LAYERS, PLAIN_ROW_LAYERS, ROW_LAYERS
from .primitives import transpose
from .records import header, kind_of, rows
from .signature import Forward, Gradient, gradient_signature
from .tiles import LANES


@part()
def _blocks(count):
    return (count + LANES - 1) // LANES


@part()
def row_output_gradient(plan, i, workspace, count):
    """d of a layer on rows, over its y, from g of the layer after it."""
    h, io = header(plan), rows(plan, i)
    transpose(workspace, h.g_rows, io.y_sample, workspace, h.g_columns, h.chunk, io.units, count)
    rows_through_activation(
        workspace, io.y, io.y_sample, count, workspace, h.g_rows, io.units, io.activation, io.value
    )  # fmt: skip


@part()
def _no_keys(plan, workspace, indices, first, count):
    """Without dropout, samples need no keys."""


@part()
def _nothing(plan, workspace):
    """Without dropout, nothing is dropped."""


def _interpreter(block_layers, row_layers, sample_keys, drop_nothing):
    """Compiled code for plans of these kinds of layers: (gradient, evaluate), see `_gradient` and `_evaluate`."""
    block_prepare = by_number([layer.prepare for layer in block_layers], kind_of)
    block_forward = by_number([layer.forward for layer in block_layers], kind_of)
    block_backward = by_number([layer.backward for layer in block_layers], kind_of)
    block_collect = by_number([layer.collect for layer in block_layers], kind_of)
    row_forward = by_number([layer.forward for layer in row_layers], kind_of)
    row_backward = by_number([layer.backward for layer in row_layers], kind_of)
    row_input_gradient = by_number([layer.input_gradient for layer in row_layers], kind_of)

    @part()
    def forward(plan, params, workspace, codes, inputs, indices, first, count):
        """Scores of `count` samples, from the `first` of the indices on. Twin: `network_scores` in tests/naive.py."""
        h = header(plan)
        gather(plan, workspace, inputs, indices, first, count)
        sample_keys(plan, workspace, indices, first, count)
        for i in range(h.on_blocks):
            for block in range(_blocks(count)):
                block_forward(plan, i, params, workspace, codes, block)
        for i in range(h.on_blocks, h.layers):
            row_forward(plan, i, params, workspace, count)

    @part()
    def backward(plan, params, gradient, workspace, codes, count, accumulate):
        """Gradients of `count` samples from d of the scores. Twin: `network_gradient` in tests/naive.py.

        1. The layers on rows, all samples at once, from the last to the first: the gradients of the parameters, then
           that of the input, which becomes d of the layer before.
        2. The layers on blocks, block by block, so that what a block needs stays in the cache.
        """
        h = header(plan)
        for i in range(h.layers - 1, h.on_blocks - 1, -1):  # 1.
            row_backward(plan, i, params, gradient, workspace, count, accumulate)
            if i > 0:
                row_input_gradient(plan, i, params, workspace, count)
                if i > h.on_blocks:
                    row_output_gradient(plan, i - 1, workspace, count)
        for block in range(_blocks(count)):  # 2.
            for i in range(h.on_blocks - 1, -1, -1):
                block_backward(plan, i, params, workspace, codes, block)

    @part()
    def gradient_of(params, gradient, indices, plan, workspace, inputs, labels):
        """The mean loss and its gradient. Twin: `network_gradient` in tests/naive.py.

        1. Prepare the layers on blocks.
        2. For each chunk of samples: scores, loss with d of the scores, gradients.
        3. Collect what the layers on blocks have summed.
        """
        h, count, total = header(plan), len(indices), 0.0
        codes = workspace.view(np.int8)
        for i in range(h.on_blocks):  # 1.
            block_prepare(plan, i, params, workspace)
        for first in range(0, count, h.chunk):  # 2.
            here = min(count - first, h.chunk)
            announce(plan, labels, indices, first, here)
            forward(plan, params, workspace, codes, inputs, indices, first, here)
            total += end(plan, workspace, labels, indices, first, here, params.dtype.type(1 / count))
            backward(plan, params, gradient, workspace, codes, here, first > 0)
        for i in range(h.on_blocks):  # 3.
            block_collect(plan, i, gradient, workspace)
        return params.dtype.type(total / count)  # of that dtype also where nobody asked for `gradient_signature`

    @part()
    def evaluate(params, indices, plan, workspace, inputs, labels, outputs, total):
        """The summed loss, on top of `total`, and the outputs. Twin: `network_scores` in tests/naive.py."""
        h, count = header(plan), len(indices)
        codes = workspace.view(np.int8)
        drop_nothing(plan, workspace)
        for first in range(0, count, h.chunk):
            here = min(count - first, h.chunk)
            forward(plan, params, workspace, codes, inputs, indices, first, here)
            keep(plan, workspace, outputs, first, here)
            total += end(plan, workspace, labels, indices, first, here, params.dtype.type(1))
        return total

    return gradient_of, evaluate


_plain_gradient_of, _plain_evaluate_of = _interpreter(PLAIN_BLOCK_LAYERS, PLAIN_ROW_LAYERS, _no_keys, _nothing)
_gradient_of, _evaluate_of = _interpreter(BLOCK_LAYERS, ROW_LAYERS, sample_keys, drop_nothing)


def _plain_gradient(params, gradient, indices, plan, workspace, inputs, labels):
    return _plain_gradient_of(params, gradient, indices, plan, workspace, inputs, labels)


def _gradient(params, gradient, indices, plan, workspace, inputs, labels):
    return _gradient_of(params, gradient, indices, plan, workspace, inputs, labels)


def _plain_evaluate(params, indices, plan, workspace, inputs, labels, outputs, total):
    return _plain_evaluate_of(params, indices, plan, workspace, inputs, labels, outputs, total)


def _evaluate(params, indices, plan, workspace, inputs, labels, outputs, total):
    return _evaluate_of(params, indices, plan, workspace, inputs, labels, outputs, total)


@cache
def gradient_kernel(dtype: np.dtype[Any], inputs_dtype: np.dtype[Any], plain: bool) -> Gradient:
    """The gradient of any network with these dtypes; `Problem.compile` compiles it, as that takes a while.

    Args:
        dtype: of the parameters.
        inputs_dtype: of the inputs.
        plain: whether all layers are `plain`; compiled code that knows no others compiles in less time.
    """
    return kernel()(_plain_gradient if plain else _gradient)


@cache
def forward_kernel(plain: bool, dtype: np.dtype[Any], inputs_dtype: np.dtype[Any]) -> Forward:
    """The compiled forward pass: (params, indices, plan, workspace, inputs, labels, outputs, total) -> total.

    Arguments as of `gradient_kernel`.
    """
    signature = gradient_signature(dtype, inputs_dtype)
    params, _, *others = signature.args
    return kernel(float64(params, *others, params, float64))(_plain_evaluate if plain else _evaluate)
