"""The other names under which data files stand, as torchvision, Keras, Kaggle and browsers leave them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .foreign import read_npz, read_pickled
from .formats import read_cifar, read_idx

Reader = Callable[[Path, tuple[int, ...]], NDArray[np.uint8]]
KERAS = "~/.keras/datasets"
_MEMBERS = {  # of Keras's mnist.npz
    "train-images-idx3-ubyte": "x_train",
    "train-labels-idx1-ubyte": "y_train",
    "t10k-images-idx3-ubyte": "x_test",
    "t10k-labels-idx1-ubyte": "y_test",
}


def candidates(folder: Path, file: str) -> dict[Path, Reader]:
    """What may hold the content of a data file, in order: each path that exists, with its reader.

    IDX may be gzipped, have a dot before its "idx", or stand in a folder of its own name, as Kaggle's does; or all of
    MNIST is in Keras's mnist.npz. Batches of CIFAR-10 may be pickled.

    Args:
        folder: where to look.
        file: the canonical name.
    """
    stem, binary, _ = file.partition(".bin")
    found: dict[Path, Reader]
    if binary:
        found = {
            folder / file: lambda path, shape: read_cifar(path, shape[0]),
            folder / stem: lambda path, shape: read_pickled(path, shape[0]),
        }
    else:
        found = {}
        for name in (file, file.replace("-idx", ".idx")):
            found |= dict.fromkeys((folder / name, folder / f"{name}.gz", folder / name / name), read_idx)
        if member := _MEMBERS.get(file):
            found[folder / "mnist.npz"] = lambda path, shape: read_npz(path, member, shape)
    return {path: read for path, read in found.items() if os.path.lexists(path) and not (path / path.name).is_file()}
