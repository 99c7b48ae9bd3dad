"""Forward and backward passes of the layers, for any record of the plan: which part of which array goes where."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np

from ..compiled import kernel
from .portable import FAST, scaled
from .primitives import gather_lanes, product, transpose
from .records import DENSE, HEADER
from .tiles import LANES


@kernel()
def gather(plan, convolutional, workspace, inputs, indices, first, count):
    """Fetch `count` samples: as blocks of LANES for a convolution, one after the other for a dense layer."""
    features, x, stride = plan[HEADER.features], plan[HEADER.x], plan[HEADER.x_stride]
    if convolutional:
        for start in range(0, count, LANES):
            gather_lanes(
                workspace, x + start // LANES * stride, inputs, indices, first + start, count - start, features
            )
    else:
        for s in range(count):
            start = indices[first + s] * features
            source, out = inputs[start : start + features], workspace[x + s * stride : x + s * stride + features]
            for i in range(features):
                out[i] = scaled(source[i])


@kernel(fastmath=FAST)
def _add_bias(y, bias, relu):
    """y + bias, then ReLU; `0 if v < 0 else v` lets a NaN through."""
    zero = y.dtype.type(0)
    for i in range(y.size):
        value = y[i] + bias[i]
        y[i] = zero if relu and value < zero else value


@kernel()
def dense_forward(layer, params, workspace, count):
    """y of `count` samples."""
    features, units, y = layer[DENSE.features], layer[DENSE.units], layer[DENSE.y]
    product(
        workspace, y, layer[DENSE.y_sample], workspace, layer[DENSE.x], layer[DENSE.x_sample], layer[DENSE.x_feature],
        params, layer[DENSE.weights], units, count, units, features, False,
    )  # fmt: skip
    bias = params[layer[DENSE.bias] : layer[DENSE.bias] + units]
    for s in range(count):
        start = y + s * layer[DENSE.y_sample]
        _add_bias(workspace[start : start + units], bias, layer[DENSE.relu] != 0)


@kernel(fastmath=FAST)
def add(out, values):
    """out += values."""
    for i in range(out.size):
        out[i] += values[i]


@kernel()
def dense_backward(layer, params, gradient, workspace, count, accumulate):
    """The gradients of the weights and of the bias, from d (which stands in y)."""
    features, units, d = layer[DENSE.features], layer[DENSE.units], layer[DENSE.y]
    stride = layer[DENSE.y_sample]
    product(
        gradient, layer[DENSE.weights], units,
        workspace, layer[DENSE.x], layer[DENSE.x_feature], layer[DENSE.x_sample],
        workspace, d, stride, features, units, count, accumulate,
    )  # fmt: skip
    bias = gradient[layer[DENSE.bias] : layer[DENSE.bias] + units]
    if not accumulate:
        bias[:] = 0
    for s in range(count):
        add(bias, workspace[d + s * stride : d + s * stride + units])


@kernel()
def dense_input_gradient(plan, layer, params, workspace, count):
    """g[feature, sample] = Σ weights[feature, unit] · d[sample, unit]; zero for samples that fill up a block."""
    features, units, d = layer[DENSE.features], layer[DENSE.units], layer[DENSE.y]
    stride, chunk, padded = layer[DENSE.y_sample], plan[HEADER.chunk], (count + LANES - 1) // LANES * LANES
    workspace[d + count * stride : d + padded * stride] = 0
    transpose(workspace, plan[HEADER.d_columns], chunk, workspace, d, stride, padded, units)
    product(
        workspace, plan[HEADER.g_columns], chunk, params, layer[DENSE.weights], units, 1,
        workspace, plan[HEADER.d_columns], chunk, features, padded, units, False,
    )  # fmt: skip


@kernel()
def through_relu(d, y, g, relu):
    """d = g where y is positive; d may be y."""
    zero = y.dtype.type(0)
    for i in range(y.size):
        d[i] = g[i] if y[i] > zero or not relu else zero


@kernel()
def dense_output_gradient(plan, layer, workspace, count):
    """d of a dense layer, over its y, from g of the layer after it."""
    units, y, g = layer[DENSE.units], layer[DENSE.y], plan[HEADER.g_rows]
    stride = layer[DENSE.y_sample]
    transpose(workspace, g, stride, workspace, plan[HEADER.g_columns], plan[HEADER.chunk], units, count)
    for s in range(count):
        d = workspace[y + s * stride : y + s * stride + units]
        through_relu(d, d, workspace[g + s * stride : g + s * stride + units], layer[DENSE.relu] != 0)


@kernel()
def softmax(layer, workspace, labels, indices, first, count, scale):
    """The summed cross-entropy of `count` samples; writes d = scale · (softmax - one-hot) over the scores."""
    units, total = layer[DENSE.units], 0.0
    for s in range(count):
        start = layer[DENSE.y] + s * layer[DENSE.y_sample]
        scores, label = workspace[start : start + units], labels[indices[first + s]]
        top, right, norm = scores[0], scores[label], scores.dtype.type(0)
        for i in range(units):
            top = max(top, scores[i])
        for i in range(units):
            scores[i] = math.exp(scores[i] - top)
            norm += scores[i]
        total += math.log(norm) + top - right
        for i in range(units):
            scores[i] *= scale / norm
        scores[label] -= scale
    return total


@kernel()
def classify(layer, workspace, predicted, first, count):
    """The class of the highest score."""
    for s in range(count):
        start = layer[DENSE.y] + s * layer[DENSE.y_sample]
        predicted[first + s] = np.argmax(workspace[start : start + layer[DENSE.units]])
