"""Arrays as a data set holds them: their shapes, dtypes and ranges are checked, and plain ones are not copied."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError, shown, unknown
from .frames import is_frame, matrix_in
from .table import column, unmasked

_MOST_CLASSES = 2**20
PLAIN: Any = ("C", "A", "W", "E")  # compiled loops take contiguous, aligned, writable, plain arrays


def form(raw: NDArray[Any]) -> str:
    """One sample's shape and dtype, in words."""
    return f"{'×'.join(map(str, raw.shape[1:]))} {raw.dtype}"


def kind(labels: NDArray[Any]) -> str:
    """What is compared of the labels of two splits, in words."""
    word = "floats" if labels.dtype.kind == "f" else "integers"
    return f"{word}, {labels.shape[1] if labels.ndim == 2 else 'one'} for each sample"


def checked_classes(train: NDArray[Any], test: NDArray[Any], given: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the classes, or of the labels of a sample; UsageError if they do not fit the labels."""
    names = None if given is None else tuple(map(str, given))
    if train.dtype.kind == "f":
        if names:
            raise UsageError(f"classes are {shown(given)}, and the labels are real targets: these have no classes")
        return ()
    if train.ndim == 2:
        names = names or tuple(map(str, range(train.shape[1])))
        if len(names) != train.shape[1]:
            raise UsageError(
                f"there are {len(names)} classes, and {train.shape[1]} labels a sample: give a name for each"
            )
        return names
    top = int(max(train.max(), test.max()))
    if names is None and top >= _MOST_CLASSES:
        raise UsageError(
            f"the largest label is {top:,}, which would make {top + 1:,} classes: at most {_MOST_CLASSES:,}; "
            "number the classes 0, 1, … without gaps, as np.unique(labels, return_inverse=True) does"
        )
    names = tuple(map(str, range(top + 1))) if names is None else names
    if not max(top, 1) < len(names):
        raise UsageError(
            f"the largest label is {top} and there are {len(names)} classes; "
            f"labels lie in 0..classes-1, and there are at least two classes"
        )
    return names


def coded(
    train: ArrayLike, test: ArrayLike, given: Sequence[str] | None
) -> tuple[ArrayLike, ArrayLike, Sequence[str] | None, bool]:
    """Labels that are texts as the numbers of their classes: of those given, or of all that occur, in their order.

    Returns both labels, the names of the classes, and whether the labels were texts.

    >>> coded(["b", "a"], ["b"], None)
    (array([1, 0]), array([1]), ('a', 'b'), True)
    """
    found = [_column(labels) for labels in (train, test)]
    if not any(array.dtype == object for array in found):
        return found[0], found[1], given, False
    if not all(array.dtype == object for array in found):
        return train, test, given, False  # an error, that names the one
    if any(None in array for array in found):
        raise UsageError("a label is missing: leave its sample out")
    values = {value for array in found for value in array}
    names = tuple(map(str, given)) if given is not None else tuple(sorted(values))
    if strange := sorted(values - {*names}):
        raise unknown("label", strange[0], names)
    numbers = {name: number for number, name in enumerate(names)}
    first, second = (np.array([numbers[value] for value in array], np.int64) for array in found)
    return first, second, names, True


def _column(labels: ArrayLike) -> NDArray[Any]:
    """Labels as an array; those that are objects as texts or numbers."""
    if is_frame(labels) and labels.shape[1] == 1:  # type: ignore[union-attr]
        labels = labels[next(iter(labels.columns))]  # type: ignore[index, union-attr]
    array = unmasked(labels)
    return column("the labels", array) if array.dtype.kind in "OUST" and array.ndim == 1 else array


def checked_split(which: str, inputs: ArrayLike, labels: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Samples and labels in their final form; UsageError for what cannot have it."""
    if is_frame(inputs):
        inputs = matrix_in(inputs, f"the {which} inputs")
    raw, numbers = _inputs(which, unmasked(inputs)), _labels(which, unmasked(labels))
    if len(raw) != len(numbers):
        raise UsageError(f"{which} has {len(raw)} inputs and {len(numbers)} labels; give one label per input")
    return raw, numbers


def _inputs(which: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim not in (2, 3, 4) or array.size == 0:
        raise UsageError(
            f"{which} inputs have shape {array.shape}; give at least one sample as (n, features), "
            "(n, height, width) or (n, channels, height, width)"
        )
    if array.ndim == 2:
        array = array[:, :, None, None]
    elif array.ndim == 3:
        array = array[:, None]
    if array.dtype == np.uint8:
        return np.require(array, np.uint8, PLAIN)
    if array.dtype.kind != "f":
        raise UsageError(
            f"{which} inputs are {array.dtype}; give uint8 pixels (scaled to [0, 1]) or floats (used as they are)"
        )
    return _floats(f"{which} inputs", array)


def _labels(which: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf" or not array.size:
        raise UsageError(
            f"{which} labels are {array.dtype} of shape {array.shape}; give one integer per sample, shape (n,), "
            "integers 0 and 1 of shape (n, k) for samples that have several labels, or floats, the targets of a "
            "regression"
        )
    if array.dtype.kind == "f":
        return _floats(f"{which} targets", array)
    labels = np.require(array, np.int64, PLAIN)
    if labels.min() < 0:
        raise UsageError(f"{which} labels hold {labels.min()}; labels count from 0")
    if labels.ndim == 2 and labels.max() > 1:
        raise UsageError(
            f"{which} labels have the shape {labels.shape} and hold {labels.max()}; of several labels each holds, 1, "
            "or does not, 0; give classes as (n,), and the targets of a regression as floats"
        )
    return labels


def _floats(what: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Finite numbers as float32; UsageError for others."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf, and is reported below
        array = np.require(array, np.float32, PLAIN)
    if bad := int(array.size - np.count_nonzero(np.isfinite(array))):
        raise UsageError(f"{what} hold {bad} values that are not finite in float32; clean or rescale them")
    return array
