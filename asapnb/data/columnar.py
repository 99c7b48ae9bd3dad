"""Tables in the columnar formats of Arrow: Parquet and Feather (also called Arrow IPC), by pyarrow."""

from pathlib import Path
from typing import Any

from ..errors import DataError, UsageError
from ..extras import optional
from ..memory import check_memory
from ..text import regular_file
from .table import Table, table_of

_TIMES = 3  # as much memory as the table has, while it is read


def read_columnar(path: Path) -> Table:
    """The table in a Parquet or Feather file; DataError for what is none, MissingExtraError without pyarrow."""
    names = ("pyarrow", "pyarrow.feather", "pyarrow.parquet")
    pyarrow, feather, parquet = (optional(name, "data", f"reading {path}") for name in names)
    try:
        with regular_file(path, "data from") as file:
            if path.suffix.lower() == ".parquet":
                whole = parquet.ParquetFile(file)
                groups = (whole.metadata.row_group(i) for i in range(whole.metadata.num_row_groups))
                size = max(sum(one.total_byte_size for one in groups), 8 * whole.metadata.num_rows)
                check_memory(f"the table in {path}", _TIMES * size, "give a smaller file")
                table = whole.read()
            else:
                check_memory(f"the table in {path}", _TIMES * path.stat().st_size, "give a smaller file")
                table = feather.read_table(file, memory_map=False)
        table.validate(full=True)  # a damaged one could lead out of its memory
        columns = [(name, _plain(table[name])) for name in _known(path, table.column_names)]
    except UsageError:  # which is a ValueError
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: found {type(error).__name__} ({error!s:.200}), expected a table") from None
    return table_of(str(path), columns)


def _known(path: Path, names: list[str]) -> list[str]:
    """The names of the columns without the index that pandas adds; DataError if two are equal."""
    if len(set(names)) < len(names):
        raise DataError(f"{path} has two columns of one name: rename one of them")
    return [name for name in names if not name.startswith("__index_level_")]


def _plain(column: Any) -> Any:
    """A column of Arrow as an array; nulls become NaN or None, and dictionaries what they stand for."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_decimal(column.type):
        column = column.cast("float64")
    return column.to_numpy(zero_copy_only=False)
