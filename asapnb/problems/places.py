"""Places in the flat parameters, the workspace and the plan, handed out one after the other."""

from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Parameter(NamedTuple):
    """One tensor inside the flat parameters: `params[offset : offset + prod(shape)].reshape(shape)`.

    Attributes:
        name: the name of the tensor, such as "dense1.weight".
        shape: the shape of the tensor.
        offset: where its first element stands in the flat parameters.

    >>> Parameter("dense1.weight", (784, 10), 0).shape
    (784, 10)
    """

    name: str
    shape: tuple[int, ...]
    offset: int


class Places:
    """What a network needs room for, as its layers ask for it.

    Attributes:
        chunk: samples that go through the network together.
        layer: the name of the layer that asks, such as "dense1"; names of parameters begin with it.
    """

    def __init__(self, first_table: int, chunk: int) -> None:
        self.layout: list[Parameter] = []
        self.tables: list[int] = []
        self.n_params = self.workspace = 0
        self.first_table, self.chunk, self.layer = first_table, chunk, ""

    def parameter(self, name: str, *shape: int) -> int:
        """The start of a new tensor in the parameters."""
        self.layout.append(Parameter(f"{self.layer}.{name}", shape, self.n_params))
        self.n_params += prod(shape)
        return self.layout[-1].offset

    def room(self, size: int) -> int:
        """The start of `size` new elements of the workspace."""
        start = self.workspace
        self.workspace += rounded(size, 16)  # whole cache lines
        return start

    def table(self, offsets: ArrayLike) -> int:
        """The position of a new table in the plan."""
        start = self.first_table + len(self.tables)
        self.tables += np.ravel(offsets).tolist()
        return start

    @staticmethod
    def stride(size: int) -> int:
        """Between rows of `size` values: an odd number of cache lines, which spreads a column over all cache sets."""
        return (rounded(size, 16) // 16 | 1) * 16


def rounded(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple
