"""Parameters of rules: checked, with an error that shows the value."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any

from ..errors import UsageError


def number(name: str, value: Any, least: float = 0.0, most: float = math.inf, *, above: bool = False) -> float:
    """`value` as a float in [least, most], or (least, most] with `above`; finite.

    >>> number("amplitude", 1, most=1.0)
    1.0
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        given = float(value)
        if least <= given <= most and math.isfinite(given) and not (above and given == least):
            return given
    if most < math.inf:
        allowed = f"a number in {'(' if above else '['}{least:g}, {most:g}]"
    else:
        allowed = f"a finite number {'above' if above else 'of at least'} {least:g}"
    raise UsageError(f"{name} is {value!r}: must be {allowed}")


def integer(name: str, value: Any, least: int) -> int:
    """`value` as an int, at least `least`.

    >>> integer("n", 200, least=1)
    200
    """
    try:
        given = operator.index(value)
    except TypeError:
        raise UsageError(f"{name} is {value!r}: must be an integer (a number of updates)") from None
    if given < least:
        raise UsageError(f"{name} is {given}: must be at least {least}")
    return given
