"""Data of one's own: every kind of file gives the same samples, and what cannot be used is named with its place."""

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asapnb.data import Dataset, Options, load_dataset
from asapnb.data.frames import table_in
from asapnb.data.options import divided, is_file, parsed
from asapnb.errors import DataError, UsageError

RNG = np.random.default_rng(4)
N = 50
FRAME = pd.DataFrame(
    {
        "pH": RNG.normal(3, 0.1, N),
        "sugar": RNG.integers(1, 9, N),
        "colour": RNG.choice(["red", "white"], N),
        "organic": RNG.random(N) < 0.5,
        "quality": RNG.choice([3, 5, 8], N),
    }
)
WRITERS = {
    "wine.csv": lambda frame, path: frame.to_csv(path),  # with an index, as pandas does
    "wine.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "wine.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "wine.data": lambda frame, path: frame.to_csv(path, index=False, sep=";", encoding="utf-8-sig"),
    "wine.parquet": lambda frame, path: frame.to_parquet(path),
    "wine.feather": lambda frame, path: frame.to_feather(path),
    "wine.arrow": lambda frame, path: pl.DataFrame(frame).write_ipc(path),
}
CHOSEN = "(target='quality', test=0.2, seed=3, standardize=True, one_hot=True)"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expected():
    """What becomes of FRAME, by pandas."""
    rows = np.random.default_rng(3).permutation(N)
    test, train = FRAME.iloc[np.sort(rows[:10])], FRAME.iloc[np.sort(rows[10:])]
    numbers = ["pH", "sugar", "organic"]
    mean, deviation = train[numbers].astype(float).mean(), train[numbers].astype(float).std(ddof=0)
    made = []
    for part in (train, test):
        scaled = (part[numbers].astype(float) - mean) / deviation
        colours = [(part.colour == one).astype(float) for one in ("red", "white")]
        made.append(np.column_stack([scaled.pH, scaled.sugar, *colours, scaled.organic]))
    return *made, *(part.quality.map({3: 0, 5: 1, 8: 2}).to_numpy() for part in (train, test))


@pytest.mark.parametrize("name", WRITERS)
def test_every_table_gives_the_same_samples(here, name):
    WRITERS[name](FRAME, name)
    data = load_dataset(f"{name}{CHOSEN}")
    train, test, train_labels, test_labels = expected()
    np.testing.assert_allclose(data.train.raw[:, :, 0, 0], train, atol=1e-5)
    np.testing.assert_allclose(data.test.raw[:, :, 0, 0], test, atol=1e-5)
    assert np.array_equal(data.train.labels, train_labels)
    assert np.array_equal(data.test.labels, test_labels)
    assert data.classes == ("3", "5", "8")
    assert data.preparation.columns == ("pH", "sugar", "colour", "organic")
    assert set(data.preparation.mean) == {"pH", "sugar", "organic"}
    assert data.path == str(here / name)
    assert data.sha256() == Dataset.from_frame(FRAME, "quality", seed=3, standardize=True, one_hot=True).sha256()


def test_a_frame_of_polars_and_two_frames(here):
    whole = Dataset.from_frame(pl.DataFrame(FRAME), "quality", seed=3, standardize=True, one_hot=True)
    np.testing.assert_allclose(whole.train.raw[:, :, 0, 0], expected()[0], atol=1e-5)
    two = Dataset.from_frame(FRAME[:30], "colour", test=pl.DataFrame(FRAME[30:]), drop=["sugar"], name="wine")
    assert (len(two.train), len(two.test), two.classes, two.name) == (30, 20, ("red", "white"), "wine")
    assert two.train.raw[:, 1, 0, 0].tolist() == FRAME.organic[:30].astype(float).tolist()
    FRAME[:30].to_csv("a.csv", index=False)
    FRAME[30:].to_csv("b.csv", index=False)
    files = Dataset.from_file("a.csv", "colour", test="b.csv", drop="sugar")
    assert files.sha256() == two.sha256()
    assert load_dataset(files.name).sha256() == files.sha256()


