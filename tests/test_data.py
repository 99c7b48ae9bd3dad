"""Data sets: what is read is what was written, and anything else is refused by name."""

import gzip
import hashlib
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from naive import cifar_bytes, first_of_each_class, idx_bytes

from asapnb.data import Availability, Dataset, available, catalogue, load_dataset
from asapnb.data.catalogue import EMBEDDED, SOURCES, Source
from asapnb.data.formats import read_cifar, read_idx
from asapnb.errors import DataError, UsageError

RNG = np.random.default_rng(7)
IMAGES, LABELS = RNG.integers(0, 256, (12, 3, 4)), np.arange(12) % 5
TINY = Source(
    "tiny",
    (1, 3, 4),
    (9, 3),
    tuple("abcde"),
    folders=("tiny-folder", "other-folder"),
    files=({"images": (9, 3, 4), "labels": (9,)}, {"t-images": (3, 3, 4), "t-labels": (3,)}),
)
FILES = {
    "images": idx_bytes(IMAGES[:9]),
    "labels": idx_bytes(LABELS[:9]),
    "t-images": idx_bytes(IMAGES[9:]),
    "t-labels": idx_bytes(LABELS[9:]),
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that knows only the tiny set, with no data anywhere; returns the places searched, in order."""
    monkeypatch.setattr(catalogue, "SOURCES", {"tiny": TINY})
    places = [tmp_path / name for name in ("chosen", "cache", "debian")]
    monkeypatch.setenv("ASAPNB_DATA", str(places[0]))
    monkeypatch.setenv("ASAPNB_CACHE", str(places[1]))
    monkeypatch.setattr(catalogue, "DEBIAN", places[2])
    return [places[0], places[1] / "data", places[2]]


def write(folder, **changes):
    """The tiny set's files, some changed; None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**FILES, **changes}.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


# --- formats -------------------------------------------------------------------------------------------------------


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, max_side=5)), st.data())
def test_idx_is_read_back_and_no_other_length_is(tmp_path_factory, array, data):
    folder = tmp_path_factory.getbasetemp()
    plain, zipped, content = folder / "a", folder / "a.gz", idx_bytes(array)
    plain.write_bytes(content)
    zipped.write_bytes(gzip.compress(content))
    for path in (plain, zipped):
        found = read_idx(path, array.shape)
        assert np.array_equal(found, array)
        assert found.flags.writeable
    for path in (plain, zipped):
        path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size - 1))])
    (folder / "long").write_bytes(content + b"\0")
    for path in (plain, zipped, folder / "long"):
        with pytest.raises(DataError, match=r"found .*, expected"):
            read_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"an empty file, expected data"),
        (b"\x1f\x8b\x08\x01", r"a broken gzip stream"),
        (b"\x1f\x8a\x08\x01", r"the first bytes 1f 8a 08 01, expected IDX of unsigned bytes: 00 00 08"),
        (b"\0\0\x0d\x01\0\0\0\0", r"the first bytes 00 00 0d 01"),
        (b"\0\0\x08", r"the first bytes 00 00 08"),
        (b"\0\0\x08\x03\0\0", r"6 bytes, expected a header of 16"),
        (idx_bytes(np.zeros(4)), r"dimensions \(4,\) \(magic number 2049\), expected \(2, 2\) \(2050\)"),
        (idx_bytes(np.zeros((2, 3))), r"dimensions \(2, 3\)"),
        (idx_bytes(np.zeros((2, 2)))[:-1], r"15 bytes, expected 16"),
        (bytes([0, 0, 8, 3]) + b"\0" * 4 + b"\xff" * 8, r"dimensions \(0, 4294967295, 4294967295\)"),
        (None, r"no readable file \(No such file"),
    ],
)
def test_what_is_not_idx_is_named(tmp_path, content, message):
    path = tmp_path / "some-file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"some-file: found {message}"):
        read_idx(path, (2, 2))


