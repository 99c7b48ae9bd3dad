"""Run any plan: the loss and its gradient, or the loss and the outputs.

Samples go through the network in chunks; the gradients of the chunks add up.
"""

# mypy: disable-error-code="no-untyped-def"
from functools import cache
from typing import Any

import numpy as np
from numba import float64

from ..compiled import kernel, part
from .choice import by_number
from .elementwise import through_activation
from .ends import end, gather, keep
from .layers import BLOCK_LAYERS, ROW_LAYERS
from .primitives import transpose
from .records import header, kind_of, rows
from .signature import Forward, Gradient, gradient_signature
from .tiles import LANES

_block_prepare = by_number([layer.prepare for layer in BLOCK_LAYERS], kind_of)
_block_forward = by_number([layer.forward for layer in BLOCK_LAYERS], kind_of)
_block_backward = by_number([layer.backward for layer in BLOCK_LAYERS], kind_of)
_block_collect = by_number([layer.collect for layer in BLOCK_LAYERS], kind_of)
_row_forward = by_number([layer.forward for layer in ROW_LAYERS], kind_of)
_row_backward = by_number([layer.backward for layer in ROW_LAYERS], kind_of)
_row_input_gradient = by_number([layer.input_gradient for layer in ROW_LAYERS], kind_of)


@part(inline="always")
def _blocks(count):
    return (count + LANES - 1) // LANES


@part()
def _forward(plan, params, workspace, codes, inputs, indices, first, count):
    """Scores of `count` samples, from the `first` of the indices on. Twin: `network_scores` in tests/naive.py."""
    h = header(plan)
    gather(plan, workspace, inputs, indices, first, count)
    for i in range(h.on_blocks):
        for block in range(_blocks(count)):
            _block_forward(plan, i, params, workspace, codes, block)
    for i in range(h.on_blocks, h.layers):
        _row_forward(plan, i, params, workspace, count)


@part(inline="always")
def _backward(plan, params, gradient, workspace, codes, count, accumulate):
    """Gradients of `count` samples from d of the scores. Twin: `network_gradient` in tests/naive.py.

    1. The layers on rows, all samples at once, from the last to the first: the gradients of the parameters, then that
       of the input, which becomes d of the layer before.
    2. The layers on blocks, block by block, so that what a block needs stays in the cache.
    """
    h = header(plan)
    for i in range(h.layers - 1, h.on_blocks - 1, -1):  # 1.
        _row_backward(plan, i, params, gradient, workspace, count, accumulate)
        if i > 0:
            _row_input_gradient(plan, i, params, workspace, count)
            if i > h.on_blocks:
                _row_output_gradient(plan, i - 1, workspace, count)
    for block in range(_blocks(count)):  # 2.
        for i in range(h.on_blocks - 1, -1, -1):
            _block_backward(plan, i, params, workspace, codes, block)


@part(inline="always")
def _row_output_gradient(plan, i, workspace, count):
    """d of a layer on rows, over its y, from g of the layer after it."""
    h, io = header(plan), rows(plan, i)
    transpose(workspace, h.g_rows, io.y_sample, workspace, h.g_columns, h.chunk, io.units, count)
    for s in range(count):
        y, g = io.y + s * io.y_sample, h.g_rows + s * io.y_sample
        through_activation(workspace, y, workspace, y, workspace, g, io.units, io.activation, io.value)


def _gradient(params, gradient, indices, plan, workspace, inputs, labels):
    """The mean loss and its gradient. Twin: `network_gradient` in tests/naive.py.

    1. Prepare the layers on blocks.
    2. For each chunk of samples: scores, loss with d of the scores, gradients.
    3. Collect what the layers on blocks have summed.
    """
    h, count, total = header(plan), len(indices), 0.0
    codes = workspace.view(np.int8)
    for i in range(h.on_blocks):  # 1.
        _block_prepare(plan, i, params, workspace)
    for first in range(0, count, h.chunk):  # 2.
        here = min(count - first, h.chunk)
        _forward(plan, params, workspace, codes, inputs, indices, first, here)
        total += end(plan, workspace, labels, indices, first, here, params.dtype.type(1 / count))
        _backward(plan, params, gradient, workspace, codes, here, first > 0)
    for i in range(h.on_blocks):  # 3.
        _block_collect(plan, i, gradient, workspace)
    return params.dtype.type(total / count)  # of that dtype also where nobody asked for `gradient_signature`


def _evaluate(params, indices, plan, workspace, inputs, labels, outputs, total):
    """The summed loss, on top of `total`, and the outputs. Twin: `network_scores` in tests/naive.py."""
    h, count = header(plan), len(indices)
    codes = workspace.view(np.int8)
    for first in range(0, count, h.chunk):
        here = min(count - first, h.chunk)
        _forward(plan, params, workspace, codes, inputs, indices, first, here)
        keep(plan, workspace, outputs, first, here)
        total += end(plan, workspace, labels, indices, first, here, params.dtype.type(1))
    return total


@cache
def gradient_kernel(dtype: np.dtype[Any], inputs_dtype: np.dtype[Any]) -> Gradient:
    """The gradient of any network with these dtypes; `Problem.compile` compiles it, as that takes a while."""
    return kernel()(_gradient)


@cache
def forward_kernel(dtype: np.dtype[Any], inputs_dtype: np.dtype[Any]) -> Forward:
    """The compiled forward pass: (params, indices, plan, workspace, inputs, labels, outputs, total) -> total."""
    signature = gradient_signature(dtype, inputs_dtype)
    params, _, *others = signature.args
    return kernel(float64(params, *others, params, float64))(_evaluate)
