"""The int64 plan that the interpreter runs: one header, then one record per layer, then tables of offsets.

The records are NamedTuples of integers. `plan` fills them; compiled code reads field `f` of a record as
``record[CONVOLUTION.f]``, where CONVOLUTION holds each field's position. Starts of arrays are positions in the
parameters (`weights`, `bias`), in the plan (`taps`, `back_taps`) or in the workspace (all others). x is a layer's
input, y its output, d and g are gradients of the loss.
"""

from __future__ import annotations

from typing import NamedTuple


class Header(NamedTuple):
    """What holds for the whole network."""

    layers: int
    chunk: int  # samples that go through the network together, so that the workspace does not grow with the batch
    features: int  # per sample
    x: int  # gathered inputs: [sample][feature], or blocks of [feature][LANES] for a convolution
    x_stride: int  # between samples, or between blocks
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
    pooled: int
    rows: int  # of the output
    columns: int
    weights: int
    bias: int
    taps: int  # offsets of x for each weight of a filter
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
    g: int
    g_block: int
    g_pixel: int
    sums: int  # LANES partial sums of each weight's and then each bias's gradient
    g_input: int  # where the gradient of x goes, or -1
    back_taps: int  # offsets of d for each (kernel column, filter)
    back_weights: int  # [channel][kernel row][kernel column][filter]
    zeros: int  # as many as channels


DENSE_KIND, CONVOLUTION_KIND = 0, 1
HEADER = Header(*range(len(Header._fields)))
DENSE = Dense(*range(len(Dense._fields)))
CONVOLUTION = Convolution(*range(len(Convolution._fields)))
FIRST_RECORD = len(HEADER)
RECORD = len(CONVOLUTION)
