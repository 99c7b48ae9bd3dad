"""What is predicted, as labels: the numbers of classes, or numbers as they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .options import Options
from .preparation import Part
from .table import Arrays, is_text, numeric, texts

_FEW = 100  # so many classes are never doubted
_EXACT = 2.0**53


def labels_of(train: Part, test: Part, targets: tuple[str, ...], options: Options) -> tuple[Any, Any, Any]:
    """The labels of both parts and the names of the classes, or None for targets that are numbers.

    Texts and integers become classes, in the order of texts or numbers; what has decimals stays a number. Several
    targets of 0 and 1 stay as they are, in bytes.
    """
    known = train.classes if isinstance(train, Arrays) else None
    found = [_targets(part, targets, options.regression is True) for part in (train, test)]
    kinds = {array.dtype.kind for array in found}
    if (
        found[0].ndim != found[1].ndim
        or found[0].shape[1:] != found[1].shape[1:]
        or ("O" in kinds and len(kinds) > 1)
    ):
        raise DataError(
            f"the targets of {train.where} and {test.where} differ: {_form(found[0])} and {_form(found[1])}"
        )
    if known is not None:
        return found[0], found[1], known
    numbers = options.regression if options.regression is not None else "f" in kinds
    both = np.concatenate(found)
    if "O" in kinds:
        if options.regression or both.ndim > 1:
            raise DataError(f"the target of {train.where} holds texts, such as {shown(both.flat[0])}: give numbers")
    elif numbers:
        _check_finite(train.where, both)
        return found[0].astype(np.float32), found[1].astype(np.float32), None
    elif both.ndim > 1:
        if not np.isin(both, (0, 1)).all():
            raise DataError(f"the {both.shape[1]} targets of {train.where} are neither 0 and 1 nor numbers with "
                            "decimals: say regression=True if they are numbers")  # fmt: skip
        return found[0], found[1], targets or None
    else:
        _check_finite(train.where, both)
        if (both != np.round(both)).any() or np.abs(both).max() >= _EXACT:
            raise DataError(f"the target of {train.where} has values that are no classes: leave regression=False out")
        found = [array.astype(np.int64) for array in found]
    classes, places = np.unique(np.concatenate(found), return_inverse=True)
    if len(classes) > max(_FEW, len(both) // 5) and options.regression is None and "O" not in kinds:
        raise DataError(
            f"the target of {train.where} has {len(classes):,} different integers in {len(both):,} rows: say "
            "regression=True if they are numbers, or regression=False if they are classes"
        )
    if len(classes) < 2:
        raise DataError(
            f"the target of {train.where} is {shown(classes.tolist()[0])} everywhere: there is nothing to learn"
        )
    places = places.astype(np.int64)
    return places[: len(found[0])], places[len(found[0]) :], tuple(map(str, classes.tolist()))


def _targets(part: Part, names: tuple[str, ...], numbers: bool) -> NDArray[Any]:
    """The targets, (n,) or (n, several): int64, float64 or texts."""
    if isinstance(part, Arrays):
        if part.targets is None:
            raise DataError(f"{part.where} has no targets: name them, as in {part.where}(target='y.npy')")
        array = part.targets
        if array.dtype.kind not in "biufUS":
            raise DataError(f"the targets of {part.where} are {_form(array)}: give numbers or texts")
        array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        kinds = {"b": np.int64, "i": np.int64, "u": np.int64, "f": np.float64}
        if array.dtype.kind in kinds:
            return array.astype(kinds[array.dtype.kind])
        return array.astype(str).astype(object)
    columns = [part.columns[name] for name in names]
    if numbers or len(columns) > 1:
        truths = [column.dtype == object and not is_text(column) for column in columns]
        columns = [
            numeric(part.where, "", column).astype(np.int64) if truth else column
            for column, truth in zip(columns, truths, strict=True)
        ]
    if any(column.dtype == object for column in columns):
        columns = [texts(column) for column in columns]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _check_finite(where: str, values: NDArray[Any]) -> None:
    with np.errstate(over="ignore"):
        if not np.isfinite(values.astype(np.float32)).all():
            raise DataError(f"the targets of {where} hold values that float32 cannot hold: clean or rescale them")


def _form(array: NDArray[Any]) -> str:
    kind = "texts" if array.dtype == object else str(array.dtype)
    return f"{kind} of shape {array.shape}"
