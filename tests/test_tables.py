"""The columns of a run are a table in pandas, polars and pyarrow; they stay lazy, read-only and small in pickles."""

import copy
import pickle

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from problems import quadratic
from test_record import make, rows

import asapnb as ab
from asapnb.record import UPDATES, tables
from asapnb.record.schema import ABANDONED


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with views, a microscope, gradients that were given up, and several tables of a rule."""
    path = tmp_path_factory.mktemp("runs") / "run.h5"
    leashed = ab.simulate(
        quadratic(),
        "leashed(persistence=1)",
        "tail(refresh=every(30))",
        8,
        updates=400,
        eval_every=100,
        out=path,
        timing="update=0.1",
    )
    assert (leashed.updates["dropped"] == ABANDONED).any()
    assert len(leashed.rule_tables.steps) > 1
    return leashed


@pytest.fixture(scope="module")
def hogwild():
    return ab.simulate(quadratic(), "hogwild", workers=4, updates=60, microscope=7)


FRAMES = [
    pd.DataFrame,
    pl.DataFrame,
    pa.table,
    lambda columns: columns.to_pandas(),
    lambda columns: columns.to_arrow(),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_each_table_is_a_data_frame(run, hogwild, frame):
    for one in (run, hogwild):
        for columns in (one.updates, one.evals, one.microscope, *one.tables.values()):
            found = frame(columns)
            names = found.column_names if isinstance(found, pa.Table) else list(found.columns)
            assert names == list(columns)
            for name, column in columns.items():
                there = found[name].to_numpy()
                np.testing.assert_array_equal(there, column)
                assert there.dtype == column.dtype


def test_what_is_not_asked_for_is_not_read(run):
    fresh = ab.load_run(run.path)
    columns = fresh.updates
    assert "tau" in columns
    assert bool(columns)
    assert len(columns) == len(list(columns)) == len(UPDATES.names)
    assert [*columns.keys()] == [*columns]
    assert columns.get("nothing", "else") == "else"
    assert pickle.loads(pickle.dumps(columns))._kept == copy.copy(columns)._kept == {}
    columns["worker"]
    assert list(columns._kept) == ["worker"]
    with pytest.raises(KeyError, match="'tua'; there are worker, batch"):
        columns["tua"]


def test_a_dict_of_columns_is_a_copy_and_they_cannot_be_changed(run):
    columns = run.updates
    for plain in (dict(columns), {**columns}, columns.copy(), columns | {}, {} | columns):
        assert type(plain) is dict
        assert list(plain) == list(columns)
        assert plain["tau"] is columns["tau"]
    for change in (
        lambda: columns.update(tau=0),
        lambda: columns.__setitem__("tau", 0),
        lambda: columns.__ior__({"tau": 0}),
        lambda: columns.pop("tau"),
        lambda: columns.setdefault("new", 0),
        columns.clear,
        columns.popitem,
    ):
        with pytest.raises(TypeError, match=r"cannot be changed: change a copy, such as dict\(run\.updates\)"):
            change()


def test_tidy_tables_say_what_the_others_say(run):
    rule = pd.DataFrame(run.tables["rule"])
    wide = rule.pivot(index="row", columns="tau", values="scale").to_numpy()
    np.testing.assert_array_equal(wide, run.rule_tables.scales)
    np.testing.assert_array_equal(rule.groupby("row")["step"].unique().explode(), run.rule_tables.steps)
    counts = np.zeros_like(run.staleness_counts)
    seen = run.tables["staleness"]
    counts[seen["worker"], seen["tau"]] = seen["updates"]
    np.testing.assert_array_equal(counts, run.staleness_counts)
    assert (seen["updates"] > 0).all()


@pytest.mark.parametrize("size", [64, 100, 10_000])
def test_pieces_make_up_the_table(run, hogwild, size):
    for one in (run, hogwild):
        for name, table in tables.TABLES.items():
            pieces = list(table.pieces(one, size))
            for key, dtype in tables.columns_of(one, name).items():
                whole = one.tables[name][key]
                assert whole.dtype == dtype
                np.testing.assert_array_equal(whole, np.concatenate([np.empty(0, dtype), *(p[key] for p in pieces)]))
            assert all(len(column) <= size for piece in pieces for column in piece.values())


@pytest.mark.parametrize("size", [500, 10_000])
def test_pieces_of_a_killed_run_go_on_in_its_tail(tmp_path, size):
    writer = make(tmp_path / "run.h5")
    writer.append_table(0, np.ones(4))
    writer.append_updates(rows(3000))
    assert writer.flush()
    killed = ab.load_run(tmp_path / "run.h5")
    pieces = list(tables.TABLES["updates"].pieces(killed, size))
    for name, column in killed.updates.items():
        assert len(column) == 3000
        np.testing.assert_array_equal(np.concatenate([piece[name] for piece in pieces]), column)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("version", 7, "must be the next version"), ("tau", 10**6, "at most the number of versions"),
     ("worker", 8, "below 8"), ("t_read", 1e9, "at most t_ready"), ("scale", -1, "at least 0")],
)  # fmt: skip
def test_pieces_are_checked_as_whole_columns_are(run, tmp_path, name, value, says):
    path = tmp_path / "bad.h5"
    path.write_bytes(run.path.read_bytes())
    row = int(np.flatnonzero(run.updates["dropped"] != ABANDONED)[150])
    with h5py.File(path, "r+") as file:
        file[f"updates/{name}"][row] = value
    with pytest.raises(ab.RecordError, match=f"/updates/{name} of .* in row {row:,}: .*{says}"):
        ab.load_run(path).updates[name]
    with pytest.raises(ab.RecordError, match=f" in row {row:,}: must be "):
        list(tables.TABLES["updates"].pieces(ab.load_run(path), 64))


def test_without_pandas_the_error_names_the_extra(run, monkeypatch):
    monkeypatch.setattr("asapnb.extras.find_spec", lambda name: None)
    with pytest.raises(ab.MissingExtraError, match=r'pandas, which is not installed: pip install "asapnb\[data\]"'):
        run.updates.to_pandas()
