"""The int64 plan that the interpreter runs: one header, then one record per layer, then tables of offsets.

The records are NamedTuples of integers: `plan` fills them, compiled code reads them back with `header(plan)`,
`blocks(plan, i)`, `rows(plan, i)` and what `reader` makes. Starts of arrays are positions in the parameters, in the
plan (tables) or in the workspace (all others). x is a layer's input, y its output; d and g are gradients of the loss.

First come the layers on blocks (`Blocks`), which see images of LANES samples as [channel][row][column][sample], then
the layers on rows (`Rows`), which see one row of numbers per sample. Record i holds what all layers of its sort have,
then what is the layer's own.
"""

# mypy: disable-error-code="no-untyped-def"
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .emit import at, i64


class Header(NamedTuple):
    """What holds for the whole network."""

    layers: int
    on_blocks: int  # how many of the layers, the first ones, work on blocks
    chunk: int  # samples that go through the network together, so that the workspace does not grow with the batch
    features: int  # per sample
    rows: int  # gathered samples, [sample][feature]
    rows_stride: int
    x: int  # the same for layers on blocks, in blocks of [feature][LANES]
    x_block: int  # stride between blocks; 0 without a layer on blocks
    d_columns: int  # scratch of the layers on rows: d of the output, [unit][chunk]
    g_columns: int  # and g of the input, [feature][chunk]
    g_rows: int  # the same as [sample][feature]
    has_dropout: int  # then the workspace begins with ticket, seed and a key for each sample, as int64
    loss: int  # place in LOSSES
    reals: int  # whether targets are real: labels hold the bits of float64
    constant: int  # of the loss, see `bits_of`


class Rows(NamedTuple):
    """What every layer on rows has; the backward pass writes d, the gradient before the activation, over y."""

    kind: int  # place of the layer in ROW_LAYERS
    activation: int  # place of its activation in ACTIVATIONS
    value: int  # of the activation's parameter, see `bits_of`
    features: int
    units: int
    x: int
    x_sample: int  # stride between samples
    x_feature: int  # stride between features
    y: int
    y_sample: int  # stride between samples; units lie side by side


class Blocks(NamedTuple):
    """What every layer on blocks has."""

    kind: int  # place of the layer in BLOCK_LAYERS
    activation: int  # place of its activation in ACTIVATIONS
    value: int  # of the activation's parameter, see `bits_of`
    pooling: int  # the size of the pooling windows: 1 or 2
    channels: int  # of x
    height: int
    width: int
    filters: int  # channels of y
    rows: int
    columns: int
    x: int
    x_block: int  # stride between blocks
    y: int
    y_block: int
    y_pixel: int  # stride between pixels
    g: int  # the gradient of y
    g_block: int
    g_pixel: int
    g_input: int  # where the gradient of x goes, or -1


FIRST_RECORD = len(Header._fields)
RECORD = 48  # room for each record


def bits_of(value: float) -> int:
    """A float64 as an integer that a record can hold; compiled code gets it back by `real_of`."""
    return int(np.float64(value).view(np.int64))


@intrinsic
def real_of(typing, bits):
    """The float64 of these bits, in compiled code."""
    return types.float64(types.int64), lambda context, b, signature, values: b.bitcast(values[0], ir.DoubleType())


def _loaders(record: Any, first: int) -> tuple[Any, Any]:
    """Intrinsics ``load(plan, i)`` and ``load(plan)``: what begins at first + i · RECORD, or first, as a NamedTuple.

    They are no parts to be inlined: Numba would copy their callers for each of their many calls.
    """
    kind = types.NamedUniTuple(types.int64, len(record._fields), record)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        start = builder.mul(values[1], i64(RECORD)) if len(values) > 1 else i64(0)
        fields = [builder.load(at(builder, data, start, first + k)) for k in range(len(record._fields))]
        return context.make_tuple(builder, kind, fields)

    @intrinsic
    def load(typing, plan, i):
        return kind(plan, types.int64), generate

    @intrinsic
    def load_one(typing, plan):
        return kind(plan), generate

    return load, load_one


def reader(record: Any, after: Any = None) -> Any:
    """Compiled code ``read(plan, i)``: record i, from its first field, or from behind those of `after`."""
    first = len(after._fields) if after else 0
    if first + len(record._fields) > RECORD:
        raise TypeError(f"{record.__name__} has {len(record._fields)} fields: RECORD, {RECORD}, has no room for them")
    return _loaders(record, FIRST_RECORD + first)[0]


rows, blocks = reader(Rows), reader(Blocks)
_, header = _loaders(Header, 0)  # header(plan): the header of a plan, in compiled code


@intrinsic
def kind_of(typing, plan, i):
    """The place of layer i in BLOCK_LAYERS or ROW_LAYERS, in compiled code."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load(at(builder, data, builder.mul(values[1], i64(RECORD)), FIRST_RECORD))

    return types.int64(plan, types.int64), generate
