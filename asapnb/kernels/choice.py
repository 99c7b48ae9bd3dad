"""One of several compiled functions, chosen by a number that is known only when compiled code runs."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..compiled import check_fit, part


def by_number(functions: Sequence[Callable[..., Any]], read: Any = None, optional: int = 0) -> Any:
    """Compiled code for ``functions[number](*arguments)``, called as ``chosen(number, *arguments)``.

    A chain of comparisons, written out as source, because only that can be inlined. All functions must have the same
    parameters, in the same order; TypeError says which one has not.

    Args:
        functions: compiled ones, or Python functions that Numba can compile.
        read: compiled code that reads the number from the first two arguments, which are then all that is passed on:
            ``chosen(*arguments)``.
        optional: how many of the last parameters a function may leave out.

    >>> import numba
    >>> chosen = by_number([lambda x: x + 1, lambda x: x * 10])
    >>> numba.njit(lambda number, x: chosen(number, x))(1, 5)
    50
    """
    taken = [list(inspect.signature(getattr(f, "py_func", f)).parameters) for f in functions]
    parameters = max(taken, key=len)
    required = len(parameters) - optional
    for function, found in zip(functions, taken, strict=True):
        if found[:required] != parameters[:required]:
            wanted = f"{parameters[:required]}{', and perhaps one more,' if optional else ''}"
            raise TypeError(f"{function} takes {found}: must take {wanted} as the other functions do")
    compiled = [f if hasattr(f, "py_func") else part(inline="always")(f) for f in functions]
    for function in compiled:
        check_fit(function, "function")
    if read and len(functions) == 1:
        return compiled[0]
    arguments, last = ", ".join(parameters), len(functions) - 1
    calls = [f"_{n}({', '.join(parameters[: len(found)])})" for n, found in enumerate(taken)]
    head = f"def choose({arguments}):" if read else f"def choose(number, {arguments}):"
    number = f"read({', '.join(parameters[:2])})" if read else "number"
    same = [functions[n] is functions[n + 1] for n in range(last)]  # which need not be compiled twice
    lines = [f"    if {number} <= {n}: return {calls[n]}" for n in range(last) if not same[n]]
    names: dict[str, Any] = {"read": read} | {f"_{n}": function for n, function in enumerate(compiled)}
    exec("\n".join([head, *lines, f"    return {calls[last]}"]), names)
    return part(**({} if read else {"inline": "always"}))(names["choose"])
