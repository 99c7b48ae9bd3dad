"""Folders of data: of MNIST-like files, of training and test files, of arrays, and of images by class."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from . import arrays
from .formats import images_and_labels, read_idx
from .images import class_folders, names_in, read_classes
from .layouts import candidates
from .options import SUFFIXES, Options
from .preparation import Part
from .sources import SOURCES, Source
from .table import Arrays

_PARTS = (
    ("train", "test"),
    ("training", "testing"),
    ("train", "val"),
    ("training", "validation"),
    ("train", "valid"),
)
_EXPECTED = (
    "files in the formats of MNIST or CIFAR-10, train.csv and test.csv (or .npz, .parquet, …), X.npy and y.npy, or "
    "images in a folder for each class; or name one of its files"
)


def parts_of(folder: Path, options: Options) -> tuple[Part | Path, Part | Path | None]:
    """The training and the test part in a folder, if it has one: read, or the files that hold them."""
    if (classic := classic_in(folder)) is not None:
        return _classic(*classic)
    names = names_in(folder)
    for train, test in _PARTS:
        pair = [_file(folder, names, part) for part in (train, test)]
        if pair[0] and pair[1]:
            return pair[0], pair[1]
        if train in names and test in names and (classes := class_folders(folder / train)):
            within = class_folders(folder / test)
            if within and not set(within) <= set(classes):
                raise DataError(
                    f"{folder / test} has the classes {', '.join(within)}, and {folder / train} has "
                    f"{', '.join(classes)}"
                )
            read = [read_classes(folder / part, tuple(classes), options.pixels) for part in (train, test)]
            return read[0], read[1]
    files = [folder / name for name in names if name.lower().endswith(".npy")]
    if files:
        return arrays.read_folder(folder, files, options)
    if classes := class_folders(folder):
        return read_classes(folder, tuple(classes), options.pixels), None
    raise DataError(f"{folder} holds {', '.join(names[:20]) or 'nothing'}: expected {_EXPECTED}")


def classic_in(folder: Path) -> tuple[Source, Path] | None:
    """The known data set whose files, or others of their names, are in a folder or where others put them within."""
    found: dict[Path, Source] = {}
    for source in SOURCES.values():
        for name in (".", "raw", *source.folders):
            if source.files and all(candidates(folder / name, file) for file in source.all_files):
                found.setdefault(folder / name, source)
                break
    if len(found) > 1:
        raise DataError(f"{folder} holds several data sets: name one of {', '.join(map(str, found))}")
    return next(((source, place) for place, source in found.items()), None)


def _classic(source: Source, folder: Path) -> tuple[Arrays, Arrays]:
    """The parts in files that are called like those of a known data set, whatever is in them."""
    read = []
    for files in source.files:
        contents = [_content(folder, file, shape) for file, shape in files.items()]
        read.append(images_and_labels(contents, source.shape))
    classes = max(int(labels.max()) for _, labels in read) + 1
    name = _known(read[0][1])
    names = SOURCES[name].classes if name else tuple(map(str, range(classes)))
    train, test = (Arrays(str(folder), inputs, labels.astype(np.int64), names) for inputs, labels in read)
    return train, test


def _known(labels: NDArray[np.uint8]) -> str | None:
    """The data set that has these training labels, byte for byte."""
    sha256 = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()
    return next((name for name, source in SOURCES.items() if source.labels_sha256 == sha256), None)


def _content(folder: Path, file: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The content of a file under one of its names; IDX may have another shape than the known data set."""
    failures = []
    for path, reader in candidates(folder, file).items():
        try:
            return read_idx(path) if reader is read_idx else reader(path, shape)
        except DataError as error:
            failures.append(str(error))
    raise DataError("; ".join(failures))


def _file(folder: Path, names: list[str], part: str) -> Path | None:
    """The file of a part, such as train.csv; None if there is none."""
    found = [name for name in names if name.lower() in {f"{part}{suffix}" for suffix in SUFFIXES}]
    if len(found) > 1:
        raise DataError(f"{folder} holds {', '.join(found)}: leave one of them there, or name the file")
    return folder / found[0] if found else None
