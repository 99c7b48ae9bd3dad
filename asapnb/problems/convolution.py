"""Forward and backward passes of a convolution layer, one block of LANES samples at a time."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from ..compiled import part
from .elementwise import add, clear, lane_sums, swap_axes, through_relu
from .primitives import convolve_pool_row, convolve_row, correlate, unpool_row
from .records import convolution
from .tiles import LANES


@part(inline="always")
def convolution_forward(plan, layer, params, workspace, codes, block):
    """y of one block; `codes` is the workspace as int8."""
    c = convolution(plan, layer)
    x, y, x_row = c.x + block * c.x_block, c.y + block * c.y_block, c.width * LANES
    y_row, y_channel = c.columns * c.y_pixel, c.rows * c.columns * c.y_pixel
    code = c.codes * workspace.itemsize + block * c.codes_block
    for row in range(c.rows):
        if c.pooling > 1:
            convolve_pool_row(
                workspace, y + row * y_row, y_channel, c.y_pixel,
                codes, code + row * c.columns * LANES, c.rows * c.columns * LANES,
                params, c.weights, params, c.bias, workspace, x + 2 * row * x_row, x_row, plan, c.offsets,
                c.filters, c.columns, c.taps,
            )  # fmt: skip
        else:
            convolve_row(
                workspace, y + row * y_row, y_channel, c.y_pixel, params, c.weights, c.taps, 0, params, c.bias,
                workspace, x + row * x_row, 0, plan, c.offsets, c.filters, c.columns, 1, c.taps,
            )  # fmt: skip
    if c.pooling == 1:
        for pixel in range(y, y + c.filters * y_channel, c.y_pixel):
            through_relu(workspace, pixel, workspace, pixel, workspace, pixel, LANES, c.relu)


@part(inline="always")
def prepare_backward(plan, layer, params, workspace):
    """Once per gradient: clear the sums and what surrounds d, reorder the weights for the gradient of x."""
    c = convolution(plan, layer)
    clear(workspace, c.sums, c.filters * (c.taps + 1) * LANES)
    if c.g_input >= 0:
        clear(workspace, c.d, c.d_size)
        clear(workspace, c.zeros, c.channels)
        swap_axes(workspace, c.back_weights, params, c.weights, c.filters, c.taps)


@part(inline="always")
def convolution_backward(plan, layer, workspace, codes, block):
    """Add one block's share of the gradients to the sums, and write the gradient of its x."""
    c = convolution(plan, layer)
    _output_gradient(c, workspace, codes, block)
    x, x_row = c.x + block * c.x_block, c.width * LANES
    for channel in range(c.channels):
        for row in range(c.kernel):
            correlate(
                workspace, c.sums + (channel * c.kernel + row) * c.kernel * LANES, c.taps * LANES,
                workspace, c.d_inside, c.d_channel, c.d_row, workspace, x + (channel * c.height + row) * x_row, x_row,
                c.filters, c.kernel, c.pooling * c.rows, c.pooling * c.columns,
            )  # fmt: skip
    if c.g_input >= 0:
        for row in range(c.height):
            _input_gradient_row(c, plan, workspace, row)


@part(inline="always")
def _output_gradient(c, workspace, codes, block):
    """d of the convolution's own output from g of the layer's output, back through pooling and ReLU."""
    code = c.codes * workspace.itemsize + block * c.codes_block
    for row in range(c.filters * c.rows):
        f, pixel = row // c.rows, row * c.columns
        d = c.d_inside + f * c.d_channel + row % c.rows * c.pooling * c.d_row
        y, g = c.y + block * c.y_block + pixel * c.y_pixel, c.g + block * c.g_block + pixel * c.g_pixel
        bias = c.bias_sums + f * LANES
        if c.pooling > 1:
            unpool_row(
                workspace,
                d,
                c.d_row,
                workspace,
                bias,
                workspace,
                g,
                c.g_pixel,
                codes,
                code + pixel * LANES,
                c.columns,
            )
        else:
            for column in range(c.columns):
                here = d + column * LANES
                through_relu(
                    workspace,
                    here,
                    workspace,
                    y + column * c.y_pixel,
                    workspace,
                    g + column * c.g_pixel,
                    LANES,
                    c.relu,
                )
                add(workspace, bias, workspace, here, LANES)


@part(inline="always")
def _input_gradient_row(c, plan, workspace, row):
    """One row of the gradient of x: a convolution of d with the turned kernel.

    Kernel rows and columns that would only meet what surrounds d are left out.
    """
    first, stop = max(0, row - c.height + c.kernel), min(c.kernel, row + 1)
    for column in range(0, c.width, 2):
        left, right = max(0, column - c.width + c.kernel), min(c.kernel, column + 2)
        convolve_row(
            workspace, c.g_input + (row * c.width + column) * LANES, c.height * c.width * LANES, LANES,
            workspace, c.back_weights + (first * c.kernel + left) * c.filters, c.kernel * c.kernel * c.filters,
            c.kernel * c.filters, workspace, c.zeros,
            workspace, c.d + (row - first) * c.d_row + column * LANES, -c.d_row,
            plan, c.back_offsets + left * c.filters,
            c.channels, min(2, c.width - column), stop - first, (right - left) * c.filters,
        )  # fmt: skip


@part(inline="always")
def collect(plan, layer, gradient, workspace):
    """Sum the lanes: the gradients of the weights and of the biases, which follow them."""
    c = convolution(plan, layer)
    lane_sums(gradient, c.weights, workspace, c.sums, c.filters * (c.taps + 1), LANES)
