"""The int64 plan that the interpreter runs: one header, then one record per layer, then tables of offsets.

The records are NamedTuples of integers: `plan` fills them, compiled code reads them back with `header(plan)`,
`dense(plan, i)` and `convolution(plan, i)`. Starts of arrays are positions in the parameters (`weights`, `bias`), in
the plan (`offsets`, `back_offsets`) or in the workspace (all others). x is a layer's input, y its output; d and g are
gradients of the loss.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from typing import Any, NamedTuple

from numba import types
from numba.extending import intrinsic

from ..compiled import part
from .emit import at


class Header(NamedTuple):
    """What holds for the whole network."""

    layers: int
    chunk: int  # samples that go through the network together, so that the workspace does not grow with the batch
    features: int  # per sample
    rows: int  # gathered samples, [sample][feature]
    rows_stride: int
    x: int  # the same for a convolution, in blocks of [feature][LANES]
    x_block: int  # stride between blocks; 0 without a convolution
    d_columns: int  # scratch of the dense layers: d of the output, [unit][chunk]
    g_columns: int  # and g of the input, [feature][chunk]
    g_rows: int  # the same as [sample][feature]


class Dense(NamedTuple):
    """y[s, u] = bias[u] + Σ x[s, f] · weights[f, u], then ReLU; the backward pass writes d over y."""

    kind: int
    features: int
    units: int
    relu: int
    weights: int
    bias: int
    x: int
    x_sample: int  # stride between samples
    x_feature: int  # stride between features
    y: int
    y_sample: int


class Convolution(NamedTuple):
    """y[c] = bias[c] + Σ x · weights[c] over square kernels, then ReLU, then 2 × 2 max-pooling.

    Per block of LANES samples. d is the gradient of the convolution's own output, with room for the kernel on both
    sides of each row; g is that of the layer's output.
    """

    kind: int
    channels: int
    height: int
    width: int
    filters: int
    kernel: int
    relu: int
    pooling: int  # the size of the pooling windows: 1 or 2
    rows: int  # of the output
    columns: int
    weights: int
    bias: int
    taps: int  # weights of a filter
    offsets: int  # of x for each tap
    x: int
    x_block: int  # stride between blocks
    y: int
    y_block: int
    y_pixel: int
    codes: int  # int8, the places of the maxima
    codes_block: int
    d: int
    d_channel: int
    d_row: int
    d_size: int
    d_inside: int  # where d begins, without what surrounds it
    g: int
    g_block: int
    g_pixel: int
    sums: int  # LANES partial sums of the gradient of each weight
    bias_sums: int  # and, right behind them, of each bias
    g_input: int  # where the gradient of x goes, or -1
    back_offsets: int  # of d for each (kernel column, filter)
    back_weights: int  # [channel][kernel row][kernel column][filter]
    zeros: int  # as many as channels


DENSE_KIND, CONVOLUTION_KIND = 0, 1
FIRST_RECORD = len(Header._fields)
RECORD = len(Convolution._fields)


def _reader(record: Any) -> Any:
    """An intrinsic that loads the record at a position of the plan into its NamedTuple."""
    kind = types.NamedUniTuple(types.int64, len(record._fields), record)

    @intrinsic
    def read(typing, plan, start):
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, values[0]).data
            fields = [builder.load(at(builder, data, values[1], i)) for i in range(len(record._fields))]
            return context.make_tuple(builder, kind, fields)

        return kind(plan, types.int64), generate

    return read


_read_header, _read_dense, _read_convolution = _reader(Header), _reader(Dense), _reader(Convolution)


@part(inline="always")
def header(plan):
    """The header of a plan, in compiled code."""
    return _read_header(plan, 0)


@part(inline="always")
def dense(plan, i):
    """Record i of a plan, in compiled code, where it is a dense layer."""
    return _read_dense(plan, FIRST_RECORD + i * RECORD)


@part(inline="always")
def convolution(plan, i):
    """Record i of a plan, in compiled code, where it is a convolution."""
    return _read_convolution(plan, FIRST_RECORD + i * RECORD)


@part(inline="always")
def is_convolution(plan, i):
    """Whether record i of a plan is a convolution, in compiled code."""
    return plan[FIRST_RECORD + i * RECORD] == CONVOLUTION_KIND
