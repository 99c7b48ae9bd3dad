"""Checks numbers that users give: what counts as a number, which range is allowed, and what the error says.

Every function takes the name that an error shows, and returns a plain Python value. An integer is anything that
`operator.index` takes. A real number is any `numbers.Real`, such as NumPy's scalars and `fractions.Fraction`. A bool
is neither, because `workers=True` is a mistake.
"""

import itertools
import math
import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import RuleError, UsageError, shown, unknown

_FLOAT64 = np.dtype(np.float64)


def integer(name: str, value: Any, least: int = 0, most: int | None = None, *, note: str = "") -> int:
    """Check an integer from `least` to `most`, and return it as an int. UsageError for anything else.

    Args:
        name: the name of the value, for the error.
        value: the value that was given.
        least: the smallest value allowed.
        most: the largest value allowed; None for no limit.
        note: the end of the error message.

    >>> integer("workers", np.int32(8), 1)
    8
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        number = None
    if number is not None and number >= least and (most is None or number <= most):
        return number
    allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise UsageError(f"{name} is {shown(value)}: must be an integer {allowed}{note}")


def steps(name: str, value: Any, least: int, most: int, many: int) -> int | tuple[tuple[int, int], ...]:
    """Check an integer, or the steps of one that changes during a run: (from when on, value), the first from 0.

    Args:
        name: the name of the value, for the error.
        value: an integer, a list of pairs, or a text such as "0:64, 5000:16".
        least: the smallest value allowed.
        most: the largest value allowed.
        many: how many steps are allowed.

    >>> steps("interval", [(0, 64), (5000, 16)], 1, 100, 31), steps("interval", "0:64, 5000:16", 1, 100, 31)
    (((0, 64), (5000, 16)), ((0, 64), (5000, 16)))
    >>> steps("interval", 8, 1, 100, 31)
    8
    """
    if isinstance(value, str) and ":" in value:
        parts = [part.split(":") for part in value.split(",")]
        value = [[int(word) if word.strip().isdecimal() else word.strip() for word in part] for part in parts]
    if not isinstance(value, list | tuple):
        return integer(name, value, least, most, note=", or steps such as [(0, 64), (5000, 16)]")
    if not 1 <= len(value) <= many or not all(isinstance(step, list | tuple) and len(step) == 2 for step in value):
        raise UsageError(f"{name} is {shown(value)}: must be 1 to {many} steps such as [(0, 64), (5000, 16)]")
    made = tuple(
        (integer(f"the start of step {i} of {name}", start), integer(f"step {i} of {name}", one, least, most))
        for i, (start, one) in enumerate(value)
    )
    starts = [start for start, _ in made]
    if starts[0] != 0 or any(b <= a for a, b in itertools.pairwise(starts)):
        raise UsageError(
            f"{name} is {shown(value)}: the first step must begin at 0, and each next one later than the one before"
        )
    return made


def real(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    dtype: np.dtype[Any] = _FLOAT64,
    note: str = "",
) -> float:
    """Check a finite number from `least` to `most`, and return it as a float. UsageError for anything else.

    Args:
        name: the name of the value, for the error.
        value: the value that was given.
        least: the smallest value allowed; with `above`, values must be larger.
        most: the largest value allowed; with `below`, values must be smaller.
        above: whether `least` itself is excluded.
        below: whether `most` itself is excluded.
        dtype: the value must be in the range also when it is rounded to this dtype.
        note: the end of the error message.

    >>> real("step_size", 0.5, 0, above=True)
    0.5
    """
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        with np.errstate(over="ignore", under="ignore"):
            kept = float(dtype.type(number))
        low_enough = kept < most if below else kept <= most
        high_enough = kept > least if above else kept >= least
        if math.isfinite(kept) and low_enough and high_enough:
            return number
    limits = []
    if least > -math.inf:
        limits.append(f"{'above' if above else 'of at least'} {least:g}")
    if most < math.inf:
        limits.append(f"{'below' if below else 'of at most'} {most:g}")
    precision = "" if dtype == _FLOAT64 else f", in {dtype}"
    allowed = f"a finite number {' and '.join(limits)}".rstrip()
    raise UsageError(f"{name} is {shown(value)}: must be {allowed}{precision}{note}")


def reals(
    name: str,
    values: ArrayLike,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: bool = False,
    axes: int | None = 1,
    empty: bool = False,
) -> NDArray[np.float64]:
    """Check finite numbers from `least` to `most`, and return them as a new float64 array. UsageError otherwise.

    Args:
        name: the name of the values, for the error.
        values: an array, or lists of numbers.
        least: the smallest value allowed; with `above`, values must be larger.
        most: the largest value allowed.
        above: whether `least` itself is excluded.
        axes: how many axes the array must have; None for any number.
        empty: whether no value at all is allowed.

    >>> reals("weights", [1, 3], 0)
    array([1., 3.])
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":  # fractions, for example
            array = np.array([real(name, value) for value in array.flat]).reshape(array.shape)
    except (ValueError, OverflowError):  # rows of different lengths, or what is no number
        array = np.array("")
    fits = array.dtype.kind in "iuf" if array.size else empty
    if not fits or (axes is not None and array.ndim != axes):
        kind = "rows of numbers, all of one length" if axes == 2 else "a list of numbers"
        raise UsageError(f"{name} is {shown(values)}: must be {kind}{'' if empty else ', not empty'}")
    array = array.astype(np.float64)
    bad = ~(np.isfinite(array) & ((array > least) if above else (array >= least)) & (array <= most))
    if bad.any():
        place = np.argwhere(bad)[0].tolist()
        real(f"{name}{place}", array[tuple(place)].item(), least, most, above=above)
    return array


def returned(who: str, result: Any, shape: tuple[int, ...], one: str) -> NDArray[np.float64]:
    """Check what a user's function returned, and return it as a new float64 array. RuleError if it does not fit.

    Args:
        who: whose function it is, such as "rule tail".
        result: what it returned.
        shape: the shape that the array must have.
        one: what each number is, such as "scale for each tau".
    """
    try:
        array = np.asarray(result)
    except ValueError as error:  # a ragged list
        raise RuleError(f"{who} returned no array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise RuleError(f"{who} returned {array.dtype}, not numbers: give a {one}, >= 0")
    if array.shape != shape:
        raise RuleError(f"{who} returned shape {array.shape}: must be {shape}, a {one}")
    return np.array(array, np.float64)  # a copy: the function may keep its own


def switch(name: str, value: Any) -> bool:
    """Check a bool, and return it. UsageError for anything else.

    >>> switch("reshuffle", np.True_)
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise UsageError(f"{name} is {shown(value)}: must be True or False")
    return bool(value)


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Check that a text is one of those allowed, and return it. A UsageError names the nearest one.

    Args:
        name: the name of the value, for the error.
        value: the value that was given.
        allowed: the texts.

    >>> choice("momentum_kind", "shared", ("per_worker", "shared"))
    'shared'
    """
    texts = tuple(allowed)
    if not isinstance(value, str) or value not in texts:
        raise unknown(name, value, texts)
    return value
