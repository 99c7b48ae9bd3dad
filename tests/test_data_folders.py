"""Folders of data: images by class, training and test files, and files like those of MNIST wherever they stand."""

import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest
from commands import printed
from naive import idx_bytes
from PIL import Image

import asapnb as ab
from asapnb.data import load_dataset
from asapnb.data.formats import CIFAR_RECORD
from asapnb.data.sources import SOURCES
from asapnb.errors import DataError, UsageError

RNG = np.random.default_rng(2)
NAMES = list(SOURCES["mnist"].all_files)
ARRAYS = [RNG.integers(0, 10, shape).astype(np.uint8) for shape in ((9, 5, 5), (9,), (3, 5, 5), (3,))]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(folder, count, *, size=(6, 8), colours=True, suffix="png"):
    """Images of two classes; returns them as they are read."""
    made = []
    for name in ("cat", "dog"):
        os.makedirs(folder / name)
        for i in range(count):
            pixels = RNG.integers(0, 256, (*size, 3) if colours else size).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.{suffix}")
            made.append(pixels.transpose(2, 0, 1) if colours else pixels[None])
    return np.stack(made)


def test_images_in_folders_of_their_classes(here):
    pixels = draw(here / "pets", 5)
    (here / "pets/.DS_Store").write_text("")
    data = load_dataset("./pets(test=0.2)")
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.test), data.shape) == (8, 2, (3, 6, 8))
    rows = np.random.default_rng(0).permutation(10)
    assert np.array_equal(data.train.raw, pixels[np.sort(rows[2:])])
    assert load_dataset("pets(size=4)").shape == (3, 4, 4)
    assert load_dataset("pets(size=[3, 5])").shape == (3, 3, 5)


def test_options_that_mean_nothing_to_the_data_are_refused(here):
    draw(here / "photos", 5)
    np.savez("x.npz", x=np.zeros((4, 2)), y=np.arange(4))
    pd.DataFrame({"a": [1, 2, 3], "y": [0, 1, 1]}).to_csv("t.csv", index=False)
    for text in (
        "photos(target=cat)",
        "photos(regression=True)",
        "photos(one_hot=True)",
        "x.npz(drop=[0])",
        "x.npz(header=True)",
        "t.csv(target=y, size=3)",
    ):
        with pytest.raises(UsageError, match="means nothing to"):
            load_dataset(text)


@pytest.mark.parametrize("parts", [("train", "test"), ("training", "validation")])
def test_images_in_a_folder_for_each_part(here, parts):
    train, test = (
        draw(here / "pets" / part, count, colours=False) for part, count in zip(parts, (4, 2), strict=True)
    )
    data = load_dataset("pets")
    assert np.array_equal(data.train.raw, train)
    assert np.array_equal(data.test.raw, test)
    assert data.test.labels.tolist() == [0, 0, 1, 1]


