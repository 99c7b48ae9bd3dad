"""Runs on data of one's own: the data is found again and known by its digest, or an error says how."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from commands import printed

import asapnb as ab
from asapnb.config import load_config, run_config
from asapnb.data.recorded import RecordedData
from asapnb.errors import DataError, RecordError, UsageError
from asapnb.sweep.spec import load_sweep

RNG = np.random.default_rng(8)
X = RNG.normal(size=(60, 3))
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": 100 + X[:, 2], "kind": np.where(X[:, 0] > 0, "yes", "no")})
DATA = "d.csv(target='kind', standardize=True)"
CONFIG = {"problem": "mlp(hidden=[8])", "data": DATA, "workers": 2, "updates": 40}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with data and a run on it."""
    monkeypatch.chdir(tmp_path)
    FRAME.to_csv("d.csv", index=False)
    run_config(CONFIG, "simulate", out="own.h5")
    return tmp_path


def test_the_file_of_a_run_keeps_what_the_data_is(here):
    run = ab.load_run("own.h5")
    kept = run.attributes["data"]
    assert kept["path"] == str(here / "d.csv")
    assert kept["classes"] == ["no", "yes"]
    prepared = kept["preparation"]
    assert prepared["columns"] == ["a", "b", "c"]
    assert prepared["mean"]["c"] == pytest.approx(100, abs=1)
    assert set(prepared["deviation"]) == {"a", "b", "c"}
    assert run.config["data"] == DATA
    shown = printed("show", "own.h5")
    for part in (str(here / "d.csv"), run.attributes["data_sha256"], "c: mean ", "a, b, c", "no, yes"):
        assert part in shown
    assert json.loads(printed("show", "own.h5", "--json"))["attributes"]["data"] == kept


def again(path, **options):
    return run_config(load_config(path, "simulate"), "simulate", **options)


def test_that_run_again_finds_the_data_where_it_is(here, monkeypatch):
    final = ab.load_run("own.h5").params["final"].tobytes()
    assert again("own.h5").params["final"].tobytes() == final
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # by its full path
    assert again("../own.h5").params["final"].tobytes() == final
    shutil.move("../d.csv", elsewhere / "d.csv")
    shutil.move("../own.h5", elsewhere / "own.h5")
    monkeypatch.chdir(here)  # beside the run file
    found = again("elsewhere/own.h5")
    assert found.params["final"].tobytes() == final
    assert found.config["data"] == DATA
    assert found.attributes["data"]["path"].endswith("elsewhere/d.csv")
    replayed = ab.replay(ab.load_run("elsewhere/own.h5"))
    assert replayed.params["final"].tobytes() == final
    assert ab.resume("elsewhere/own.h5", updates=60).summary()["updates"] == 60


def test_data_that_is_gone_is_asked_for(here):
    (here / "new").mkdir()
    shutil.move("d.csv", "new/e.csv")
    for command in (("train", "own.h5"), ("replay", "own.h5"), ("resume", "own.h5", "--updates", 50)):
        said = printed(*command, code=2)
        assert "own.h5 is not here: looked for d.csv" in said
        assert f'--data "NEW/PLACE/{DATA}"' in said
    printed("simulate", "own.h5", "--data", f"new/e.csv{DATA.removeprefix('d.csv')}", "--quiet", "-o", "again.h5")
    digests = {ab.load_run(name).attributes["data_sha256"] for name in ("own.h5", "again.h5")}
    assert len(digests) == 1


def test_data_that_has_changed_is_refused_or_forced(here):
    FRAME.assign(a=FRAME.b).to_csv("d.csv", index=False)
    before = Path("own.h5").read_bytes()
    for command in (("simulate", "own.h5"), ("replay", "own.h5"), ("resume", "own.h5", "--updates", 50)):
        said = printed(*command, code=2)
        assert "d.csv is not the data that" in said
        assert "SHA-256" in said
        assert "--force" in said
    printed("simulate", "own.h5", "--force", "--quiet")
    replayed = ab.replay(ab.load_run("own.h5"), force=True)
    assert replayed.attributes["data_sha256"] != ab.load_run("own.h5").attributes["data_sha256"]
    with pytest.raises(UsageError, match="other data"):
        ab.resume("own.h5", updates=50, force=True)
    assert Path("own.h5").read_bytes() == before


