"""Gathering samples, dense layers and the loss, for any record of the plan: which part of which array goes where."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np

from ..compiled import part
from .elementwise import add, add_bias, clear, copy_scaled, through_relu
from .primitives import product, transpose
from .records import dense, header
from .tiles import LANES


@part(inline="always")
def gather(plan, workspace, inputs, indices, first, count):
    """Fetch `count` samples as rows and, for a convolution, as blocks of LANES (the last sample is repeated)."""
    h = header(plan)
    for s in range(count):
        slot = s % LANES if h.x_block > 0 else s
        copy_scaled(workspace, h.rows + slot * h.rows_stride, inputs, indices[first + s] * h.features, h.features)
        if h.x_block > 0 and (slot == LANES - 1 or s == count - 1):
            x = h.x + s // LANES * h.x_block
            transpose(workspace, x, LANES, workspace, h.rows, h.rows_stride, slot + 1, h.features)


@part(inline="always")
def dense_forward(plan, i, params, workspace, count):
    """y of `count` samples."""
    layer = dense(plan, i)
    product(
        workspace, layer.y, layer.y_sample, workspace, layer.x, layer.x_sample, layer.x_feature,
        params, layer.weights, layer.units, count, layer.units, layer.features, False,
    )  # fmt: skip
    for s in range(count):
        add_bias(workspace, layer.y + s * layer.y_sample, params, layer.bias, layer.units, layer.relu)


@part(inline="always")
def dense_backward(plan, i, params, gradient, workspace, count, accumulate):
    """The gradients of weights and bias from d, which stands in y."""
    layer = dense(plan, i)
    product(
        gradient, layer.weights, layer.units, workspace, layer.x, layer.x_feature, layer.x_sample,
        workspace, layer.y, layer.y_sample, layer.features, layer.units, count, accumulate,
    )  # fmt: skip
    if not accumulate:
        clear(gradient, layer.bias, layer.units)
    for s in range(count):
        add(gradient, layer.bias, workspace, layer.y + s * layer.y_sample, layer.units)


@part(inline="always")
def dense_input_gradient(plan, i, params, workspace, count):
    """g[feature, sample] = Σ weights[feature, unit] · d[sample, unit]; zero for samples that fill up a block."""
    h, layer = header(plan), dense(plan, i)
    units, stride, padded = layer.units, layer.y_sample, (count + LANES - 1) // LANES * LANES
    clear(workspace, layer.y + count * stride, (padded - count) * stride)
    transpose(workspace, h.d_columns, h.chunk, workspace, layer.y, stride, padded, units)
    product(
        workspace, h.g_columns, h.chunk, params, layer.weights, units, 1,
        workspace, h.d_columns, h.chunk, layer.features, padded, units, False,
    )  # fmt: skip


@part(inline="always")
def dense_output_gradient(plan, i, workspace, count):
    """d of a dense layer, over its y, from g of the layer after it."""
    h, layer = header(plan), dense(plan, i)
    units, stride = layer.units, layer.y_sample
    transpose(workspace, h.g_rows, stride, workspace, h.g_columns, h.chunk, units, count)
    for s in range(count):
        y = layer.y + s * stride
        through_relu(workspace, y, workspace, y, workspace, h.g_rows + s * stride, units, layer.relu)


@part()
def softmax(plan, workspace, labels, indices, first, count, scale):
    """The summed cross-entropy of `count` samples; writes d = scale · (softmax - one-hot) over the scores."""
    layer, total = dense(plan, header(plan).layers - 1), 0.0
    for s in range(count):
        start = layer.y + s * layer.y_sample
        scores, label = workspace[start : start + layer.units], labels[indices[first + s]]
        top, right, norm = scores[0], scores[label], scores.dtype.type(0)
        for i in range(scores.size):
            if scores[i] > top:
                top = scores[i]
        for i in range(scores.size):
            scores[i] = math.exp(scores[i] - top)
            norm += scores[i]
        total += math.log(norm) + top - right
        for i in range(scores.size):
            scores[i] *= scale / norm
        scores[label] -= scale
    return total


@part(inline="always")
def classify(plan, workspace, predicted, first, count):
    """The class of the highest score."""
    layer = dense(plan, header(plan).layers - 1)
    for s in range(count):
        start = layer.y + s * layer.y_sample
        predicted[first + s] = np.argmax(workspace[start : start + layer.units])