def test_cifar_records_hold_planes(tmp_path):
    images, labels = RNG.integers(0, 256, (4, 3, 32, 32)), [9, 0, 3, 1]
    source = replace(TINY, shape=(3, 32, 32), classes=tuple("0123456789"))
    source = replace(source, files=({"a.bin": (1, 3073), "b.bin": (2, 3073)}, {"c.bin": (1, 3073)}))
    for name, rows in {"a.bin": slice(0, 1), "b.bin": slice(1, 3), "c.bin": slice(3, 4)}.items():
        (tmp_path / name).write_bytes(cifar_bytes(images[rows], labels[rows]))
    data = catalogue.read(source, tmp_path)
    assert np.array_equal(data.train.raw, images[:3])
    assert np.array_equal(data.test.raw, images[3:])
    assert data.train.labels.tolist() == labels[:3]
    assert data.shape == (3, 32, 32)
    assert data.train.raw.flags.c_contiguous

    for content, message in {
        bytes(3072): r"c.bin: found 3072 bytes, expected whole records of 3073",
        bytes(2 * 3073): r"c.bin: found 2 records, expected 1",
        b"\x0a" + bytes(3072): r"c.bin: found label 10 \(sample 0\), expected 0..9",
    }.items():
        (tmp_path / "c.bin").write_bytes(content)
        with pytest.raises(DataError, match=message):
            catalogue.read(source, tmp_path)
    assert read_cifar(tmp_path / "c.bin").shape == (1, 3073)


# --- the search ---------------------------------------------------------------------------------------------------


def test_places_are_searched_in_order(machine, tmp_path):
    with pytest.raises(DataError, match=r"'tiny' was not found: looked in .*`asapnb data get tiny`") as error:
        load_dataset("tiny")
    assert all(str(place / folder) in str(error.value) for place in machine for folder in TINY.folders)

    for place in reversed(machine):
        for folder in reversed(TINY.folders):
            write(place / folder)
            assert available()[0].path == place / folder
    assert available() == [Availability("tiny", machine[0] / TINY.folders[0], (1, 3, 4), 9, 3, TINY.classes)]

    root = tmp_path / "root"
    with pytest.raises(DataError, match="looked in"):
        load_dataset("tiny", root)  # only there
    assert available(root)[0].path is None
    assert available(write(root))[0].path == root
    assert available(write(root / "other-folder").parent)[0].path == root / "other-folder"


def test_files_are_read_plain_and_gzipped(machine):
    folder = write(machine[1] / "tiny-folder", **{"images": None, "t-labels": None})
    with pytest.raises(DataError, match=r"tiny-folder lacks images, t-labels\."):
        load_dataset("tiny")
    write(folder, **{"images.gz": gzip.compress(FILES["images"]), "t-labels.gz": gzip.compress(FILES["t-labels"])})
    (folder / "images").unlink()
    (folder / "t-labels").unlink()
    data = load_dataset("tiny")
    assert np.array_equal(data.train.raw, IMAGES[:9, None])
    assert np.array_equal(data.test.raw, IMAGES[9:, None])
    assert data.train.raw.dtype == np.uint8
    assert data.train.labels.dtype == np.int64
    assert np.concatenate([data.train.labels, data.test.labels]).tolist() == LABELS.tolist()
    assert (data.name, data.classes, len(data.train), len(data.test)) == ("tiny", TINY.classes, 9, 3)


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_named_with_the_next_step(machine, name):
    for content in (b"", FILES[name][:-1], b"x" + FILES[name], idx_bytes(np.zeros((5, 3, 4)))):
        write(machine[0] / "tiny-folder", **{name: content})
        with pytest.raises(DataError, match=rf"/{name}: found .*, expected .*`asapnb data get tiny`"):
            load_dataset("tiny")
    if "labels" in name:
        write(machine[0] / "tiny-folder", **{name: FILES[name][:-1] + b"\x05"})
        with pytest.raises(DataError, match=rf"/{name}: found label 5 \(sample [28]\), expected 0..4"):
            load_dataset("tiny")


