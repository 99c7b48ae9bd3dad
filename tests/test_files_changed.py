"""A run file that other programs change while its run goes on: they add to it, remove it, damage it."""

import os

import h5py
import pytest
from processes import python
from test_record import make
from test_writer_faults import assert_holds, ended, given_to

from asapnb.errors import RecordError
from asapnb.record import writer as writer_module

LEFT = """
import sys
from pathlib import Path
from asapnb.record.append import Append

append = Append(Path(sys.argv[1]))
open(sys.argv[1], "w").close()
try:
    with append.changed():
        pass
except OSError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def without_patience(monkeypatch):
    monkeypatch.setattr(writer_module, "_PATIENCE", 0.0)


def test_what_another_program_adds_is_kept(tmp_path):
    writer = make(tmp_path / "run.h5")
    given_to(writer, 0, 3000)
    assert writer.flush()
    for start in (3000, 6000):  # before a flush, and before the end
        with h5py.File(tmp_path / "run.h5", "r+") as file:
            file.attrs[f"note{start}"] = 3000 * "x"
        given_to(writer, start, start + 3000)
        assert start == 6000 or writer.flush()
    run = ended(writer)
    assert_holds(run, 9000)
    assert run.attributes["note3000"] == run.attributes["note6000"] == 3000 * "x"


def test_a_file_that_is_removed_is_written_anew(tmp_path):
    path = tmp_path / "run.h5"
    writer = make(path)
    given_to(writer, 0, 3000)
    path.unlink()
    with pytest.warns(RuntimeWarning, match=r"it has been removed; the run is in .*run\.h5"):
        run = ended(writer)
    assert run.path == path
    assert_holds(run, 3000)
    assert os.listdir(tmp_path) == ["run.h5"]


def test_rows_that_another_program_has_destroyed_are_an_error(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    writer = make(path)
    given_to(writer, 0, 3000)
    assert writer.flush()
    path.write_bytes(b"")
    given_to(writer, 3000, 3010)
    with pytest.warns(RuntimeWarning, match="the file has become shorter"):
        assert not writer.flush()
    with pytest.raises(RecordError, match="was damaged while the run went on, and its rows are lost"):
        ended(writer)
    make(path, force=True).finish("finished", None, [[1]], {})  # nobody owns it any more


def test_a_file_that_could_not_be_opened_leaves_nothing_in_hdf5(tmp_path):
    """What HDF5 frees after the end of Python is a segmentation fault."""
    make(tmp_path / "run.h5").finish("finished", None, [[1]], {})
    assert "has become shorter" in python("-c", LEFT, tmp_path / "run.h5").stdout
