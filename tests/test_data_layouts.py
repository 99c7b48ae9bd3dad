"""Data under the names that others give it, and what stands in the place of data: found, or an error says why."""

import gzip
import io
import os
import pickle
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from asapnb.data import load_dataset
from asapnb.data.catalogue import SOURCES, available, locate, read
from asapnb.data.foreign import read_pickled
from asapnb.data.formats import CIFAR_RECORD, read_cifar, read_idx
from asapnb.errors import DataError

RNG = np.random.default_rng(3)
NAMES = list(SOURCES["mnist"].all_files)
SMALL = replace(
    SOURCES["mnist"],
    counts=(9, 3),
    files=({NAMES[0]: (9, 28, 28), NAMES[1]: (9,)}, {NAMES[2]: (3, 28, 28), NAMES[3]: (3,)}),
    labels_sha256="",
)
ARRAYS = {name: RNG.integers(0, 10, shape).astype(np.uint8) for name, shape in SMALL.all_files.items()}
CIFAR = replace(
    SOURCES["cifar10"],
    counts=(4, 2),
    files=({"data_batch_1.bin": (4, CIFAR_RECORD)}, {"test_batch.bin": (2, CIFAR_RECORD)}),
    labels_sha256="",
)


def idx(array):
    return bytes([0, 0, 8, array.ndim, *np.array(array.shape, ">u4").tobytes()]) + array.tobytes()


def put(folder, named, pack=lambda content: content):
    """The small MNIST with each file under the name that `named` makes."""
    for name, array in ARRAYS.items():
        path = folder / named(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack(idx(array)))


