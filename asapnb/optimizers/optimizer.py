"""The base of all optimizers, the table of them by name, and their texts."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from ..errors import UsageError, unknown
from ..kernels import kinds
from ..numbers import real
from ..text import parse_call


def option(*, default: float, least: float = 0.0, below: float = np.inf, above: bool = False) -> Any:
    """Declare an option of an optimizer, a real number.

    Args:
        default: its default.
        least: the smallest value that is allowed; with `above`, values must be larger.
        below: values must be smaller than this.
        above: whether `least` itself is excluded.
    """
    return field(default=default, metadata={"least": least, "most": below, "below": True, "above": above})


class Optimizer:
    """How a gradient becomes a step: the base of all optimizers. Their options are fields of a frozen dataclass.

    The step itself is compiled; `kernels.steps.OPTIMIZERS` has it by name. The engine and a replay share it.

    Attributes:
        name: the name in texts, on the command line and in configuration files.
        moments: how many vectors one step carries on to the next; each is as long as the parameters.
        source: where the optimizer was published.

    >>> from asapnb.optimizers import Adam
    >>> Adam.name, Adam.moments, Adam().numbers
    ('adam', 2, [0.9, 0.999, 1e-08])
    """

    name: ClassVar[str]
    moments: ClassVar[int]
    source: ClassVar[str]

    def fits(self, dtype: np.dtype[Any]) -> "Optimizer":
        """Return the optimizer itself. UsageError if an option, rounded to this dtype, is out of its range."""
        for one in fields(self):  # type: ignore[arg-type]
            real(f"{one.name} of {self.name}", getattr(self, one.name), dtype=dtype, **one.metadata)
        return self

    @property
    def numbers(self) -> list[float]:
        """The values of the options, in their order."""
        return [getattr(self, one.name) for one in fields(self)]  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]
            value = real(f"{one.name} of {self.name}", getattr(self, one.name), **one.metadata)
            object.__setattr__(self, one.name, value)

    def __repr__(self) -> str:
        options = [f"{one.name}={getattr(self, one.name)!r}" for one in fields(self)]  # type: ignore[arg-type]
        return f"{self.name}({', '.join(options)})" if options else self.name


# Every optimizer by its name in a text, such as "adam".
OPTIMIZERS: dict[str, type[Optimizer]] = {}
Made = TypeVar("Made", bound=type[Optimizer])


@dataclass_transform(frozen_default=True, field_specifiers=(option,))
def register(optimizer: Made) -> Made:
    """Make a class a frozen dataclass, and register it as an optimizer, so that texts can name it."""
    dataclass(frozen=True, repr=False)(optimizer)
    if (count := len(fields(optimizer))) > kinds.HOW - kinds.FIRST:  # type: ignore[arg-type]
        raise UsageError(f"optimizer {optimizer.name!r} has {count} options: at most {kinds.HOW - kinds.FIRST}")
    OPTIMIZERS[optimizer.name] = optimizer
    return optimizer


def as_optimizer(value: Any) -> Optimizer:
    """Make an optimizer from its text. An optimizer is returned as it is.

    Args:
        value: an optimizer, or a text such as "adam(beta1=0.9)".

    Raises:
        UsageError: for anything else.

    >>> from asapnb.optimizers import Adam
    >>> as_optimizer(Adam(beta1=0.8)), as_optimizer("adagrad"), as_optimizer("sgd")
    (adam(beta1=0.8, beta2=0.999, epsilon=1e-08), adagrad(epsilon=1e-10), sgd)
    """
    if isinstance(value, str):
        return parse_optimizer(value)
    if not isinstance(value, Optimizer):
        raise UsageError(
            f"optimizer is {value!r:.80}: give the text of one, such as 'adam(beta1=0.9)', or an optimizer, such as "
            "asapnb.Adam(beta1=0.9)"
        )
    return value


def parse_optimizer(text: str) -> Optimizer:
    """Read an optimizer from its text, such as "adam" or "adam(beta1=0.8)". This is the inverse of `repr`.

    Args:
        text: the text.

    Raises:
        UsageError: if the text cannot be read.

    >>> parse_optimizer("amsgrad(beta2=0.99)")
    amsgrad(beta1=0.9, beta2=0.99, epsilon=1e-08)
    """
    name, bracket, rest = text.strip().partition("(")
    if name.lower() not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    found: Optimizer = parse_call(name.lower() + bracket + rest, OPTIMIZERS, "optimizer")
    return found
