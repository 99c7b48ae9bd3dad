"""The data sets known by name: what they are, where their files are looked for, how they are read."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..numbers import choice
from ..places import cache_folder
from .dataset import Dataset, Split
from .formats import CIFAR_RECORD, check_labels, malformed, read_idx
from .layouts import KERAS, candidates

EMBEDDED = Path(__file__).parent / "embedded" / "fashion-mnist-mini.xz"
DEBIAN = Path("/usr/share/datasets")  # where Debian's dataset-* packages put theirs

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Source:
    """A known data set.

    Attributes:
        name: what `load_dataset` takes.
        shape: of one sample, (channels, height, width).
        counts: of training and of test samples.
        classes: the names of the labels 0, 1, …
        folders: the names of the folders it may be in; the first is that of a download.
        files: of each split, with the shape of their content: (n, 28, 28) images and (n,) labels in IDX, or (n, 3073)
            records in CIFAR's batches. The embedded set has none. `candidates` knows their other names.
        labels_sha256: of the training labels as bytes. Some sets have files of the same names and shapes.
        mirrors: addresses that serve all of `downloads`.
        downloads: the files to fetch, with the SHA-256 of each.
    """

    name: str
    shape: tuple[int, int, int]
    counts: tuple[int, int]
    classes: tuple[str, ...]
    folders: tuple[str, ...] = ()
    files: tuple[Mapping[str, tuple[int, ...]], ...] = ()
    labels_sha256: str = ""
    mirrors: tuple[str, ...] = ()
    downloads: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_files(self) -> dict[str, tuple[int, ...]]:
        """The files of both splits."""
        return {file: shape for split in self.files for file, shape in split.items()}

    @property
    def archive(self) -> str | None:
        """The download that holds all files, if there is one."""
        return next((remote for remote in self.downloads if remote.endswith(".tar.gz")), None)


_IDX = tuple(
    {f"{prefix}-images-idx3-ubyte": (count, 28, 28), f"{prefix}-labels-idx1-ubyte": (count,)}
    for prefix, count in (("train", 60_000), ("t10k", 10_000))
)


def _like_mnist(
    name: str,
    others: tuple[str, ...],
    classes: tuple[str, ...],
    labels_sha256: str,
    mirrors: tuple[str, ...],
    sums: tuple[str, ...],
) -> Source:
    """A data set in files like those of MNIST; `sums` are SHA-256 of the gzipped ones, in the order of `_IDX`."""
    gzipped = [f"{file}.gz" for split in _IDX for file in split]
    downloads = dict(zip(gzipped, sums, strict=True))
    folders = (name, *others, *(f"{other}/raw" for other in others))
    return Source(name, (1, 28, 28), (60_000, 10_000), classes, folders, _IDX, labels_sha256, mirrors, downloads)


SOURCES = {
    source.name: source
    for source in (
        Source("fashion-mnist-mini", (1, 28, 28), (5_000, 1_000), CLOTHES),
        _like_mnist(
            "fashion-mnist",
            ("FashionMNIST", "fashion_mnist", "fashion"),
            CLOTHES,
            "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
        _like_mnist(
            "mnist",
            ("MNIST",),
            DIGITS,
            "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        Source(
            "cifar10",
            (3, 32, 32),
            (50_000, 10_000),
            THINGS,
            folders=("cifar-10-batches-bin", "cifar10", "cifar-10-batches-py", "CIFAR10"),
            files=(
                {f"data_batch_{i}.bin": (10_000, CIFAR_RECORD) for i in range(1, 6)},
                {"test_batch.bin": (10_000, CIFAR_RECORD)},
            ),
            labels_sha256="2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
            mirrors=(
                "https://www.cs.toronto.edu/~kriz/",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
            ),
            downloads={
                "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            },
        ),
    )
}


@dataclass(frozen=True)
class Availability:
    """Whether a known data set is here.

    Attributes:
        name: what `load_dataset` takes.
        path: where it was found; None if it was not.
        shape: of one sample, (channels, height, width).
        train: how many training samples it has.
        test: how many test samples.
        classes: the names of the labels 0, 1, …
    """

    name: str
    path: Path | None
    shape: tuple[int, int, int]
    train: int
    test: int
    classes: tuple[str, ...]


def load_dataset(name: str, root: str | Path | None = None) -> Dataset:
    """A data set by name: fashion-mnist-mini (embedded), fashion-mnist, mnist or cifar10.

    With `root`, it is looked for there only: in the folder itself, and in the one for this set within. Otherwise the
    places are $ASAPNB_DATA, asapnb's cache, where `download` puts files, /usr/share/datasets and ~/.keras/datasets.
    Files have their canonical names or those that torchvision, Keras and Kaggle give them; IDX may be gzipped. Of
    several files for one purpose, the first that is whole is read. Of a pickle no code is run.

    Raises UsageError for an unknown name; DataError if files are missing or are not what they should be.

    >>> data = load_dataset("fashion-mnist-mini")
    >>> data.train.raw.shape, data.train.inputs.dtype, data.classes[9]
    ((5000, 1, 28, 28), dtype('float32'), 'Ankle boot')
    """
    source = find_source(name)
    return read(source, locate(source, root))


def available(root: str | Path | None = None) -> list[Availability]:
    """Every known data set, and where `load_dataset` would find it. No file is read.

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
    return SOURCES[choice("data set", name, SOURCES)]


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
    folders += places(root) if root is not None else []
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
    if contents[0].ndim == 2:
        images = np.concatenate([records[:, 1:] for records in contents])
        labels = np.concatenate([records[:, 0] for records in contents])
    else:
        images, labels = contents
    return Split(images.reshape(-1, *source.shape), labels.astype(np.int64))
