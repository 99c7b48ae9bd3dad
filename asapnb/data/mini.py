"""The embedded set: 5,000 training and 1,000 test images of Fashion-MNIST (Zalando SE, MIT licence).

`embedded/fashion-mnist-mini.xz` decompresses to four runs of bytes: training images, training labels, test images,
test labels. Images stand column by column: clothes are upright, so that order compresses 5 % better than rows.
experiments/make_fashion_mnist_mini.py makes it.
"""

import lzma
from collections.abc import Iterable

import numpy as np

from .dataset import Split

SIDE = 28


def pack(splits: Iterable[Split]) -> bytes:
    """The splits as the bytes of the file; the inverse of `unpack`.

    >>> split = Split(np.arange(784 * 2).astype(np.uint8).reshape(2, 1, 28, 28), np.array([1, 0]))
    >>> [copy] = unpack(pack([split]), [2])
    >>> np.array_equal(copy.raw, split.raw), copy.labels.tolist()
    (True, [1, 0])
    """
    parts = [part for split in splits for part in (split.raw.swapaxes(2, 3), split.labels.astype(np.uint8))]
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
    return lzma.compress(b"".join(part.tobytes() for part in parts), filters=filters)


def unpack(file: bytes, counts: Iterable[int]) -> list[Split]:
    """The splits in the bytes of a file, `counts` samples in each."""
    sizes = [size for count in counts for size in (count * SIDE * SIDE, count)]
    content = np.frombuffer(lzma.decompress(file), np.uint8)
    parts = np.split(content, np.cumsum(sizes[:-1]))
    return [
        Split(np.ascontiguousarray(images.reshape(-1, 1, SIDE, SIDE).swapaxes(2, 3)), labels.astype(np.int64))
        for images, labels in zip(parts[::2], parts[1::2], strict=True)
    ]