def test_images_that_differ_or_are_none_are_named(here):
    draw(here / "pets", 2)
    Image.fromarray(np.zeros((7, 7, 3), np.uint8)).save("pets/dog/7.png")
    with pytest.raises(DataError, match=r"7\.png has 7 × 7 pixels.*6 × 8: scale them with size=, as in size=6"):
        load_dataset("pets")
    (here / "pets/dog/7.png").write_bytes((here / "pets/dog/0.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"7\.png: found .*expected an image"):
        load_dataset("pets")
    os.unlink("pets/dog/7.png")
    os.mkfifo("pets/dog/7.png")
    with pytest.raises(DataError, match=r"7\.png: found .*no regular file"):
        load_dataset("pets")
    with pytest.raises(DataError, match="holds pets: expected files in the formats of MNIST"):
        load_dataset(str(here))


def test_training_and_test_tables_in_a_folder(here):
    frame = pd.DataFrame({"a": RNG.normal(size=12), "kind": list("xyz") * 4})
    frame[:8].to_csv("train.csv", index=False)
    frame[8:].to_csv("test.csv", index=False)
    data = load_dataset("./(target=kind)")
    assert (len(data.train), len(data.test), data.classes) == (8, 4, ("x", "y", "z"))
    (here / "train.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"train\.csv, train\.parquet: leave one"):
        load_dataset("./(target=kind)")


PLACES = {
    "torchvision": ("MNIST/raw", "{}", False),
    "torchvision, of clothes": ("FashionMNIST/raw", "{}.gz", True),
    "of another set": ("KMNIST/raw", "{}", False),
    "dots": (".", "{}", False),
    "dots, gzipped": ("anywhere", "{}.gz", True),
}


@pytest.mark.parametrize("name", PLACES)
def test_files_like_those_of_mnist_are_found_by_the_path_of_their_folder(here, name):
    folder, pattern, packed = PLACES[name]
    (here / folder).mkdir(parents=True, exist_ok=True)
    for file, array in zip(NAMES, ARRAYS, strict=True):
        called = pattern.format(file.replace("-idx", ".idx") if "dots" in name else file)
        content = idx_bytes(array)
        (here / folder / called).write_bytes(gzip.compress(content) if packed else content)
    for text in {str(here / folder), str(here / folder.removesuffix("/raw"))}:
        data = load_dataset(text)
        assert np.array_equal(data.train.raw[:, 0], ARRAYS[0])
        assert np.array_equal(data.test.labels, ARRAYS[3])
        assert data.path == text
    assert load_dataset(f"{here / folder}(standardize=True)").train.raw.std() == pytest.approx(1)


def test_several_sets_in_one_folder_must_be_told_apart(here):
    for folder in ("MNIST/raw", "FashionMNIST/raw"):
        (here / folder).mkdir(parents=True)
        for file, array in zip(NAMES, ARRAYS, strict=True):
            (here / folder / file).write_bytes(idx_bytes(array))
    with pytest.raises(DataError, match=r"several data sets: name one of .*FashionMNIST/raw.*, .*MNIST/raw"):
        load_dataset(str(here))


def test_batches_of_cifar_are_found_by_the_path_of_their_folder(here):
    folder = here / "cifar-10-batches-bin"
    folder.mkdir()
    records = np.zeros((10_000, CIFAR_RECORD), np.uint8)
    records[:, 0], records[:, 5] = np.arange(10_000) % 10, 7
    records.tofile(here / "batch")
    for name in SOURCES["cifar10"].all_files:
        os.link(here / "batch", folder / name)
    data = load_dataset(str(here))
    assert data.train.raw.shape == (50_000, 3, 32, 32)
    assert data.test.raw[9, 0, 0, 4] == 7
    assert data.test.labels[:12].tolist() == [*range(10), 0, 1]


def test_what_a_file_holds_is_shown(here):
    frame = pd.DataFrame({"pH": [3.5, np.nan, 3.1], "kind": ["a", "b", "a"]})
    frame.to_csv("f.csv", index=False)
    said = printed("data", "show", "f.csv")
    assert "pH" in said
    assert "a (2), b (1)" in said
    found = json.loads(printed("data", "show", "f.csv", "--json"))
    assert [(one["name"], one["kind"], one["missing"]) for one in found] == [
        ("pH", "float64", 1),
        ("kind", "text", 0),
    ]
    assert found[0]["mean"] == pytest.approx(3.3)
    assert printed("data", "show", "fashion-mnist-mini").count("5000×1×28×28") == 1
    printed("data", "show", "g.csv", code=2)


def test_images_are_predicted_in_the_form_of_the_training(here):
    draw(here / "pets", 4)
    Image.fromarray(RNG.integers(0, 256, (9, 9)).astype(np.uint8)).save("grey.png")
    data = load_dataset("pets(size=4, test=0.5)")
    run = ab.simulate(ab.mlp(data, hidden=(8,)), workers=1, updates=5, batch_size=2)
    assert len(run.predict("grey.png")) == 1
    assert set(run.predict("pets/cat").tolist()) <= {"cat", "dog"}
    assert len(run.predict("pets")) == 8
    np.save("grey.npy", np.zeros((2, 4, 4), np.uint8))
    assert len(run.predict("grey.npy")) == 2
    os.makedirs("drawn/a")
    os.makedirs("drawn/b")
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        Image.fromarray(RNG.integers(0, 256, (9, 9)).astype(np.uint8)).save(f"drawn/{name}")
    drawn = ab.simulate(ab.mlp(load_dataset("drawn(test=0.5)"), hidden=(8,)), workers=1, updates=5, batch_size=2)
    Image.fromarray(RNG.integers(0, 256, (9, 9, 3)).astype(np.uint8)).save("coloured.png")
    assert drawn.predict("coloured.png")[0] in ("a", "b")
