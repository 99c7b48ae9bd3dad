"""One of several compiled functions, chosen by a number that is known only when compiled code runs."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..compiled import check_fit, part


def by_number(functions: Sequence[Callable[..., Any]], read: Any = None) -> Any:
    """Compiled code for ``functions[number](*arguments)``, called as ``chosen(number, *arguments)``.

    A chain of comparisons, written out as source, because only that can be inlined. All functions must have the same
    parameters, in the same order; TypeError says which one has not.

    Args:
        functions: compiled ones, or Python functions that Numba can compile.
        read: compiled code that reads the number from the first two arguments, which are then all that is passed on:
            ``chosen(*arguments)``.

    >>> import numba
    >>> chosen = by_number([lambda x: x + 1, lambda x: x * 10])
    >>> numba.njit(lambda number, x: chosen(number, x))(1, 5)
    50
    """
    parameters = [list(inspect.signature(getattr(f, "py_func", f)).parameters) for f in functions]
    for function, found in zip(functions, parameters, strict=True):
        if found != parameters[0]:
            raise TypeError(f"{function} takes {found}: must take {parameters[0]}, as {functions[0]} does")
    compiled = [f if hasattr(f, "py_func") else part(inline="always")(f) for f in functions]
    for function in compiled:
        check_fit(function, "function")
    if read and len(functions) == 1:
        return compiled[0]
    arguments, last = ", ".join(parameters[0]), len(functions) - 1
    head = f"def choose({arguments}):" if read else f"def choose(number, {arguments}):"
    number = f"read({', '.join(parameters[0][:2])})" if read else "number"
    lines = [f"    if {number} == {n}: return _{n}({arguments})" for n in range(last)]
    names: dict[str, Any] = {"read": read} | {f"_{n}": function for n, function in enumerate(compiled)}
    exec("\n".join([head, *lines, f"    return _{last}({arguments})"]), names)
    return part(inline="always")(names["choose"])
