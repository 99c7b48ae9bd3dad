import json
import math
import os
import tomllib

import h5py
import numpy as np
import pytest
from processes import LIMIT, started

from asapnb.errors import RecordError
from asapnb.record import EVALS, SCHEMA, UPDATES, RunWriter, columns, load_run, machine, to_json, to_toml, topology
from asapnb.record.append import Append
from asapnb.record.files import opened
from asapnb.record.schema import VIEWS
from asapnb.staleness import WorkerHistogram

LAYOUT = [("w", (2, 1), 0), {"name": "b", "shape": [1], "offset": 2}]
CONFIG = {"step_size": 0.5, "epochs": 3, "target_loss": None, "more": {"name": "mlp", "hidden": [4, 2]}}
MACHINE = {"cpu": "none", "cpus": 2, "allowed": np.int64(2), "kernels": "portable"}


def rows(count, start=0, workers=3):
    """Updates number start+1, …: each value tells its column and its row."""
    table = np.zeros(count, UPDATES)
    version = np.arange(start + 1, start + count + 1)
    table["version"], table["batch"], table["worker"] = version, version + 100, version % workers
    table["tau"] = np.minimum(version % 7, version - 1)
    table["read_version"] = version - 1 - table["tau"]
    table["scale"], table["factor"], table["loss"] = 1 + (version % 2), 0.5, 1 / version
    table["t_read"], table["t_ready"], table["t_apply"] = version - 0.5, version - 0.25, version
    table["tries"] = version % 3
    return table


def make(path, force=False, dtype=np.float32):
    initial = np.array([1, 2, 3], dtype=dtype)
    attributes = {"config": CONFIG, "seed": 7, "machine": MACHINE, "absent": None}
    return RunWriter(
        path, kind="train", attributes=attributes, initial=initial, layout=LAYOUT, workers=3, force=force
    )  # fmt: skip


def record(path):
    """5,000 updates in uneven pieces, one of them abandoned and one zeroed, with tables and evaluations."""
    writer = make(path)
    table = rows(5000)
    table["dropped"][[10, 20]] = [1, 2]
    for name in ("version", "read_version"):
        table[name][11:] -= 1
    table["version"][10], table["read_version"][10], table["tau"][10] = -1, 5, 0
    writer.append_eval(0, 0.0, 2.3, np.nan, 0.1)
    writer.append_table(0, np.ones(4))
    for start, stop in ((0, 1), (1, 3000), (3000, 3000), (3000, 5000)):
        writer.append_updates(table[start:stop])
        writer.flush()
    writer.append_table(30, [2.0, 1.0, 0.25, 0.0, 0.0, 0.0])
    writer.flush()
    writer.append_table(60, [3.0, 0.5])
    writer.append_eval(4999, 9.0, 0.25, 0.5, 0.75)
    histogram = WorkerHistogram(3)
    applied = table[table["dropped"] != 1]
    histogram.observe(applied["worker"], applied["tau"])
    run = writer.finish("finished", np.array([4, 5, 6], np.float32), histogram.counts, {"seconds": 2.0})
    return run, table, histogram.counts


@pytest.fixture(params=["file", "memory", "saved"])
def recorded(request, tmp_path):
    """The same run out of a file, from memory, and saved from memory."""
    path = tmp_path / "run.h5"
    run, table, counts = record(path if request.param == "file" else None)
    assert run.path == (path if request.param == "file" else None)
    if request.param == "saved":
        run.save(path)
        run = load_run(path)
    return run, table, counts


