"""`asapnb export`, and stacked tables: exact, the same from every format, in pieces, and refused as a whole."""

import csv
import gzip
import io
import os
import struct

import numpy as np
import pandas as pd
import polars as pl
import pytest
from commands import call
from problems import quadratic
from test_record import make, rows

import asapnb as ab
from asapnb.analysis import export, stacked
from asapnb.analysis.export import FORMATS
from asapnb.analysis.stacking import NAMES, type_of
from asapnb.record import tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four runs, two of them with views, one of these with a microscope."""
    folder = tmp_path_factory.mktemp("runs")
    for scheme in ("lock-based", "hogwild"):
        for seed in (0, 1):
            options = {"workers": 4, "updates": 60, "eval_every": 20, "seed": seed, "step_size": 0.05 / 3}
            look = {"microscope": 7} if scheme == "hogwild" and seed else {}
            ab.simulate(quadratic(), scheme, "tail", **options, **look, out=folder / f"{scheme}-{seed}.h5")
    return folder


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr("asapnb.analysis.stacking.PIECE", 25)


def read(path):
    """A file as pandas reads it."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])


@pytest.mark.parametrize("form", FORMATS)
def test_floats_come_back_to_the_bit(folder, tmp_path, form):
    run = ab.load_run(folder / "hogwild-0.h5")
    for name in tables.TABLES:
        if not run.tables[name]:
            continue
        out = tmp_path / f"{name}.{form}"
        assert call("export", run.path, "--table", name, "-o", out).exit_code == 0
        found = read(out)
        assert list(found.columns) == list(run.tables[name])
        for key, column in run.tables[name].items():
            np.testing.assert_array_equal(found[key].to_numpy().astype(column.dtype), column, err_msg=key)
            if form == "parquet":
                assert found[key].dtype == column.dtype


def test_every_float32_is_written_so_that_it_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("asapnb.analysis.stacking.PIECE", 4096)
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    values = np.append(bits.view(np.float32), np.float32([0.1, -0.0, 1e-45, 3.4028235e38, np.inf, -np.inf]))
    values = values[~np.isnan(values)]
    writer = make(tmp_path / "run.h5")
    writer.append_table(0, np.ones(4))
    made = rows(len(values))
    made["loss"] = values
    writer.append_updates(made)
    run = writer.finish("finished", None, [[1]], {})
    export(run, tmp_path / "out.csv", "updates")
    with open(tmp_path / "out.csv", newline="") as file:
        texts = [row["loss"] for row in csv.DictReader(file)]
    back = np.array([struct.unpack("f", struct.pack("f", float(text)))[0] for text in texts], np.float32)
    np.testing.assert_array_equal(back.view(np.uint32), values.view(np.uint32))
    assert "0.1" in texts


def test_many_runs_make_one_table(folder, tmp_path):
    call("export", folder, "-o", tmp_path / "all", "--quiet")
    assert sorted(file.name for file in (tmp_path / "all").iterdir()) == sorted(f"{name}.csv" for name in NAMES)
    updates = read(tmp_path / "all/updates.csv")
    assert list(updates.columns)[:5] == ["run", "scheme", "microscope", "seed", "worker"]
    for (name, seed), group in updates.groupby(["run", "seed"]):
        run = ab.load_run(name)
        assert run.attributes["seed"] == seed
        np.testing.assert_array_equal(group["tau"], run.updates["tau"])
        views = run.updates.get("t_view")
        assert group["t_view"].isna().all() if views is None else (group["t_view"] == views).all()
    runs = read(tmp_path / "all/runs.csv").set_index("run")
    assert len(runs) == 4
    for name, one in runs.iterrows():
        facts = ab.load_run(name).summary()
        assert (one["updates"], one["status"], one["workers"]) == (60, "finished", 4)
        assert one["last_train_loss"] == facts["last"]["train_loss"]
        assert one["staleness_mean"] == facts["staleness"]["mean"]
    joined = read(tmp_path / "all/evals.csv").merge(runs, on="run", suffixes=("", " of run"))
    assert (joined["seed"] == joined["seed of run"]).all()


def test_every_format_and_python_say_the_same(folder, tmp_path):
    for name in NAMES:
        expected = pd.DataFrame(stacked(folder, name, by=["scheme", "step_size"]))
        assert name == "runs" or list(expected)[:3] == ["run", "scheme", "step_size"]
        for form in ("csv", "parquet"):
            out = tmp_path / f"{name}.{form}"
            export(folder, out, name, by=["scheme", "step_size"])
            pd.testing.assert_frame_equal(read(out), expected, check_dtype=False)
    assert (
        pl.DataFrame(stacked(folder, by=["scheme", "step_size"])).shape
        == pl.read_parquet(tmp_path / "evals.parquet").shape
    )


