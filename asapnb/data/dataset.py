"""A data set in memory: two splits of samples and labels, pixels held once as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError, shown
from ..markup import block, pairs
from .pixels import PIXEL_SCALE

_MOST_CLASSES = 2**20
PLAIN: Any = ("C", "A", "W", "E")  # compiled loops take contiguous, aligned, writable, plain arrays


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Samples and their labels.

    * `raw`: (n, channels, height, width), C-contiguous; uint8 pixels, or float32 inputs of your own.
    * `labels`: (n,) int64, classes from 0; or (n, k) int64, 0 and 1: whether each of k labels holds; or float32
      targets, (n,) or (n, k).

    >>> split = Split(np.full((1, 1, 1, 2), 255, np.uint8), np.array([3]))
    >>> split, split.inputs
    (<Split: 1 samples, 1×1×2 uint8>, array([[[[1., 1.]]]], dtype=float32))
    """

    raw: NDArray[Any]
    labels: NDArray[Any]

    @property
    def inputs(self) -> NDArray[np.float32]:
        """The samples as float32 (n, channels, height, width): pixels in [0, 1], made anew at each access."""
        return self.raw * PIXEL_SCALE if self.raw.dtype == np.uint8 else self.raw

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Split: {len(self)} samples, {_form(self.raw)}>"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory.

    Attributes:
        name: what figures and run files call it.
        train: the samples to train on.
        test: the samples to test on, of the same shape and kind.
        classes: the names of the labels 0, 1, …, or of the k labels of a sample; empty if there are real targets.

    >>> from asapnb.data import load_dataset
    >>> load_dataset("fashion-mnist-mini")
    <Dataset fashion-mnist-mini: 5000 training and 1000 test samples, 1×28×28 uint8, 10 classes>
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """One sample's (channels, height, width)."""
        channels, height, width = self.train.raw.shape[1:]
        return channels, height, width

    def sha256(self) -> str:
        """Which data this is: SHA-256 over raw and labels (as held) of train, then of test; computed once."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(split.raw.data)
            digest.update(split.labels.data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        return (
            f"<Dataset {self.name}: {len(self.train)} training and {len(self.test)} test samples, "
            f"{_form(self.train.raw)}, {self._labelled}>"
        )

    def _repr_html_(self) -> str:
        return block(pairs([("classes", ", ".join(self.classes))]), title=repr(self))

    @property
    def _labelled(self) -> str:
        """What the labels are."""
        labels = self.train.labels
        if self.is_real:
            return "1 target" if labels.ndim == 1 else f"{labels.shape[1]} targets"
        return f"{len(self.classes)} {'classes' if labels.ndim == 1 else 'labels a sample'}"

    @property
    def is_real(self) -> bool:
        """Whether the labels are real targets, as for a regression."""
        return bool(self.train.labels.dtype.kind == "f")

    @classmethod
    def from_arrays(
        cls,
        train_inputs: ArrayLike,
        train_labels: ArrayLike,
        test_inputs: ArrayLike,
        test_labels: ArrayLike,
        name: str = "custom",
        classes: Sequence[str] | None = None,
    ) -> Dataset:
        """A data set of your own. Arrays that already have their final form are not copied.

        Args:
            train_inputs: (n, height, width), (n, channels, height, width), or (n, features), which becomes
                (n, features, 1, 1). Bytes (uint8) are pixels and stay bytes; floats become float32.
            train_labels: (n,), integers from 0: classes. Or (n, k), integers 0 and 1, or booleans: whether each of k
                labels holds. Or floats, (n,) or (n, k): the targets of a regression, which become float32.
            test_inputs: as `train_inputs`, with samples of the same shape and kind.
            test_labels: as `train_labels`.
            name: what figures and run files call it.
            classes: the names of the labels 0, 1, …, at least two, or of the k labels; None for their numbers. Real
                targets have none.

        Raises UsageError for anything else.

        >>> x, y = np.zeros((6, 4)), np.arange(6) % 3
        >>> Dataset.from_arrays(x, y, x[:3], y[:3], name="zeros")
        <Dataset zeros: 6 training and 3 test samples, 4×1×1 float32, 3 classes>
        >>> Dataset.from_arrays(x, y / 2, x[:3], y[:3] / 2)
        <Dataset custom: 6 training and 3 test samples, 4×1×1 float32, 1 target>
        """
        train = _split("train", train_inputs, train_labels)
        test = _split("test", test_inputs, test_labels)
        if _form(train.raw) != _form(test.raw):
            raise UsageError(
                f"training and test inputs differ: {_form(train.raw)} and {_form(test.raw)} "
                "(channels×height×width); give both the same shape and kind"
            )
        if _kind(train.labels) != _kind(test.labels):
            raise UsageError(
                f"training and test labels differ: {_kind(train.labels)} and {_kind(test.labels)}; give both the "
                "same shape and kind"
            )
        return cls(str(name), train, test, _classes(train.labels, test.labels, classes))


def _form(raw: NDArray[Any]) -> str:
    return f"{'×'.join(map(str, raw.shape[1:]))} {raw.dtype}"


def _kind(labels: NDArray[Any]) -> str:
    """What is compared of the labels of two splits, in words."""
    kind = "floats" if labels.dtype.kind == "f" else "integers"
    return f"{kind}, {labels.shape[1] if labels.ndim == 2 else 'one'} for each sample"


def _classes(train: NDArray[Any], test: NDArray[Any], given: Sequence[str] | None) -> tuple[str, ...]:
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


def _split(which: str, inputs: ArrayLike, labels: ArrayLike) -> Split:
    raw, numbers = _inputs(which, np.asarray(inputs)), _labels(which, np.asarray(labels))
    if len(raw) != len(numbers):
        raise UsageError(f"{which} has {len(raw)} inputs and {len(numbers)} labels; give one label per input")
    return Split(raw, numbers)


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
