"""The layers `MaxPool` and `AveragePool`: one number for each window of an image.

`Conv` does 2 × 2 max-pooling of its own output on the way, which is faster; see `plan`.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..compiled import part
from .elementwise import activate, clear, through_activation
from .kinds import BlockLayer, LayerText, Shape
from .records import Blocks, blocks, reader
from .tiles import LANES

if TYPE_CHECKING:
    from .places import Places


@dataclass(frozen=True, repr=False)
class MaxPool(LayerText):
    """A layer that takes the maximum of each window of an image. Incomplete windows at the edge are dropped.

    Attributes:
        size: how many rows and columns a window has.
        stride: by how many pixels windows are apart; None for `size`.

    >>> MaxPool(2), MaxPool(3, stride=2)
    (MaxPool(size=2), MaxPool(size=3, stride=2))
    """

    size: int = 2
    stride: int | None = field(default=None, repr=False)


@dataclass(frozen=True, repr=False)
class AveragePool(LayerText):
    """A layer that takes the mean of each window of an image. Incomplete windows at the edge are dropped.

    Attributes:
        size: how many rows and columns a window has.
        stride: by how many pixels windows are apart; None for `size`.

    >>> AveragePool(2)
    AveragePool(size=2)
    """

    size: int = 2
    stride: int | None = field(default=None, repr=False)


class Windows(NamedTuple):
    """y[c, i, j] = the maximum or the mean of x[c, i · stride + k, j · stride + l] over k, l < size."""

    size: int
    stride: int
    maxima: int  # 0 for means
    codes: int  # the places of the maxima, [block][pixel][LANES], as numbers of the network's dtype


_own = reader(Windows, after=Blocks)


def _shape(layer: MaxPool | AveragePool, shape: Shape) -> Shape:
    channels, height, width = shape
    stride = layer.stride or layer.size
    return channels, (height - layer.size) // stride + 1, (width - layer.size) // stride + 1


def _place_maximum(layer: MaxPool, io: Blocks, places: Places) -> Windows:
    codes = places.room(io.filters * io.rows * io.columns * places.chunk)
    return Windows(layer.size, layer.stride or layer.size, 1, codes)


def _place_mean(layer: AveragePool, io: Blocks, places: Places) -> Windows:
    return Windows(layer.size, layer.stride or layer.size, 0, 0)


@part()
def prepare(plan, i, params, workspace):
    """There is nothing to prepare."""


@part()
def _corner(b, w, pixel):
    """Where the window of a pixel begins in x, or in the gradient of x."""
    row = pixel // b.columns  # over all channels
    channel, column = row // b.rows, pixel - row * b.columns
    return ((channel * b.height + (row - channel * b.rows) * w.stride) * b.width + column * w.stride) * LANES


@part()
def forward(plan, i, params, workspace, codes, block):
    """y of one block. Twins: `max_pool` and `average_pool` in tests/naive.py."""
    b, w = blocks(plan, i), _own(plan, i)
    pixels = b.filters * b.rows * b.columns
    for pixel in range(pixels):
        x, y = b.x + block * b.x_block + _corner(b, w, pixel), b.y + block * b.y_block + pixel * b.y_pixel
        _window(workspace, y, w.maxima, w.codes + (block * pixels + pixel) * LANES, x, b.width * LANES, w.size)
        activate(workspace, y, LANES, b.activation, b.value)


@part()
def _window(workspace, y, maxima, code, x, x_row, size):
    """y = the maximum of a window of x, with the place of the first one as its code, or the mean."""
    weight = workspace.dtype.type(1 / (size * size))
    for lane in range(LANES):
        workspace[y + lane] = 0
    for place in range(size * size):
        here = x + place // size * x_row + place % size * LANES
        for lane in range(LANES):
            value = workspace[here + lane]
            if maxima == 0:
                workspace[y + lane] += weight * value
            elif place == 0 or value > workspace[y + lane] or value != value:
                workspace[y + lane], workspace[code + lane] = value, place


@part()
def backward(plan, i, params, workspace, codes, block):
    """The gradient of x: each window's, to its first maximum or spread evenly; where windows overlap, they add up.

    Twins: `max_pool_backward` and `average_pool_backward` in tests/naive.py.
    """
    b, w = blocks(plan, i), _own(plan, i)
    pixels = b.filters * b.rows * b.columns
    if b.g_input >= 0:
        clear(workspace, b.g_input, b.channels * b.height * b.width * LANES)
        for pixel in range(pixels):
            y, g = b.y + block * b.y_block + pixel * b.y_pixel, b.g + block * b.g_block + pixel * b.g_pixel
            through_activation(workspace, g, workspace, y, workspace, g, LANES, b.activation, b.value)
            code, x = w.codes + (block * pixels + pixel) * LANES, b.g_input + _corner(b, w, pixel)
            _spread(workspace, x, b.width * LANES, w.size, w.maxima, code, g)


@part()
def _spread(workspace, x, x_row, size, maxima, code, g):
    """Add g to the gradient of a window of x, where the code says or evenly."""
    weight, none = workspace.dtype.type(1 / (size * size)), workspace.dtype.type(0)
    for place in range(size * size):
        here = x + place // size * x_row + place % size * LANES
        for lane in range(LANES):
            value = workspace[g + lane]
            if maxima == 0:
                workspace[here + lane] += weight * value
            else:
                workspace[here + lane] += value if workspace[code + lane] == place else none


@part()
def collect(plan, i, gradient, workspace):
    """There are no parameters."""


_LIMITS = {"size": (1, 2**10), "stride": (1, 2**10)}
MAXIMUM = BlockLayer(MaxPool, _LIMITS, _shape, _place_maximum, prepare, forward, backward, collect)
MEAN = BlockLayer(AveragePool, _LIMITS, _shape, _place_mean, prepare, forward, backward, collect)
