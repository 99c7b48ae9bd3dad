"""The two file formats of the classic image sets: IDX and CIFAR-10's binary batches."""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from ..memory import check_memory
from ..text import regular_file

CIFAR_RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes row by row
_IDX_UINT8 = b"\x00\x00\x08"
_MOST_AXES = 32  # of an array of NumPy 1
_GZIP = b"\x1f\x8b"
_PIECE = 2**20  # bytes
KNOWN = (
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    (b"<!doctype", "a web page, not the data that it was to give"),
    (b"<html", "a web page, not the data that it was to give"),
    (b"<?xml", "a web page, not the data that it was to give"),
)


def read_idx(path: str | Path, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, plain or gzipped (a name that ends in .gz).

    IDX: two zero bytes, the element type (8: unsigned byte), the number of dimensions, each dimension as a
    big-endian 32-bit number, then the elements in C order (Y. LeCun, the MNIST page).

    Raises:
        DataError: if the file is missing, truncated, too long, of another type, or not of `shape`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    most = None if shape is None else math.prod(shape) + _PIECE
    data = content(Path(path), most)
    if data[:3] != _IDX_UINT8 or len(data) < 4:
        raise malformed(path, f"the first bytes {data[:4].hex(' ')}", "IDX of unsigned bytes: 00 00 08 and a rank")
    rank = data[3]
    if rank > _MOST_AXES:
        raise malformed(path, f"{rank} dimensions", f"at most {_MOST_AXES}")
    start = 4 + 4 * rank
    if len(data) < start:
        raise malformed(path, f"{len(data)} bytes", f"a header of {start}")
    found = tuple(np.frombuffer(data, ">u4", rank, offset=4).tolist())
    if shape is not None and found != shape:
        raise malformed(path, f"dimensions {found} (magic number {0x800 + rank})", f"{shape} ({0x800 + len(shape)})")
    if 0 in found:  # NumPy refuses some of them
        raise malformed(path, f"dimensions {found}", "data")
    if len(data) != start + math.prod(found):
        raise malformed(path, f"{len(data)} bytes", f"{start + math.prod(found)} for dimensions {found}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(found).copy()


def read_cifar(path: str | Path, records: int | None = None) -> NDArray[np.uint8]:
    """The records of a CIFAR-10 binary batch: (n, 3073) uint8, a label and then the planes R, G, B of 32×32.

    The format is that of A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, and its web
    page.

    Raises:
        DataError: if the file is missing or empty, or does not have `records` whole records.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "batch.bin")
    ...     _ = path.write_bytes(bytes(2 * CIFAR_RECORD))
    ...     read_cifar(path).shape
    (2, 3073)
    """
    data = content(Path(path), None if records is None else records * CIFAR_RECORD + _PIECE)
    if len(data) % CIFAR_RECORD:
        raise malformed(path, f"{len(data)} bytes", f"whole records of {CIFAR_RECORD}")
    if records is not None and len(data) != records * CIFAR_RECORD:
        raise malformed(path, f"{len(data) // CIFAR_RECORD} records", f"{records}")
    return np.frombuffer(data, np.uint8).reshape(-1, CIFAR_RECORD).copy()


def images_and_labels(
    contents: list[NDArray[np.uint8]], shape: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The images and the labels of a part: the contents of its two files, or parts of its CIFAR records.

    Args:
        contents: of the files, as `read_idx` or `read_cifar` gives them.
        shape: of an image in such a record.
    """
    if contents[0].ndim != 2:
        images, labels = contents
        return images, labels
    images = np.concatenate([records[:, 1:] for records in contents])
    return images.reshape(-1, *shape), np.concatenate([records[:, 0] for records in contents])


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


def content(path: Path, most: int | None = None) -> bytes:
    """All bytes of a regular file, decompressed if gzip made them; never none.

    DataError if it cannot be read, if there are more than `most`, or more than memory can hold.
    """
    try:
        with unpacked(path) as file:
            found = _at_most(file, path, most)
    except UsageError as error:
        raise malformed(path, f"no readable file ({str(error).rpartition(f'{path}: ')[2]})", "one") from None
    except (EOFError, zlib.error, OSError) as error:
        raise malformed(path, f"a broken gzip stream ({error})", "a complete one") from None
    if not found:
        raise malformed(path, "an empty file", "data")
    for start, kind in KNOWN:
        if found[:64].lstrip().lower().startswith(start):
            raise malformed(path, kind, "data")
    return found


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A regular file to read from, through gzip if that made it."""
    with regular_file(path, "data from") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        with gzip.open(file) if packed else nullcontext(file) as stream:
            yield cast(IO[bytes], stream)


def _at_most(file: IO[bytes], path: Path, most: int | None) -> bytes:
    """What is in a file, read piece by piece; DataError if there is more than `most`, or than memory holds."""
    parts, count = [], 0
    while part := file.read(_PIECE):
        parts.append(part)
        count += len(part)
        if most is not None and count > most:
            raise malformed(path, f"more than {most:,} bytes", f"at most {most:,}")
        check_memory(f"what is in {path}", 2 * count, "give another file")
    return b"".join(parts)
