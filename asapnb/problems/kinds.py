"""What a layer consists of: every part must be there, or importing asapnb fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from .records import Blocks, Rows

if TYPE_CHECKING:
    from .places import Places

Shape = tuple[int, int, int]  # (channels, height, width)
Kernel = Callable[..., Any]


class LayerText:
    """The text of a layer, `name(field=value, …)`; fields of ``repr=False`` that are the default are left out."""

    def __repr__(self) -> str:
        own: Any = self
        shown = [one.name for one in fields(own) if one.repr or getattr(self, one.name) != one.default]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


class RowLayer(NamedTuple):
    """A layer on rows: one row of numbers per sample.

    Attributes:
        layer: what users write: a frozen dataclass of numbers.
        limits: the least and the largest value of each of its fields, apart from its default; both are integers, or
            both floats.
        shape: (layer, shape of x) -> shape of y, which is (units, 1, 1).
        place: (layer, rows, places) -> the numbers of the layer's own record, with room for its parameters.
        forward: (plan, i, params, workspace, count) writes y of `count` samples, the activation included.
        backward: (plan, i, params, gradient, workspace, count, accumulate) writes the gradients of the parameters
            from d, which stands in y; adds them where `accumulate`.
        input_gradient: (plan, i, params, workspace, count) writes g[feature, sample] at `header(plan).g_columns`;
            zero for the samples that fill up a block of LANES.
        is_plain: (layer) -> whether the layer of the same place in the plain table does.
    """

    layer: type
    limits: Mapping[str, tuple[float, float]]
    shape: Callable[[Any, Shape], Shape]
    place: Callable[[Any, Rows, Places], tuple[int, ...]]
    forward: Kernel
    backward: Kernel
    input_gradient: Kernel
    is_plain: Callable[[Any], bool] = lambda layer: False


class BlockLayer(NamedTuple):
    """A layer on blocks: images of LANES samples at a time, as [channel][row][column][sample].

    Attributes:
        layer: what users write: a frozen dataclass of numbers.
        limits: the least and the largest value of each of its fields, apart from its default; both are integers, or
            both floats.
        shape: (layer, shape of x) -> shape of y before pooling; less than 1 where x is too small.
        place: (layer, blocks, places) -> the numbers of the layer's own record, with room for its parameters.
        prepare: (plan, i, params, workspace), once per gradient, before all samples.
        forward: (plan, i, params, workspace, codes, block) writes y of a block, activation and pooling included.
        backward: (plan, i, params, workspace, codes, block) adds the gradients of the parameters to sums of its own,
            from g, and writes the gradient of x where `g_input` is not -1.
        collect: (plan, i, gradient, workspace), once per gradient, after all samples: writes the sums.
        is_plain: (layer) -> whether the layer of the same place in the plain table does.
        pools: whether it can do 2 × 2 max-pooling of its own output.
    """

    layer: type
    limits: Mapping[str, tuple[float, float]]
    shape: Callable[[Any, Shape], Shape]
    place: Callable[[Any, Blocks, Places], tuple[int, ...]]
    prepare: Kernel
    forward: Kernel
    backward: Kernel
    collect: Kernel
    is_plain: Callable[[Any], bool] = lambda layer: False
    pools: bool = False
