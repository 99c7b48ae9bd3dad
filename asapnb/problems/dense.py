"""The layer `Dense`: a matrix product and a bias for each row."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..compiled import part
from .elementwise import add_bias, add_rows, clear
from .kinds import RowLayer, Shape
from .primitives import product, transpose
from .records import Rows, header, reader, rows
from .tiles import LANES

if TYPE_CHECKING:
    from .places import Places


@dataclass(frozen=True)
class Dense:
    """A fully connected layer, with a bias for each output.

    Attributes:
        units: how many outputs it has.

    >>> Dense(10)
    Dense(units=10)
    """

    units: int


class Weights(NamedTuple):
    """y[s, u] = bias[u] + Σ x[s, f] · weights[f, u], then the activation."""

    weights: int
    bias: int


_own = reader(Weights, after=Rows)


def _shape(layer: Dense, shape: Shape) -> Shape:
    return (layer.units, 1, 1)


def _place(layer: Dense, io: Rows, places: Places) -> Weights:
    return Weights(places.parameter("weight", io.features, io.units), places.parameter("bias", io.units))


@part()
def forward(plan, i, params, workspace, count):
    """y of `count` samples. Twin: `dense` in tests/naive.py."""
    io, layer = rows(plan, i), _own(plan, i)
    product(
        workspace, io.y, io.y_sample, workspace, io.x, io.x_sample, io.x_feature,
        params, layer.weights, io.units, count, io.units, io.features, False,
    )  # fmt: skip
    add_bias(workspace, io.y, io.y_sample, count, params, layer.bias, io.units, io.activation, io.value)


@part()
def backward(plan, i, params, gradient, workspace, count, accumulate):
    """The gradients of weights and bias from d, which stands in y. Twin: `dense_backward` in tests/naive.py."""
    io, layer = rows(plan, i), _own(plan, i)
    product(
        gradient, layer.weights, io.units, workspace, io.x, io.x_feature, io.x_sample,
        workspace, io.y, io.y_sample, io.features, io.units, count, accumulate,
    )  # fmt: skip
    if not accumulate:
        clear(gradient, layer.bias, io.units)
    add_rows(gradient, layer.bias, workspace, io.y, io.y_sample, count, io.units)


@part()
def input_gradient(plan, i, params, workspace, count):
    """g[feature, sample] = Σ weights[feature, unit] · d[sample, unit]. Twin: `dense_backward` in tests/naive.py.

    1. Clear d of the samples that fill up a block, so that their g is zero.
    2. Turn d around, so that samples lie side by side.
    3. Multiply: vectors of samples, and weights in the order in which they are kept.
    """
    h, io, layer = header(plan), rows(plan, i), _own(plan, i)
    units, stride, padded = io.units, io.y_sample, (count + LANES - 1) // LANES * LANES
    clear(workspace, io.y + count * stride, (padded - count) * stride)  # 1.
    transpose(workspace, h.d_columns, h.chunk, workspace, io.y, stride, padded, units)  # 2.
    product(  # 3.
        workspace, h.g_columns, h.chunk, params, layer.weights, units, 1,
        workspace, h.d_columns, h.chunk, io.features, padded, units, False,
    )  # fmt: skip


LAYER = RowLayer(Dense, {"units": (1, 2**20)}, _shape, _place, forward, backward, input_gradient, lambda _: True)
