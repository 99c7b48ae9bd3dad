"""The layer `Conv`: a convolution, its activation and 2 × 2 max-pooling, one block of LANES samples at a time."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..compiled import part
from .activations import ACTIVATIONS
from .elementwise import activate, add, clear, lane_sums, swap_axes, through_activation
from .kinds import BlockLayer, Shape
from .primitives import convolve_pool_row, convolve_row, correlate, unpool_row
from .records import Blocks, blocks, reader
from .tiles import LANES

if TYPE_CHECKING:
    from .places import Places


@dataclass(frozen=True)
class Conv:
    """`channels` filters of `kernel` × `kernel`, stride 1, no padding."""

    channels: int
    kernel: int


class Filters(NamedTuple):
    """y[c] = bias[c] + Σ x · weights[c] over square kernels, then the activation, then max-pooling.

    d is the gradient of the convolution's own output, with room for the kernel on both sides of each row.
    """

    kernel: int
    clips: int  # whether pooling does the activation on the way
    weights: int
    bias: int
    taps: int  # weights of a filter
    offsets: int  # of x for each tap
    codes: int  # int8, the places of the maxima
    codes_block: int
    d: int
    d_channel: int
    d_row: int
    d_size: int
    d_inside: int  # where d begins, without what surrounds it
    sums: int  # LANES partial sums of the gradient of each weight
    bias_sums: int  # and, right behind them, of each bias
    back_offsets: int  # of d for each (kernel column, filter)
    back_weights: int  # [channel][kernel row][kernel column][filter]
    zeros: int  # as many as channels


_own = reader(Filters, after=Blocks)


def _shape(layer: Conv, shape: Shape) -> Shape:
    _, height, width = shape
    return layer.channels, height - layer.kernel + 1, width - layer.kernel + 1


def _place(layer: Conv, io: Blocks, places: Places) -> Filters:
    size, filters, channels, pooled = layer.kernel, io.filters, io.channels, io.pooling > 1
    taps, outputs = channels * size * size, filters * io.rows * io.columns
    weights = filters * taps
    pad = size - 1 if io.g_input >= 0 else 0  # no gradient of the network's input is asked for
    d_row = (io.width - size + 1 + 2 * pad) * LANES
    d_channel = places.stride((io.height - size + 1) * d_row)
    c, i, j, f = np.arange(channels), np.arange(size), np.arange(size), np.arange(filters)
    offsets = ((c[:, None, None] * io.height + i[:, None]) * io.width + j) * LANES
    back_offsets = (size - 1 - j[:, None]) * LANES + f * d_channel
    codes_block = outputs * LANES if pooled else 0
    return Filters(
        kernel=size,
        clips=int(pooled and ACTIVATIONS[io.activation].clips),
        weights=places.parameter("weight", filters, channels, size, size),
        bias=places.parameter("bias", filters),
        taps=taps,
        offsets=places.table(offsets),
        codes=places.room(-(-codes_block * places.chunk // LANES // 4)),  # at least 4 bytes per element
        codes_block=codes_block,
        d=(d := places.room(filters * d_channel)),
        d_channel=d_channel,
        d_row=d_row,
        d_size=filters * d_channel,
        d_inside=d + pad * LANES,
        sums=(sums := places.room((weights + filters) * LANES)),
        bias_sums=sums + weights * LANES,
        back_offsets=places.table(back_offsets),
        back_weights=places.room(weights),
        zeros=places.room(channels),
    )


@part(inline="always")
def prepare(plan, i, params, workspace):
    """Once per gradient: clear the sums and what surrounds d, reorder the weights for the gradient of x."""
    b, c = blocks(plan, i), _own(plan, i)
    clear(workspace, c.sums, b.filters * (c.taps + 1) * LANES)
    if b.g_input >= 0:
        clear(workspace, c.d, c.d_size)
        clear(workspace, c.zeros, b.channels)
        swap_axes(workspace, c.back_weights, params, c.weights, b.filters, c.taps)


@part(inline="always")
def forward(plan, i, params, workspace, codes, block):
    """y of one block; `codes` is the workspace as int8. Twin: `convolution` in tests/naive.py."""
    b, c = blocks(plan, i), _own(plan, i)
    x, y, x_row = b.x + block * b.x_block, b.y + block * b.y_block, b.width * LANES
    y_row, y_channel = b.columns * b.y_pixel, b.rows * b.columns * b.y_pixel
    code = c.codes * workspace.itemsize + block * c.codes_block
    for row in range(b.rows):
        if b.pooling > 1:
            convolve_pool_row(
                workspace, y + row * y_row, y_channel, b.y_pixel,
                codes, code + row * b.columns * LANES, b.rows * b.columns * LANES,
                params, c.weights, params, c.bias, workspace, x + 2 * row * x_row, x_row, plan, c.offsets,
                b.filters, b.columns, c.taps, c.clips,
            )  # fmt: skip
        else:
            convolve_row(
                workspace, y + row * y_row, y_channel, b.y_pixel, params, c.weights, c.taps, 0, params, c.bias,
                workspace, x + row * x_row, 0, plan, c.offsets, b.filters, b.columns, 1, c.taps,
            )  # fmt: skip
    if c.clips == 0:
        for pixel in range(y, y + b.filters * y_channel, b.y_pixel):
            activate(workspace, pixel, LANES, b.activation, b.value)


@part(inline="always")
def backward(plan, i, params, workspace, codes, block):
    """Add one block's share of the gradients to the sums. Twin: `convolution_backward` in tests/naive.py.

    1. d of the convolution's own output, back through pooling and activation.
    2. The gradients of the weights: each channel and kernel row of x correlated with d.
    3. The gradient of x, row by row, unless x is the network's input.
    """
    b, c = blocks(plan, i), _own(plan, i)
    _output_gradient(b, c, workspace, codes, block)  # 1.
    x, x_row = b.x + block * b.x_block, b.width * LANES
    for channel in range(b.channels):  # 2.
        for row in range(c.kernel):
            correlate(
                workspace, c.sums + (channel * c.kernel + row) * c.kernel * LANES, c.taps * LANES,
                workspace, c.d_inside, c.d_channel, c.d_row, workspace, x + (channel * b.height + row) * x_row, x_row,
                b.filters, c.kernel, b.pooling * b.rows, b.pooling * b.columns,
            )  # fmt: skip
    if b.g_input >= 0:  # 3.
        for row in range(b.height):
            _input_gradient_row(b, c, plan, workspace, row)


@part(inline="always")
def _output_gradient(b, c, workspace, codes, block):
    """d of the convolution's own output from g of the layer's output, and the gradient of the bias.

    A pooled pixel of an activation that the pooling kernel does not do goes through the activation first, in place.
    """
    code = c.codes * workspace.itemsize + block * c.codes_block
    for row in range(b.filters * b.rows):
        f, pixel = row // b.rows, row * b.columns
        d = c.d_inside + f * c.d_channel + row % b.rows * b.pooling * c.d_row
        y, g = b.y + block * b.y_block + pixel * b.y_pixel, b.g + block * b.g_block + pixel * b.g_pixel
        bias = c.bias_sums + f * LANES
        if b.pooling > 1:
            if c.clips == 0:
                _through_row(b, workspace, g, b.g_pixel, y, g)
            code_here = code + pixel * LANES
            unpool_row(workspace, d, c.d_row, workspace, bias, workspace, g, b.g_pixel, codes, code_here, b.columns)
        else:
            _through_row(b, workspace, d, LANES, y, g)
            for column in range(b.columns):
                add(workspace, bias, workspace, d + column * LANES, LANES)


@part(inline="always")
def _through_row(b, workspace, d, d_pixel, y, g):
    """d = g back through the activation, for a row of pixels."""
    for column in range(b.columns):
        here, out, back = d + column * d_pixel, y + column * b.y_pixel, g + column * b.g_pixel
        through_activation(workspace, here, workspace, out, workspace, back, LANES, b.activation, b.value)


@part(inline="always")
def _input_gradient_row(b, c, plan, workspace, row):
    """One row of the gradient of x: a convolution of d with the turned kernel.

    Kernel rows and columns that would only meet what surrounds d are left out.
    """
    first, stop = max(0, row - b.height + c.kernel), min(c.kernel, row + 1)
    for column in range(0, b.width, 2):
        left, right = max(0, column - b.width + c.kernel), min(c.kernel, column + 2)
        convolve_row(
            workspace, b.g_input + (row * b.width + column) * LANES, b.height * b.width * LANES, LANES,
            workspace, c.back_weights + (first * c.kernel + left) * b.filters, c.kernel * c.kernel * b.filters,
            c.kernel * b.filters, workspace, c.zeros,
            workspace, c.d + (row - first) * c.d_row + column * LANES, -c.d_row,
            plan, c.back_offsets + left * b.filters,
            b.channels, min(2, b.width - column), stop - first, (right - left) * b.filters,
        )  # fmt: skip


@part(inline="always")
def collect(plan, i, gradient, workspace):
    """Sum the lanes: the gradients of the weights and of the biases, which follow them."""
    b, c = blocks(plan, i), _own(plan, i)
    lane_sums(gradient, c.weights, workspace, c.sums, b.filters * (c.taps + 1), LANES)


_LIMITS = {"channels": 2**16, "kernel": 2**10}
LAYER = BlockLayer(Conv, _LIMITS, _shape, _place, prepare, forward, backward, collect, pools=True)