def test_everything_comes_back(recorded):
    run, table, counts = recorded
    assert (run.kind, run.status, run.attributes["seed"], run.attributes["seconds"]) == ("train", "finished", 7, 2.0)
    assert (run.attributes["schema"], run.attributes["workers"]) == (SCHEMA, 3)
    assert run.attributes["machine"] == MACHINE
    assert "numba" in run.attributes["versions"]
    assert "absent" not in run.attributes
    assert run.config == {"step_size": 0.5, "epochs": 3, "more": {"name": "mlp", "hidden": [4, 2]}}
    assert list(run.updates) == list(UPDATES.names)
    assert list(run.evals) == list(EVALS.names)
    for name in UPDATES.names:
        assert run.updates[name].dtype == UPDATES[name]
        np.testing.assert_array_equal(run.updates[name], table[name], err_msg=name)
    np.testing.assert_array_equal(run.evals["test_loss"], [np.nan, 0.5])
    np.testing.assert_array_equal(run.evals["step"], [0, 4999])
    np.testing.assert_array_equal(run.rule_tables.steps, [0, 30, 60])
    np.testing.assert_array_equal(
        run.rule_tables.scales,
        [[1, 1, 1, 1, 1, 1], [2, 1, 0.25, 0, 0, 0], [3, 0.5, 0.5, 0.5, 0.5, 0.5]],
    )
    for name, values in (("initial", [1, 2, 3]), ("final", [4, 5, 6])):
        assert run.params[name].dtype == np.float32
        np.testing.assert_array_equal(run.params[name], values)
    assert run.params["layout"] == [["w", [2, 1], 0], {"name": "b", "shape": [1], "offset": 2}]
    np.testing.assert_array_equal(run.staleness_counts, counts)
    np.testing.assert_array_equal(run.staleness.pmf, counts.sum(axis=0) / 4999)
    with pytest.raises(KeyError, match="there are worker, batch, version"):
        run.updates["staleness"]


def test_the_summary_is_the_run_in_numbers(recorded):
    run, table, _ = recorded
    applied = table[table["dropped"] != 1]
    facts = json.loads(to_json(run.summary()))
    steps = 0.5 * applied["scale"].astype(float) * applied["factor"]
    absent = {"test_r2": "nan", "test_rmse": "nan"}
    assert facts == {
        "kind": "train",
        "status": "finished",
        "workers": 3,
        "updates": 4999,
        "seconds": 2.0,
        "updates_per_second": 2499.5,
        "initial": {"step": 0, "t": 0.0, "train_loss": 2.3, "test_loss": "nan", "test_accuracy": 0.1} | absent,
        "last": {"step": 4999, "t": 9.0, "train_loss": 0.25, "test_loss": 0.5, "test_accuracy": 0.75} | absent,
        "staleness": {"mean": pytest.approx(applied["tau"].mean()), "p99": 6, "max": 6},
        "mean_scale": pytest.approx(steps.mean() / 0.5),
        "mean_factor": 0.5,
        "burn_in": {"made_from": "nothing", "updates": 30, "mean_scale_after": pytest.approx(2 * steps[30:].mean())},
        "sum_of_steps": pytest.approx(steps.mean() * 4999),
        "sum_of_steps_by_worker": pytest.approx(
            [steps[applied["worker"] == i].sum() * 4999 / len(steps) for i in range(3)]
        ),
        "dropped": 1,
        "zeroed": 1,
        "failed_cas": int(table["tries"].sum()),
    }
    assert "finished: 4,999 updates by 3 workers in 2 s, training loss 0.25, mean staleness 3" in repr(run)


def test_a_run_without_updates(tmp_path):
    run = make(None, dtype=np.float64).finish("failed", None, np.zeros((3, 0)), {})
    facts = run.summary()
    assert facts["updates"] == 0
    assert [facts[key] for key in ("last", "mean_scale", "sum_of_steps", "updates_per_second")] == [None] * 4
    assert run.staleness.is_empty
    assert run.staleness_counts.shape == (3, 0)
    assert run.params["initial"].dtype == np.float64
    with pytest.raises(RecordError, match="no final parameters: it is failed"):
        run.params["final"]
    assert "0 updates" in repr(run)


