"""Predictions of a run: inputs are prepared as in training, and classes are called as the data calls them."""

import csv
import io
import json
import os
from functools import partial

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
from commands import printed

import asapnb as ab
from asapnb.config import run_config
from asapnb.errors import DataError, RecordError, UsageError

RNG = np.random.default_rng(8)
N = 60
X = RNG.normal(size=(N, 2))
FRAME = pd.DataFrame(
    {
        "a": X[:, 0],
        "b": 100 + X[:, 1],
        "colour": RNG.choice(["red", "white"], N),
        "kind": np.where(X[:, 0] > 0, "yes", "no"),
    }
)
CONFIG = {
    "problem": "mlp(hidden=[8])",
    "data": "d.csv(target='kind', standardize=True, one_hot=True)",
    "workers": 1,
    "epochs": 40,
    "step_size": 0.5,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a run whose data has gone."""
    folder = tmp_path_factory.mktemp("made")
    before = os.getcwd()
    os.chdir(folder)
    FRAME.to_csv("d.csv", index=False)
    run_config(CONFIG, "simulate", out="own.h5")
    os.unlink("d.csv")
    os.chdir(before)
    return folder


@pytest.fixture
def here(made, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.h5").write_bytes((made / "own.h5").read_bytes())
    return tmp_path


invoke = partial(printed, "predict")


def test_rows_and_files_of_all_kinds_give_the_same(here):
    run = ab.load_run("own.h5")
    inputs = FRAME.drop(columns="kind")
    found = run.predict(inputs)
    assert (found == FRAME.kind).mean() > 0.9
    assert run.predict(pl.DataFrame(inputs[["colour", "b", "a"]])).tolist() == found.tolist()  # by name
    inputs.to_csv("x.csv", index=False)
    FRAME.to_parquet("x.parquet")
    inputs.to_csv("bare.csv", index=False, header=False)
    for name in ("x.csv", "x.parquet", "bare.csv"):
        assert run.predict(name).tolist() == found.tolist()
        rows = list(csv.reader(io.StringIO(invoke("own.h5", name))))
        assert rows == [["kind"], *([one] for one in found)]
    assert json.loads(invoke("own.h5", "x.csv", "--json")) == {"columns": ["kind"], "predictions": found.tolist()}


def test_predictions_are_those_of_the_problem_on_the_prepared_inputs(here):
    run = ab.load_run("own.h5")
    data = ab.Dataset.from_frame(FRAME, "kind", standardize=True, one_hot=True)
    problem = ab.mlp(data, hidden=(8,))
    assert run.predict(data).tolist() == [
        data.classes[label] for label in problem.predict(run.params["final"], data.test.raw)
    ]
    assert run.predict(FRAME, problem).tolist() == run.predict(FRAME).tolist()


def test_a_file_is_written_once(here):
    FRAME.to_csv("x.csv", index=False)
    assert "60 predictions" in invoke("own.h5", "x.csv", "-o", "labels.csv")
    assert pd.read_csv("labels.csv").kind.tolist() == ab.load_run("own.h5").predict("x.csv").tolist()
    before = (here / "labels.csv").read_bytes()
    assert "labels.csv" in invoke("own.h5", "x.csv", "-o", "labels.csv", code=2)
    invoke("own.h5", "x.csv", "-o", "labels.csv", "--force")
    assert (here / "labels.csv").read_bytes() == before
    run, inputs = (here / "own.h5").read_bytes(), (here / "x.csv").read_bytes()
    invoke("own.h5", "x.csv", "-o", "own.h5", "--force", code=2)
    invoke("own.h5", "x.csv", "-o", "x.csv", "--force", code=2)
    assert ((here / "own.h5").read_bytes(), (here / "x.csv").read_bytes()) == (run, inputs)
    assert invoke("own.h5", "x.csv", "-o", "-") == invoke("own.h5", "x.csv")
    assert not (here / "-").exists()


def test_inputs_that_do_not_fit_are_named(here):
    run = ab.load_run("own.h5")
    FRAME.drop(columns="a").to_csv("less.csv", index=False)
    FRAME.assign(colour="mauve").to_csv("mauve.csv", index=False)
    FRAME.assign(a=FRAME.a.where(FRAME.index != 4)).to_csv("gap.csv", index=False)
    np.save("x.npy", X)
    for name, says in (
        ("less.csv", "less.csv lacks 'a': the 3 inputs are 'a', 'b', 'colour'"),
        ("mauve.csv", "'mauve' in column 'colour', row 1: known are 'red', 'white'"),
        ("gap.csv", "no value in row 5, column 'a'"),
        ("x.npy", "has 2 columns without names: the 3 inputs are"),
        ("no.csv", "no.csv: No such file"),
        ("nothing", "unknown data set 'nothing'"),
    ):
        assert says in invoke("own.h5", name, code=2)
        with pytest.raises((UsageError, DataError), match=says):
            run.predict(name)
    with pytest.raises(UsageError, match="rows of several lengths"):
        run.predict([[1, 2], [3]])
    np.savez("none.npz")
    np.save("empty.npy", np.empty((0, 3)))
    np.save("number.npy", np.float64(3))
    assert "none.npz holds no arrays" in invoke("own.h5", "none.npz", code=2)
    for name in ("empty.npy", "number.npy"):
        assert "give at least one sample of numbers" in invoke("own.h5", name, code=2)
    for odd in (None, 3, {"a": [1]}, [], [1.0, 2.0, 3.0], np.empty((0, 3)), np.empty((2, 0)), iter([[1, 2, 3]])):
        with pytest.raises(DataError, match="give at least one sample of numbers"):
            run.predict(odd)


def test_integers_stay_integers_and_known_data_has_labels_by_number(here):
    classes = ab.Dataset.from_frame(FRAME.assign(kind=np.where(X[:, 0] > 0, 7, -3)), "kind", drop="colour")
    run = ab.simulate(ab.mlp(classes, hidden=(8,)), workers=1, updates=20)
    assert set(run.predict(FRAME).tolist()) <= {7, -3}
    known = ab.train(ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,)), workers=2, updates=20, out="k.h5")
    found = known.predict("fashion-mnist-mini")
    assert found.dtype == np.int64
    assert np.array_equal(found, known.predict(ab.load_dataset("fashion-mnist-mini").test.inputs))
    said = invoke("k.h5", "fashion-mnist-mini").splitlines()
    names = ab.load_dataset("fashion-mnist-mini").classes
    assert said[1:] == [names[label] for label in found]


def test_classes_are_called_as_they_were(here):
    frame = pd.DataFrame({"a": X[:, 0], "truth": X[:, 0] > 0})
    frame["code"] = np.where(frame.truth, "01", "7")
    run = ab.simulate(ab.mlp(ab.Dataset.from_frame(frame, "truth", inputs="a"), hidden=()), workers=1, step_size=0.5)
    assert (run.predict(frame) == frame.truth).mean() > 0.9
    codes = ab.Dataset.from_frame(frame, "code", inputs="a")
    assert set(ab.simulate(ab.mlp(codes, hidden=()), workers=1).predict(frame)) <= {"01", "7"}
    for truths in (["True", "False"], ["true", "false"]):
        frame.assign(truth=np.where(frame.truth, *truths)).to_csv("t.csv", index=False)
        run_config({**CONFIG, "data": "t.csv(target=truth, inputs=a)"}, "simulate", out=f"{truths[0]}.h5")
        assert set(invoke(f"{truths[0]}.h5", "t.csv").splitlines()[1:]) == {*truths}


def test_pixels_are_pixels_in_any_array_and_masked_is_missing(here):
    pixels = RNG.integers(0, 256, (20, 3, 4)).astype(np.uint8)
    labels = np.arange(20) % 2
    problem = ab.mlp(ab.Dataset.from_arrays(pixels, labels, pixels, labels), hidden=())
    run = ab.simulate(problem, workers=1, updates=5, batch_size=4)
    scores = run.predict(pixels, scores=True)
    fixed = pixels.copy()
    fixed.flags.writeable = False
    assert np.array_equal(run.predict(fixed, scores=True), scores)
    assert np.array_equal(run.predict(np.asfortranarray(fixed), scores=True), scores)
    assert np.allclose(run.predict(pixels / 255, scores=True), scores, atol=1e-5)
    with pytest.raises(DataError, match="look like pixels"):
        run.predict(pixels.astype(int))
    with pytest.raises(DataError, match="no value in row 2"):
        run.predict(np.ma.masked_array(pixels, np.arange(20)[:, None, None] * np.ones(pixels.shape) == 1))


def test_a_run_that_cannot_predict_says_why(here):
    from asapnb.problems import quadratic

    run = ab.simulate(quadratic([1, 10]), workers=1, updates=5)
    with pytest.raises(UsageError, match="predict"):
        run.predict(X)
    for action in (lambda: run.predict(X, problem="mlp"), lambda: ab.replay(run, problem="mlp")):
        with pytest.raises(UsageError, match="problem is 'mlp': must be a Problem"):
            action()
    with h5py.File("own.h5", "r+") as file:
        file["params/final"][0] = np.nan
    with pytest.raises(RecordError, match="not finite"):
        ab.load_run("own.h5").predict(FRAME)
    with h5py.File("own.h5", "r+") as file:
        kept = json.loads(file.attrs["data"])
        file.attrs["data"] = json.dumps({**kept, "shape": [2**40, 2**40, 1]})
        file["params/final"][0] = 0
    assert "Error" in invoke("own.h5", "x.csv", code=2)


def test_a_regression_gives_numbers_and_several_labels_give_0_and_1(here):
    frame = FRAME.assign(near=FRAME.a > 0, far=FRAME.a < 1, half=FRAME.a / 2)
    frame.to_csv("d.csv", index=False)
    run = run_config(
        {**CONFIG, "data": "d.csv(target=half, inputs=[a, b], standardize=True)", "step_size": 0.1},
        "simulate",
        out="r.h5",
    )
    found = run.predict(frame)
    assert np.corrcoef(found, frame.half)[0, 1] > 0.9
    rows = list(csv.reader(io.StringIO(invoke("r.h5", "d.csv"))))
    assert rows[0] == ["half"]
    assert [np.float32(row[0]) for row in rows[1:]] == found.tolist()  # in full
    two = run_config({**CONFIG, "data": "d.csv(target=[near, far], inputs=[a])"}, "simulate", out="two.h5")
    assert two.predict(frame).shape == (N, 2)
    lines = invoke("two.h5", "d.csv").splitlines()
    assert lines[0] == "near,far"
    assert set(lines[1:]) <= {"0,0", "0,1", "1,0", "1,1"}


def test_an_earlier_version_may_predict(here):
    run = ab.load_run("own.h5")
    data = ab.Dataset.from_frame(FRAME, "kind", standardize=True, one_hot=True)
    problem = ab.mlp(data, hidden=(8,))
    first = [data.classes[label] for label in problem.predict(run.params["initial"], data.test.raw)]
    assert run.predict(data, version=0).tolist() == first
    with pytest.raises(UsageError, match="was not prepared as the data of own"):
        run.predict(ab.Dataset.from_frame(FRAME, "kind", one_hot=True))
    FRAME.to_csv("x.csv", index=False)
    assert invoke("own.h5", "x.csv", "--version", 0).splitlines()[1:] == run.predict(FRAME, version=0).tolist()
    assert "version 7" in invoke("own.h5", "x.csv", "--version", 7, code=2)


def test_scores_are_the_outputs(here):
    run = ab.load_run("own.h5")
    scores = run.predict(FRAME, scores=True)
    assert np.array(["no", "yes"])[scores.argmax(1)].tolist() == run.predict(FRAME).tolist()
    FRAME.to_csv("x.csv", index=False)
    rows = list(csv.reader(io.StringIO(invoke("own.h5", "x.csv", "--scores"))))
    assert rows[0] == ["no", "yes"]
    assert np.float32(rows[1:]).tolist() == scores.tolist()


def test_a_file_is_read_as_that_of_the_training_was(here):
    table = pd.DataFrame({"a": list("xy") * 10, "b": list("pqqp") * 5, "kind": list("xy") * 10})
    table.to_csv("t.data", index=False, header=False)
    config = {**CONFIG, "data": "t.data(target=2, one_hot=True, header=False)", "batch_size": 4}
    run = run_config(config, "simulate", out="t.h5")
    assert run.predict("t.data").tolist() == list("xy") * 10


def test_flat_samples_are_in_the_form_of_the_training(here):
    images = RNG.integers(0, 256, (20, 3, 4)).astype(np.uint8)
    np.savez("i.npz", x=images, y=np.arange(20) % 2)
    data = ab.load_dataset("i.npz(standardize=True)")
    run = ab.simulate(ab.mlp(data, hidden=(8,)), workers=1, updates=5, batch_size=4)
    scores = run.predict(images, scores=True)
    assert np.array_equal(run.predict(images.reshape(20, 12), scores=True), scores)
    np.save("flat.npy", images.reshape(20, 12))
    assert np.array_equal(run.predict("flat.npy", scores=True), scores)
    assert np.array_equal(run.predict("i.npz", scores=True), scores)
