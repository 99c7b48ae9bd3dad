"""The data sets known by name: where their files are looked for, and how they are read."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from ..numbers import choice
from ..places import cache_folder
from .dataset import Dataset, Split
from .formats import check_labels, images_and_labels, malformed, read_idx
from .layouts import KERAS, candidates
from .options import is_file, parsed
from .recorded import RecordedData, find
from .sources import SOURCES, Source

EMBEDDED = Path(__file__).parent / "embedded" / "fashion-mnist-mini.xz"
DEBIAN = Path("/usr/share/datasets")  # where Debian's dataset-* packages put theirs


@dataclass(frozen=True)
class Availability:
    """Whether a known data set is on this machine.

    Attributes:
        name: what `load_dataset` takes.
        path: where it was found; None if it was not.
        shape: of one sample, (channels, height, width).
        train: the number of training samples.
        test: the number of test samples.
        classes: the names of the labels 0, 1, …
    """

    name: str
    path: Path | None
    shape: tuple[int, int, int]
    train: int
    test: int
    classes: tuple[str, ...]


def load_dataset(name: str | os.PathLike[str], root: str | Path | None = None) -> Dataset:
    """Load a data set by name, or from a file or folder of your own.

    Files of a known data set have their canonical names, or the names that torchvision, Keras and Kaggle give them.
    IDX files may be gzipped. If several files could be meant, the first that is whole is read. No code in a pickle is
    run.

    Args:
        name: fashion-mnist-mini (embedded), fashion-mnist, mnist or cifar10; or the path of a file or folder, which
            may have options, as in "wine.csv(target='quality', test=0.2)" (see `Dataset.from_file`).
        root: the only place to look for a known data set: this folder, or the folder of the set within it. By default
            the places are $ASAPNB_DATA, the cache of asapnb, to which `download` writes, /usr/share/datasets and
            ~/.keras/datasets.

    Returns:
        The data set.

    Raises:
        UsageError: for an unknown name.
        DataError: if files are missing, or are not what they should be.

    >>> data = load_dataset("fashion-mnist-mini")
    >>> data.train.raw.shape, data.train.inputs.dtype, data.classes[9]
    ((5000, 1, 28, 28), dtype('float32'), 'Ankle boot')
    """
    if isinstance(name, RecordedData):
        return find(name, load_dataset)
    text = os.fspath(name)
    if text not in SOURCES and is_file(text):
        path, options = parsed(text if root is None else os.path.join(root, text))
        return Dataset.from_file(path, **vars(options))
    source = find_source(text)
    return read(source, locate(source, root))


def available(root: str | Path | None = None) -> list[Availability]:
    """List the known data sets, with the place where `load_dataset` would find each. No file is read.

    >>> [entry.name for entry in available() if entry.path == EMBEDDED]
    ['fashion-mnist-mini']
    """
    entries = []
    for source in SOURCES.values():
        try:
            path = locate(source, root)
        except DataError:
            path = None
        entries.append(Availability(source.name, path, source.shape, *source.counts, source.classes))
    return entries


def find_source(name: str) -> Source:
    """The known data set of this name, or UsageError."""
    try:
        return SOURCES[choice("data set", name, SOURCES)]
    except UsageError as error:
        raise UsageError(f"{error} For a file of your own give its path, as in ./{name}.csv(target='…')") from None


def places(root: str | Path | None) -> list[Path]:
    """The folders under which data sets are looked for, in order; the first is also where a download goes."""
    if root is not None:
        return [_expanded(root)]
    cache, chosen = cache_folder(), os.environ.get("ASAPNB_DATA")
    return [_expanded(place) for place in (chosen, cache and cache / "data", DEBIAN, KERAS) if place]


def _expanded(place: str | Path) -> Path:
    """The path, with the home folder for a leading ~; as it is if there is none."""
    return Path(os.path.expanduser(place))


def locate(source: Source, root: str | Path | None) -> Path:
    """The first folder that holds all files of a data set; DataError if there is none."""
    if not source.files:
        return EMBEDDED
    folders = [place / folder for place in places(root) for folder in source.folders]
    folders += [place / within for place in places(root) for within in (".", "raw") if root is not None]
    folders += [place for place in places(root)[-1:] if root is None and source.name == "mnist"]  # Keras's mnist.npz
    partial = ""
    for folder in folders:
        missing = [file for file in source.all_files if not candidates(folder, file)]
        if not missing:
            return folder
        if len(missing) < len(source.all_files):
            partial = partial or f"; {folder} lacks {', '.join(missing)}"
    raise DataError(
        f"data set {source.name!r} was not found: looked in {', '.join(map(str, folders))} for "
        f"{', '.join(source.all_files)}, also under their other usual names{partial}{_unreadable(folders)}. "
        f"Get it with `asapnb data get {source.name}`, or name the folder that holds {source.folders[0]}/ "
        "as root= or in $ASAPNB_DATA"
    )


def _unreadable(folders: Iterable[Path]) -> str:
    """Which of these exist but cannot be looked into."""
    closed = [str(folder) for folder in folders if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK)]
    return f"; {', '.join(closed)} cannot be read" if closed else ""


def read(source: Source, folder: Path) -> Dataset:
    """The data set whose files are in `folder`; DataError if one is not what it should be."""
    if not source.files:
        from .mini import unpack

        train, test = unpack(EMBEDDED.read_bytes(), source.counts)
    else:
        train, test = (_read_split(source, folder, files) for files in source.files)
        labels = hashlib.sha256(train.labels.astype(np.uint8).data).hexdigest()
        if source.labels_sha256 not in ("", labels):
            expected = f"those of {source.name}, {source.labels_sha256}; are these the files of another data set?"
            raise malformed(folder, f"training labels with SHA-256 {labels}", expected)
    return Dataset(source.name, train, test, source.classes)


def read_file(source: Source, folder: Path, file: str) -> NDArray[np.uint8]:
    """The content of one file, in the shape that the source states; DataError if no candidate has it."""
    shape, failures = source.all_files[file], []
    for path, reader in (candidates(folder, file) or {folder / file: read_idx}).items():
        try:
            content = reader(path, shape)
            if len(shape) < 3:
                check_labels(path, content.reshape(len(content), -1)[:, 0], len(source.classes))
            return content
        except DataError as error:
            failures.append(str(error))
    what = "Delete it" if len(failures) == 1 else "Delete them"
    raise DataError(f"{'; '.join(failures)}. {what} and get it anew: `asapnb data get {source.name}`")


def _read_split(source: Source, folder: Path, files: Iterable[str]) -> Split:
    contents = [read_file(source, folder, file) for file in files]
    images, labels = images_and_labels(contents, source.shape)
    return Split(images.reshape(-1, *source.shape), labels.astype(np.int64))