def test_the_file_reads_without_asapnb(tmp_path):
    _, table, counts = record(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert set(file) == {"updates", "evals", "rule", "params", "staleness", "synopsis"}
        assert tomllib.loads(file.attrs["config"])["more"]["hidden"] == [4, 2]
        assert json.loads(file.attrs["machine"])["cpus"] == 2
        np.testing.assert_array_equal(file["updates/t_apply"][:], table["t_apply"])
        np.testing.assert_array_equal(file["staleness/counts"][:], counts)
        column = file["updates/t_apply"]
        assert (column.compression, column.shuffle, column.fletcher32) == ("gzip", True, True)


def test_no_holes_are_left(tmp_path):
    writer = make(tmp_path / "run.h5")
    for start in range(0, 3000, 100):
        writer.append_updates(rows(100, start))
        writer.flush()
    holed = (tmp_path / "run.h5").stat().st_size
    writer.finish("finished", np.zeros(3, np.float32), np.zeros((3, 1)), {})
    assert (tmp_path / "run.h5").stat().st_size < holed / 2
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_rows_are_copied_when_given():
    writer, ring = make(None), rows(2)
    writer.append_updates(ring)
    ring["tau"] = -1
    assert (writer.finish("finished", None, [[0]], {}).updates["tau"] >= 0).all()


def test_flush_waits_its_turn_while_somebody_reads(tmp_path):
    path = tmp_path / "run.h5"
    writer = make(path)
    reader = "import h5py, sys; f = h5py.File(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with started("-c", reader, path) as process:
        assert process.stdout.readline() == "open\n"
        writer.append_updates(rows(5))
        writer.flush()
        process.stdin.close()
        process.wait(LIMIT)
    assert len(load_run(path).updates["tau"]) == 0
    writer.append_updates(rows(5, start=5))
    writer.flush()
    run = load_run(path)
    assert run.status == "running"
    np.testing.assert_array_equal(run.updates["version"], np.arange(1, 11))


def test_a_file_to_append_to_is_as_any_other_file(tmp_path):
    path, twin = tmp_path / "file", bytearray(b"0123456789")
    path.write_bytes(twin)
    with Append(path) as file:
        for at, data, size in [(12, b"abc", 15), (10, b"xyz", 12), (11, b"uv", 11), (10, b"w", 10), (10, b"q", 13)]:
            file.seek(at)
            assert file.write(data) == len(data)
            file.truncate(size)
            twin = (twin.ljust(at, b"\0")[:at] + data).ljust(size, b"\0")[:size]
            held = bytearray(size)
            assert file.seek(0, os.SEEK_END) == size
            file.seek(0)
            assert (file.readinto(held), held) == (size, twin)
        file.commit()
    assert path.read_bytes() == twin


def test_an_append_that_failed_half_way_is_done_again(tmp_path, monkeypatch):
    path, extend, calls = tmp_path / "run.h5", columns._extend, []

    def failing(dataset, start, values):
        extend(dataset, start, values)
        calls.append(dataset.name)
        if len(calls) == 6:
            raise OSError("no space left")

    writer = make(path)
    writer.append_updates(rows(3000))
    monkeypatch.setattr(columns, "_extend", failing)
    with pytest.warns(RuntimeWarning, match="no space left"):
        assert not writer.flush()
    assert len(load_run(path).updates["version"]) == 0
    writer.append_updates(rows(5, start=3000))
    assert writer.flush()
    for name in UPDATES.names:
        np.testing.assert_array_equal(load_run(path).updates[name], rows(3005)[name], err_msg=name)


CHILD = """
import sys
import test_record
from asapnb.record import columns as module

where, path = sys.argv[1:]
writer, extend = test_record.make(path), module._extend

def here():
    print("now", flush=True)
    sys.stdin.read()

def stopping(dataset, start, values):
    extend(dataset, start, values)
    if where == "inside" and start == 2048 and dataset.name == "/updates/tau":
        here()

module._extend = stopping
for start in (0, 2000, 4000):
    writer.append_updates(test_record.rows(2000, start))
    writer.flush()
here()
"""


@pytest.mark.parametrize(("where", "whole"), [("between", 6000), ("inside", 4000)])
def test_a_killed_run_keeps_its_rows(tmp_path, where, whole):
    """Killed between flushes, and half-way through one."""
    path = tmp_path / "run.h5"
    with started("-c", CHILD, where, path) as process:
        assert process.stdout.readline() == "now\n"
        process.kill()
    with h5py.File(path) as file:
        assert {len(column) for column in file["updates"].values()} == {whole // 2048 * 2048}, (
            "the rest is in the tail"
        )
    run, expected = load_run(path), rows(whole)
    for name in UPDATES.names:
        np.testing.assert_array_equal(run.updates[name], expected[name], err_msg=name)
    assert run.status == "running"
    assert run.staleness.pmf[6] == pytest.approx(1 / 7, rel=0.01)
    assert run.summary()["last"] is None
    with pytest.raises(RecordError, match="no final parameters: it is running"):
        run.params["final"]


def test_the_file_is_whole_after_every_single_write_of_every_append(tmp_path, monkeypatch):
    """A kill lets the writes before it stand. The index of a column is a tree whose leaves hold 64 chunks.

    It gets a second level at 65 chunks. From then on, as at 97 chunks, an append changes both a leaf and the
    root above it, and only the root first is safe. So the first append is watched, and those of these chunks.
    """
    path, copy, expected = tmp_path / "run.h5", tmp_path / "copy.h5", rows(108 * 16)
    followed = [0, *((at - 1) // 3 * 48 for at in (65, 97))]
    write_out, states, step = Append.write_out, [], 3 * 16
    monkeypatch.setattr(columns, "CHUNK", 16)  # in a chunk

    def watched(append, address, data):
        write_out(append, address, data)
        copy.write_bytes(path.read_bytes())
        run = load_run(copy)
        states.append(len(run.updates["tau"]))
        for name in UPDATES.names:
            np.testing.assert_array_equal(run.updates[name], expected[name][: states[-1]], err_msg=name)
        assert (run.evals["step"] == np.arange(len(run.evals["step"]))).all()
        assert (run.rule_tables[1] == 2).all()

    writer = make(path)
    for number, start in enumerate(range(0, len(expected), step)):
        monkeypatch.setattr(Append, "write_out", watched if start in followed else write_out)
        writer.append_updates(expected[start : start + step])
        writer.append_eval(number, 0.0, 1.0, 1.0, 1.0)
        writer.append_table(start, np.full(2 + number, 2.0))
        writer.flush()
    writer.finish("finished", np.ones(3, np.float32), [[1]], {"seconds": 1.0})
    assert states == sorted(states)
    assert set(states) == {start + more for start in followed for more in (0, step)}, "never a part of an append"
    assert len(states) > 50, "an append is many writes"


def test_rows_whose_views_were_not_all_written_are_cut(tmp_path, monkeypatch):
    """The columns of a group end together in every file; the two groups of a row may not, after a kill."""
    path = tmp_path / "run.h5"
    monkeypatch.setattr(columns, "CHUNK", 5)
    writer = RunWriter(
        path, kind="simulate", attributes={}, initial=np.zeros(1), layout=[], workers=3, groups={"views": VIEWS}
    )
    writer.append_updates(rows(10))
    writer.append("views", np.array([(version - 0.375,) for version in range(1, 11)], VIEWS))
    writer.flush()
    for name, count in (("views/t_view", 8), ("updates/tau", 6)):
        with h5py.File(path, "r+") as file:
            file[name].resize(count, axis=0)
        run = load_run(path)
        assert {len(run.updates[column]) for column in (*UPDATES.names, "t_view")} == {count}
        np.testing.assert_array_equal(run.updates["version"], np.arange(1, count + 1))
        np.testing.assert_array_equal(run.updates["t_view"], np.arange(1, count + 1) - 0.375)


def test_a_run_file_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "run.h5"
    run, _, _ = record(path)
    for write in (make, run.save):
        with pytest.raises(RecordError, match=r"already exists: .* force=True"):
            write(path)
    with pytest.raises(RecordError, match="attribute huge"):  # a start that fails keeps the old one
        RunWriter(
            path, kind="train", attributes={"huge": 2**70}, initial=np.zeros(1), layout=[], workers=1, force=True
        )
    assert load_run(path).status == "finished"
    make(path, force=True)
    assert load_run(path).status == "running"
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is a directory: give the name of a file"),
        ("missing/run.h5", "missing for .* does not exist"),
        ("file/run.h5", "does not exist"),
        ("n" * 300, "cannot write"),
    ],
)
def test_a_failed_start_leaves_nothing(tmp_path, name, message):
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match=message):
        make(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_devices_and_closed_directories(tmp_path, monkeypatch):
    with pytest.raises(RecordError, match="not a regular file"):
        make("/dev/null", force=True)
    monkeypatch.setattr("os.access", lambda *arguments: False)  # root may write anywhere
    with pytest.raises(RecordError, match="cannot be written to: give another place"):
        make(tmp_path / "run.h5")


def test_load_run_says_what_is_wrong(tmp_path):
    path = tmp_path / "run.h5"
    for name, message in (("none.h5", "there is no run file"), ("", "it is a directory")):
        with pytest.raises(RecordError, match=message):
            load_run(tmp_path / name)
    path.write_text("no HDF5")
    with pytest.raises(RecordError, match="is not an HDF5 file, so it is not a run file"):
        load_run(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(RecordError, match="no run file of asapnb"):
        load_run(path)
    for schema, message in ((SCHEMA + 1, "install a newer one"), (SCHEMA, "no complete run file")):
        with h5py.File(path, "w") as file:
            file.attrs["schema"] = schema
        with pytest.raises(RecordError, match=message):
            load_run(path)


def test_a_run_whose_file_is_gone(tmp_path):
    run, _, _ = record(tmp_path / "run.h5")
    writer = make(tmp_path / "other.h5")
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(RecordError, match="cannot read /updates/tau"):
        run.updates["tau"]
    with pytest.warns(RuntimeWarning, match=r"other\.h5: it has been removed; the run is in .*/other\.h5"):
        assert writer.finish("finished", None, [[0]], {}).path == tmp_path / "other.h5"


def test_toml_is_read_back():
    config = {
        "text": 'quotes " and \\ and \n and é and 😀 and \x7f and \x00',
        "numbers": [1, 1e-300, -0.5, float("inf"), -float("inf"), 2**63, -(10**30)],
        "yes": True,
        "a.b c": {"": 0, "\x7f": {"deep": {"er": [{"x": 1}, {"x": [[], {}]}]}, "after": []}},
    }
    assert tomllib.loads(to_toml(config)) == config
    assert math.isnan(tomllib.loads(to_toml({"loss": float("nan")}))["loss"])
    assert tomllib.loads(to_toml({"numpy": np.float32(0.25), "array": np.arange(2)})) == {
        "numpy": 0.25,
        "array": [0, 1],
    }


def test_what_toml_lacks_is_left_out():
    config = {"no": None, "list": [1, None, {"y": None, "z": "w"}], "table": {"none": None}}
    assert tomllib.loads(to_toml(config)) == {"list": [1, {"z": "w"}], "table": {}}


def test_a_configuration_in_an_older_layout_is_read(tmp_path):
    """Inline tables, and no blank lines: asapnb once wrote configurations like this."""
    record(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file.attrs["config"] = 'seed = 7\ntext = "\\u007f"\n[more]\nhidden = [4, 2]\n[more."a b"]\nx = [{y = inf}]\n'
    config = {"seed": 7, "text": "\x7f", "more": {"hidden": [4, 2], "a b": {"x": [{"y": math.inf}]}}}
    assert load_run(tmp_path / "run.h5").config == config


def test_provenance(tmp_path):
    facts = machine("avx2")
    assert facts["kernels"] == "avx2"
    assert facts["cpus"] >= facts["allowed"] >= 1
    assert facts["memory"] > 2**20
    for cpu, (socket, core) in enumerate([(0, 0), (0, 0), (1, 0), (1, 1)]):
        folder = tmp_path / f"cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{socket}\n")
        (folder / "core_id").write_text(f"{core}\n")
    for node, cpus in ((0, "0-1"), (1, "2-3")):
        (tmp_path / f"node/node{node}").mkdir(parents=True)
        (tmp_path / f"node/node{node}/cpulist").write_text(f"{cpus}\n")
    found = topology(tmp_path)
    assert (found["cores"], found["sockets"], found["numa_nodes"]) == (3, 2, ["0-1", "2-3"])
    unknown = topology(tmp_path / "none")
    assert (unknown["cores"], unknown["sockets"], unknown["numa_nodes"]) == (None, None, None)


def test_a_locked_file_is_waited_for_only_so_long(tmp_path, monkeypatch):
    def locked(*arguments, **options):
        raise BlockingIOError("unable to lock file")

    monkeypatch.setattr(h5py, "File", locked)
    with pytest.raises(BlockingIOError), opened(tmp_path / "run.h5", patience=0.0):
        pass


def test_evaluations_of_hogwild_are_not_in_the_order_of_their_times():
    """A worker that made an earlier version may look at the clock after one that made a later version."""
    writer = RunWriter(None, kind="train", attributes={}, initial=np.zeros(2), layout=[], workers=1)
    for step, t in ((0, 0.0), (1, 0.2), (2, 0.1)):
        writer.append_eval(step, t, 1.0, 1.0, 0.5)
    rows = np.zeros(2, UPDATES)
    rows["version"], rows["read_version"] = [1, 2], [0, 1]
    writer.append_updates(rows)
    run = writer.finish("finished", np.ones(2), [[2]], {})
    assert run.evals["t"].tolist() == [0.0, 0.2, 0.1]
