"""The two file formats of the classic image sets: IDX and CIFAR-10's binary batches."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

CIFAR_RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes row by row
_IDX_UINT8 = b"\x00\x00\x08"


def read_idx(path: str | Path, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, plain or gzipped (a name that ends in .gz).

    IDX: two zero bytes, the element type (8: unsigned byte), the number of dimensions, each dimension as a
    big-endian 32-bit number, then the elements in C order (Y. LeCun, the MNIST page).

    Raises DataError if the file is missing, truncated, too long, of another type, or not of `shape`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    content = _content(Path(path))
    if content[:3] != _IDX_UINT8 or len(content) < 4:
        raise malformed(path, f"the first bytes {content[:4].hex(' ')}", "IDX of unsigned bytes: 00 00 08 and a rank")
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise malformed(path, f"{len(content)} bytes", f"a header of {start}")
    found = tuple(np.frombuffer(content, ">u4", rank, offset=4).tolist())
    if shape is not None and found != shape:
        raise malformed(path, f"dimensions {found} (magic number {0x800 + rank})", f"{shape} ({0x800 + len(shape)})")
    if len(content) != start + math.prod(found):
        raise malformed(path, f"{len(content)} bytes", f"{start + math.prod(found)} for dimensions {found}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(found).copy()


def read_cifar(path: str | Path, records: int | None = None) -> NDArray[np.uint8]:
    """The records of a CIFAR-10 binary batch: (n, 3073) uint8, a label and then the planes R, G, B of 32×32.

    Raises DataError if the file is missing, empty, or not of `records` whole records.
    (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, and its web page.)

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "batch.bin")
    ...     _ = path.write_bytes(bytes(2 * CIFAR_RECORD))
    ...     read_cifar(path).shape
    (2, 3073)
    """
    content = _content(Path(path))
    if len(content) % CIFAR_RECORD:
        raise malformed(path, f"{len(content)} bytes", f"whole records of {CIFAR_RECORD}")
    if records is not None and len(content) != records * CIFAR_RECORD:
        raise malformed(path, f"{len(content) // CIFAR_RECORD} records", f"{records}")
    return np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD).copy()


def check_labels(path: str | Path, labels: NDArray[Any], classes: int) -> None:
    """Raise DataError unless every label is below `classes`.

    >>> check_labels("labels", np.array([0, 11]), classes=10)
    Traceback (most recent call last):
    asapnb.errors.DataError: labels: found label 11 (sample 1), expected 0..9
    """
    where = int(labels.argmax())
    if labels[where] >= classes:
        raise malformed(path, f"label {labels[where]} (sample {where})", f"0..{classes - 1}")


def malformed(path: str | Path, found: str, expected: str) -> DataError:
    """The error for a file that is not what it should be."""
    return DataError(f"{path}: found {found}, expected {expected}")


def _content(path: Path) -> bytes:
    """All bytes of the file, decompressed; never none."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise malformed(path, f"a broken gzip stream ({error})", "a complete one") from None
    except OSError as error:
        raise malformed(path, f"no readable file ({error.strerror})", "one") from None
    if not content:
        raise malformed(path, "an empty file", "data")
    return content