def test_the_standard_output_takes_one_table(folder):
    done = call("export", folder, "--table", "evals", "--where", "seed=1", "--by", "workers", "-o", "-")
    assert (done.exit_code, done.stderr) == (0, "")
    found = pd.read_csv(io.StringIO(done.stdout))
    assert list(found.columns)[:3] == ["run", "workers", "step"]
    assert len(found) == 8
    raw = call("export", folder, "--table", "evals", "--format", "parquet", "-o", "-").stdout_bytes
    assert len(pd.read_parquet(io.BytesIO(raw))) == 16
    packed = call("export", folder, "--format", "csv.gz", "-o", "-").stdout_bytes
    assert gzip.decompress(packed).startswith(b"run,scheme,microscope,seed,worker,")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "x.txt"], "does not end like a table: let it end with .csv, .csv.gz, .parquet, or give a folder"),
        (["-o", "x.h5", "--format", "csv"], "does not end like a table"),
        (["-o", "x.csv", "--format", "parquet"], "is called like csv, but the format is parquet"),
        (["-o", "x.csv", "--table", "evals", "--table", "rule"], "evals, rule are several tables: give a folder"),
        (["-o", "-", "--table", "evals", "--table", "rule"], "are several tables"),
        (["-o", "x.csv", "--by", "nothing"], "no run has a key 'nothing'"),
        (["-o", "x.csv", "--where", "seed=7"], "no run has seed=7: seed is 0, 1"),
        (["-o", "no/x.csv"], "does not exist: make it first"),
        (["-o", "there.csv"], "there.csv already exists"),
        (["-o", "made"], "made/evals.csv already exists"),
        (["-o", "no/folder"], "does not exist: make it first"),
        (["--where", "scheme=lock-based", "--table", "microscope", "-o", "x.csv"], "microscope=N"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(folder, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "made").mkdir()
    (tmp_path / "made/evals.csv").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    done = call("export", folder, *arguments)
    assert done.exit_code == 2
    assert says in done.output
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.csv").read_text() == (tmp_path / "made/evals.csv").read_text() == "mine"


def test_existing_files_are_overwritten_with_force(folder, tmp_path):
    for out in (tmp_path / "x.csv", tmp_path / "made"):
        sizes = [call("export", folder, "-o", out, *more).exit_code for more in ([], [], ["--force"])]
        assert sizes == [0, 2, 0]
    assert len(read(tmp_path / "x.csv")) == 240


@pytest.mark.filterwarnings("default::asapnb.errors.SkippedWarning")
def test_damaged_files_are_named_and_can_be_left_out(folder, tmp_path):
    bad = tmp_path / "runs"
    bad.mkdir()
    (bad / "a.h5").write_bytes((folder / "lock-based-0.h5").read_bytes())
    (bad / "b.h5").write_bytes((folder / "lock-based-1.h5").read_bytes()[:3000])
    done = call("export", bad, "-o", tmp_path / "x.csv")
    assert (done.exit_code, (tmp_path / "x.csv").exists()) == (2, False)
    assert "b.h5" in done.output
    done = call("export", bad, "-o", tmp_path / "x.csv", "--skip-bad")
    assert (done.exit_code, len(read(tmp_path / "x.csv"))) == (0, 60)
    assert "b.h5" in done.stderr


@pytest.mark.parametrize("form", FORMATS)
def test_names_in_another_encoding(folder, tmp_path, form):
    name = os.fsdecode(b"caf\xe9, 1.h5")
    (tmp_path / name).write_bytes((folder / "hogwild-0.h5").read_bytes())
    assert call("export", tmp_path / name, folder, "-o", tmp_path / f"x.{form}").exit_code == 0
    assert "caf?, 1.h5" in str(read(tmp_path / f"x.{form}")["run"].unique())


def test_runs_in_memory_are_numbered(tmp_path):
    runs = [ab.simulate(quadratic(), workers=2, updates=10, seed=seed) for seed in (0, 1)]
    assert stacked(runs, "runs")["run"].tolist() == ["run 0", "run 1"]
    assert export(runs, io.BytesIO(), "updates") == {"-": 20}
    with pytest.raises(ab.UsageError, match=r"unknown table 'updats'.*'updates'"):
        stacked(runs, "updats")
    with pytest.raises(ab.UsageError, match="unknown format 'xls'"):
        export(runs, io.BytesIO(), form="xls")


def test_without_pyarrow_csv_works_and_parquet_names_the_extra(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("asapnb.extras.find_spec", lambda name: None)
    assert call("export", folder, "-o", tmp_path / "x.csv").exit_code == 0
    done = call("export", folder, "-o", tmp_path / "x.parquet")
    assert (done.exit_code, 'pip install "asapnb[data]"' in done.output) == (2, True)
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([1, 2], int), ([1, 2.5], float), ([1, None], float), ([True], bool), ([True, None], object), ([None], object),
     (["a", None], object), (["a", 1], object)],
)  # fmt: skip
def test_types_of_settings(values, dtype):
    assert type_of(values) == dtype
