"""Activation functions. Each is declared once; plans, kernels, texts, twins and docs are made from the declaration.

An activation never falls, and its derivative follows from its output. So the backward pass needs only the output, and
pooling may come first. To add one, declare it here: see `docs/how-to/extending/activation.md`.
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
        name: the name in texts and in `repr`.
        formula: a formula of x, in the notation of Python and its `math`. Docs show it, and tests compare `forward`
            with it.
        forward: a function from an input x to its output y, which Numba can compile. A NaN must stay a NaN.
        backward: a function from the output y and the gradient g of y to the gradient of x.
        clips: whether this is max(0, x), which pooling kernels compute on the way.
        parameter: the name of a number that `forward` and `backward` take as their last argument; "" for none.
        value: the value of that number, at least 0. The declared value is the default.
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
        """Return the layer; if it has a parameter, with this value of it."""
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
