"""The preparation of samples that options ask for, fitted to a training part."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, shown
from .options import Options, listed
from .preparation import Part, Preparation, as_arrays, gaps, some, unlike
from .table import Arrays, Table, are_pixels, is_text, place_of, texts

_MOST_CATEGORIES = 1000  # of a column


def fitted(train: Part, test: Part | None, options: Options) -> tuple[Preparation, Part, Part]:
    """The preparation that the options ask for, with the training and the test part that it is fitted to.

    Where there is no test part, it is drawn from the other. Rows without a value are left out if the options say so.
    """
    found = _chosen(train, test, options) if isinstance(train, Table) else Preparation(missing=options.missing)
    found = replace(found, size=options.pixels, shape=options.form)
    parts = [
        _without_gaps(as_arrays(part) if not found.columns else part, found)
        for part in (train, test)
        if part is not None
    ]
    if test is None:
        rows = np.random.default_rng(options.seed).permutation(len(parts[0]))
        count = max(1, round(len(rows) * float(options.test)))
        if count >= len(rows):
            raise DataError(
                f"{train.where} has {len(rows)} rows, too few to set some apart to test on: give more, or a test file"
            )
        parts = [parts[0].rows(np.sort(rows[count:])), parts[0].rows(np.sort(rows[:count]))]
    if found.shape:
        found = _drawn(found, parts, options)
    if options.standardize or options.missing == "mean":
        found = _measured(found, parts[0], options)
    return found, parts[0], parts[1]


def _drawn(found: Preparation, parts: Sequence[Part], options: Options) -> Preparation:
    """The preparation of rows that are images, if they have as many numbers."""
    matrices = [found.matrix(found.matched(part))[0] for part in parts]
    for part, matrix in zip(parts, matrices, strict=True):
        if prod(matrix.shape[1:]) != prod(found.shape):
            raise unlike(part, matrix, found.shape)
    return replace(found, pixels=not options.standardize and all(map(are_pixels, matrices)))


def _chosen(train: Table, test: Part | None, options: Options) -> Preparation:
    """The columns of a table, by the options, and the values of those of text."""
    if options.target is None:
        raise DataError(
            f"{train.where} does not say what to predict: name the column, as in "
            f"{options.text(train.where).partition('(')[0]}(target={list(train.columns)[-1]!r}); "
            f"its columns are {some(list(train.columns), 30)}"
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
                    f"column {shown(name)} of {train.where} holds texts, such as {some(sorted(values), 3)}: make "
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
        raise DataError(f"{part.where} lacks columns {some(absent)}, which the training part has")
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


def _target_gaps(part: Arrays) -> tuple[NDArray[np.bool_], list[str]]:
    if part.targets is None or part.targets.dtype.kind != "f":
        return np.zeros((len(part), 1), bool), ["target"]
    flat = np.isnan(part.targets).reshape(len(part.targets), -1)
    return flat, [f"target {at}" for at in range(flat.shape[1])]


def _measured(found: Preparation, train: Part, options: Options) -> Preparation:
    """The preparation with means and deviations of the training part, rounded to float32 so that they are the same on
    every machine."""
    matrix, features = found.matrix(train)
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