def test_files_of_another_set_are_refused(machine, monkeypatch):
    """MNIST and Fashion-MNIST have the same names, shapes and counts: only the content tells them apart."""
    write(machine[0] / "tiny-folder")
    right = hashlib.sha256(bytes(LABELS[:9].tolist())).hexdigest()
    monkeypatch.setitem(catalogue.SOURCES, "tiny", replace(TINY, labels_sha256=right))
    assert load_dataset("tiny").name == "tiny"
    monkeypatch.setitem(catalogue.SOURCES, "tiny", replace(TINY, labels_sha256="0" * 64))
    with pytest.raises(DataError, match=f"training labels with SHA-256 {right}, expected those of tiny, 0000"):
        load_dataset("tiny")


def test_unknown_name():
    with pytest.raises(
        UsageError, match=r"unknown data set 'fashionmnist'; available: .*Did you mean 'fashion-mnist'"
    ):
        load_dataset("fashionmnist")


# --- one's own arrays ----------------------------------------------------------------------------------------------


def test_bytes_become_inputs_by_one_formula():
    raw = np.arange(256, dtype=np.uint8).reshape(1, 256)
    data = Dataset.from_arrays(raw, [0], raw, [1])
    assert data.train.inputs.dtype == np.float32
    assert data.train.inputs.ravel().tolist() == [float(np.float32(b) * np.float32(1 / 255)) for b in range(256)]
    assert data.classes == ("0", "1")


@pytest.mark.parametrize(
    ("form", "shape"), [((6, 8), (8, 1, 1)), ((6, 2, 4), (1, 2, 4)), ((6, 2, 2, 2), (2, 2, 2))], ids=str
)
@pytest.mark.parametrize("kind", ["u1", "<f4", ">f8"])
def test_own_arrays_take_their_final_form(form, shape, kind):
    values = np.arange(48).reshape(form).astype(kind)
    values.flags.writeable = False
    strided = np.repeat(values, 2, axis=0)[::2]
    data = Dataset.from_arrays(strided, np.arange(6, dtype=np.uint8) % 3, values, [0] * 6, classes=["x", "y", "z"])
    assert data.shape == shape
    assert data.classes == ("x", "y", "z")
    for split in (data.train, data.test):
        assert split.raw.dtype == (np.uint8 if kind == "u1" else np.float32)
        assert split.raw.flags.c_contiguous
        assert split.raw.flags.writeable
        assert split.raw.ravel().tolist() == list(range(48))
        assert split.labels.dtype == np.int64


def test_targets_and_several_labels_take_their_final_form():
    x, targets = np.zeros((4, 3)), np.arange(8.0).reshape(4, 2)
    data = Dataset.from_arrays(x, targets, x, targets)
    assert (data.classes, data.train.labels.dtype, data.test.labels.tolist()) == ((), np.float32, targets.tolist())
    assert repr(data).endswith("3×1×1 float32, 2 targets>")
    several = Dataset.from_arrays(x, targets > 3, x, targets > 3, classes=["wet", "cold"])
    assert (several.classes, several.train.labels.dtype) == (("wet", "cold"), np.int64)
    assert repr(several).endswith("2 labels a sample>")
    more = [Dataset.from_arrays(x, one, x, one).sha256() for one in (targets, targets + 1, targets[:, 0])]
    assert len({data.sha256(), *more}) == 3


def test_sha256_is_of_raw_and_labels():
    x, y = np.arange(12, dtype=np.uint8).reshape(3, 4), np.array([0, 1, 1])
    data = Dataset.from_arrays(x, y, x[:2], y[:2])
    by_hand = x.tobytes() + y.tobytes() + x[:2].tobytes() + y[:2].tobytes()
    assert data.sha256() == data.sha256() == hashlib.sha256(by_hand).hexdigest()


