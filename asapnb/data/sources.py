"""The data sets known by name: what they are, and how their files are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .formats import CIFAR_RECORD

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
