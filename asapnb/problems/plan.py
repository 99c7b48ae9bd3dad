"""From a list of layers to the plan that the interpreter runs, the layout of the parameters and the workspace."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain, count
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..errors import UsageError
from ..numbers import integer, real
from .activations import ACTIVATIONS, Activation, Identity
from .convolution import Conv
from .dense import Dense
from .dropout import KEYS, Dropout
from .kinds import BlockLayer, RowLayer, Shape
from .layers import BLOCK_LAYERS, ROW_LAYERS
from .losses import CROSS_ENTROPY, LOSSES, Loss
from .places import Places, rounded
from .pooling import AveragePool, MaxPool
from .records import FIRST_RECORD, RECORD, Blocks, Header, Rows, bits_of
from .signature import Integers
from .tiles import LANES

_ROW_CHUNK = 64  # samples; the activations of a chunk should stay in the second-level cache
_BLOCK_CHUNK = 32
_EACH = {"classes": "class", "binary": "label", "real": "target"}


Layer = Dense | Conv | Activation | MaxPool | AveragePool | Dropout
_KINDS: dict[type, BlockLayer | RowLayer] = {kind.layer: kind for kind in (*BLOCK_LAYERS, *ROW_LAYERS)}
if wrong := [one.__name__ for one, kind in _KINDS.items() if {field.name for field in fields(one)} != {*kind.limits}]:
    raise TypeError(f"layers {wrong} need limits for each of their fields, and for nothing else")
_ON_IMAGES = {kind.layer for kind in BLOCK_LAYERS} - {kind.layer for kind in ROW_LAYERS}  # and nowhere else
LAYERS: Mapping[str, Any] = {layer.__name__: layer for layer in _KINDS} | {one.name: one for one in ACTIVATIONS[1:]}
"""What a list of layers may consist of, by name."""


def checked(layer: Any) -> Any:
    """The same layer, its numbers checked and as those of Python, so that its text can be read again."""
    if type(layer) not in _KINDS:  # an activation, or what `compile_plan` refuses
        return layer
    limits, values = _KINDS[type(layer)].limits, {}
    for one in fields(layer):
        value, (least, most) = getattr(layer, one.name), limits[one.name]
        check: Any = real if isinstance(most, float) else integer
        if value is not None or one.default is not None:
            values[one.name] = check(one.name, value, least, most)
    return replace(layer, **values)


class _Stage(NamedTuple):
    """A layer with what follows it: an activation, and perhaps pooling."""

    kind: BlockLayer | RowLayer
    layer: Any
    activation: Activation = Identity
    pooled: bool = False


def _stages(layers: Sequence[Layer]) -> list[_Stage]:
    """Group the layers, first those on blocks, then those on rows, or say which one is out of place."""
    stages: list[_Stage] = []
    kinds = {kind.layer: kind for kind in (*ROW_LAYERS, *BLOCK_LAYERS)}
    for position, layer in enumerate(layers):
        if not any(type(later) in _ON_IMAGES for later in layers[position:]):
            kinds = _KINDS
        before, kind = stages[-1] if stages else None, kinds.get(type(layer))
        if before and _pools_itself(before, layer):
            stages[-1] = before._replace(pooled=True)
        elif kind and not (before and isinstance(kind, BlockLayer) and isinstance(before.kind, RowLayer)):
            stages.append(_Stage(kind, layer))
        elif isinstance(layer, Activation) and before and before.activation == Identity:
            stages[-1] = before._replace(activation=layer)
        else:
            first, then = (", ".join(kind.layer.__name__ for kind in kinds) for kinds in (BLOCK_LAYERS, ROW_LAYERS))
            raise UsageError(
                f"layer {position} is {layer!r}, which does not fit there: layers on images come first "
                f"({first}), then layers on rows of numbers ({then}), each alone or with an activation "
                f"({', '.join(activation.name for activation in ACTIVATIONS[1:])})"
            )
    return stages


def _pools_itself(stage: _Stage, layer: Any) -> bool:
    """Whether the stage can pool like this on the way; the activation, which does not decrease, may come after it."""
    wanted = isinstance(layer, MaxPool) and layer.size == 2 and layer.stride in (None, 2)
    return wanted and isinstance(stage.kind, BlockLayer) and stage.kind.pools and not stage.pooled


def compile_plan(
    shape: Shape, outputs: int, layers: Sequence[Layer], loss: Loss = CROSS_ENTROPY, reals: bool = False
) -> tuple[Integers, Places]:
    """The plan of a network, and its places in the parameters and the workspace.

    Args:
        shape: (channels, height, width) of an input.
        outputs: how many a sample has.
        layers: of the network; the last is Dense(outputs).
        loss: what the outputs are compared by.
        reals: whether they are compared with real targets.

    UsageError where the layers are in no order that is supported, do not end in Dense(outputs), or do not fit.

    >>> from asapnb.problems import ReLU
    >>> _, places = compile_plan((1, 28, 28), 10, [Dense(32), ReLU(), Dense(10)])
    >>> places.n_params, [parameter.name for parameter in places.layout]
    (25450, ['dense1.weight', 'dense1.bias', 'dense2.weight', 'dense2.bias'])
    """
    stages = _stages([checked(layer) for layer in layers])
    if not stages or stages[-1].layer != Dense(outputs) or stages[-1].activation != Identity:
        found = repr(layers[-1]) if layers else "missing"
        raise UsageError(
            f"the last layer is {found}; it must be Dense({outputs}), one output per {_EACH[loss.of]}, without an "
            "activation"
        )
    shapes = _shapes(shape, stages)
    on_blocks = sum(isinstance(stage.kind, BlockLayer) for stage in stages)
    chunk = _BLOCK_CHUNK if on_blocks else _ROW_CHUNK
    places = Places(FIRST_RECORD + RECORD * len(stages), chunk)
    has_dropout = any(isinstance(stage.layer, Dropout) for stage in stages)
    if has_dropout:
        places.room(2 * (KEYS + chunk))  # int64, each as long as two numbers of float32
    header = _header(places, shapes, on_blocks)._replace(
        has_dropout=int(has_dropout),
        loss=[one.name for one in LOSSES].index(loss.name),
        reals=reals,
        constant=bits_of(loss.constant),
    )
    records: list[tuple[int, ...]] = []
    before: Any = None
    counts: Counter[str] = Counter()
    for i, (stage, x, y) in enumerate(zip(stages, shapes, shapes[1:], strict=False)):
        name = type(stage.layer).__name__.lower()
        counts[name] += 1
        places.layer = f"{name}{counts[name]}"
        if i < on_blocks:
            before = _blocks(places, header, stage, x, y, before, i + 1 == on_blocks)
        else:
            before = _rows(places, header, stage, x, y, before)
        records.append((*before, *stage.kind.place(stage.layer, before, places)))
    padded = [record + (0,) * (RECORD - len(record)) for record in records]
    return np.array([*header, *chain(*padded), *places.tables], np.int64), places


def is_plain(layers: Sequence[Layer]) -> bool:
    """Whether the plain layers do, which have an interpreter of their own."""
    return all(stage.kind.is_plain(stage.layer) for stage in _stages(layers))


def _shapes(shape: Shape, stages: Sequence[_Stage]) -> list[Shape]:
    """(channels, height, width) before the first stage, between the stages and after the last."""
    shapes = [shape]
    for stage in stages:
        shapes.append(_after(stage, shapes[-1]))
        if min(shapes[-1]) < 1:
            channels, height, width = shapes[-2]
            least = next(side for side in count(1) if min(_after(stage, (channels, side, side))) >= 1)
            who = f"{stage.layer!r} and MaxPool(2) need" if stage.pooled else f"{stage.layer!r} needs"
            raise UsageError(
                f"{who} at least {least}×{least} pixels, but there are {height}×{width} left of inputs "
                f"{'×'.join(map(str, shape))}; use larger inputs, or fewer or smaller layers"
            )
    return shapes


def _after(stage: _Stage, shape: Shape) -> Shape:
    channels, height, width = stage.kind.shape(stage.layer, shape)
    return (channels, height // 2, width // 2) if stage.pooled else (channels, height, width)


def _header(places: Places, shapes: Sequence[Shape], on_blocks: int) -> Header:
    """The header, with room for the samples and the scratch of all layers on rows."""
    features = prod(shapes[0])
    x_block = rounded(features, LANES) * LANES if on_blocks else 0
    units = max(prod(after) for after in shapes[on_blocks + 1 :])
    return Header(
        layers=len(shapes) - 1,
        on_blocks=on_blocks,
        chunk=places.chunk,
        features=features,
        rows=places.room(places.stride(features) * (LANES if on_blocks else places.chunk)),
        rows_stride=places.stride(features),
        x=places.room(x_block * places.chunk // LANES),
        x_block=x_block,
        d_columns=places.room(rounded(units, LANES) * places.chunk),
        g_columns=places.room(max(units, prod(shapes[on_blocks]) if on_blocks else 0) * places.chunk),
        g_rows=places.room(places.stride(units) * places.chunk),
        has_dropout=0,
        loss=0,
        reals=0,
        constant=0,
    )


def _blocks(
    places: Places, header: Header, stage: _Stage, x: Shape, y: Shape, before: Blocks | None, last: bool
) -> Blocks:
    """Where a layer on blocks finds and leaves things; the `last` one leaves them as the layers on rows want them."""
    (channels, height, width), (filters, rows, columns) = x, y
    return Blocks(
        kind=BLOCK_LAYERS.index(stage.kind),
        activation=stage.activation.place,
        value=bits_of(stage.activation.value),
        pooling=1 + stage.pooled,
        channels=channels,
        height=height,
        width=width,
        filters=filters,
        rows=rows,
        columns=columns,
        x=before.y if before else header.x,
        x_block=before.y_block if before else header.x_block,
        y=places.room(prod(y) * header.chunk),
        y_block=LANES if last else prod(y) * LANES,
        y_pixel=header.chunk if last else LANES,
        g=header.g_columns if last else places.room(prod(y) * LANES),
        g_block=LANES if last else 0,
        g_pixel=header.chunk if last else LANES,
        g_input=before.g if before else -1,
    )


def _rows(places: Places, header: Header, stage: _Stage, x: Shape, y: Shape, before: Blocks | Rows | None) -> Rows:
    """Where a layer on rows finds and leaves things."""
    if before is None:
        start, x_sample, x_feature = header.rows, header.rows_stride, 1
    elif isinstance(before, Blocks):
        start, x_sample, x_feature = before.y, 1, header.chunk
    else:
        start, x_sample, x_feature = before.y, before.y_sample, 1
    return Rows(
        kind=ROW_LAYERS.index(stage.kind),
        activation=stage.activation.place,
        value=bits_of(stage.activation.value),
        features=prod(x),
        units=prod(y),
        x=start,
        x_sample=x_sample,
        x_feature=x_feature,
        y=places.room(places.stride(prod(y)) * header.chunk),
        y_sample=places.stride(prod(y)),
    )
