"""A run file that is opened again: what is kept, what is cut, and that no kill can break it."""

import os

import h5py
import numpy as np
import pytest
from test_record import make, record, rows

from asapnb.errors import RecordError
from asapnb.record import UPDATES, RunWriter, load_checkpoint, load_run, save_checkpoint
from asapnb.record.append import Append
from asapnb.record.owner import own
from asapnb.record.provenance import process


def test_what_is_kept_and_what_is_cut(tmp_path):
    path = tmp_path / "run.h5"
    _, table, _ = record(path)
    made = load_run(path).attributes
    writer = RunWriter.reopen(
        path, kept={"updates": 3000, "evals": 1, "rule": 2}, attributes={"seconds": None, "seed": 8, "more": [1]}
    )
    run = load_run(path)
    assert (run.status, run.attributes["seed"], run.attributes["more"]) == ("running", 8, [1])
    assert "seconds" not in run.attributes
    assert {name: run.attributes[name] for name in process()} == process()
    assert run.attributes["run_id"] == made["run_id"]
    assert run.attributes["token"] not in (made["token"], made["run_id"])
    with h5py.File(path) as file:
        assert set(file) == {"updates", "evals", "rule", "params", "tail"}
        assert set(file["params"]) == {"initial"}
        assert {len(column) for column in file["updates"].values()} == {3000}
    for name in UPDATES.names:
        np.testing.assert_array_equal(run.updates[name], table[name][:3000], err_msg=name)
    np.testing.assert_array_equal(run.evals["step"], [0])
    np.testing.assert_array_equal(run.rule_tables.scales[:, :4], [[1, 1, 1, 1], [2, 1, 0.25, 0]])

    more = rows(100, 2999)
    writer.append_updates(more)
    writer.append_eval(9, 1.0, 0.5, 0.5, 0.5)
    writer.append_table(80, np.full(9, 4.0))
    velocity = np.ones((3, 3), np.float32)
    run = writer.finish("converged", np.zeros(3, np.float32), [[1]], {"seconds": 4.0}, {"velocity": velocity})
    np.testing.assert_array_equal(run.updates["version"], np.append(table["version"][:3000], more["version"]))
    np.testing.assert_array_equal(run.evals["step"], [0, 9])
    np.testing.assert_array_equal(run.rule_tables.steps, [0, 30, 80])
    np.testing.assert_array_equal(run.rule_tables.scales[1, 3:], np.zeros(6))
    np.testing.assert_array_equal(run.params["velocity"], velocity)
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_a_file_from_before_identities_gets_one(tmp_path):
    path = tmp_path / "run.h5"
    record(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["run_id"], file.attrs["token"]
    assert not {"run_id", "token"} & load_run(path).attributes.keys()
    RunWriter.reopen(path, kept={"updates": 1, "evals": 1, "rule": 1}, attributes={})
    assert len({load_run(path).attributes[name] for name in ("run_id", "token")}) == 2


def test_it_is_whole_after_every_single_write(tmp_path, monkeypatch):
    path, copy = tmp_path / "run.h5", tmp_path / "copy.h5"
    table, more = rows(7000), rows(6000, 5001)
    with own(path) as owner:
        writer = make(owner)
        writer.append_updates(table)
        writer.flush()
    writer = RunWriter.reopen(path, kept={"updates": 5001, "evals": 0, "rule": 0}, attributes={})
    expected, write_out, states = np.concatenate([table[:5001], more]), Append.write_out, []

    def watched(append, address, data):
        write_out(append, address, data)
        copy.write_bytes(path.read_bytes())
        run = load_run(copy)
        states.append(len(run.updates["tau"]))
        for name in UPDATES.names:
            np.testing.assert_array_equal(run.updates[name], expected[name][: states[-1]], err_msg=name)

    monkeypatch.setattr(Append, "write_out", watched)
    for part in np.split(more, 2):
        writer.append_updates(part)
        writer.flush()
    writer.finish("finished", np.ones(3, np.float32), [[1]], {"seconds": 1.0})
    assert states == sorted(states)
    whole = {rows // 2048 * 2048 for rows in (8001, 11_001)}  # before the rest is in the tail
    assert set(states) == {5001, 8001, 11_001} | whole


def test_a_failed_reopening_leaves_the_file(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    record(path)
    held = path.read_bytes()
    kept = {"updates": 1, "evals": 1, "rule": 1}
    with pytest.raises(RecordError, match="attribute huge"):
        RunWriter.reopen(path, kept=kept, attributes={"huge": 2**70})
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *arguments: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(RecordError, match="no space left"):
            RunWriter.reopen(path, kept=kept, attributes={})
    assert path.read_bytes() == held
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_checkpoints(tmp_path):
    path = tmp_path / "run.h5"
    assert load_checkpoint(path) is None
    for version in (1, 2):
        arrays = {"params": np.full(3, version, np.float32), "velocity": np.eye(2)}
        save_checkpoint(path, arrays, {"version": version, "none": None, "nested": {"a": [1.5, "x"]}})
        found = load_checkpoint(path)
        assert found.attributes == {"version": version, "nested": {"a": [1.5, "x"]}}
        assert found.arrays["params"].dtype == np.float32
        for name in arrays:
            np.testing.assert_array_equal(found.arrays[name], arrays[name])
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5.checkpoint"]
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    assert load_checkpoint(link).attributes["version"] == 2
    record(path)  # another run
    assert load_checkpoint(path) is None
    assert [file.name for file in tmp_path.glob("*.checkpoint")] == ["run.h5.1.checkpoint"]
    save_checkpoint(path, {}, {"version": 0})
    with pytest.raises(RecordError, match="already exists"):
        make(path)
    assert load_checkpoint(path) is not None, "a start that fails keeps the old one"
