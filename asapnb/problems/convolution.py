"""The layer `Conv`: a convolution, its activation and 2 × 2 max-pooling, one block of LANES samples at a time."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..compiled import part
from .activations import ACTIVATIONS
from .elementwise import activate, add, clear, swap_axes, through_activation
from .kinds import BlockLayer, LayerText, Shape
from .primitives import convolve_pool_row, convolve_row, correlate, lane_sums, unpool_row
from .records import Blocks, blocks, reader
from .signature import Integers
from .tiles import LANES

if TYPE_CHECKING:
    from .places import Places


@dataclass(frozen=True, repr=False)
class Conv(LayerText):
    """A convolutional layer: filters that move over an image, with a bias for each.

    Attributes:
        channels: how many filters there are.
        kernel: how many rows and columns a filter has.
        stride: by how many pixels a filter moves.
        padding: how many rows and columns of zeros are added on each side of the image.

    >>> Conv(6, 5), Conv(8, 3, padding=1)
    (Conv(channels=6, kernel=5), Conv(channels=8, kernel=3, padding=1))
    """

    channels: int
    kernel: int
    stride: int = field(default=1, repr=False)
    padding: int = field(default=0, repr=False)


class Filters(NamedTuple):
    """y[c] = bias[c] + Σ x · weights[c] over square kernels, then the activation, then max-pooling.

    Every convolution is computed as one of stride 1 without padding: `planes` explains how.

    d is the gradient of the convolution's own output, with room for the kernel on both sides of each row.
    """

    kernel: int
    stride: int
    padding: int
    rows: int  # of the convolution's own output
    columns: int
    planes: int  # x in planes, of one block; -1 if x can be used as it is
    plane_rows: int
    plane_columns: int
    pixels: int  # of x, in all channels
    places: int  # of each of them, in planes
    g_planes: int  # the gradient of x, in planes or as it is wanted; -1 if it is not wanted
    order: int  # of each tap, its place in `sums` and `back_weights`
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


own = reader(Filters, after=Blocks)


def _shape(layer: Conv, shape: Shape) -> Shape:
    rows, columns = ((side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in shape[1:])
    return layer.channels, rows, columns


def _place(layer: Conv, io: Blocks, places: Places) -> Filters:
    size, s, filters, channels, pooled = layer.kernel, layer.stride, io.filters, io.channels, io.pooling > 1
    _, rows, columns = _shape(layer, (channels, io.height, io.width))
    plane_rows, plane_columns = (-(-(side + 2 * layer.padding) // s) for side in (io.height, io.width))
    moved = s > 1 or layer.padding > 0
    taps, outputs = channels * size * size, filters * io.rows * io.columns
    weights = filters * taps
    pad = size - 1 if io.g_input >= 0 else 0  # no gradient of the network's input is asked for
    d_row = (columns + 2 * pad) * LANES
    d_channel = places.stride(rows * d_row)
    c, i, j, f = np.arange(channels), np.arange(size), np.arange(size), np.arange(filters)
    offsets = _in_planes(c, i, j, s, plane_rows, plane_columns)
    order = (c[:, None, None] * size + i[:, None]) * size + np.argsort(np.argsort(j % s, kind="stable"))
    image = channels * s * s * plane_rows * plane_columns * LANES
    row, column = (np.arange(side) + layer.padding for side in (io.height, io.width))
    back_offsets = (size - 1 - j[:, None]) * LANES + f * d_channel
    codes_block = outputs * LANES if pooled else 0
    return Filters(
        kernel=size,
        stride=s,
        padding=layer.padding,
        rows=rows,
        columns=columns,
        planes=places.room(image) if moved else -1,
        plane_rows=plane_rows,
        plane_columns=plane_columns,
        pixels=channels * io.height * io.width,
        places=places.table(_in_planes(c, row, column, s, plane_rows, plane_columns)) if moved else -1,
        g_planes=places.room(image) if moved and io.g_input >= 0 else io.g_input,
        order=places.table(order),
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


def _in_planes(channel: Integers, row: Integers, column: Integers, s: int, rows: int, columns: int) -> Integers:
    """Where every pixel of these channels, rows and columns lies in s × s planes per channel, of this many rows."""
    plane = (channel[:, None, None] * s + row[:, None] % s) * s + column % s
    return ((plane * rows + row[:, None] // s) * columns + column // s) * LANES


@part()
def prepare(plan, i, params, workspace):
    """Once per gradient: clear the sums and what surrounds d, reorder the weights for the gradient of x."""
    b, c = blocks(plan, i), own(plan, i)
    clear(workspace, c.sums, b.filters * (c.taps + 1) * LANES)
    if b.g_input >= 0:
        clear(workspace, c.d, c.d_size)
        clear(workspace, c.zeros, b.channels)
        swap_axes(workspace, c.back_weights, params, c.weights, b.filters, c.taps, plan, c.order)


@part()
def forward(plan, i, params, workspace, codes, block):
    """y of one block; `codes` is the workspace as int8. Twin: `convolution` in tests/naive.py."""
    b = blocks(plan, i)
    convolve(plan, i, params, workspace, codes, block, b.x + block * b.x_block)


@part()
def convolve(plan, i, params, workspace, codes, block, x):
    """y of one block, from x where the filters can see it."""
    b, c = blocks(plan, i), own(plan, i)
    y, x_row = b.y + block * b.y_block, c.plane_columns * LANES
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


@part()
def backward(plan, i, params, workspace, codes, block):
    """Add one block's share of the gradients to the sums. Twin: `convolution_backward` in tests/naive.py."""
    b = blocks(plan, i)
    correlate_back(plan, i, workspace, codes, block, b.x + block * b.x_block)


