"""The tail of a run file: whatever is flushed, and whenever a kill comes, the loader sees what was flushed."""

import re
import shutil
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_record import make, record, rows

from asapnb.record import UPDATES, RunWriter, columns, load_run
from asapnb.record.append import Append

CHUNK = 8


def state_of(path):
    """The number of updates and of evaluations in a file, all of which must be right."""
    run = load_run(path)
    count, expected = len(run.updates["tau"]), rows(200)
    for name in UPDATES.names:
        np.testing.assert_array_equal(run.updates[name], expected[name][:count], err_msg=name)
    times = run.evals["t"]
    np.testing.assert_array_equal(times, np.arange(len(times)))
    return count, len(times)


class Killed(BaseException):
    """A kill in the middle of a write: only its first half reaches the file."""


def killed_after(writes, write_out=Append.write_out):
    """Stands for `Append.write_out`."""
    done = []

    def write(append, address, data):
        done.append(address)
        write_out(append, address, data if len(done) < writes else data[: len(data) // 2])
        if len(done) >= writes:
            raise Killed

    return write


@example(steps=[(3, 2, False), (1, 7, True), (4, 7, True)], writes=37, cut=0)  # within the header of a column
@settings(max_examples=25)
@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10), st.booleans()), min_size=1, max_size=6),
    writes=st.integers(1, 60),
    cut=st.integers(0, 20),
)
def test_what_was_flushed_is_seen(tmp_path_factory, steps, writes, cut):
    """Any sizes of flushes, with a kill at any write; then the run goes on from any row that it has."""
    folder = tmp_path_factory.mktemp("tail")
    path, flushed, offered = folder / "run.h5", (0, 0), (0, 0)
    with patch.object(columns, "CHUNK", CHUNK):
        writer = make(path)
        with patch.object(Append, "write_out", killed_after(writes)), suppress(Killed):
            for updates, evals, table in steps:
                writer.append_updates(rows(updates, offered[0]))
                for number in range(evals):
                    writer.append_eval(0, offered[1] + number, 1.0, 1.0, 1.0)
                if table:
                    writer.append_table(offered[0], np.ones(offered[0] + 1))
                offered = offered[0] + updates, offered[1] + evals
                assert writer.flush()
                flushed = offered
                assert state_of(path) == flushed
        path = shutil.copy(path, folder / "killed.h5")  # which nobody owns
        seen = state_of(path)
        assert all(low <= found <= high for low, found, high in zip(flushed, seen, offered, strict=True))
        kept = {"updates": min(cut, seen[0]), "evals": min(cut, seen[1]), "rule": 0}
        writer = RunWriter.reopen(path, kept=kept, attributes={})
        assert state_of(path) == (kept["updates"], kept["evals"])
        writer.append_updates(rows(30, kept["updates"]))
        assert writer.flush()
        assert state_of(path) == (kept["updates"] + 30, kept["evals"])
        writer.finish("finished", None, [[1]], {})
        assert state_of(path) == (kept["updates"] + 30, kept["evals"])
        with h5py.File(path) as file:
            assert "tail" not in file


def test_a_slow_run_does_not_grow(tmp_path):
    """A row and a flush a second, for an hour: nothing is written twice."""
    path = tmp_path / "run.h5"
    writer, largest = make(path), []
    for second in range(3600):
        writer.append_updates(rows(1, second))
        assert writer.flush()
        largest.append(path.stat().st_size)
    assert largest[-1] - largest[0] < 100_000, "one chunk of each column, and its index"
    assert len(load_run(path).updates["tau"]) == 3600
    writer.finish("finished", None, [[1]], {})
    assert path.stat().st_size < 100_000


def test_files_without_a_tail_load_and_go_on(tmp_path):
    """As earlier versions wrote them, and as every file is at its end."""
    path = tmp_path / "run.h5"
    _, table, _ = record(path)
    with h5py.File(path) as file:
        assert "tail" not in file
    writer = RunWriter.reopen(path, kept={"updates": 5000, "evals": 2, "rule": 3}, attributes={})
    writer.append_updates(rows(10, 4999))
    assert writer.flush()
    np.testing.assert_array_equal(load_run(path).updates["tau"], np.append(table["tau"], rows(10, 4999)["tau"]))


def test_a_file_that_is_copied_while_the_run_goes_on_has_its_rows(tmp_path):
    path = tmp_path / "run.h5"
    writer = make(path)
    writer.append_updates(rows(3000))
    writer.flush()
    run = load_run(path)
    run.save(tmp_path / "copy.h5")
    writer.append_updates(rows(3000, 3000))
    writer.flush()
    for found in (run, load_run(tmp_path / "copy.h5")):  # the first reads its columns only now
        np.testing.assert_array_equal(found.updates["version"], rows(3000)["version"])


def test_the_tail_is_read_without_asapnb(tmp_path, monkeypatch):
    """As docs/reference/run-file.md says."""
    page = (Path(__file__).parents[1] / "docs/reference/run-file.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall("```python\n(.*?)```", page, re.S) if "def read_column" in block)
    monkeypatch.chdir(tmp_path)
    writer, world = make("run.h5"), {}
    for start in (0, 3000):
        writer.append_updates(rows(3000, start))
        writer.flush()
        exec(code, world)
        with h5py.File("run.h5") as file:
            for name in UPDATES.names:
                found = world["read_column"](file, "updates", name)
                np.testing.assert_array_equal(found, rows(start + 3000)[name], err_msg=name)
