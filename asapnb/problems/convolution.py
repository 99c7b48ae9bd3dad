"""Forward and backward passes of a convolution layer, one block of LANES samples at a time."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from ..compiled import kernel
from .layers import add, through_relu
from .primitives import convolve_pool_row, convolve_row, correlate, unpool_row
from .records import CONVOLUTION as C
from .tiles import LANES


@kernel()
def _codes(layer, workspace):
    """The workspace from the pooling codes on, as int8."""
    return workspace[layer[C.codes] :].view(np.int8)


@kernel()
def convolution_forward(layer, plan, params, workspace, block):
    """y of one block."""
    filters, rows, columns, pixel = layer[C.filters], layer[C.rows], layer[C.columns], layer[C.y_pixel]
    taps, x_row = layer[C.channels] * layer[C.kernel] * layer[C.kernel], layer[C.width] * LANES
    x, y = layer[C.x] + block * layer[C.x_block], layer[C.y] + block * layer[C.y_block]
    codes, code = _codes(layer, workspace), block * layer[C.codes_block]
    for row in range(rows):
        out, plane = y + row * columns * pixel, rows * columns
        if layer[C.pooled]:
            convolve_pool_row(
                workspace, out, plane * pixel, pixel, codes, code + row * columns * LANES, plane * LANES,
                params, layer[C.weights], params, layer[C.bias], workspace, x + 2 * row * x_row, x_row,
                plan, layer[C.taps], filters, columns, taps,
            )  # fmt: skip
        else:
            convolve_row(
                workspace, out, plane * pixel, pixel, params, layer[C.weights], taps, 0, params, layer[C.bias],
                workspace, x + row * x_row, 0, plan, layer[C.taps], filters, columns, 1, taps,
            )  # fmt: skip
    if layer[C.relu] and not layer[C.pooled]:
        for p in range(filters * rows * columns):
            values = workspace[y + p * pixel : y + p * pixel + LANES]
            through_relu(values, values, values, True)


@kernel()
def prepare_backward(layer, params, workspace):
    """Once per gradient: clear the sums and what surrounds d, reorder the weights for the gradient of x."""
    filters, channels, size = layer[C.filters], layer[C.channels], layer[C.kernel]
    taps = channels * size * size
    workspace[layer[C.sums] : layer[C.sums] + filters * (taps + 1) * LANES] = 0
    if layer[C.g_input] < 0:
        return
    workspace[layer[C.d] : layer[C.d] + layer[C.d_size]] = 0
    workspace[layer[C.zeros] : layer[C.zeros] + channels] = 0
    weights = params[layer[C.weights] : layer[C.weights] + filters * taps]
    back = workspace[layer[C.back_weights] : layer[C.back_weights] + filters * taps]
    for tap in range(taps):
        for f in range(filters):
            back[tap * filters + f] = weights[f * taps + tap]


@kernel()
def convolution_backward(layer, plan, workspace, block):
    """Add one block's share of the gradients to the sums, and write the gradient of its x."""
    filters, channels, size = layer[C.filters], layer[C.channels], layer[C.kernel]
    height, width = layer[C.height], layer[C.width]
    d = layer[C.d] + (size - 1) * LANES if layer[C.g_input] >= 0 else layer[C.d]
    _spread(layer, workspace, d, block)
    scale = 2 if layer[C.pooled] else 1
    x, taps = layer[C.x] + block * layer[C.x_block], channels * size * size
    for channel in range(channels):
        for row in range(size):
            correlate(
                workspace, layer[C.sums] + (channel * size + row) * size * LANES, taps * LANES,
                workspace, d, layer[C.d_channel], layer[C.d_row],
                workspace, x + (channel * height + row) * width * LANES, width * LANES,
                filters, size, scale * layer[C.rows], scale * layer[C.columns],
            )  # fmt: skip
    if layer[C.g_input] >= 0:
        for y in range(height):
            _input_gradient_row(layer, plan, workspace, y)


@kernel()
def _spread(layer, workspace, d, block):
    """d of the convolution's own output from g of the layer's output, back through pooling and ReLU."""
    filters, rows, columns, pixel = layer[C.filters], layer[C.rows], layer[C.columns], layer[C.g_pixel]
    g, codes, code = layer[C.g] + block * layer[C.g_block], _codes(layer, workspace), block * layer[C.codes_block]
    y = layer[C.y] + block * layer[C.y_block]
    biases = layer[C.sums] + filters * layer[C.channels] * layer[C.kernel] * layer[C.kernel] * LANES
    for f in range(filters):
        for row in range(rows):
            start, out = (f * rows + row) * columns, d + f * layer[C.d_channel]
            if layer[C.pooled]:
                unpool_row(
                    workspace, out + 2 * row * layer[C.d_row], layer[C.d_row], workspace, biases + f * LANES,
                    workspace, g + start * pixel, pixel, codes, code + start * LANES, columns,
                )  # fmt: skip
                continue
            for column in range(columns):
                p = (start + column) * pixel
                o = out + row * layer[C.d_row] + column * LANES
                here = workspace[o : o + LANES]
                through_relu(
                    here, workspace[y + p : y + p + LANES], workspace[g + p : g + p + LANES], layer[C.relu] != 0
                )
                add(workspace[biases + f * LANES : biases + (f + 1) * LANES], here)


@kernel()
def _input_gradient_row(layer, plan, workspace, y):
    """Row y of the gradient of x: a convolution of d with the turned kernel, where kernel rows and columns that only
    see what surrounds d are left out."""
    filters, size, width = layer[C.filters], layer[C.kernel], layer[C.width]
    plane = layer[C.height] * width * LANES
    bottom = layer[C.height] - size  # the last row of d
    right = width - size
    first, last = max(0, y - bottom), min(size - 1, y)
    for x in range(0, width, 4):
        left, stop = max(0, x - right), min(size, x + 4)
        convolve_row(
            workspace, layer[C.g_input] + (y * width + x) * LANES, plane, LANES,
            workspace, layer[C.back_weights] + (first * size + left) * filters, size * size * filters, size * filters,
            workspace, layer[C.zeros],
            workspace, layer[C.d] + (y - first) * layer[C.d_row] + x * LANES, -layer[C.d_row],
            plan, layer[C.back_taps] + left * filters,
            layer[C.channels], min(4, width - x), last - first + 1, (stop - left) * filters,
        )  # fmt: skip


@kernel()
def collect(layer, gradient, workspace):
    """Sum the lanes: the gradients of weights and biases (which follow them in the parameters)."""
    weights = layer[C.filters] * layer[C.channels] * layer[C.kernel] * layer[C.kernel]
    sums = workspace[layer[C.sums] :]
    for i in range(weights + layer[C.filters]):
        total = sums[i * LANES]
        for lane in range(1, LANES):
            total += sums[i * LANES + lane]
        gradient[layer[C.weights] + i] = total