def test_data_of_arrays_must_be_made_again(here):
    data = ab.Dataset.from_arrays(X, np.arange(60) % 2, X[:5], [0, 1, 0, 1, 0])
    problem = ab.mlp(data, hidden=(8,))
    run = ab.simulate(problem, workers=2, updates=20, out="arrays.h5")
    (here / "custom").mkdir()  # which has nothing to do with it
    for command in (("simulate", "arrays.h5"), ("replay", "arrays.h5"), ("resume", "arrays.h5", "--updates", 50)):
        said = printed(*command, code=2)
        assert "'custom', was made of arrays in Python" in said
        assert "problem=problem" in said
    assert ab.replay(run, problem).params["final"].tobytes() == run.params["final"].tobytes()
    assert ab.resume("arrays.h5", updates=40, problem=problem).summary()["updates"] == 40


def test_a_configuration_may_name_data_beside_it(here, monkeypatch):
    (here / "conf").mkdir()
    shutil.move("d.csv", "conf/d.csv")
    (here / "conf/run.toml").write_text(f'data = "{DATA}"\nproblem = "mlp(hidden=[8])"\nupdates = 40\nworkers = 2\n')
    assert load_config("conf/run.toml")["data"] == f"conf/{DATA}"
    printed("simulate", "conf/run.toml", "--quiet", "-o", "again.h5")
    (here / "conf/sweep.toml").write_text(
        f'kind = "simulate"\n[base]\ndata = "{DATA}"\nproblem = "mlp(hidden=[8])"\nupdates = 5\n'
        "[grid]\nworkers = [1, 2]\n"
    )
    assert {point.config["data"] for point in load_sweep("conf/sweep.toml").points} == {f"conf/{DATA}"}
    printed("sweep", "conf/sweep.toml", "-o", "out", "--jobs", 1)
    heads = [json.loads(line) for line in (here / "out/manifest.jsonl").read_text().splitlines()]
    assert "conf/d.csv" in heads[0]["sources"]
    FRAME.assign(a=FRAME.b).to_csv("conf/d.csv", index=False)
    assert "conf/d.csv has changed" in printed("sweep", "conf/sweep.toml", "-o", "out", "--resume", code=2)


HOSTILE = [
    {"shape": [3, 1, 1], "path": None, "preparation": {"mean": {"a": "x"}}},
    {"shape": [3, 1, 1], "path": None, "preparation": {"mean": {"a": 1.0}, "deviation": {"a": 0.0}}},
    {"shape": [3, 1, 1], "path": None, "preparation": {"columns": 3}},
    {"shape": [3, 1, 1], "path": None, "preparation": []},
    {"shape": ["x"], "path": None},
    {"shape": [3, 1, 1], "path": 3},
    [],
]


@pytest.mark.parametrize("kept", HOSTILE, ids=str)
def test_a_damaged_attribute_is_an_error(here, kept):
    with h5py.File("own.h5", "r+") as file:
        file.attrs["data"] = json.dumps(kept)
    assert "data" in printed("show", "own.h5", code=2)


def test_a_text_with_its_record_is_copied_whole(here):
    import copy
    import pickle

    text = ab.load_run("own.h5").config["data"]
    for other in (copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert isinstance(other, RecordedData)
        assert (other, other.sha256, other.facts) == (text, text.sha256, text.facts)
    (here / "d.csv").write_text("nothing")
    with pytest.raises(DataError):
        ab.load_dataset(text)
    with pytest.raises(RecordError, match="no run file"):
        ab.load_run("d.csv/none")
    assert os.path.exists("own.h5")


def test_runs_on_data_of_one_name_that_differs_are_told_apart(here):
    FRAME.assign(a=FRAME.b).to_csv("d.csv", index=False)
    run_config(CONFIG, "simulate", out="other.h5")
    table = ab.compare(["own.h5", "other.h5"]).tables[0]
    texts = "\n".join(" ".join(map(str, row)) for row in table.rows)
    for name in ("own.h5", "other.h5"):
        assert f"#{ab.load_run(name).attributes['data_sha256'][:12]}" in texts
    shutil.copy("own.h5", "copy.h5")
    digest = ab.load_run("own.h5").attributes["data_sha256"]
    assert digest[:12] not in printed("compare", "own.h5", "copy.h5", "--where", f"data={DATA}")


def test_a_column_of_data_names_it_as_the_runs_do(here):
    from asapnb.analysis import stacked

    assert set(stacked(["own.h5"], "runs")["data"]) == {DATA}
    FRAME.assign(a=FRAME.b).to_csv("d.csv", index=False)
    run_config(CONFIG, "simulate", out="other.h5")
    assert len(set(stacked(["own.h5", "other.h5"], "runs")["data"])) == 2
