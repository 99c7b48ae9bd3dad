"""What a layer consists of: every part must be there, or importing asapnb fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .records import Blocks, Rows

if TYPE_CHECKING:
    from .places import Places

Shape = tuple[int, int, int]  # (channels, height, width)
Kernel = Callable[..., Any]


class RowLayer(NamedTuple):
    """A layer on rows: one row of numbers per sample.

    Attributes:
        layer: what users write: a frozen dataclass of integers.
        limits: the largest value of each of its fields; the least is 1.
        shape: (layer, shape of x) -> shape of y, which is (units, 1, 1).
        place: (layer, rows, places) -> the numbers of the layer's own record, with room for its parameters.
        forward: (plan, i, params, workspace, count) writes y of `count` samples, the activation included.
        backward: (plan, i, params, gradient, workspace, count, accumulate) writes the gradients of the parameters
            from d, which stands in y; adds them where `accumulate`.
        input_gradient: (plan, i, params, workspace, count) writes g[feature, sample] at `header(plan).g_columns`;
            zero for the samples that fill up a block of LANES.
    """

    layer: type
    limits: Mapping[str, int]
    shape: Callable[[Any, Shape], Shape]
    place: Callable[[Any, Rows, Places], tuple[int, ...]]
    forward: Kernel
    backward: Kernel
    input_gradient: Kernel


class BlockLayer(NamedTuple):
    """A layer on blocks: images of LANES samples at a time, as [channel][row][column][sample].

    Attributes:
        layer: what users write: a frozen dataclass of integers.
        limits: the largest value of each of its fields; the least is 1.
        shape: (layer, shape of x) -> shape of y before pooling; less than 1 where x is too small.
        place: (layer, blocks, places) -> the numbers of the layer's own record, with room for its parameters.
        prepare: (plan, i, params, workspace), once per gradient, before all samples.
        forward: (plan, i, params, workspace, codes, block) writes y of a block, activation and pooling included.
        backward: (plan, i, params, workspace, codes, block) adds the gradients of the parameters to sums of its own,
            from g, and writes the gradient of x where `g_input` is not -1.
        collect: (plan, i, gradient, workspace), once per gradient, after all samples: writes the sums.
        pools: whether it can pool its own output.
    """

    layer: type
    limits: Mapping[str, int]
    shape: Callable[[Any, Shape], Shape]
    place: Callable[[Any, Blocks, Places], tuple[int, ...]]
    prepare: Kernel
    forward: Kernel
    backward: Kernel
    collect: Kernel
    pools: bool
