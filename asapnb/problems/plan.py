"""From a list of layers to the plan that the interpreter runs, the layout of the parameters and the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import UsageError
from ..numbers import integer
from .base import Parameter
from .records import CONVOLUTION_KIND, DENSE_KIND, FIRST_RECORD, RECORD, Convolution, Header
from .records import Dense as DenseRecord
from .tiles import LANES

_DENSE_CHUNK = 64  # samples; the activations of a chunk should stay in the second-level cache
_CONVOLUTION_CHUNK = 32


@dataclass(frozen=True)
class Dense:
    """Fully connected: `units` outputs."""

    units: int


@dataclass(frozen=True)
class Conv:
    """`channels` filters of `kernel` × `kernel`, stride 1, no padding."""

    channels: int
    kernel: int


@dataclass(frozen=True)
class ReLU:
    """max(0, x), after Conv or Dense."""


@dataclass(frozen=True)
class MaxPool:
    """The maximum of each 2 × 2 window, after Conv and ReLU; an odd last row or column is dropped."""

    size: int = 2


@dataclass(frozen=True)
class Plan:
    """What `compile_plan` returns: the int64 array, the layout, and the workspace in elements of 4 or 8 bytes."""

    array: np.ndarray
    layout: tuple[Parameter, ...]
    n_params: int
    workspace: int


Layer = Dense | Conv | ReLU | MaxPool


@dataclass(frozen=True)
class _Stage:
    layer: Dense | Conv
    relu: bool
    pooled: bool


def _stages(layers: Sequence[Any]) -> list[_Stage]:
    """Group [Conv, ReLU?, MaxPool?]... [Dense, ReLU?]..., or say which layer is out of place."""
    stages: list[_Stage] = []
    for position, layer in enumerate(layers):
        before = stages[-1] if stages else None
        after_dense = before is not None and isinstance(before.layer, Dense)
        if isinstance(layer, Dense) or (isinstance(layer, Conv) and not after_dense):
            stages.append(_Stage(layer, False, False))
        elif isinstance(layer, ReLU) and before and not before.relu:
            stages[-1] = _Stage(before.layer, True, False)
        elif layer == MaxPool(2) and before and isinstance(before.layer, Conv) and before.relu and not before.pooled:
            stages[-1] = _Stage(before.layer, True, True)
        else:
            raise UsageError(
                f"layer {position} is {layer!r}, which does not fit there; allowed are convolution stages Conv, "
                "Conv + ReLU or Conv + ReLU + MaxPool(2), then dense stages Dense or Dense + ReLU"
            )
    return stages


class _Places:
    """Hands out places in the parameters, the workspace and the tables behind the records."""

    def __init__(self, first_table: int) -> None:
        self.layout: list[Parameter] = []
        self.n_params = self.workspace = 0
        self.first_table = first_table
        self.tables: list[int] = []

    def parameter(self, name: str, *shape: int) -> int:
        self.layout.append(Parameter(name, shape, self.n_params))
        self.n_params += prod(shape)
        return self.layout[-1].offset

    def room(self, size: int) -> int:
        start = self.workspace
        self.workspace += _rounded(size, 16)  # whole cache lines
        return start

    def table(self, offsets: Any) -> int:
        start = self.first_table + len(self.tables)
        self.tables += np.ravel(offsets).tolist()
        return start


def _rounded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _stride(size: int) -> int:
    """Between rows of `size` values: an odd number of cache lines, so that a column spreads over all cache sets."""
    return (_rounded(size, 16) // 16 | 1) * 16


def compile_plan(shape: tuple[int, int, int], classes: int, layers: Sequence[Layer]) -> Plan:
    """The plan of a network for inputs of `shape` (channels, height, width) and `classes` classes.

    UsageError where the layers are in no order that is supported, do not end in Dense(classes), or do not fit.

    >>> plan = compile_plan((1, 28, 28), 10, [Dense(32), ReLU(), Dense(10)])
    >>> plan.n_params, [parameter.name for parameter in plan.layout]
    (25450, ['dense1.weight', 'dense1.bias', 'dense2.weight', 'dense2.bias'])
    """
    stages = _stages(layers)
    if not stages or stages[-1] != _Stage(Dense(classes), False, False):
        found = repr(layers[-1]) if layers else "missing"
        raise UsageError(f"the last layer is {found}; it must be Dense({classes}), one score per class, without ReLU")
    convolutions = sum(isinstance(stage.layer, Conv) for stage in stages)
    shapes = _shapes(shape, stages)
    chunk = _CONVOLUTION_CHUNK if convolutions else _DENSE_CHUNK
    places = _Places(FIRST_RECORD + RECORD * len(stages))
    features = prod(shape)
    x_block = _rounded(features, LANES) * LANES if convolutions else 0
    units = max(prod(after) for after in shapes[convolutions + 1 :])
    header = Header(
        layers=len(stages),
        chunk=chunk,
        features=features,
        rows=places.room(_stride(features) * (LANES if convolutions else chunk)),
        rows_stride=_stride(features),
        x=places.room(x_block * chunk // LANES),
        x_block=x_block,
        d_columns=places.room(_rounded(units, LANES) * chunk),
        g_columns=places.room(max(units, prod(shapes[convolutions]) if convolutions else 0) * chunk),
        g_rows=places.room(_stride(units) * chunk),
    )
    records: list[Convolution | DenseRecord] = []
    for i, stage in enumerate(stages):
        before = records[-1] if records else None
        if isinstance(stage.layer, Conv):
            assert not isinstance(before, DenseRecord)
            last = i + 1 == convolutions
            records.append(_convolution(places, header, stage, shapes[i], shapes[i + 1], before, last))
        else:
            records.append(_dense(places, header, stage, prod(shapes[i]), before, i + 1 - convolutions))
    rows = [record + (0,) * (RECORD - len(record)) for record in records]
    array = np.array([value for part in (header, *rows, places.tables) for value in part], np.int64)
    return Plan(array, tuple(places.layout), places.n_params, places.workspace)


def _shapes(shape: tuple[int, int, int], stages: Sequence[_Stage]) -> list[tuple[int, int, int]]:
    """(channels, height, width) before the first stage, between the stages and after the last."""
    shapes = [shape]
    for stage in stages:
        _, height, width = shapes[-1]
        if isinstance(stage.layer, Dense):
            shapes.append((integer("units", stage.layer.units, 1, 2**20), 1, 1))
            continue
        kernel = integer("kernel", stage.layer.kernel, 1, 2**10)
        rows, columns = ((side - kernel + 1) // (2 if stage.pooled else 1) for side in (height, width))
        if rows < 1 or columns < 1:
            size, pooling = kernel + stage.pooled, " and MaxPool(2)" if stage.pooled else ""
            raise UsageError(
                f"{stage.layer!r}{pooling} need at least {size}×{size} pixels and get {height}×{width} of inputs "
                f"{'×'.join(map(str, shape))}; use larger inputs, or fewer or smaller layers"
            )
        shapes.append((integer("channels", stage.layer.channels, 1, 2**16), rows, columns))
    return shapes


def _convolution(
    places: _Places,
    header: Header,
    stage: _Stage,
    shape: tuple[int, int, int],
    after: tuple[int, int, int],
    before: Convolution | None,
    last: bool,
) -> Convolution:
    (channels, height, width), (filters, rows, columns) = shape, after
    assert isinstance(stage.layer, Conv)
    size, blocks = stage.layer.kernel, header.chunk // LANES
    outputs, weights = prod(after), filters * channels * size * size
    number = sum(parameter.name.endswith("weight") for parameter in places.layout) + 1
    pad = size - 1 if before else 0  # no gradient of the network's input is asked for
    d_row = (width - size + 1 + 2 * pad) * LANES
    d_channel = _stride((height - size + 1) * d_row)
    c, i, j, f = np.arange(channels), np.arange(size), np.arange(size), np.arange(filters)
    offsets = ((c[:, None, None] * height + i[:, None]) * width + j) * LANES
    back_offsets = (size - 1 - j[:, None]) * LANES + f * d_channel
    codes_block = outputs * LANES if stage.pooled else 0
    return Convolution(
        kind=CONVOLUTION_KIND,
        channels=channels,
        height=height,
        width=width,
        filters=filters,
        kernel=size,
        relu=int(stage.relu),
        pooling=1 + stage.pooled,
        rows=rows,
        columns=columns,
        weights=places.parameter(f"conv{number}.weight", filters, channels, size, size),
        bias=places.parameter(f"conv{number}.bias", filters),
        taps=channels * size * size,
        offsets=places.table(offsets),
        x=before.y if before else header.x,
        x_block=before.y_block if before else header.x_block,
        y=places.room(outputs * header.chunk),
        y_block=LANES if last else outputs * LANES,
        y_pixel=header.chunk if last else LANES,
        codes=places.room(-(-codes_block * blocks // 4)),  # at least 4 bytes per element
        codes_block=codes_block,
        d=(d := places.room(filters * d_channel)),
        d_channel=d_channel,
        d_row=d_row,
        d_size=filters * d_channel,
        d_inside=d + pad * LANES,
        g=header.g_columns if last else places.room(outputs * LANES),
        g_block=LANES if last else 0,
        g_pixel=header.chunk if last else LANES,
        sums=(sums := places.room((weights + filters) * LANES)),
        bias_sums=sums + weights * LANES,
        g_input=before.g if before else -1,
        back_offsets=places.table(back_offsets),
        back_weights=places.room(weights),
        zeros=places.room(channels),
    )


def _dense(
    places: _Places,
    header: Header,
    stage: _Stage,
    features: int,
    before: Convolution | DenseRecord | None,
    number: int,
) -> DenseRecord:
    assert isinstance(stage.layer, Dense)
    units = stage.layer.units
    if before is None:
        x, x_sample, x_feature = header.rows, header.rows_stride, 1
    elif isinstance(before, Convolution):
        x, x_sample, x_feature = before.y, 1, header.chunk
    else:
        x, x_sample, x_feature = before.y, before.y_sample, 1
    return DenseRecord(
        kind=DENSE_KIND,
        features=features,
        units=units,
        relu=int(stage.relu),
        weights=places.parameter(f"dense{number}.weight", features, units),
        bias=places.parameter(f"dense{number}.bias", units),
        x=x,
        x_sample=x_sample,
        x_feature=x_feature,
        y=places.room(_stride(units) * header.chunk),
        y_sample=_stride(units),
    )
