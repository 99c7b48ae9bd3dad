"""One of several compiled functions, chosen by a number that is known only when compiled code runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..compiled import part


def by_number(functions: Sequence[Callable[..., Any]]) -> Any:
    """Compiled code for ``functions[number](*arguments)``, called as ``chosen(number, *arguments)``.

    A chain of comparisons, written out as source, because only that can be inlined. All functions must have the same
    parameters, in the same order; TypeError says which one has not.

    >>> import numba
    >>> chosen = by_number([lambda x: x + 1, lambda x: x * 10])
    >>> numba.njit(lambda number, x: chosen(number, x))(1, 5)
    50
    """
    parameters = [list(inspect.signature(getattr(function, "py_func", function)).parameters) for function in functions]
    for function, found in zip(functions, parameters, strict=True):
        if found != parameters[0]:
            raise TypeError(f"{function} takes {found}: must take {parameters[0]}, as {functions[0]} does")
    arguments, last = ", ".join(parameters[0]), len(functions) - 1
    lines = [f"    if number == {n}: return _{n}({arguments})" for n in range(last)]
    names: dict[str, Any] = {f"_{n}": _inlined(function) for n, function in enumerate(functions)}
    exec("\n".join([f"def choose(number, {arguments}):", *lines, f"    return _{last}({arguments})"]), names)
    return part(inline="always")(names["choose"])


def _inlined(function: Callable[..., Any]) -> Any:
    return function if hasattr(function, "py_func") else part(inline="always")(function)