@part()
def correlate_back(plan, i, workspace, codes, block, x):
    """The backward pass of one block, from x where the filters see it."""
    output_gradient(plan, i, workspace, codes, block)
    weights_gradient(plan, i, workspace, x)
    input_gradient(plan, i, workspace)


@part(inline="always")
def weights_gradient(plan, i, workspace, x):
    """Each channel and kernel row of x correlated with d, on top of the sums."""
    b, c = blocks(plan, i), own(plan, i)
    x_row, s = c.plane_columns * LANES, c.stride
    for row in range(b.channels * c.kernel):
        channel, down, sums = row // c.kernel, row % c.kernel, c.sums + row * c.kernel * LANES
        for right in range(min(s, c.kernel)):
            columns, plane = (c.kernel - right + s - 1) // s, (channel * s + down % s) * s + right
            correlate(
                workspace, sums, c.taps * LANES, workspace, c.d_inside, c.d_channel, c.d_row,
                workspace, x + (plane * c.plane_rows + down // s) * x_row, x_row,
                b.filters, columns, b.pooling * b.rows, b.pooling * b.columns,
            )  # fmt: skip
            sums += columns * LANES


@part(inline="always")
def input_gradient(plan, i, workspace):
    """The gradient of x, row by row, unless x is the network's input."""
    b, c = blocks(plan, i), own(plan, i)
    s = c.stride
    if b.g_input >= 0:
        for down in range(min(s, c.kernel)):
            for right in range(min(s, c.kernel)):
                for row in range(min(c.plane_rows, c.rows + (c.kernel - down + s - 1) // s - 1)):
                    _input_gradient_row(plan, i, workspace, down, right, row)


@part()
def output_gradient(plan, i, workspace, codes, block):
    """d of the convolution's own output from g of the layer's output, and the gradient of the bias.

    A pooled pixel of an activation that the pooling kernel does not do goes through the activation first, in place.
    """
    b, c = blocks(plan, i), own(plan, i)
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


@part()
def _through_row(b, workspace, d, d_pixel, y, g):
    """d = g back through the activation, for a row of pixels."""
    for column in range(b.columns):
        here, out, back = d + column * d_pixel, y + column * b.y_pixel, g + column * b.g_pixel
        through_activation(workspace, here, workspace, out, workspace, back, LANES, b.activation, b.value)


@part()
def _input_gradient_row(plan, i, workspace, down, right, row):
    """One row of the gradient of the planes (down, right) of x: a convolution of d with the turned kernel.

    Only every stride-th kernel row and column meets these planes; in the order of `back_weights`, the columns of one
    plane after the other. Those that would only meet what surrounds d are left out.
    """
    b, c = blocks(plan, i), own(plan, i)
    s, plane = c.stride, c.plane_rows * c.plane_columns * LANES
    kernel_rows, kernel_columns = (c.kernel - down + s - 1) // s, (c.kernel - right + s - 1) // s
    first, stop = max(0, row - c.rows + 1), min(kernel_rows, row + 1)
    width = min(c.plane_columns, c.columns + kernel_columns - 1)
    g = c.g_planes + (down * s + right) * plane + row * c.plane_columns * LANES
    before = c.kernel // s * right + min(c.kernel % s, right)  # kernel columns of the planes before
    weights = c.back_weights + ((down + first * s) * c.kernel + before) * b.filters
    for column in range(0, width, 2):
        left, end = max(0, column - c.columns + 1), min(kernel_columns, column + 2)
        convolve_row(
            workspace, g + column * LANES, s * s * plane, LANES,
            workspace, weights + left * b.filters, c.kernel * c.kernel * b.filters, s * c.kernel * b.filters,
            workspace, c.zeros, workspace, c.d + (row - first) * c.d_row + column * LANES, -c.d_row,
            plan, c.back_offsets + left * b.filters,
            b.channels, min(2, width - column), stop - first, (end - left) * b.filters,
        )  # fmt: skip


@part()
def collect(plan, i, gradient, workspace):
    """Sum the lanes: the gradients of the weights and of the biases, which follow them."""
    b, c = blocks(plan, i), own(plan, i)
    lane_sums(gradient, c.weights, workspace, c.sums, b.filters * (c.taps + 1))


_LIMITS = {"channels": (1, 2**16), "kernel": (1, 2**10), "stride": (1, 2**10), "padding": (0, 2**10)}


def _is_plain(layer: Conv) -> bool:
    return layer.stride == 1 and layer.padding == 0


PLAIN = BlockLayer(Conv, _LIMITS, _shape, _place, prepare, forward, backward, collect, _is_plain, pools=True)
