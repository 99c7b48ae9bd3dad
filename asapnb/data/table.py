"""What a file of data holds: a table of named columns, or arrays of inputs and targets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, UsageError, shown, unknown

NOTHING = frozenset(("", "na", "n/a", "nan", "null", "?"))  # cells without a value, in small letters


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of one length: int64, float64 (NaN: no value) or texts (object; None: no value).

    `where` is the file, for messages. `unusable` are columns of other kinds, such as times, each with the reason:
    they may be there if nobody asks for them.
    """

    where: str
    columns: Mapping[str, NDArray[Any]]
    unusable: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def rows(self, chosen: NDArray[Any]) -> "Table":
        """The table of these rows."""
        return replace(self, columns={name: column[chosen] for name, column in self.columns.items()})

    def check(self, names: Iterable[str]) -> None:
        """DataError if one of these columns cannot be used."""
        for name in names:
            if name in self.unusable:
                raise DataError(self.unusable[name])

    def name(self, column: str | int, what: str) -> str:
        """The name of a column, given by name or by place; UsageError if there is none."""
        names = list(self.columns)
        if str(column) in names:
            return str(column)
        if isinstance(column, int):
            if not -len(names) <= column < len(names):
                raise UsageError(f"{what} is {column}: {self.where} has columns 0 to {len(names) - 1}")
            return names[column]
        if all(name.isdecimal() for name in names):
            raise UsageError(
                f"{self.where} has no column {shown(column)} for {what}, and its first row was taken for numbers: "
                f"say header=True if it holds names, or give the place of the column, 0 to {len(names) - 1}"
            )
        raise unknown(f"column for {what}", column, names) if len(names) <= 50 else UsageError(
            f"{self.where} has no column {shown(column)} for {what}; its {len(names)} columns begin with "
            f"{', '.join(names[:20])}"
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Arrays:
    """Inputs, (n, features) or (n, channels, height, width), uint8 or float; and targets, (n, …), if there are any.

    `classes`, if known, are the names of the targets 0, 1, …
    """

    where: str
    inputs: NDArray[Any]
    targets: NDArray[Any] | None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, chosen: NDArray[Any]) -> "Arrays":
        """The arrays of these samples."""
        targets = None if self.targets is None else self.targets[chosen]
        return Arrays(self.where, self.inputs[chosen], targets, self.classes)


def table_of(where: str, columns: Iterable[tuple[str, ArrayLike]]) -> Table:
    """A table of these columns, each made plain by `column`; DataError for none, a name twice, several lengths."""
    made: dict[str, NDArray[Any]] = {}
    unusable: dict[str, str] = {}
    for name, values in columns:
        if str(name) in made:
            raise DataError(f"{where} has two columns {shown(str(name))}: rename one of them")
        try:
            made[str(name)] = column(f"column {shown(str(name))} of {where}", values)
        except DataError as error:
            unusable[str(name)] = str(error)
            made[str(name)] = np.full(len(np.atleast_1d(np.asarray(values, object))), np.nan)
    if not made or not len(next(iter(made.values()))):
        raise DataError(f"{where} holds no rows: give a file with data")
    lengths = {name: len(values) for name, values in made.items()}
    if len({*lengths.values()}) > 1:
        told = ", ".join(f"{shown(name)} {length:,}" for name, length in lengths.items())
        raise DataError(f"{where} has columns of several lengths ({told}): a column has one value a row")
    return Table(where, made, unusable)


def column(what: str, values: ArrayLike) -> NDArray[Any]:
    """Values as int64, as float64 with NaN for those that are missing, or as texts with None; DataError if none fits.

    >>> column("c", [1, None]), column("c", ["a", ""]).tolist()
    (array([ 1., nan]), ['a', None])
    """
    try:
        array = unmasked(values)
    except ValueError:
        raise DataError(f"{what} holds lists of several lengths: a column has one value a row") from None
    if array.ndim != 1:
        raise DataError(f"{what} has the shape {array.shape}: a column has one value a row")
    if array.dtype.kind == "b":  # as a CSV has them
        return array.astype(str).astype(object)
    if array.dtype.kind == "i":
        return array.astype(np.int64)
    if array.dtype.kind == "u" or array.dtype.kind == "f":
        exact = array.dtype.kind == "u" and array.max(initial=0) < 2**63
        return array.astype(np.int64 if exact else np.float64)
    if array.dtype.kind in "OUST":
        return _of_objects(what, array)
    raise DataError(f"{what} is {array.dtype}: give numbers or texts, or leave it out with drop=")


def unmasked(values: ArrayLike) -> NDArray[Any]:
    """Values as an array, in which NaN, or None among texts, stands for those that are masked.

    >>> unmasked(np.ma.masked_array([1, 2], [True, False]))
    array([nan,  2.])
    """
    if not (isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values)):
        return np.asarray(values)
    kind, missing = (np.float64, np.nan) if values.dtype.kind in "biuf" else (object, None)
    return np.ma.filled(values.astype(kind), missing)


def _of_objects(what: str, array: NDArray[Any]) -> NDArray[Any]:
    """A column of Python objects."""
    values = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in array.tolist()]
    values = [None if is_missing(value) else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool, np.bool_}:
        values, kinds = [value if value is None else str(value) for value in values], {str}
    if all(issubclass(kind, str) for kind in kinds):
        return np.array(values, object)
    try:
        if any(issubclass(kind, str) for kind in kinds):
            raise TypeError
        numbers = np.array([np.nan if value is None else float(value) for value in values])
    except (TypeError, ValueError, OverflowError):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{what} holds {names}: give numbers or texts, or leave it out with drop=") from None
    whole = all(issubclass(kind, int | np.integer) for kind in kinds) and None not in values
    return numbers.astype(np.int64) if whole and (np.abs(numbers) < 2**53).all() else numbers


def is_missing(value: Any) -> bool:
    """Whether this stands for no value: None, NaN, NA of pandas, or such a text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str):
        return len(value) < 8 and value.strip().lower() in NOTHING
    return isinstance(value, float) and value != value


def is_text(values: NDArray[Any]) -> bool:
    """Whether a column holds texts other than True and False."""
    return values.dtype == object and not {one.lower() for one in values if one is not None} <= {"true", "false"}


def texts(values: NDArray[Any]) -> NDArray[Any]:
    """A column as texts, None where there is no value."""
    if values.dtype == object:
        return values
    return np.array([None if value != value else str(value) for value in values.tolist()], object)


def numeric(where: str, name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """A column as numbers, False and True as 0 and 1; DataError if it holds other texts."""
    if values.dtype != object:
        return values.astype(np.float64)
    if is_text(values):
        row, value = next(
            (row, one) for row, one in enumerate(values) if one and one.lower() not in ("true", "false")
        )
        raise DataError(
            f"{where} has the text {shown(value)} in column {shown(name)}, row {row + 1:,}: give a number"
        )
    return np.array([np.nan if value is None else float(value.lower() == "true") for value in values])


def are_pixels(numbers: NDArray[Any]) -> bool:
    """Whether all are integers from 0 to 255."""
    return bool(((numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers))).all())


def place_of(bad: NDArray[np.bool_], names: Sequence[str]) -> str:
    """The first of these places, (rows, columns), in words.

    >>> place_of(np.array([[False, False], [False, True]]), ["a", "b"])
    "row 2, column 'b' (rows count from 1)"
    """
    row, at = np.argwhere(bad)[0].tolist()
    more = int(bad.sum()) - 1
    others = f", and {more:,} more" if more else ""
    return f"row {row + 1:,}, column {shown(names[at])} (rows count from 1){others}"
