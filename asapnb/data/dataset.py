"""A data set in memory: two splits of samples and labels, pixels held once as bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..markup import block, pairs
from ..numbers import choice
from .checked import PLAIN as PLAIN
from .checked import checked_classes, checked_split, coded, form, kind
from .files import Splits, read_splits, splits
from .frames import is_frame, table_in
from .options import Options
from .pixels import PIXEL_SCALE
from .preparation import Preparation


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Samples and their labels: the training or the test part of a data set.

    Attributes:
        raw: shape (n, channels, height, width), C-contiguous: uint8 pixels, or float32 inputs of your own.
        labels: one of three kinds. Classes: shape (n,), int64, from 0. Several labels a sample: shape (n, k), int64,
            1 where a label holds, else 0. Targets of a regression: shape (n,) or (n, k), float32.

    >>> split = Split(np.full((1, 1, 1, 2), 255, np.uint8), np.array([3]))
    >>> split, split.inputs
    (<Split: 1 samples, 1×1×2 uint8>, array([[[[1., 1.]]]], dtype=float32))
    """

    raw: NDArray[Any]
    labels: NDArray[Any]

    @property
    def inputs(self) -> NDArray[np.float32]:
        """The samples as float32, (n, channels, height, width), pixels in [0, 1]. Each access makes a new array."""
        return self.raw * PIXEL_SCALE if self.raw.dtype == np.uint8 else self.raw

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Split: {len(self)} samples, {form(self.raw)}>"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory.

    Attributes:
        name: what figures and run files call it.
        train: the samples to train on.
        test: the samples to test on, of the same shape and kind.
        classes: the names of the labels 0, 1, …, or of the k labels of a sample; empty for real targets.
        preparation: how rows of a file or frame became inputs: columns, means, deviations; else None.
        path: the full path of the file or folder; None if there is none.

    >>> from asapnb.data import load_dataset
    >>> load_dataset("fashion-mnist-mini")
    <Dataset fashion-mnist-mini: 5000 training and 1000 test samples, 1×28×28 uint8, 10 classes>
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    preparation: Preparation | None = None
    path: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a sample, (channels, height, width)."""
        channels, height, width = self.train.raw.shape[1:]
        return channels, height, width

    def sha256(self) -> str:
        """The SHA-256 of the data: raw and labels of `train`, then of `test`. It is computed once."""
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
            f"{form(self.train.raw)}, {self._labelled}>"
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
        """Make a data set of your own arrays. Arrays that already have their final form are not copied.

        Args:
            train_inputs: shape (n, height, width), (n, channels, height, width) or (n, features), which becomes
                (n, features, 1, 1). uint8 means pixels, and stays uint8. Floats, and the columns of a DataFrame,
                become float32.
            train_labels: one of three kinds. Classes: shape (n,), integers from 0, or texts, their names. Several
                labels a sample: shape (n, k), booleans, or integers 0 and 1. Targets of a regression: shape (n,) or
                (n, k), floats, which become float32.
            test_inputs: like `train_inputs`, with samples of the same shape and kind.
            test_labels: like `train_labels`.
            name: what figures and run files call the data set.
            classes: the names of the labels 0, 1, …, at least two, or of the k labels. None names them by their
                numbers. Real targets have no names.

        Returns:
            The data set.

        Raises:
            UsageError: for arrays of another form.

        >>> x, y = np.zeros((6, 4)), np.arange(6) % 3
        >>> Dataset.from_arrays(x, y, x[:3], y[:3], name="zeros")
        <Dataset zeros: 6 training and 3 test samples, 4×1×1 float32, 3 classes>
        >>> Dataset.from_arrays(x, y / 2, x[:3], y[:3] / 2)
        <Dataset custom: 6 training and 3 test samples, 4×1×1 float32, 1 target>
        """
        train_labels, test_labels, classes, named = coded(train_labels, test_labels, classes)
        train = Split(*checked_split("train", train_inputs, train_labels))
        test = Split(*checked_split("test", test_inputs, test_labels))
        if form(train.raw) != form(test.raw):
            raise UsageError(
                f"training and test inputs differ: {form(train.raw)} and {form(test.raw)} "
                "(channels×height×width); give both the same shape and kind"
            )
        if kind(train.labels) != kind(test.labels):
            raise UsageError(
                f"training and test labels differ: {kind(train.labels)} and {kind(test.labels)}; give both the "
                "same shape and kind"
            )
        names = checked_classes(train.labels, test.labels, classes)
        return cls(str(name), train, test, names, Preparation() if named else None)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], target: Any = None, **options: Any) -> Dataset:
        """Load a data set from a file of your own (CSV, TSV, Parquet, Feather, .npz, .npy) or from a folder.

        A folder may hold a folder of images for each class, `train.csv` and `test.csv` (or other files of these
        kinds), .npy arrays, or files in the formats of MNIST or CIFAR-10. Parquet, Feather and images need the extra
        `data`. See docs/how-to/data.md.

        Args:
            path: of the file or folder. ~ is the home folder.
            target: the column to predict, or several: by name, or by place from 0 (-1 is the last). Texts and
                integers become classes, in their order. Numbers with decimals stay numbers.
            options: the other fields of `asapnb.data.Options`: test (a fraction, or a second file), seed,
                standardize, one_hot, missing, inputs, drop, regression, header, size, shape.

        Returns:
            The data set.

        Raises:
            UsageError: for options that cannot be used.
            DataError: for content that cannot be used; it names row and column.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/flowers.csv"
        ...     with open(path, "w") as file:
        ...         _ = file.write("length,kind\\n" + "1.5,rose\\n2.5,lily\\n" * 5)
        ...     Dataset.from_file(path, target="kind", test=0.2, standardize=True).classes
        ('lily', 'rose')
        """
        path, chosen = os.fspath(path), _options(target=target, **options)
        return cls._of(read_splits(path, chosen), chosen.text(path), os.path.abspath(os.path.expanduser(path)))

    @classmethod
    def from_frame(cls, frame: Any, target: Any, *, test: Any = 0.2, name: str = "frame", **options: Any) -> Dataset:
        """Make a data set from a DataFrame of pandas or polars.

        Args:
            frame: the rows to train on, or all rows.
            target: the column to predict, by name or place, or several, as in `from_file`.
            test: the fraction of rows to test on, or a second frame.
            name: what figures and run files call the data.
            options: as in `from_file`.

        Returns:
            The data set.

        Raises:
            UsageError: for options that cannot be used.
            DataError: for content that cannot be used; it names row and column.
        """
        train, second = table_in(frame), table_in(test, "the test frame") if is_frame(test) else None
        chosen = _options(target=target, **({} if second else {"test": test}), **options)
        return cls._of(splits(train, second, chosen), name, None)

    @classmethod
    def _of(cls, found: Splits, name: str, path: str | None) -> Dataset:
        """The data set of these splits."""
        parts = found.train_inputs, found.train_labels, found.test_inputs, found.test_labels
        made = cls.from_arrays(*parts, name=name, classes=found.classes)
        return replace(made, preparation=found.preparation, path=path)


def _options(**given: Any) -> Options:
    """Options by name; UsageError for one that does not exist."""
    for name in given:
        choice("option of a data file", name, [one.name for one in fields(Options)])
    return Options(**given)
