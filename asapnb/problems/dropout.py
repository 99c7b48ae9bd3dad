"""The layer `Dropout`: zero for a random share of what comes in, while a network is trained.

Which numbers are dropped follows from the seed of the run, the ticket of the minibatch, the sample, the layer and the
unit, so that a replay drops the same ones, on any number of threads and wherever a sample lies.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import int64, uint64

from ..compiled import part
from ..random import splitmix64
from .elementwise import activate, clear, through_activation
from .kinds import BlockLayer, RowLayer, Shape
from .records import Blocks, Rows, bits_of, blocks, header, reader, real_of, rows
from .tiles import LANES

if TYPE_CHECKING:
    from .places import Places

EVALUATION = -1  # the ticket under which nothing is dropped
KEYS = 2  # the first key of a sample among the int64 words of the workspace; before them stand ticket and seed
_SALT = 0x64726F706F7574  # so that masks have nothing to do with the order of the data


@dataclass(frozen=True)
class Dropout:
    """A layer that drops numbers at random while a network is trained. The others are divided by 1 − p.

    Attributes:
        p: the probability that a number is dropped, from 0 to 0.999.

    Source: Srivastava et al., JMLR 2014.

    >>> Dropout(0.2)
    Dropout(p=0.2)
    """

    p: float = 0.5


class Mask(NamedTuple):
    """y = x · mask."""

    threshold: int  # p in units of 2⁻³²
    scale: int  # the bits of 1 / (1 - p)
    mask: int  # what x was multiplied by: [feature][chunk] on rows, [block][pixel][LANES] on blocks


_own_rows, _own_blocks = reader(Mask, after=Rows), reader(Mask, after=Blocks)


def _place_rows(layer: Dropout, io: Rows, places: Places) -> Mask:
    return Mask(round(layer.p * 2**32), bits_of(1 / (1 - layer.p)), places.room(io.units * places.chunk))


def _place_blocks(layer: Dropout, io: Blocks, places: Places) -> Mask:
    room = places.room(io.filters * io.rows * io.columns * places.chunk)
    return Mask(round(layer.p * 2**32), bits_of(1 / (1 - layer.p)), room)


def _row_shape(layer: Dropout, shape: Shape) -> Shape:
    return (int(np.prod(shape)), 1, 1)


def _block_shape(layer: Dropout, shape: Shape) -> Shape:
    return shape


@part()
def sample_keys(plan, workspace, indices, first, count):
    """Make a key for each sample of a chunk, from ticket, seed and its index. Twin: `dropout` in tests/naive.py."""
    if header(plan).has_dropout != 0:
        words = workspace.view(np.int64)
        key = splitmix64(splitmix64(uint64(words[1]) ^ uint64(_SALT)) + uint64(words[0]))
        for s in range((count + LANES - 1) // LANES * LANES):
            words[KEYS + s] = int64(splitmix64(key + uint64(indices[first + min(s, count - 1)])))


@part()
def drop_nothing(plan, workspace):
    """From now on nothing is dropped."""
    if header(plan).has_dropout != 0:
        workspace.view(np.int64)[0] = EVALUATION


@part()
def _factor(workspace, sample, layer, unit, threshold, scale):
    """What a number is multiplied by."""
    words = workspace.view(np.int64)
    key = splitmix64(uint64(words[KEYS + sample]) + uint64(layer))
    dropped = int64(splitmix64(key + uint64(unit)) >> uint64(32)) < threshold
    factor = 0.0 if dropped else real_of(scale)
    return workspace.dtype.type(1.0 if words[0] == EVALUATION else factor)


@part()
def _forward_rows(plan, i, params, workspace, count):
    """y of `count` samples. Twin: `dropout` in tests/naive.py."""
    h, io, own = header(plan), rows(plan, i), _own_rows(plan, i)
    for s in range(count):
        for f in range(io.units):
            factor = _factor(workspace, s, i, f, own.threshold, own.scale)
            workspace[own.mask + f * h.chunk + s] = factor
            workspace[io.y + s * io.y_sample + f] = workspace[io.x + s * io.x_sample + f * io.x_feature] * factor
        activate(workspace, io.y + s * io.y_sample, io.units, io.activation, io.value)


@part()
def _backward_rows(plan, i, params, gradient, workspace, count, accumulate):
    """There are no parameters."""


@part()
def _input_gradient(plan, i, params, workspace, count):
    """g = d · mask."""
    h, io, own = header(plan), rows(plan, i), _own_rows(plan, i)
    clear(workspace, h.g_columns, io.units * h.chunk)
    for f in range(io.units):
        for s in range(count):
            here = f * h.chunk + s
            workspace[h.g_columns + here] = workspace[io.y + s * io.y_sample + f] * workspace[own.mask + here]


@part()
def _prepare(plan, i, params, workspace):
    """There is nothing to prepare."""


@part()
def _forward_blocks(plan, i, params, workspace, codes, block):
    """y of one block. Twin: `dropout` in tests/naive.py."""
    b, own = blocks(plan, i), _own_blocks(plan, i)
    pixels = b.filters * b.rows * b.columns
    for pixel in range(pixels):
        x, y = b.x + block * b.x_block + pixel * LANES, b.y + block * b.y_block + pixel * b.y_pixel
        mask = own.mask + (block * pixels + pixel) * LANES
        for lane in range(LANES):
            factor = _factor(workspace, block * LANES + lane, i, pixel, own.threshold, own.scale)
            workspace[mask + lane] = factor
            workspace[y + lane] = workspace[x + lane] * factor
        activate(workspace, y, LANES, b.activation, b.value)


@part()
def _backward_blocks(plan, i, params, workspace, codes, block):
    """The gradient of x, g · mask."""
    b, own = blocks(plan, i), _own_blocks(plan, i)
    pixels = b.filters * b.rows * b.columns
    if b.g_input >= 0:
        for pixel in range(pixels):
            y, g = b.y + block * b.y_block + pixel * b.y_pixel, b.g + block * b.g_block + pixel * b.g_pixel
            through_activation(workspace, g, workspace, y, workspace, g, LANES, b.activation, b.value)
            mask, x = own.mask + (block * pixels + pixel) * LANES, b.g_input + pixel * LANES
            for lane in range(LANES):
                workspace[x + lane] = workspace[g + lane] * workspace[mask + lane]


@part()
def _collect(plan, i, gradient, workspace):
    """There are no parameters."""


_LIMITS = {"p": (0.0, 0.999)}
ON_ROWS = RowLayer(Dropout, _LIMITS, _row_shape, _place_rows, _forward_rows, _backward_rows, _input_gradient)
ON_BLOCKS = BlockLayer(
    Dropout, _LIMITS, _block_shape, _place_blocks, _prepare, _forward_blocks, _backward_blocks, _collect
)