X, Y = np.zeros((4, 3)), np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:3], X, Y), r"train has 4 inputs and 3 labels"),
        ((X, Y, X[:0], Y[:0]), r"test inputs have shape \(0, 3\); give at least one sample"),
        ((X[0], Y, X, Y), r"train inputs have shape \(3,\)"),
        ((X, Y, X[:, :2], Y), r"differ: 3×1×1 float32 and 2×1×1 float32"),
        ((X.astype(np.uint8), Y, X, Y), r"differ: 3×1×1 uint8 and 3×1×1 float32"),
        ((X.astype(int), Y, X, Y), r"train inputs are int64; give uint8 pixels"),
        ((X, Y, X + np.nan, Y), r"test inputs hold 12 values that are not finite"),
        ((X + 1e39, Y, X, Y), r"train inputs hold 12 values that are not finite in float32"),
        ((X, Y / 1.0, X, Y), r"labels differ: floats, one for each sample and integers, one for each sample"),
        ((X, Y[:, None], X, Y), r"train labels have the shape \(4, 1\) and hold 2; of several labels"),
        ((X, X, X, X[:, :2]), r"labels differ: floats, 3 for each sample and floats, 2 for each sample"),
        ((X, Y.astype(str), X, Y), r"train labels are <U21 of shape \(4,\); give one integer"),
        ((X, Y + np.nan, X, Y), r"train targets hold 4 values that are not finite"),
        ((X, Y / 1.0, X, Y / 1.0, "mine", ["a", "b"]), r"classes are \['a', 'b'\], and the labels are real targets"),
        ((X, X > 0, X, X > 0, "mine", ["a", "b"]), r"there are 2 classes, and 3 labels a sample"),
        ((X, Y, X, Y - 1), r"test labels hold -1; labels count from 0"),
        ((X, Y, X, Y, "mine", ["a", "b"]), r"largest label is 2 and there are 2 classes"),
        ((X, Y * 0, X, Y * 0), r"largest label is 0 and there are 1 classes.*at least two"),
    ],
)
def test_unusable_arrays(arguments, message):
    with pytest.raises(UsageError, match=message):
        Dataset.from_arrays(*arguments)


# --- real data -----------------------------------------------------------------------------------------------------

SHA256 = {
    "fashion-mnist-mini": "39336b5fd30685bd1ea9ab14094a791ac9b2573730f8343b2e819d1f06c42209",
    "fashion-mnist": "ece172613115fb18b120bec8f6c02271af90b8b8f0a5af5c51cbd5ceed68e619",
    "mnist": "1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b",
    "cifar10": "9048fcbac9c08a64d57a7c5a5a66750a974ad4eab380914df129f7e223d823df",
}


def real(name):
    try:
        return load_dataset(name)
    except DataError as error:
        if "was not found" not in str(error):
            raise
        pytest.skip(f"{name} is not on this machine")


@pytest.mark.parametrize("name", SHA256)
def test_real_sets_are_the_real_ones(name):
    data = real(name)
    source = SOURCES[name]
    assert data.sha256() == SHA256[name]
    assert (data.name, data.shape, data.classes) == (name, source.shape, source.classes)
    assert (len(data.train), len(data.test)) == source.counts
    if name != "mnist":  # the others are balanced
        for split in (data.train, data.test):
            assert set(np.bincount(split.labels)) == {len(split) // 10}


def test_the_embedded_set_is_the_start_of_each_class():
    assert EMBEDDED.stat().st_size <= 2_300_000
    full, mini = real("fashion-mnist"), load_dataset("fashion-mnist-mini")
    script = runpy.run_path(str(Path(__file__).parents[1] / "experiments" / "make_fashion_mnist_mini.py"))
    for count, whole, part in ((500, full.train, mini.train), (100, full.test, mini.test)):
        rows = first_of_each_class(whole.labels.tolist(), count)
        for made in (part, script["first_of_each_class"](whole, count)):
            assert np.array_equal(made.raw, whole.raw[rows])
            assert np.array_equal(made.labels, whole.labels[rows])
