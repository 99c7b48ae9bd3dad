"""Activation functions: one declaration each, of which plans, kernels, texts, twins and docs are made.

An activation is a non-decreasing function whose derivative follows from its output, so that the backward pass needs
nothing else and pooling may come first. To add one, declare it here: see `docs/how-to/extending/activation.md`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from ..kernels.choice import by_number

_ZERO, _ONE = np.float32(0), np.float32(1)  # float32 constants leave float32 and float64 what they are
_DECLARED: list[Activation] = []


@dataclass(frozen=True, repr=False)
class Activation:
    """A function applied to every output of the layer before it; `ReLU` and `ReLU()` are the same layer.

    Attributes:
        name: as in texts and in `repr`.
        formula: of x, in the notation of Python and its `math`; shown in docs, and what tests compare `forward` with.
        forward: the output y of an input x, in code that Numba compiles; a NaN stays a NaN.
        backward: from the output y and the gradient g of y, the gradient of x.
        clips: whether this is max(0, x), which pooling kernels compute on the way.
        parameter: the name of a number that `forward` and `backward` take as their last argument; "" for none.
        value: of that number, at least 0; the declared one is the default.
    """

    name: str
    formula: str = field(compare=False)
    forward: Callable[..., Any] = field(compare=False)
    backward: Callable[..., Any] = field(compare=False)
    clips: bool = field(default=False, compare=False)
    parameter: str = field(default="", compare=False)
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.name in [other.name for other in _DECLARED]:
            raise ValueError(f"there are two activations {self.name!r}: give each a name of its own")
        names = [self.parameter] if self.parameter else []
        taken = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=self.value) for name in names]
        object.__setattr__(self, "__signature__", Signature(taken))  # of a call
        _DECLARED.append(self)

    def __call__(self, *values: float, **named: float) -> Activation:
        """The layer itself; of one with a parameter, the layer with this value of it."""
        given = self.__signature__.bind(*values, **named).arguments  # type: ignore[attr-defined]
        if not given:
            return self
        from ..numbers import real  # here, as no compiled code depends on it

        other = copy.copy(self)
        object.__setattr__(other, "value", real(self.parameter, given[self.parameter], 0))
        return other

    def __repr__(self) -> str:
        return f"{self.name}({self.parameter}={self.value!r})" if self.parameter else f"{self.name}()"

    @property
    def place(self) -> int:
        """The place of the declaration in ACTIVATIONS."""
        return [other.name for other in ACTIVATIONS].index(self.name)


Identity = Activation("Identity", "x", forward=lambda x: x, backward=lambda y, g: g)
ReLU = Activation(
    "ReLU",
    "max(0, x)",
    forward=lambda x: _ZERO if x < _ZERO else x,
    backward=lambda y, g: g if y > _ZERO else _ZERO,
    clips=True,
)
LeakyReLU = Activation(
    "LeakyReLU",
    "max(0, x) + slope * min(0, x)",
    forward=lambda x, slope: x if x > _ZERO else slope * x,
    backward=lambda y, g, slope: g if y > _ZERO else slope * g,
    parameter="slope",
    value=0.01,
)
Tanh = Activation("Tanh", "tanh(x)", forward=lambda x: math.tanh(x), backward=lambda y, g: g - g * y * y)
Sigmoid = Activation(
    "Sigmoid",
    "1 / (1 + exp(-x))",
    forward=lambda x: _ONE / (_ONE + np.exp(-x)),
    backward=lambda y, g: g * y * (_ONE - y),
)

# All declarations stand above this line; a plan holds their places in the table.
ACTIVATIONS = tuple(_DECLARED)
activated = by_number([activation.forward for activation in ACTIVATIONS], optional=1)
passed_back = by_number([activation.backward for activation in ACTIVATIONS], optional=1)
