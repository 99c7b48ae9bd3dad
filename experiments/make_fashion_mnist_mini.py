"""Make the embedded data set: the first 500 training and 100 test images of each class of Fashion-MNIST, in order.

    python experiments/make_fashion_mnist_mini.py [FILE]

Needs the full set (`asapnb data get fashion-mnist`). The same bytes every time (with the same liblzma).
"""

import sys
from pathlib import Path

import numpy as np

from asapnb.data import Split, load_dataset
from asapnb.data.catalogue import EMBEDDED
from asapnb.data.mini import pack


def first_of_each_class(split: Split, count: int) -> Split:
    """The first `count` samples of every class, in the order of the split."""
    chosen = [np.flatnonzero(split.labels == label)[:count] for label in range(10)]
    rows = np.sort(np.concatenate(chosen))
    return Split(split.raw[rows], split.labels[rows])


def make() -> bytes:
    """The content of the embedded file."""
    full = load_dataset("fashion-mnist")
    return pack([first_of_each_class(full.train, 500), first_of_each_class(full.test, 100)])


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else EMBEDDED).write_bytes(make())