LAYOUTS = {
    "torchvision": ("MNIST/raw", lambda name: name, lambda content: content),
    "torchvision, gzipped": ("MNIST/raw", lambda name: f"{name}.gz", gzip.compress),
    "torchvision, its folder": ("raw", lambda name: name, lambda content: content),
    "dots": ("mnist", lambda name: name.replace("-idx", ".idx"), lambda content: content),
    "dots, gzipped": ("mnist", lambda name: name.replace("-idx", ".idx") + ".gz", gzip.compress),
    "kaggle": (".", lambda name: f"{name}/{name}", lambda content: content),
    "kaggle, dots": (".", lambda name: "{0}/{0}".format(name.replace("-idx", ".idx")), lambda content: content),
    "unpacked by a browser": ("mnist", lambda name: f"{name}.gz", lambda content: content),
    "packed without a suffix": ("mnist", lambda name: name, gzip.compress),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mnist_is_found_under_other_names(tmp_path, layout):
    folder, named, pack = LAYOUTS[layout]
    put(tmp_path / folder, named, pack)
    data = read(SMALL, locate(SMALL, tmp_path))
    assert np.array_equal(data.train.raw[:, 0], ARRAYS[NAMES[0]])
    assert np.array_equal(data.test.labels, ARRAYS[NAMES[3]])


def test_keras_keeps_mnist_in_one_file_in_its_own_folder(tmp_path, monkeypatch):
    keras = tmp_path / ".keras/datasets"
    keras.mkdir(parents=True)
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez_compressed(keras / "mnist.npz", **dict(zip(names, ARRAYS.values(), strict=True)))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ASAPNB_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("ASAPNB_CACHE", str(tmp_path / "cache"))
    data = read(SMALL, locate(SMALL, None))
    assert np.array_equal(data.test.raw[:, 0], ARRAYS[NAMES[2]])
    for content, says in (
        (b"", "an empty file"),
        (b"PK\3\4", "BadZipFile"),
        ({"x_train": np.zeros((9, 28, 28), object)}, r"object of shape \(9, 28, 28\)"),  # a pickle, which is not read
        ({"x_train": np.zeros((9, 28, 27), np.uint8)}, r"uint8 of shape \(9, 28, 27\)"),
        ({"y_train": np.zeros(9, np.uint8)}, "KeyError"),
    ):
        if isinstance(content, bytes):
            (keras / "mnist.npz").write_bytes(content)
        else:
            np.savez(keras / "mnist.npz", allow_pickle=True, **content)
        with pytest.raises(DataError, match=rf"mnist\.npz: found {says}"):
            read(SMALL, keras)


class Python2(pickle._Pickler):
    """Writes texts and bytes alike, as Python 2 did."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012 (as its base has it)

    def save_text(self, text):
        content = text if isinstance(text, bytes) else text.encode()
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_text


def batch(pixels, labels):
    """A batch as CIFAR-10's authors pickled it, in Python 2 with protocol 2."""
    out = io.BytesIO()
    Python2(out, 2).dump({"batch_label": "one", "labels": labels.tolist(), "data": pixels, "filenames": ["a.png"]})
    return out.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def test_pickled_batches_of_cifar_are_read_without_running_anything(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels, labels = RNG.integers(0, 256, (6, 3072)).astype(np.uint8), np.arange(6)
    (folder / "data_batch_1").write_bytes(batch(pixels[:4], labels[:4]))
    (folder / "test_batch").write_bytes(batch(pixels[4:], labels[4:]))
    data = read(CIFAR, locate(CIFAR, tmp_path))
    assert np.array_equal(data.train.raw.reshape(4, -1), pixels[:4])
    assert np.array_equal(data.test.labels, labels[4:])


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


PICKLES = {
    "a command": (lambda: pickle.dumps(Evil(os.system, "touch ran")), "posix.system, which no batch needs"),
    "a file": (lambda: pickle.dumps(Evil(open, "ran", "w")), "io.open, which no batch needs"),
    "eval": (lambda: pickle.dumps(Evil(eval, "open('ran', 'w')")), "builtins.eval"),
    "an attribute of numpy": (lambda: b"cnumpy\nsave\n(S'ran'\nI1\ntR.", "numpy.save"),
    "a dotted name": (lambda: b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.", "numpy.ndarray.dump"),
    "an array of objects": (lambda: batch(np.full((1, 3072), None), np.zeros(1, int)), "TypeError"),
    "another shape": (lambda: batch(np.zeros((3072, 1), np.uint8), np.zeros(1, int)), "ValueError|shape"),
    "by columns": (lambda: batch(np.zeros((3072, 1), np.uint8).T, np.zeros(2, int)), "Error|shape"),
    "a label of 300": (lambda: batch(np.zeros((1, 3072), np.uint8), np.array([300])), "OverflowError"),
    "a huge place in the memo": (lambda: b"Nr\xff\xff\xff\x7f.", "TypeError"),  # 34 GB for the reader written in C
    "a huge array": (lambda: b"cnumpy\nndarray\n(I1000000000000000\ntR.", "TypeError"),
    "a huge text": (lambda: b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "Error"),
    "cut": (lambda: batch(np.zeros((1, 3072), np.uint8), np.zeros(1, int))[:2000], "Error"),
    "no pickle": (lambda: b"\x93NUMPY", "Error"),
    "a list": (lambda: pickle.dumps([1]), "TypeError"),
    "nested": (lambda: b"(" * 10**5 + b"l" * 10**5 + b".", "Error"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_other_pickles_are_refused_and_run_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make, says = PICKLES[name]
    (tmp_path / "data_batch_1").write_bytes(make())
    with pytest.raises(DataError, match=rf"data_batch_1: found .*({says})"):
        read_pickled(tmp_path / "data_batch_1", 1)
    assert os.listdir() == ["data_batch_1"]


PAGE = b"\n<!DOCTYPE html><html><body>403 Forbidden</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"
GOOD = idx(ARRAYS[NAMES[0]])
BOMB = gzip.compress(GOOD + bytes(2**26))
WRONG = {
    "half of it": (GOOD[: len(GOOD) // 2], r"\d+ bytes, expected"),
    "nothing": (b"", "an empty file"),
    "a page": (PAGE, "a web page"),
    "a packed page": (gzip.compress(PAGE), "a web page"),
    "a pointer": (POINTER, "a pointer of Git LFS: .*git lfs pull"),
    "a stream cut in the middle": (gzip.compress(GOOD)[:300], "a broken gzip stream"),
    "a stream with garbage": (gzip.compress(GOOD)[:-8] + b"12345678", "a broken gzip stream"),
    "a bomb": (BOMB, "more than .* bytes"),
    "too many axes": (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", "255 dimensions"),
    "2^62 entries": (b"\0\0\x08\2\x7f\xff\xff\xff\x7f\xff\xff\xff", "dimensions"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_data_is_named_and_a_good_file_beside_it_is_used(tmp_path, name):
    content, says = WRONG[name]
    put(tmp_path, lambda name: name)
    (tmp_path / NAMES[0]).write_bytes(content)
    with pytest.raises(DataError, match=rf"{NAMES[0]}: found {says}.*asapnb data get mnist"):
        read(SMALL, tmp_path)
    (tmp_path / f"{NAMES[0]}.gz").write_bytes(PAGE)
    with pytest.raises(DataError, match=rf"{NAMES[0]}: found {says}.*{NAMES[0]}\.gz: found a web page.*Delete them"):
        read(SMALL, tmp_path)
    (tmp_path / f"{NAMES[0]}.gz").write_bytes(gzip.compress(GOOD))
    assert np.array_equal(read(SMALL, tmp_path).train.raw[:, 0], ARRAYS[NAMES[0]])


def test_what_is_no_file_is_named_and_a_good_file_beside_it_is_used(tmp_path):
    put(tmp_path, lambda name: name)
    path = tmp_path / NAMES[0]
    for make, says in (
        (path.mkdir, "Is a directory"),
        (lambda: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda: path.symlink_to("nowhere"), "No such file"),
        (lambda: os.mkfifo(path), "no regular file"),
        (lambda: path.symlink_to("/dev/zero"), "no regular file"),
    ):
        path.rmdir() if path.is_dir() else path.unlink()
        make()
        with pytest.raises(DataError, match=rf"{NAMES[0]}: found no readable file \(.*{says}"):
            read(SMALL, tmp_path)
        (tmp_path / f"{NAMES[0]}.gz").write_bytes(gzip.compress(GOOD))
        assert len(read(SMALL, tmp_path).train) == 9
        (tmp_path / f"{NAMES[0]}.gz").unlink()


def test_small_files_that_claim_much_are_refused_without_memory(tmp_path):
    for name, content in {
        "idx": b"\0\0\x08\2\x7f\xff\xff\xff\x7f\xff\xff\xff",
        "axes": b"\0\0\x08\x41" + b"\0\0\0\1" * 65 + b"x",
        "bomb.gz": BOMB,
    }.items():
        (tmp_path / name).write_bytes(content)
        tracemalloc.start()
        with pytest.raises(DataError):
            read_idx(tmp_path / name, (9, 28, 28))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**24
    with pytest.raises(DataError, match="dimensions"):
        read_idx(tmp_path / "idx")
    with pytest.raises(DataError, match="at most 32"):
        read_idx(tmp_path / "axes")
    with pytest.raises(DataError, match=r"more than .* bytes"):
        read_cifar(tmp_path / "bomb.gz", 2)


def test_the_error_lists_what_was_looked_for_and_where(tmp_path):
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", tmp_path)
    for part in (*NAMES, tmp_path / "mnist", tmp_path / "MNIST/raw", "also under their other usual names"):
        assert str(part) in str(caught.value)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "cifar-10-batches-py"))):
        load_dataset("cifar10", tmp_path)
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    (tmp_path / "MNIST/raw" / NAMES[0]).write_bytes(GOOD)
    with pytest.raises(DataError, match=f"MNIST/raw lacks {NAMES[1]}"):
        load_dataset("mnist", tmp_path)
    assert not any(entry.path for entry in available(tmp_path) if entry.name != "fashion-mnist-mini")


def test_a_half_file_of_a_killed_download_is_not_believed(tmp_path):
    put(tmp_path / "mnist", lambda name: name)
    (tmp_path / "mnist" / NAMES[1]).unlink()
    scratch = tmp_path / "mnist/.download-abc"
    scratch.mkdir()
    (scratch / f"{NAMES[1]}.gz").write_bytes(gzip.compress(idx(ARRAYS[NAMES[1]]))[:20])
    with pytest.raises(DataError, match=f"lacks {NAMES[1]}"):
        locate(SMALL, tmp_path)


def test_random_bytes_are_read_or_refused(tmp_path):
    path = tmp_path / NAMES[0]
    for i in range(300):
        changed = bytearray((GOOD, gzip.compress(GOOD), batch(ARRAYS[NAMES[0]].reshape(9, -1), np.arange(9)))[i % 3])
        for place in RNG.integers(0, min(len(changed), 200), 5):
            changed[place] = RNG.integers(0, 256)
        path.write_bytes(changed)
        for reader, most in ((read_idx, (9, 28, 28)), (read_pickled, 9), (read_cifar, 9)):
            try:
                reader(path, most)
            except DataError as error:
                assert str(path) in str(error)  # noqa: PT017 (most are read or refused, as chance wills)
