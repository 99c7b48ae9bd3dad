"""Run any plan: the loss and its gradient, or the loss and the predicted classes.

Samples go through the network in chunks; the gradients of the chunks add up.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types

from ..compiled import kernel
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
from .records import CONVOLUTION_KIND, DENSE, FIRST_RECORD, HEADER, RECORD
from .tiles import LANES


@kernel()
def _layer(plan, i):
    return plan[FIRST_RECORD + i * RECORD : FIRST_RECORD + (i + 1) * RECORD]


@kernel()
def _is_convolution(plan, i):
    return plan[FIRST_RECORD + i * RECORD + DENSE.kind] == CONVOLUTION_KIND


@kernel()
def _forward(plan, params, workspace, inputs, indices, first, count):
    gather(plan, _is_convolution(plan, 0), workspace, inputs, indices, first, count)
    for i in range(plan[HEADER.layers]):
        if _is_convolution(plan, i):
            for block in range((count + LANES - 1) // LANES):
                convolution_forward(_layer(plan, i), plan, params, workspace, block)
        else:
            dense_forward(_layer(plan, i), params, workspace, count)


@kernel()
def _backward(plan, params, gradient, workspace, count, accumulate):
    i = plan[HEADER.layers] - 1
    while i >= 0 and not _is_convolution(plan, i):
        dense_backward(_layer(plan, i), params, gradient, workspace, count, accumulate)
        if i > 0:
            dense_input_gradient(plan, _layer(plan, i), params, workspace, count)
            if not _is_convolution(plan, i - 1):
                dense_output_gradient(plan, _layer(plan, i - 1), workspace, count)
        i -= 1
    if i >= 0:
        for block in range((count + LANES - 1) // LANES):
            for j in range(i, -1, -1):
                convolution_backward(_layer(plan, j), plan, workspace, block)


def _gradient(params, gradient, indices, plan, workspace, inputs, labels):
    layers, count, total = plan[HEADER.layers], len(indices), 0.0
    for i in range(layers):
        if _is_convolution(plan, i):
            prepare_backward(_layer(plan, i), params, workspace)
    for first in range(0, count, plan[HEADER.chunk]):
        here = min(count - first, plan[HEADER.chunk])
        _forward(plan, params, workspace, inputs, indices, first, here)
        total += softmax(
            _layer(plan, layers - 1), workspace, labels, indices, first, here, params.dtype.type(1 / count)
        )
        _backward(plan, params, gradient, workspace, here, first > 0)
    for i in range(layers):
        if _is_convolution(plan, i):
            collect(_layer(plan, i), gradient, workspace)
    return total / count


def _evaluate(params, indices, plan, workspace, inputs, labels, predicted):
    last, count, total = _layer(plan, plan[HEADER.layers] - 1), len(indices), 0.0
    for first in range(0, count, plan[HEADER.chunk]):
        here = min(count - first, plan[HEADER.chunk])
        _forward(plan, params, workspace, inputs, indices, first, here)
        classify(last, workspace, predicted, first, here)
        total += softmax(last, workspace, labels, indices, first, here, params.dtype.type(1))
    return total / count


@cache
def gradient_kernel(dtype: np.dtype, inputs_dtype: np.dtype) -> Any:
    """The compiled gradient of any network: `gradient_signature(dtype, inputs_dtype)`."""
    return kernel(gradient_signature(dtype, inputs_dtype))(_gradient)


@cache
def forward_kernel(dtype: np.dtype, inputs_dtype: np.dtype) -> Any:
    """The compiled forward pass: (params, indices, plan, workspace, inputs, labels, predicted) -> mean loss."""
    real, (params, _, indices, *others) = (
        gradient_signature(dtype, inputs_dtype).return_type,
        gradient_signature(dtype, inputs_dtype).args,
    )
    return kernel(real(params, indices, *others, types.Array(types.int64, 1, "C")))(_evaluate)
