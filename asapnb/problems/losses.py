"""Losses of networks. Each is declared once; plans, kernels, texts, twins and docs are made from the declaration.

A loss is a sum over the outputs of a sample. Each output is compared with its own label or target; only the
cross-entropy takes all outputs together. To add one, declare it here: see `docs/how-to/extending/loss.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..kernels.choice import by_number

_DECLARED: list[Loss] = []


@dataclass(frozen=True, eq=False, repr=False)
class Loss:
    """How an output y is compared with a target t.

    Attributes:
        name: the name in texts.
        formula: a formula of y and t, in the notation of Python and its `math`. Docs show it, and tests compare with
            it.
        of: what the outputs mean: "classes" (the highest score wins), "binary" (yes if y > 0) or "real".
        value: (y, t) -> the loss, in code that Numba can compile. A NaN must stay a NaN. A literal such as 0.5 makes
            the result float64, which the sum is too. None for `ends.softmax`.
        slope: (y, t) -> the derivative of the loss by y.
        parameter: the name of a number that `value` and `slope` take as their last argument; "" for none.
        constant: the value of that number, above 0. The declared value is the default.
    """

    name: str
    formula: str
    of: Literal["classes", "binary", "real"]
    value: Callable[..., Any] | None
    slope: Callable[..., Any] | None
    parameter: str = ""
    constant: float = 0.0

    def __post_init__(self) -> None:
        if self.name in [other.name for other in _DECLARED]:
            raise ValueError(f"there are two losses {self.name!r}: give each a name of its own")
        if (self.value is None) != (self.slope is None):
            raise TypeError(f"loss {self.name!r} has only one of value and slope: give both")
        _DECLARED.append(self)

    @property
    def constants(self) -> tuple[float, ...]:
        """The further arguments of `value` and `slope`."""
        return (self.constant,) if self.parameter else ()

    def having(self, constant: float) -> Loss:
        """The same loss with another constant."""
        other = object.__new__(Loss)
        vars(other).update(vars(self), constant=constant)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.name, self.constant)

    def __str__(self) -> str:
        return f"{self.name}({self.parameter}={self.constant!r})" if self.parameter else self.name


CROSS_ENTROPY = Loss("cross_entropy", "log(sum(exp(y_j))) - y_t", "classes", None, None)
SQUARED = Loss(
    "squared", "(y - t)**2 / 2", "real", value=lambda y, t: 0.5 * (y - t) * (y - t), slope=lambda y, t: y - t
)
LOGISTIC = Loss(
    "logistic",
    "log(1 + exp(y)) - t * y",
    "binary",
    value=lambda y, t: (0.0 if y < 0.0 else y) - t * y + math.log1p(math.exp(-abs(y))),
    slope=lambda y, t: 1 / (1 + math.exp(-y)) - t,
)
HUBER = Loss(
    "huber",
    "(y - t)**2 / 2 if abs(y - t) <= delta else delta * (abs(y - t) - delta / 2)",
    "real",
    value=lambda y, t, delta: 0.5 * (y - t) * (y - t) if abs(y - t) <= delta else delta * (abs(y - t) - 0.5 * delta),
    slope=lambda y, t, delta: delta if y - t > delta else -delta if y - t < -delta else y - t,
    parameter="delta",
    constant=1.0,
)

# All declarations stand above this line; a plan holds their places in the table. The first is `ends.softmax`.
LOSSES = tuple(_DECLARED)
loss_value = by_number([loss.value for loss in LOSSES if loss.value], optional=1)
loss_slope = by_number([loss.slope for loss in LOSSES if loss.slope], optional=1)


def _again(name: str, constant: float) -> Loss:
    """The loss of this name, out of a pickle."""
    loss = next(loss for loss in LOSSES if loss.name == name)
    return loss if constant == loss.constant else loss.having(constant)
