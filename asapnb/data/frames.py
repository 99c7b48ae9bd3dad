"""Tables in memory: of pandas, polars and pyarrow, and whatever else has `columns` and gives each by its name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, shown
from .table import Table, numeric, table_of


def is_frame(value: Any) -> bool:
    """Whether this is a DataFrame."""
    return hasattr(value, "columns") and hasattr(value, "shape") and hasattr(value, "__getitem__")


def table_in(frame: Any, where: str = "the frame") -> Table:
    """The table in a DataFrame; UsageError if it is none, DataError if a column is neither numbers nor texts.

    >>> class Frame:
    ...     columns, shape = ["a"], (2, 1)
    ...     def __getitem__(self, name):
    ...         return [1, 2]
    >>> table_in(Frame()).columns
    {'a': array([1, 2])}
    """
    if not is_frame(frame):
        raise UsageError(f"{where} is {shown(frame)}: give a DataFrame of pandas or polars")
    names = list(frame.column_names if hasattr(type(frame), "column_names") else frame.columns)  # of pyarrow
    if len({str(name) for name in names}) < len(names):
        raise UsageError(f"{where} has two columns of one name: rename one of them")
    return table_of(where, ((str(name), frame[name]) for name in names))


def matrix_in(frame: Any, where: str) -> NDArray[np.float64]:
    """The numbers in a DataFrame, (rows, columns); DataError if a column holds texts."""
    table = table_in(frame, where)
    table.check(table.columns)
    return np.stack([numeric(where, name, values) for name, values in table.columns.items()], axis=1)