def test_a_file_without_names_has_numbers_for_columns(here):
    FRAME.drop(columns="colour").to_csv("wine.data", index=False, header=False)
    by_place, from_behind = (load_dataset(f"wine.data(target={place})") for place in (3, -1))
    assert by_place.preparation.columns == ("0", "1", "2")
    assert by_place.sha256() == from_behind.sha256()
    with pytest.raises(UsageError, match="has columns 0 to 3"):
        load_dataset("wine.data(target=4)")
    with pytest.raises(UsageError, match=r"no column 'quality' for target, .* say header=True"):
        load_dataset("wine.data(target=quality)")
    table = pd.DataFrame(RNG.normal(size=(20, 3)))  # pandas calls its columns 0, 1, 2
    for named, target in ((table.assign(y=table[0] > 0), "y"), (table.assign(**{"3": 1 + np.arange(20) % 2}), 3)):
        for index in (True, False):
            named.to_csv("t.csv", index=index)
            data = load_dataset(f"t.csv(target={target})")
            assert data.preparation.columns == ("0", "1", "2")
            assert len(data.train) == 16


KEYS = {
    "keras": ("x_train", "y_train", "x_test", "y_test"),
    "capitals": ("X_train", "Y_train", "X_test", "Y_test"),
    "medmnist": ("train_images", "train_labels", "test_images", "test_labels"),
}


@pytest.mark.parametrize("names", KEYS.values(), ids=KEYS)
def test_arrays_under_their_customary_names(here, names):
    images = RNG.integers(0, 256, (20, 6, 6, 3)).astype(np.uint8)
    labels = np.arange(20)[:, None] % 3
    held = dict(zip(names, (images[:15], labels[:15], images[15:], labels[15:]), strict=True))
    np.savez_compressed("all.npz", **held)
    data = load_dataset("all.npz")
    assert np.array_equal(data.train.raw, images[:15].transpose(0, 3, 1, 2))
    assert np.array_equal(data.test.labels, labels[15:, 0])
    scaled = load_dataset("all.npz(standardize=True)").train.raw  # of each channel
    assert np.abs(scaled.mean((0, 2, 3))).max() < 1e-5
    assert np.abs(scaled.std((0, 2, 3)) - 1).max() < 1e-5
    folder = here / "arrays"
    folder.mkdir()
    for name, array in held.items():
        np.save(folder / f"{name}.npy", array)
    assert load_dataset("arrays").sha256() == data.sha256()


def test_arrays_with_names_of_ones_own_and_pairs_of_files(here):
    x, y = RNG.normal(size=(20, 4)), np.array(list("ab") * 10)
    np.savez("own.npz", measured=x, kind=y)
    np.save("x.npy", x)
    np.save("y.npy", y)
    data = [load_dataset(text) for text in ("own.npz(inputs='measured', target='kind')", "x.npy(target='y.npy')")]
    assert data[0].sha256() == data[1].sha256()
    assert data[0].classes == ("a", "b")
    with pytest.raises(DataError, match=r"own\.npz holds measured, kind: name inputs and target"):
        load_dataset("own.npz")
    with pytest.raises(UsageError, match=r"unknown array 'kinds'.*Did you mean 'kind'"):
        load_dataset("own.npz(inputs='measured', target='kinds')")


def test_missing_values_are_an_error_or_left_out_or_the_mean(here):
    frame = FRAME.astype({"sugar": float})
    frame.loc[6, "pH"] = np.nan
    frame.loc[[7, 9], "colour"] = None
    frame.to_csv("gaps.csv", index=False)
    text = "gaps.csv(target='quality', one_hot=True, missing={})"
    with pytest.raises(DataError, match=r"no value in row 7, column 'pH' \(rows count from 1\), and 2 more"):
        load_dataset(text.format("error"))
    dropped = load_dataset(text.format("drop"))
    assert len(dropped.train) + len(dropped.test) == N - 3
    filled = load_dataset(text.format("mean"))
    rows = np.random.default_rng(0).permutation(N)[10:]
    assert filled.preparation.fill["pH"] == pytest.approx(frame.pH[rows].mean())
    everything = np.concatenate([filled.train.raw, filled.test.raw])[:, :, 0, 0]
    assert (np.sort(everything[:, 0]) == np.float32(filled.preparation.fill["pH"])).sum() == 1
    assert (everything[:, 2:4].sum(1) == 0).sum() == 2  # neither red nor white
    frame.loc[3, "quality"] = np.nan
    frame.to_csv("gaps.csv", index=False)
    with pytest.raises(DataError, match="no target in row 4, column 'quality'"):
        load_dataset(text.format("mean"))
    assert load_dataset(text.format("drop")).classes == ("3", "5", "8")  # integers, before there was a gap


