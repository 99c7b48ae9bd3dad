"""Folders of images, one folder for each class, by pillow."""

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..extras import optional
from ..memory import check_memory
from ..text import regular_file
from .table import Arrays

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_GREY = ("1", "L", "LA")
_DEEP = ("I", "F")  # and I;16 and others: more than a byte for each pixel


def is_image(name: str) -> bool:
    """Whether a file is called as an image is."""
    return name.lower().endswith(_SUFFIXES)


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder, by name."""
    return [folder / name for name in names_in(folder) if is_image(name)]


def class_folders(folder: Path) -> list[str]:
    """The names of the folders within that hold images."""
    return [name for name in names_in(folder) if (folder / name).is_dir() and images_in(folder / name)]


def names_in(folder: Path) -> list[str]:
    """What is in a folder, by name, but for what is hidden; DataError if it cannot be read."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from None


def read_classes(folder: Path, classes: tuple[str, ...], size: tuple[int, int] | None) -> Arrays:
    """The images in the folders of these classes, with the number of the class of each."""
    files = [(file, label) for label, name in enumerate(classes) for file in images_in(folder / name)]
    images = read_images(str(folder), [file for file, _ in files], size)
    return Arrays(str(folder), images, np.array([label for _, label in files]), classes)


def read_images(
    where: str, files: list[Path], size: tuple[int, int] | None, channels: int | None = None
) -> NDArray[np.uint8]:
    """Images as bytes, (n, channels, height, width).

    Args:
        where: the images are, for messages.
        files: at least one.
        size: (height, width) to which they are scaled; None if they have one size.
        channels: 1 or 3; None for three if one of them has colours.

    Raises:
        DataError: for a file that is no image or has another size.
        MissingExtraError: without pillow.
    """
    first = _read(files[0], size, channels)
    if channels is None and len(first) == 1 and any(_has_colours(file) for file in files):
        first = _read(files[0], size, 3)
    check_memory(f"the images in {where}", 2 * first.size * len(files), "take fewer, or a smaller size")
    images = np.empty((len(files), *first.shape), np.uint8)
    for i, file in enumerate(files):
        image = _read(file, size, len(first))
        if image.shape != first.shape:
            raise DataError(
                f"{file} has {image.shape[1]} × {image.shape[2]} pixels, and {files[0]} has "
                f"{first.shape[1]} × {first.shape[2]}: scale them with size=, as in size={min(first.shape[1:])}"
            )
        images[i] = image
    return images


def _has_colours(file: Path) -> bool:
    with _opened(file) as image:
        return image.mode not in _GREY


def _read(file: Path, size: tuple[int, int] | None, channels: int | None) -> NDArray[np.uint8]:
    """One image, (channels, height, width)."""
    with _opened(file) as image:
        if image.mode.startswith(_DEEP):
            raise DataError(f"{file} has more than 8 bits a pixel (mode {image.mode}): save it with 8 bits")
        try:
            with warnings.catch_warnings(action="ignore"):
                grey = channels == 1 if channels else image.mode in _GREY
                plain = image.convert("L" if grey else "RGB")
                if size is not None:
                    plain = plain.resize((size[1], size[0]))
        except Exception as error:  # a decoder may raise anything
            raise DataError(f"{file}: found {type(error).__name__} ({error!s:.200}), expected an image") from None
        array = np.asarray(plain, np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """An image file, opened by pillow without its plug-ins for rare formats."""
    pillow = optional("PIL.Image", "data", f"reading {file}")
    with ExitStack() as held:
        try:
            with warnings.catch_warnings(action="error"):  # of an image that claims to be huge
                image = pillow.open(held.enter_context(regular_file(file, "the image")), formats=_FORMATS)
        except Exception as error:
            raise DataError(f"{file}: found {type(error).__name__} ({error!s:.200}), expected an image") from None
        yield image
