"""How samples become inputs: columns, categories, means and deviations, fitted once and kept in the run file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .table import Arrays, Table, are_pixels, numeric, place_of, texts

_SHOWN = 10  # names in a message
Part = Table | Arrays


@dataclass(frozen=True)
class Preparation:
    """What is done to samples before a problem sees them.

    Attributes:
        columns: of a table that are inputs, in their order; empty for arrays.
        targets: its columns that are predicted.
        categories: the values of each column of text, each of which becomes a column of 0 and 1.
        missing: "error", "drop" or "mean".
        fill: what stands for a missing number, by column.
        mean: what is subtracted, by column; of arrays by the number of the feature or channel.
        deviation: what it is divided by.
        size: (height, width) to which images are scaled; None as they are.
        shape: (channels, height, width) of the image that a row is; empty if it is none.
        pixels: whether the numbers of such a row are pixels, from 0 to 255.
    """

    columns: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: str = "error"
    fill: Mapping[str, float] = field(default_factory=dict)
    mean: Mapping[str, float] = field(default_factory=dict)
    deviation: Mapping[str, float] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    shape: tuple[int, ...] = ()
    pixels: bool = False

    def inputs(self, part: Part) -> NDArray[Any]:
        """The inputs of a table or of arrays, float32 or uint8; DataError for what does not fit."""
        part = self.matched(part)
        self.check(part)
        matrix, features = self.matrix(part)
        form = (len(matrix), *(self.shape or matrix.shape[1:]))
        if prod(form) != matrix.size:
            raise unlike(part, matrix, self.shape)
        if self.pixels:
            if not are_pixels(matrix):
                raise DataError(f"{part.where} holds numbers that are no pixels: give integers from 0 to 255")
            return matrix.astype(np.uint8).reshape(form)
        if matrix.dtype == np.uint8 and not self.mean:
            return matrix.reshape(form)
        matrix = matrix.astype(np.float64)
        for at, name in enumerate(features):
            values = matrix[:, at]
            if name in self.fill:
                values[np.isnan(values)] = self.fill[name]
            if name in self.mean:
                matrix[:, at] = (values - self.mean[name]) / self.deviation[name]
        with np.errstate(over="ignore"):  # what float32 cannot hold is reported
            found = matrix.astype(np.float32)
        bad = np.logical_not(np.isfinite(found.reshape(*found.shape[:2], -1)).all(2))
        if bad.any():
            raise DataError(f"{part.where} has a value that float32 cannot hold in {place_of(bad, features)}")
        return found.reshape(form)

    def check(self, part: Part) -> None:
        """DataError if an input is missing and nothing stands for it."""
        bad, names = gaps(part, self.columns)
        if bad.any() and self.missing != "mean":
            raise DataError(
                f"{part.where} has no value in {place_of(bad, names)}: fill it in, or train with missing='mean' (the "
                "mean of the column stands for it) or missing='drop' (such rows are left out of training)"
            )

    def matched(self, part: Part) -> Part:
        """The samples with the columns that are needed, by name; or by place where there are no names."""
        if not self.columns:
            return as_arrays(part)
        if isinstance(part, Arrays):
            flat = as_arrays(part).inputs.reshape(len(part), -1)
            part = Table(part.where, {str(at): flat[:, at].astype(np.float64) for at in range(flat.shape[1])})
        if not set(self.columns) <= part.columns.keys():
            named = not all(name.isdecimal() for name in part.columns)
            if named or len(part.columns) != len(self.columns):
                lacking = [name for name in self.columns if name not in part.columns]
                what = f"lacks {some(lacking)}" if named else f"has {len(part.columns)} columns without names"
                raise DataError(
                    f"{part.where} {what}: the {len(self.columns)} inputs are {some(self.columns)}, in this order"
                )
            part = Table(part.where, dict(zip(self.columns, part.columns.values(), strict=True)))
        part.check(self.columns)
        return part

    def matrix(self, part: Part) -> tuple[NDArray[Any], list[str]]:
        """Samples as numbers, NaN where there is no value, and the names of the features or channels."""
        if isinstance(part, Arrays):
            return part.inputs, [str(at) for at in range(part.inputs.shape[1])]
        columns: list[NDArray[Any]] = []
        features: list[str] = []
        for name in self.columns:
            values = part.columns[name]
            if name not in self.categories:
                columns.append(numeric(part.where, name, values))
                features.append(name)
                continue
            values, known = texts(values), self.categories[name]
            for row, value in enumerate(values):
                if value is not None and value not in known:
                    raise DataError(
                        f"{part.where} has {shown(value)} in column {shown(name)}, row {row + 1:,}: "
                        f"known are {some(known)}"
                    )
            columns += [(values == one).astype(np.float64) for one in known]
            features += [f"{name}={one}" for one in known]
        return np.stack(columns, axis=1), features


def unlike(part: Part, matrix: NDArray[Any], shape: tuple[int, ...]) -> DataError:
    """The error for samples of other sizes than the shape of the images that they are to be."""
    return DataError(
        f"{part.where} has {prod(matrix.shape[1:]):,} numbers a row, and the shape {'×'.join(map(str, shape))} takes "
        f"{prod(shape):,}"
    )


def gaps(part: Part, columns: Sequence[str]) -> tuple[NDArray[np.bool_], list[str]]:
    """Where values are missing, (rows, columns), and the names of these columns."""
    if isinstance(part, Arrays):
        names = [str(at) for at in range(part.inputs.shape[1])]
        if part.inputs.dtype.kind != "f":
            return np.zeros((len(part), 1), bool), names
        return np.isnan(part.inputs).reshape(len(part), len(names), -1).any(2), names
    found = np.zeros((len(part), len(columns)), bool)
    for at, name in enumerate(columns):
        values = part.columns[name]
        found[:, at] = [value is None for value in values] if values.dtype == object else np.isnan(values)
    return found, list(columns)


def as_arrays(part: Part) -> Arrays:
    """Arrays with an axis of channels; of a table, its columns as features."""
    if isinstance(part, Table):
        part.check(part.columns)
        columns = [numeric(part.where, name, values) for name, values in part.columns.items()]
        return Arrays(part.where, np.stack(columns, axis=1), None)
    inputs = part.inputs[:, None] if part.inputs.ndim == 3 else part.inputs
    if inputs.ndim not in (2, 4) or not inputs.size or inputs.dtype.kind not in "biuf":
        raise DataError(
            f"{part.where} is {inputs.dtype} of shape {part.inputs.shape}: give at least one sample of numbers, as "
            "(n, features), (n, height, width) or (n, channels, height, width)"
        )
    targets = part.targets
    if targets is not None and (targets.ndim not in (1, 2) or len(targets) != len(inputs)):
        raise DataError(
            f"the targets of {part.where} have the shape {targets.shape}: give one number or text for each of its "
            f"{len(inputs):,} samples, or several numbers"
        )
    return replace(part, inputs=inputs)


def some(names: Sequence[str], most: int = _SHOWN) -> str:
    """The first of some names."""
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(shown(name, 40) for name in names[:most]) + more
