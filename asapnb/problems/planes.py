"""The layer `Conv` with any stride and padding, as a convolution of stride 1 without padding on x in planes.

With a stride s, x is copied block by block to s × s planes per channel: plane (i, j) has the pixels of rows i, i + s,
… and of columns j, j + s, … of the padded image. Neighbours that a filter sees are neighbours in a plane. A kernel
meets plane (i, j) with its rows i, i + s, … and its columns j, j + s, …, which `order` puts side by side.
"""

# mypy: disable-error-code="no-untyped-def"
from ..compiled import part
from . import convolution
from .convolution import convolve, correlate_back, own
from .elementwise import add, clear
from .records import blocks
from .tiles import LANES


@part()
def _size(b, c):
    return b.channels * c.stride * c.stride * c.plane_rows * c.plane_columns * LANES


@part()
def prepare(plan, i, params, workspace):
    """As of a plain convolution; what no kernel meets of the gradient in planes is zero."""
    b, c = blocks(plan, i), own(plan, i)
    convolution.prepare(plan, i, params, workspace)
    if b.g_input >= 0 and c.planes >= 0:
        clear(workspace, c.g_planes, _size(b, c))


@part()
def _seen(plan, i, workspace, block):
    """Where the filters see x of a block: where it is, or in planes, to which it is copied."""
    b, c = blocks(plan, i), own(plan, i)
    x, seen = b.x + block * b.x_block, c.planes
    if seen < 0:
        seen = x
    else:
        clear(workspace, seen, _size(b, c))
        for pixel in range(c.pixels):
            add(workspace, seen + plan[c.places + pixel], workspace, x + pixel * LANES, LANES)
    return seen


@part()
def forward(plan, i, params, workspace, codes, block):
    """y of one block; `codes` is the workspace as int8. Twin: `convolution` in tests/naive.py."""
    convolve(plan, i, params, workspace, codes, block, _seen(plan, i, workspace, block))


@part()
def backward(plan, i, params, workspace, codes, block):
    """Add one block's share of the gradients to the sums. Twin: `convolution_backward` in tests/naive.py."""
    b, c = blocks(plan, i), own(plan, i)
    correlate_back(plan, i, workspace, codes, block, _seen(plan, i, workspace, block))
    if b.g_input >= 0 and c.planes >= 0:
        clear(workspace, b.g_input, c.pixels * LANES)
        for pixel in range(c.pixels):
            add(workspace, b.g_input + pixel * LANES, workspace, c.g_planes + plan[c.places + pixel], LANES)


@part()
def collect(plan, i, gradient, workspace):
    """As of a plain convolution; then put the gradients of the weights in their order."""
    b, c = blocks(plan, i), own(plan, i)
    convolution.collect(plan, i, gradient, workspace)
    if c.stride > 1:
        for place in range(b.filters * c.taps):
            workspace[c.sums + place] = gradient[c.weights + place]
        for place in range(b.filters * c.taps):
            tap = place % c.taps
            gradient[c.weights + place] = workspace[c.sums + place - tap + plan[c.order + tap]]


LAYER = convolution.PLAIN._replace(prepare=prepare, forward=forward, backward=backward, collect=collect)
