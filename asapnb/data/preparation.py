"""How samples become inputs: columns, categories, means and deviations, fitted once and kept in the run file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, shown
from .options import Options, listed
from .table import Arrays, Table, are_pixels, is_text, numeric, place_of, texts

_SHOWN = 10  # names in a message
_MOST_CATEGORIES = 1000  # of a column
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
        part = self._matched(part)
        self.check(part)
        matrix, features = self._matrix(part)
        form = (len(matrix), *(self.shape or matrix.shape[1:]))
        if prod(form) != matrix.size:
            raise _unlike(part, matrix, self.shape)
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

    def _matched(self, part: Part) -> Part:
        """The samples with the columns that are needed, by name; or by place where there are no names."""
        if not self.columns:
            return _as_arrays(part)
        if isinstance(part, Arrays):
            flat = _as_arrays(part).inputs.reshape(len(part), -1)
            part = Table(part.where, {str(at): flat[:, at].astype(np.float64) for at in range(flat.shape[1])})
        if not set(self.columns) <= part.columns.keys():
            named = not all(name.isdecimal() for name in part.columns)
            if named or len(part.columns) != len(self.columns):
                lacking = [name for name in self.columns if name not in part.columns]
                what = f"lacks {_some(lacking)}" if named else f"has {len(part.columns)} columns without names"
                raise DataError(
                    f"{part.where} {what}: the {len(self.columns)} inputs are {_some(self.columns)}, in this order"
                )
            part = Table(part.where, dict(zip(self.columns, part.columns.values(), strict=True)))
        part.check(self.columns)
        return part

    def _matrix(self, part: Part) -> tuple[NDArray[Any], list[str]]:
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
                        f"known are {_some(known)}"
                    )
            columns += [(values == one).astype(np.float64) for one in known]
            features += [f"{name}={one}" for one in known]
        return np.stack(columns, axis=1), features


def fitted(train: Part, test: Part | None, options: Options) -> tuple[Preparation, Part, Part]:
    """The preparation that the options ask for, with the training and the test part that it is fitted to.

    Where there is no test part, it is drawn from the other. Rows without a value are left out if the options say so.
    """
    found = _chosen(train, test, options) if isinstance(train, Table) else Preparation(missing=options.missing)
    found = replace(found, size=options.pixels, shape=options.form)
    parts = [
        _without_gaps(_as_arrays(part) if not found.columns else part, found)
        for part in (train, test)
        if part is not None
    ]
    if test is None:
        rows = np.random.default_rng(options.seed).permutation(len(parts[0]))
        count = max(1, round(len(rows) * float(options.test)))
        if count >= len(rows):
            raise DataError(f"{train.where} has {len(rows)} rows, too few to set some apart to test on")
        parts = [parts[0].rows(np.sort(rows[count:])), parts[0].rows(np.sort(rows[:count]))]
    if found.shape:
        found = _drawn(found, parts, options)
    if options.standardize or options.missing == "mean":
        found = _measured(found, parts[0], options)
    return found, parts[0], parts[1]


def _drawn(found: Preparation, parts: Sequence[Part], options: Options) -> Preparation:
    """The preparation of rows that are images, if they have as many numbers."""
    matrices = [found._matrix(found._matched(part))[0] for part in parts]
    for part, matrix in zip(parts, matrices, strict=True):
        if prod(matrix.shape[1:]) != prod(found.shape):
            raise _unlike(part, matrix, found.shape)
    return replace(found, pixels=not options.standardize and all(map(are_pixels, matrices)))


def _unlike(part: Part, matrix: NDArray[Any], shape: tuple[int, ...]) -> DataError:
    return DataError(
        f"{part.where} has {prod(matrix.shape[1:]):,} numbers a row, and the shape {'×'.join(map(str, shape))} takes "
        f"{prod(shape):,}"
    )


def _chosen(train: Table, test: Part | None, options: Options) -> Preparation:
    """The columns of a table, by the options, and the values of those of text."""
    if options.target is None:
        raise DataError(
            f"{train.where} does not say what to predict: name the column, as in "
            f"{options.text(train.where).partition('(')[0]}(target={list(train.columns)[-1]!r}); "
            f"its columns are {_some(list(train.columns), 30)}"
        )
    targets = [train.name(column, "target") for column in listed(options.target)]
    dropped = [train.name(column, "drop") for column in listed(options.drop)]
    inputs = [train.name(column, "inputs") for column in listed(options.inputs)] or list(train.columns)
    for what, names in (("target", targets), ("inputs", inputs)):
        if len(set(names)) < len(names):
            raise UsageError(f"{what} names a column of {train.where} twice: name each once")
    columns = [name for name in inputs if name not in (*targets, *dropped)]
    if not columns:
        raise DataError(f"{train.where} has no column of inputs besides the target and what is dropped")
    train.check((*columns, *targets))
    categories = {}
    for name in columns:
        parts = [part for part in (train, test) if isinstance(part, Table) and name in part.columns]
        if any(is_text(part.columns[name]) for part in parts):
            values = {value for part in parts for value in texts(part.columns[name]) if value is not None}
            if not options.one_hot:
                raise DataError(
                    f"column {shown(name)} of {train.where} holds texts, such as {_some(sorted(values), 3)}: make "
                    "columns of 0 and 1 of them with one_hot=True, or leave it out with drop="
                )
            if len(values) > _MOST_CATEGORIES:
                raise DataError(
                    f"column {shown(name)} of {train.where} has {len(values):,} different texts, and at most "
                    f"{_MOST_CATEGORIES:,} become columns: leave it out with drop="
                )
            categories[name] = tuple(sorted(values))
    return Preparation(tuple(columns), tuple(targets), categories, options.missing)


def _without_gaps(part: Part, found: Preparation) -> Part:
    """The part without rows that lack a value, if they are to be dropped; else as it is, but no target may lack."""
    columns = (*found.columns, *found.targets)
    if isinstance(part, Table):
        part.check(columns)
    if isinstance(part, Table) and (absent := [name for name in columns if name not in part.columns]):
        raise DataError(f"{part.where} lacks columns {_some(absent)}, which the training part has")
    bad, _ = gaps(part, columns)
    targets, names = gaps(part, found.targets) if isinstance(part, Table) else _target_gaps(part)
    if found.missing == "drop":
        kept: NDArray[np.bool_] = ~np.logical_or(bad.any(1), targets.any(1))
        if not kept.any():
            raise DataError(f"{part.where} has no row in which no value is missing")
        return part if kept.all() else _with_integers(part.rows(kept), found.targets, targets.any(0))
    if targets.any():
        raise DataError(
            f"{part.where} has no target in {place_of(targets, names)}: fill it in, or leave such rows out with "
            "missing='drop'"
        )
    found.check(part)
    return part


def _with_integers(part: Part, names: Sequence[str], lacked: Any) -> Part:
    """Targets that lacked values, and are whole numbers, as the integers that they were before they had gaps."""
    if isinstance(part, Arrays):
        return part
    columns = dict(part.columns)
    for name, gap in zip(names, lacked, strict=True):
        values = columns[name]
        if gap and values.dtype.kind == "f" and (values == np.round(values)).all() and np.abs(values).max() < 2**53:
            columns[name] = values.astype(np.int64)
    return replace(part, columns=columns)


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


def _target_gaps(part: Arrays) -> tuple[NDArray[np.bool_], list[str]]:
    if part.targets is None or part.targets.dtype.kind != "f":
        return np.zeros((len(part), 1), bool), ["target"]
    flat = np.isnan(part.targets).reshape(len(part.targets), -1)
    return flat, [f"target {at}" for at in range(flat.shape[1])]


def _measured(found: Preparation, train: Part, options: Options) -> Preparation:
    """The preparation with means and deviations of the training part, rounded to float32 so that they are the same on
    every machine."""
    matrix, features = found._matrix(train)
    counted = [at for at, name in enumerate(features) if "=" not in name or name in found.columns]
    numbers = matrix.astype(np.float64).swapaxes(0, 1).reshape(matrix.shape[1], -1)
    known = ~np.isnan(numbers)
    for at in counted:
        if not known[at].any():
            raise DataError(f"{train.where} has no value at all in column {shown(features[at])}: leave it out, drop=")
    mean = {features[at]: _rounded(numbers[at][known[at]].mean()) for at in counted}
    if options.missing == "mean":
        found = replace(found, fill=mean)
    if not options.standardize:
        return found
    deviation = {}
    for at in counted:
        values = np.where(known[at], numbers[at], mean[features[at]]) if found.fill else numbers[at]
        deviation[features[at]] = _rounded(values.std()) or 1.0  # a column that is constant becomes 0
    return replace(found, mean=mean, deviation=deviation)


def _rounded(value: Any) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _as_arrays(part: Part) -> Arrays:
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


def _some(names: Sequence[str], most: int = _SHOWN) -> str:
    """The first of some names."""
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(shown(name, 40) for name in names[:most]) + more
