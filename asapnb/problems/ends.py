"""The two ends of a network: samples come in, loss and outputs come out."""

# mypy: disable-error-code="no-untyped-def"
import math

import numpy as np

from ..compiled import part
from .elementwise import copy_scaled, fetch
from .losses import loss_slope, loss_value
from .primitives import transpose
from .records import header, real_of, rows
from .tiles import LANES

_AHEAD = 8  # samples that are on their way from memory while one is copied


@part()
def announce(plan, labels, indices, first, count):
    """Ask for the labels of `count` samples, which `end` reads after the forward pass."""
    units = rows(plan, header(plan).layers - 1).units if header(plan).loss > 0 else 1
    for s in range(count):
        fetch(labels, indices[first + s] * units, units)


@part()
def gather(plan, workspace, inputs, indices, first, count):
    """Fetch `count` samples as rows and, for layers on blocks, as blocks of LANES (the last sample is repeated)."""
    h = header(plan)
    for s in range(min(_AHEAD, count)):
        fetch(inputs, indices[first + s] * h.features, h.features)
    for s in range(count):
        if s + _AHEAD < count:
            fetch(inputs, indices[first + s + _AHEAD] * h.features, h.features)
        slot = s % LANES if h.x_block > 0 else s
        copy_scaled(workspace, h.rows + slot * h.rows_stride, inputs, indices[first + s] * h.features, h.features)
        if h.x_block > 0 and (slot == LANES - 1 or s == count - 1):
            x = h.x + s // LANES * h.x_block
            transpose(workspace, x, LANES, workspace, h.rows, h.rows_stride, slot + 1, h.features)


@part()
def softmax(plan, workspace, labels, indices, first, count, scale):
    """The summed cross-entropy of `count` samples; writes d = scale · (softmax - one-hot) over the scores.

    Twin: `network_gradient` in tests/naive.py. For each sample:

    1. Find the largest score, so that no exponential overflows.
    2. Replace the scores by exponentials, and add these up.
    3. Add the loss, log Σ exp(score) - score of the label.
    4. Replace the exponentials by d.
    """
    layer, total = rows(plan, header(plan).layers - 1), 0.0
    for s in range(count):
        start = layer.y + s * layer.y_sample
        scores, label = workspace[start : start + layer.units], labels[indices[first + s]]
        top, right, norm = scores[0], scores[label], scores.dtype.type(0)
        for i in range(scores.size):  # 1.
            if scores[i] > top:
                top = scores[i]
        for i in range(scores.size):  # 2.
            scores[i] = math.exp(scores[i] - top)
            norm += scores[i]
        total += math.log(norm) + top - right  # 3.
        for i in range(scores.size):  # 4.
            scores[i] *= scale / norm
        scores[label] -= scale
    return total


@part()
def each_output(plan, workspace, labels, indices, first, count, scale):
    """The summed loss of `count` samples, output by output; writes d = scale · slope over the outputs.

    Real targets come as the bits of float64, so that all networks run the same code. Twin: `network_gradient` in
    tests/naive.py.
    """
    h, total, reals = header(plan), 0.0, labels.view(np.float64)
    layer, constant = rows(plan, h.layers - 1), workspace.dtype.type(real_of(h.constant))
    for s in range(count):
        start, own = layer.y + s * layer.y_sample, indices[first + s] * layer.units
        outputs = workspace[start : start + layer.units]
        for i in range(outputs.size):
            y, t = outputs[i], workspace.dtype.type(reals[own + i] if h.reals else labels[own + i])
            total += loss_value(h.loss - 1, y, t, constant)
            outputs[i] = scale * loss_slope(h.loss - 1, y, t, constant)
    return total


@part()
def end(plan, workspace, labels, indices, first, count, scale):
    """The summed loss of `count` samples; writes d, `scale` times its gradient, over the outputs."""
    if header(plan).loss == 0:
        return softmax(plan, workspace, labels, indices, first, count, scale)
    return each_output(plan, workspace, labels, indices, first, count, scale)


@part()
def keep(plan, workspace, outputs, first, count):
    """Copy the outputs of `count` samples, before `end` writes over them."""
    layer = rows(plan, header(plan).layers - 1)
    for s in range(count):
        copy_scaled(outputs, (first + s) * layer.units, workspace, layer.y + s * layer.y_sample, layer.units)