REFUSED = {
    "a text": ("a,b\n1,x\n2,3\n", "target=a", "column 'b' of f.csv holds texts, such as '3', 'x'.*one_hot=True"),
    "no target": ("a,b\n1,2\n", "seed=1", "does not say what to predict.*target='b'.*'a', 'b'"),
    "another target": ("a,b\n1,2\n", "target=c", "unknown column for target 'c'; available: a, b"),
    "a short row": ("a,b\n1,2\n\n3\n", "target=b", "line 4: 1 cells, and the first row has 2"),
    "equal names": ("a,a\n1,2\n", "target=a", "two columns 'a'"),
    "no rows": ("a,b\n", "target=b", "holds no rows"),
    "nothing": ("", "target=b", "is empty"),
    "a page": ("<!DOCTYPE html>\n<html></html>\n", "target=b", "a web page"),
    "an open quote": ('a,b\n1,"2\n', "target=b", "column 'b'|line|too few|differ"),
    "infinity": ("a,b\n1,0\ninf,1\n3,0\n4,1\n", "target=b, test=0.5", "float32 cannot hold in row"),
    "one class": ("a,b\n1,1\n2,1\n3,1\n", "target=b", "is '?1'? everywhere"),
    "one row": ("a,b\n1,1\n", "target=b", "too few"),
    "latin-1": (b"a,b\n\xe9,1\n", "target=b", "not in UTF-8"),
    "many integers": ("a,b\n" + "".join(f"1,{i}\n" for i in range(300)), "target=b", "300 diff.*regression=True"),
    "a NUL": (b"a,b\n\x00,1\n2,0\n", "target=b", "texts"),
    "a long line": ("a,b\n" + "1" * 2**24 + ",1\n", "target=b", "more than 16,777,216 characters"),
    "a bad stream": (gzip.compress(b"a,b\n" + b"1,2\n" * 9)[:25], "target=b", "broken gzip stream"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_named(here, name):
    content, options, says = REFUSED[name]
    (here / "f.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((DataError, UsageError), match=says):
        load_dataset(f"f.csv({options})")


def test_options_are_checked():
    for text, says in (
        ("wine.csv(tarrget=a)", "unknown parameter of data 'tarrget'.*Did you mean 'target'"),
        ("wine.csv(target=a, test=1.5)", r"test is 1\.5: must be a finite number above 0 and below 1; or a second"),
        ("wine.csv(missing='guess')", "unknown missing 'guess'"),
        ("wine.csv(standardize='yes')", "standardize is 'yes': must be True or False"),
        ("wine.csv(target=1.5)", r"target is 1\.5"),
        ("wine.csv(size=[1, 2, 3])", "size is"),
        ("wine.csv(", "wine.csv"),
        ("nowhere.csv(target=a)", "nowhere.csv: No such file"),
        ("no/where", "is of no kind that is known, or not there"),
        ("wine", "unknown data set 'wine'.*a file of your own"),
    ):
        with pytest.raises((UsageError, DataError), match=says):
            load_dataset(text)
    with pytest.raises(UsageError, match="unknown option of a data file 'tset'"):
        Dataset.from_file("wine.csv", tset=0.1)


def test_a_path_may_begin_with_the_home_folder_and_have_brackets(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    (here / "a (1)").mkdir()
    FRAME.to_csv("a (1)/wine.csv", index=False)
    data = load_dataset("~/a (1)/wine.csv(target='colour')")
    assert data.path == str(here / "a (1)/wine.csv")
    assert load_dataset("wine.csv(target='colour')", here / "a (1)").path == data.path
    assert divided("~/a (1)/wine.csv(target='colour')") == ("~/a (1)/wine.csv", "(target='colour')")
    assert divided("a (1)") == ("a (1)", "")
    assert is_file("a (1)")


@given(
    st.builds(
        Options,
        target=st.one_of(st.text(max_size=5), st.integers(-3, 3), st.lists(st.text(max_size=3), max_size=2)),
        test=st.one_of(st.floats(0.01, 0.99), st.text(min_size=1, max_size=5)),
        seed=st.integers(0, 2**63 - 1),
        standardize=st.booleans(),
        missing=st.sampled_from(["error", "drop", "mean"]),
        regression=st.sampled_from([None, True, False]),
    )
)
def test_the_text_of_options_is_read_back(options):
    assert parsed(options.text("f.csv")) == ("f.csv", options)


def test_targets_with_decimals_are_numbers_and_several_of_0_and_1_are_labels(here):
    frame = pd.DataFrame({"a": RNG.normal(size=20), "b": RNG.normal(size=20), "c": np.arange(20) % 2, "d": 1})
    frame.to_csv("f.csv", index=False)
    one = load_dataset("f.csv(target=b)")
    assert one.train.labels.dtype == np.float32
    assert one.is_real
    assert load_dataset("f.csv(target=[a, b])").train.labels.shape == (16, 2)
    assert load_dataset("f.csv(target=c, regression=True)").is_real
    several = load_dataset("f.csv(target=[c, d])")
    assert (several.classes, several.train.labels.shape) == (("c", "d"), (16, 2))
    frame.astype({"c": bool, "d": bool}).to_csv("f.csv", index=False)
    assert load_dataset("f.csv(target=[c, d])").sha256() == several.sha256()
    assert load_dataset("f.csv(target=c, drop=d)").classes == ("False", "True")
    assert load_dataset("f.csv(target=c, drop=d, regression=True)").train.labels.dtype == np.float32
    for twice in ("target=[c, c]", "target=c, inputs=[a, 0]"):
        with pytest.raises(UsageError, match=r"names a column of .* twice"):
            load_dataset(f"f.csv({twice})")
    with pytest.raises(DataError, match="values that are no classes"):
        load_dataset("f.csv(target=a, regression=False)")


@pytest.mark.parametrize("library", [pd, pl])
def test_frames_and_series_are_arrays(library):
    frame = library.DataFrame({"a": [1, 2, 3, 4], "b": [0.5, 1.5, 2.5, 3.5], "kind": ["x", "y", "x", "y"]})
    inputs = frame[["a", "b"]]
    data = Dataset.from_arrays(inputs[:3], frame["kind"][:3], inputs[3:], frame["kind"][3:])
    assert data.train.raw[:, :, 0, 0].tolist() == [[1, 0.5], [2, 1.5], [3, 2.5]]
    assert (data.train.labels.tolist(), data.test.labels.tolist(), data.classes) == ([0, 1, 0], [1], ("x", "y"))
    named = Dataset.from_arrays(inputs, frame[["kind"]], inputs, frame["kind"], classes=["y", "x"])
    assert named.train.labels.tolist() == [1, 0, 1, 0]
    assert Dataset.from_arrays(inputs, frame["b"], inputs, frame["b"]).is_real
    with pytest.raises(UsageError, match="unknown label 'y'"):
        Dataset.from_arrays(inputs, frame["kind"], inputs, frame["kind"], classes=["x", "z"])
    with pytest.raises(DataError, match="the train inputs has the text 'x' in column 'kind', row 1"):
        Dataset.from_arrays(frame, frame["a"], frame, frame["a"])


def test_masked_values_are_missing():
    x, y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
    for inputs, labels in ((np.ma.masked_array(x, x == 0), y), (x, np.ma.masked_array(y, y == 1))):
        with pytest.raises(UsageError, match="not finite"):
            Dataset.from_arrays(inputs, labels, x, y)
    unmasked = Dataset.from_arrays(np.ma.masked_array(x, False), np.ma.masked_array(y, False), x, y)
    assert unmasked.sha256() == Dataset.from_arrays(x, y, x, y).sha256()


def test_tables_of_pyarrow_are_frames():
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": [0.5, None, 2.5, 3.5], "kind": ["x", "y", "x", "y"]})
    found = [Dataset.from_frame(one, "kind", missing="mean") for one in (frame, pl.DataFrame(frame).to_arrow())]
    assert found[0].sha256() == found[1].sha256()


def test_columns_that_cannot_be_used_may_be_left_out(here):
    frame = FRAME.assign(time=pd.Timestamp("2026-01-01"), lists=[[1, 2]] * N, name=[f"bottle {i}" for i in range(N)])
    frame[["pH", "time", "lists", "name", "quality"]].to_parquet("odd.parquet")
    for source in (frame[["pH", "time", "lists", "name", "quality"]], "odd.parquet"):
        load = Dataset.from_file if isinstance(source, str) else Dataset.from_frame
        with pytest.raises(DataError, match=r"column 'time' of .* is datetime64.*leave it out with drop="):
            load(source, "quality")
        assert load(source, "quality", drop=["time", "lists", "name"]).preparation.columns == ("pH",)
        with pytest.raises(DataError, match="column 'lists' of "):
            load(source, "lists", inputs="pH")
    many = pd.DataFrame({"name": [f"n{i}" for i in range(2000)], "y": np.arange(2000) % 2})
    with pytest.raises(DataError, match="2,000 different texts, and at most 1,000 become columns"):
        Dataset.from_frame(many, "y", one_hot=True)
    with pytest.raises(UsageError, match="is an address: download it"):
        load_dataset("https://example.org/wine.csv")


def test_nullable_columns_and_other_kinds_of_numbers(here):
    frame = pd.DataFrame(
        {
            "a": pd.array([1, 2, None, 4] * 5, "Int64"),
            "b": pd.Categorical(list("xyxy") * 5),
            "c": np.arange(20, dtype=np.uint8),
            "d": np.arange(20, dtype=np.float16),
            "e": pd.array([True, False, True, None] * 5, "boolean"),
            "kind": pd.array(["one", "two"] * 10, "string"),
        }
    )
    frame.to_parquet("f.parquet")
    frame.to_csv("f.csv", index=False)
    options = {"one_hot": True, "missing": "mean"}
    digests = {
        Dataset.from_frame(frame, "kind", **options).sha256(),
        Dataset.from_frame(pl.DataFrame(frame), "kind", **options).sha256(),
        Dataset.from_file("f.parquet", "kind", **options).sha256(),
        Dataset.from_file("f.csv", "kind", **options).sha256(),
    }
    assert len(digests) == 1


def test_rows_may_be_images(here):
    pixels = RNG.integers(0, 256, (20, 12)).astype(np.uint8)
    table = pd.DataFrame(pixels, columns=[f"pixel{i}" for i in range(12)])
    table.insert(0, "label", np.arange(20) % 3)
    table.to_csv("mnist_train.csv", index=False)
    data = load_dataset("mnist_train.csv(target=label, shape=[3, 4])")
    rows = np.random.default_rng(0).permutation(20)
    assert np.array_equal(data.train.raw, pixels[np.sort(rows[4:])].reshape(16, 1, 3, 4))
    assert load_dataset("mnist_train.csv(target=label, shape=[3, 2, 2])").train.raw.dtype == np.uint8
    scaled = load_dataset("mnist_train.csv(target=label, shape=[3, 4], standardize=True)").train.raw
    assert scaled.shape == (16, 1, 3, 4)
    assert np.abs(scaled.mean(0)).max() < 1e-6
    assert data.preparation.inputs(table_in(table)).shape == (20, 1, 3, 4)
    with pytest.raises(DataError, match="no pixels: give integers from 0 to 255"):
        data.preparation.inputs(table_in(table / 3))
    with pytest.raises(DataError, match="has 12 numbers a row, and the shape 1×5×5 takes 25"):
        load_dataset("mnist_train.csv(target=label, shape=[5, 5])")
    with pytest.raises(UsageError, match="shape is 28: must be"):
        load_dataset("mnist_train.csv(target=label, shape=28)")
