"""Data as other software stores it: pickled batches of CIFAR-10, and Keras's .npz. No code in them is run."""

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .formats import CIFAR_RECORD, content, malformed

_SLACK = 2_000_000  # bytes of a batch besides its pixels: labels and names of files


class _Bare:
    """In place of NumPy's classes and functions in a pickle: keeps what it is given, and does nothing with it."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reader(pickle._Unpickler):  # in Python: what it allocates, it has read
    """Reads arrays, and whatever needs no code; anything else is refused."""

    _ALLOWED = (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
                ("numpy", "ndarray"), ("numpy", "dtype"))  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        return _Bare


def read_pickled(path: str | Path, records: int) -> NDArray[np.uint8]:
    """The records of a pickled CIFAR-10 batch, such as data_batch_1, as `read_cifar` gives those of a binary one.

    Raises DataError if it is none.
    """
    packed = content(Path(path), records * CIFAR_RECORD + _SLACK)
    try:
        table = _Reader(io.BytesIO(packed), encoding="bytes").load()
        (_, shape, dtype, by_columns, pixels), labels = table[b"data"].state, table[b"labels"]
        fits = shape == (records, CIFAR_RECORD - 1) and dtype.arguments[0] in (b"u1", "u1") and not by_columns
        rows = np.frombuffer(pixels, np.uint8).reshape(shape)
        found = np.concatenate([np.array(labels, np.uint8).reshape(-1, 1), rows], axis=1)
    except Exception as error:  # a pickle may raise anything
        raise malformed(path, f"{type(error).__name__}: {error!s:.200}", "a batch of CIFAR-10") from None
    if not fits:
        raise malformed(path, f"an array of shape {shape!s:.80}", f"bytes of shape {records, CIFAR_RECORD - 1}")
    return found


def read_npz(path: str | Path, member: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of bytes in an .npz file, such as x_train; DataError if there is none of this shape."""
    expected = f"an array {member} of bytes of shape {shape}"
    try:
        with (
            zipfile.ZipFile(io.BytesIO(content(Path(path), 2**30))) as archive,
            archive.open(f"{member}.npy") as file,
        ):
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            found, by_columns, dtype = read(file)
            if (found, by_columns, dtype) == (shape, False, np.dtype(np.uint8)):
                return np.frombuffer(file.read(int(np.prod(shape))), np.uint8).reshape(shape).copy()
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, zlib.error, RuntimeError) as error:
        raise malformed(path, f"{type(error).__name__}: {error!s:.200}", expected) from None
    raise malformed(path, f"{dtype} of shape {found!s:.80}", expected)
