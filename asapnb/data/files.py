"""Files and folders of one's own: read by what they are, and made into the two splits of a data set."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, shown
from . import arrays, folders
from .columnar import read_columnar
from .delimited import read_delimited
from .fitting import fitted
from .images import images_in, is_image, read_images
from .labels import labels_of
from .options import SUFFIXES, Options, found, kind_of
from .preparation import Part, Preparation
from .table import Arrays, Table

Reader = Callable[[Path, Options], tuple[Part, Part | None]]
READERS: dict[str, Reader] = {  # of the kinds of files in `options.KINDS`: the training part, and a test part
    "delimited": lambda path, options: (read_delimited(path, options.header), None),
    "columnar": lambda path, options: (read_columnar(path), None),
    "npz": arrays.read_npz,
    "npy": arrays.read_npy,
}


@dataclass(frozen=True, eq=False)
class Splits:
    """What a file holds, ready for a `Dataset`: inputs (n, …) and labels of two splits.

    `classes` is None for targets that are numbers.
    """

    train_inputs: NDArray[Any]
    train_labels: NDArray[Any]
    test_inputs: NDArray[Any]
    test_labels: NDArray[Any]
    classes: tuple[str, ...] | None
    preparation: Preparation


def read_splits(path: str, options: Options) -> Splits:
    """The splits in a file or folder, prepared as the options say; DataError for what cannot be used."""
    train, test = read_parts(found(path), options)
    if isinstance(options.test, str):
        test, own = read_parts(found(options.test, path), options)
        test = own if own is not None else test
    return splits(train, test, options)


def splits(train: Part, test: Part | None, options: Options) -> Splits:
    """The splits of a training part, and of a test part unless that is to be drawn."""
    _check_used(train, options)
    preparation, train, test = fitted(train, test, options)
    train_labels, test_labels, classes = labels_of(train, test, preparation.targets, options)
    inputs = preparation.inputs(train), preparation.inputs(test)
    return Splits(inputs[0], train_labels, inputs[1], test_labels, classes, preparation)


def _check_used(train: Part, options: Options) -> None:
    """UsageError for an option that means nothing to such data."""
    unused: tuple[str, ...] = ("size",)
    if isinstance(train, Arrays):
        unused = ("one_hot", "drop", "header", *(("target", "inputs", "regression") if train.classes else ()))
    for name in unused:
        if value := getattr(options, name):
            what = "a table" if isinstance(train, Table) else "classes of its own" if train.classes else "arrays"
            raise UsageError(f"{name} is {shown(value)}, which means nothing to {train.where}, {what}: leave it out")


def read_parts(path: Path, options: Options) -> tuple[Part, Part | None]:
    """The training part in a file or folder, or all of it, and its test part if it has one."""
    if os.path.isdir(path):
        parts = folders.parts_of(path, options)
        train, test = (read_parts(part, options)[0] if isinstance(part, Path) else part for part in parts)
        assert train is not None
        return train, test
    kind = kind_of(path)
    if kind is None:
        raise DataError(
            f"{path} is of no kind that is known, or not there: give a file in {', '.join(SUFFIXES)}, or a folder"
        )
    return READERS[kind](path, options)


def read_inputs(path: str, options: Options, preparation: Preparation, shape: tuple[int, ...]) -> NDArray[Any]:
    """The inputs in a file or folder, to predict: those of its test part, if it has one; targets are ignored.

    Args:
        path: of the file.
        options: of reading.
        preparation: that of the training.
        shape: of one sample, (channels, height, width), to which images are made.
    """
    place = found(path)
    if options.size is None and preparation.size is not None:
        options = replace(options, size=preparation.size)
    files = images_in(place) if os.path.isdir(place) else [place] if is_image(path) else []
    if files:
        images = read_images(str(place), files, options.pixels, shape[0])
        return preparation.inputs(Arrays(str(place), images, None))
    if kind_of(place) in ("npz", "npy"):
        part: Part = arrays.inputs_of(place, options)
    else:
        train, test = read_parts(place, options)
        part = train if test is None else test
    if isinstance(part, Arrays):
        part = Arrays(part.where, formed(part.inputs, shape), None)
    return preparation.inputs(part)


def formed(inputs: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Samples in the shape of those of the training, if they have as many numbers; grey ones as coloured ones."""
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    if inputs.ndim == 4 and inputs.shape[1] == 1 and shape[0] == 3:
        inputs = np.repeat(inputs, 3, axis=1)
    same = inputs.ndim > 1 and len(inputs) and prod(inputs.shape[1:]) == prod(shape)
    return inputs.reshape(len(inputs), *shape) if same else inputs
