"""What a file of data holds, column by column, before it is decided what to predict."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .catalogue import load_dataset
from .files import read_parts
from .options import found, is_file, parsed
from .preparation import Part
from .table import Table

_SHOWN = 4  # values


@dataclass(frozen=True)
class Column:
    """A column of a table, or an array.

    Attributes:
        part: "train" or "test", if the file has both.
        place: the place of the column, from 0; None for an array.
        name: the name of the column; for arrays "inputs" or "targets".
        kind: its dtype, or "text".
        values: the number of values, or the shape of the array.
        missing: how many values are missing.
        different: how many different values there are.
        least, mean, largest: figures of numbers.
        frequent: the most frequent values, for texts and for a few integers.
    """

    part: str
    place: int | None
    name: str
    kind: str
    values: str
    missing: int
    different: int
    least: float | None
    mean: float | None
    largest: float | None
    frequent: str


def columns_of(text: str) -> list[Column]:
    """The columns or arrays of a file, or of a data set that is known by its name.

    >>> [(column.part, column.name, column.values) for column in columns_of("fashion-mnist-mini")][:2]
    [('train', 'inputs', '5000×1×28×28'), ('train', 'targets', '5,000')]
    """
    if is_file(text):
        path, options = parsed(text)
        train, test = read_parts(found(path), options)
        parts = [("", train)] if test is None else [("train", train), ("test", test)]
        return [column for name, part in parts for column in _columns(name, part)]
    data = load_dataset(text)
    return [
        _column(part, None, name, array)
        for part, split in (("train", data.train), ("test", data.test))
        for name, array in (("inputs", split.raw), ("targets", split.labels))
    ]


def _columns(name: str, part: Part) -> Iterator[Column]:
    if isinstance(part, Table):
        for place, (of, values) in enumerate(part.columns.items()):
            found = _column(name, place, of, values)
            yield found if of not in part.unusable else replace(found, kind="neither numbers nor texts", missing=0)
        return
    yield _column(name, None, "inputs", part.inputs)
    if part.targets is not None:
        yield _column(name, None, "targets", part.targets)


def _column(part: str, place: int | None, name: str, values: NDArray[Any]) -> Column:
    is_text = values.dtype.kind in "OUS"
    flat = values.reshape(-1)
    gaps = np.array([value is None for value in flat]) if values.dtype == object else np.zeros(len(flat), bool)
    if values.dtype.kind == "f":
        gaps = np.isnan(flat)
    there = flat[~gaps]
    different, counts = np.unique(there, return_counts=True)
    shown = ""
    if is_text or (values.dtype.kind in "iub" and values.ndim == 1 and len(different) <= 20):
        order = np.argsort(-counts, kind="stable")[:_SHOWN]
        shown = ", ".join(f"{different[at]} ({counts[at]:,})" for at in order) + ", …" * (len(different) > _SHOWN)
    figures = (None, None, None) if is_text or not len(there) else (there.min(), there.mean(), there.max())
    least, mean, largest = (None if value is None else float(value) for value in figures)
    size = f"{len(flat):,}" if values.ndim == 1 else "×".join(map(str, values.shape))
    kind = "text" if is_text else str(values.dtype)
    return Column(part, place, name, kind, size, int(gaps.sum()), len(different), least, mean, largest, shown)
