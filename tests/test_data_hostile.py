"""Files of data that lie: no code in them is run, no memory is taken for what they claim, and errors name them."""

import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from asapnb import extras
from asapnb.data import load_dataset
from asapnb.errors import AsapnbError, DataError, MissingExtraError, UsageError

RNG = np.random.default_rng(1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


def array(header, content=b""):
    """An .npy file with this header, whatever follows."""
    text = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def plain(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def archive(x, y=None):
    """An .npz with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("x.npy", x)
        members.writestr("y.npy", plain(np.arange(4) % 2) if y is None else y)
    return file.getvalue()


GOOD = plain(RNG.normal(size=(4, 2)))
OBJECTS = array("{'descr': '|O', 'fortran_order': False, 'shape': (4, 2)}", pickle.dumps(Evil()))
HUGE = array("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 99999999999999)}", b"\0" * 100)
ARCHIVES = {
    "objects": (archive(OBJECTS), "x of f.npz is of object, not of numbers or texts"),
    "objects as targets": (archive(GOOD, OBJECTS), "y of f.npz is of object"),
    "records": (archive(plain(np.zeros(4, [("a", int)]))), "not of numbers or texts"),
    "times": (archive(plain(np.zeros((4, 2), "M8[s]"))), "not of numbers or texts"),
    "a pickle": (archive(pickle.dumps(Evil())), "is no array of NumPy"),
    "a huge claim": (archive(HUGE), "of memory, and there are"),
    "a cut array": (archive(GOOD[:-8]), "ends after 56 of 64 bytes"),
    "negative sizes": (archive(array("{'descr': '<f8', 'fortran_order': False, 'shape': (-4, -2)}")), "no array"),
    "code in a header": (archive(array("__import__('os').system('touch ran')")), "no array"),
    "a deep header": (archive(array("(" * 5000 + ")" * 5000)), "no array"),
    "another version": (archive(b"\x93NUMPY\x09\x00" + GOOD[8:]), "no array"),
    "no archive": (b"PK\3\4" + bytes(50), "found BadZipFile"),
    "a cut archive": (archive(GOOD)[:-30], "found BadZipFile"),
    "nothing": (b"", "found BadZipFile"),
    "other lengths": (archive(GOOD, plain(np.arange(3))), "one number or text for each of its 4 samples"),
    "no axis": (archive(plain(np.float64(3))), "of shape"),
    "no samples": (archive(plain(np.zeros((0, 2))), plain(np.zeros(0))), "at least one sample"),
    "texts as inputs": (archive(plain(np.array([["a", "b"]] * 4))), "give at least one sample of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(here, name):
    content, says = ARCHIVES[name]
    (here / "f.npz").write_bytes(content)
    tracemalloc.start()
    with pytest.raises((DataError, UsageError), match=says):
        load_dataset("f.npz(test=0.5)")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    assert os.listdir() == ["f.npz"]


def changed(content):
    """The bytes with some of them changed."""
    new = bytearray(content)
    for place in RNG.integers(0, len(new), 4):
        new[place] = RNG.integers(0, 256)
    return bytes(new[: RNG.integers(1, len(new) + 1)] if RNG.random() < 0.3 else new)


def image():
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_changed_bytes_are_read_or_refused(here):
    frame = pd.DataFrame({"a": RNG.normal(size=8), "b": list("xy") * 4})
    frame.to_parquet("f.parquet")
    frame.to_feather("f.feather")
    frame.to_csv("f.csv", index=False)
    np.savez("f.npz", x=RNG.normal(size=(8, 2)), y=np.arange(8) % 2)
    for folder in ("c/one", "c/two"):
        os.makedirs(folder)
        for i in range(3):
            (here / folder / f"{i}.png").write_bytes(image())
    texts = {
        "f.parquet": "f.parquet(target=b)", "f.feather": "f.feather(target=b)", "f.csv": "f.csv(target=b)",
        "f.npz": "f.npz", "c/one/1.png": "./c",
    }  # fmt: skip
    for file, text in texts.items():
        good = (here / file).read_bytes()
        load_dataset(text)
        for _ in range(60):
            (here / file).write_bytes(changed(good))
            try:
                load_dataset(text)
            except AsapnbError as error:
                assert os.path.basename(file).partition(".")[0] in str(error) or "c" in str(error)  # noqa: PT017
        (here / file).write_bytes(good)


def test_what_is_no_file(here):
    os.mkfifo("f.csv")
    os.mkfifo("f.parquet")
    os.mkfifo("f.npz")
    os.mkdir("g.csv")
    os.symlink("h.csv", "h.csv")
    for text in (
        "f.csv(target=a)",
        "f.parquet(target=a)",
        "f.npz",
        "g.csv(target=a)",
        "h.csv(target=a)",
        "\0.csv",
        "~\0.csv",
    ):
        with pytest.raises((DataError, UsageError)):
            load_dataset(text)


@pytest.mark.parametrize(("package", "file"), [("pyarrow", "f.parquet"), ("PIL", "c/a/1.png")])
def test_a_package_that_is_missing_is_named_with_its_extra(here, monkeypatch, package, file):
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else name)
    os.makedirs("c/a")
    (here / file).write_bytes(b"")
    with pytest.raises(MissingExtraError, match=rf'needs {package}, .*pip install "asapnb\[data\]"'):
        load_dataset("c" if package == "PIL" else file)
