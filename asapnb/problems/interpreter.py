"""Run any plan: the loss and its gradient, or the loss and the predicted classes.

Samples go through the network in chunks; the gradients of the chunks add up.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types

from ..compiled import kernel, part
from .base import gradient_signature
from .convolution import collect, convolution_backward, convolution_forward, prepare_backward
from .layers import (
    classify,
    dense_backward,
    dense_forward,
    dense_input_gradient,
    dense_output_gradient,
    gather,
    softmax,
)
from .records import header, is_convolution
from .tiles import LANES


@part(inline="always")
def _blocks(count):
    return (count + LANES - 1) // LANES


@part()
def _forward(plan, params, workspace, codes, inputs, indices, first, count):
    gather(plan, workspace, inputs, indices, first, count)
    for i in range(header(plan).layers):
        if is_convolution(plan, i):
            for block in range(_blocks(count)):
                convolution_forward(plan, i, params, workspace, codes, block)
        else:
            dense_forward(plan, i, params, workspace, count)


@part(inline="always")
def _backward(plan, params, gradient, workspace, codes, count, accumulate):
    i = header(plan).layers - 1
    while i >= 0 and not is_convolution(plan, i):
        dense_backward(plan, i, params, gradient, workspace, count, accumulate)
        if i > 0:
            dense_input_gradient(plan, i, params, workspace, count)
            if not is_convolution(plan, i - 1):
                dense_output_gradient(plan, i - 1, workspace, count)
        i -= 1
    for block in range(_blocks(count)):
        for j in range(i, -1, -1):
            convolution_backward(plan, j, workspace, codes, block)


def _gradient(params, gradient, indices, plan, workspace, inputs, labels):
    h, count, total = header(plan), len(indices), 0.0
    codes = workspace.view(np.int8)
    for i in range(h.layers):
        if is_convolution(plan, i):
            prepare_backward(plan, i, params, workspace)
    for first in range(0, count, h.chunk):
        here = min(count - first, h.chunk)
        _forward(plan, params, workspace, codes, inputs, indices, first, here)
        total += softmax(plan, workspace, labels, indices, first, here, params.dtype.type(1 / count))
        _backward(plan, params, gradient, workspace, codes, here, first > 0)
    for i in range(h.layers):
        if is_convolution(plan, i):
            collect(plan, i, gradient, workspace)
    return params.dtype.type(total / count)  # of that dtype also where nobody asked for `gradient_signature`


def _evaluate(params, indices, plan, workspace, inputs, labels, predicted):
    h, count, total = header(plan), len(indices), 0.0
    codes = workspace.view(np.int8)
    for first in range(0, count, h.chunk):
        here = min(count - first, h.chunk)
        _forward(plan, params, workspace, codes, inputs, indices, first, here)
        classify(plan, workspace, predicted, first, here)
        total += softmax(plan, workspace, labels, indices, first, here, params.dtype.type(1))
    return total / count


@cache
def gradient_kernel(dtype: np.dtype, inputs_dtype: np.dtype) -> Any:
    """The gradient of any network with these dtypes; `Problem.compile` compiles it, as that takes a while."""
    return kernel()(_gradient)


@cache
def forward_kernel(dtype: np.dtype, inputs_dtype: np.dtype) -> Any:
    """The compiled forward pass: (params, indices, plan, workspace, inputs, labels, predicted) -> mean loss."""
    signature = gradient_signature(dtype, inputs_dtype)
    params, _, indices, *others = signature.args
    return kernel(signature.return_type(params, indices, *others, types.Array(types.int64, 1, "C")))(_evaluate)
