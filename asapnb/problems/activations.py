"""Activation functions: one declaration each, of which plans, kernels, texts, twins and docs are made.

An activation is a non-decreasing function whose derivative follows from its output, so that the backward pass needs
nothing else and pooling may come first. To add one, declare it here: see `docs/extending/activation.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .choice import by_number

_ZERO = np.float32(0)  # float32 constants leave float32 and float64 what they are
_DECLARED: list[Activation] = []


@dataclass(frozen=True, eq=False, repr=False)
class Activation:
    """A function applied to every output of the layer before it; `ReLU` and `ReLU()` are the same layer.

    Attributes:
        name: as in texts and in `repr`.
        formula: of x, in the notation of Python and its `math`; shown in docs, and what tests compare `forward` with.
        forward: the output y of an input x, in code that Numba compiles; a NaN stays a NaN.
        backward: from the output y and the gradient g of y, the gradient of x.
        clips: whether this is max(0, x), which pooling kernels compute on the way.
    """

    name: str
    formula: str
    forward: Callable[[Any], Any]
    backward: Callable[[Any, Any], Any]
    clips: bool = False

    def __post_init__(self) -> None:
        if self.name in [other.name for other in _DECLARED]:
            raise ValueError(f"there are two activations {self.name!r}: give each a name of its own")
        _DECLARED.append(self)

    def __call__(self) -> Activation:  # noqa: D102  (the layer itself)
        return self

    def __repr__(self) -> str:
        return f"{self.name}()"


Identity = Activation("Identity", "x", forward=lambda x: x, backward=lambda y, g: g)
ReLU = Activation(
    "ReLU",
    "max(0, x)",
    forward=lambda x: _ZERO if x < _ZERO else x,
    backward=lambda y, g: g if y > _ZERO else _ZERO,
    clips=True,
)

# All declarations stand above this line; a plan holds their places in the table.
ACTIVATIONS = tuple(_DECLARED)
activated = by_number([activation.forward for activation in ACTIVATIONS])
passed_back = by_number([activation.backward for activation in ACTIVATIONS])
