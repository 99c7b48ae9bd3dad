"""A run file that cannot be written: the run goes on, nothing is lost, and what the file held stays valid."""

import errno
import fcntl
import os
import shutil
import warnings

import h5py
import numpy as np
import pytest
from processes import LIMIT, started
from test_record import make, rows

from asapnb.errors import RecordError
from asapnb.record import ending, load_checkpoint, load_run, shielded, waiting
from asapnb.record import writer as writer_module

FINAL = np.array([4, 5, 6], np.float32)
READER = "import h5py, sys; f = h5py.File(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def without_patience(monkeypatch):
    monkeypatch.setattr(writer_module, "_PATIENCE", 0.0)


class Disk:
    """Stands for `os.pwrite`: its writes fail with `error` from number `first` on, as long as `holds` says."""

    def __init__(self, monkeypatch, first, error=errno.ENOSPC, holds=lambda descriptor: True):
        self.count, self.first, self.error, self.holds = 0, first, error, holds
        self.write = os.pwrite
        monkeypatch.setattr(shielded.os, "pwrite", self)

    def __call__(self, descriptor, data, address):
        self.count += 1
        if self.count >= self.first and self.holds(descriptor):
            raise OSError(self.error, os.strerror(self.error))
        return self.write(descriptor, data, address)


def assert_holds(run, count, status="finished"):
    assert run.status == status
    for name, expected in rows(count)[["version", "loss", "t_apply"]].dtype.fields.items():
        np.testing.assert_array_equal(run.updates[name], rows(count)[name].astype(expected[0]), err_msg=name)
    if status != "running":
        np.testing.assert_array_equal(run.params["final"], FINAL)


def names(*folders):
    """The files in folders, without those that say who writes."""
    return sorted(file.name for folder in folders for file in folder.iterdir() if file.suffix != ".lock")


def given_to(writer, start, stop):
    writer.append_updates(rows(stop - start, start))
    writer.append_eval(start, 0.0, 1.0, 1.0, 1.0)
    writer.append_table(start, np.ones(3))


def ended(writer):
    return writer.finish("finished", FINAL, [[1]], {"seconds": 1.0})


def test_a_reader_through_the_whole_run_costs_nothing(tmp_path):
    path = tmp_path / "run.h5"
    writer = make(path)
    with started("-c", READER, path) as process:
        assert process.stdout.readline() == "open\n"
        for start in range(0, 6000, 2000):
            given_to(writer, start, start + 2000)
            assert not writer.flush()
        run = ended(writer)
        process.stdin.close()
        process.wait(LIMIT)
    assert run.path == path
    assert_holds(run, 6000)
    assert names(tmp_path) == ["run.h5"]


@pytest.mark.parametrize("spilled", ["beside", "elsewhere", "nowhere"])
def test_many_rows_wait_in_a_file(tmp_path, monkeypatch, spilled):
    monkeypatch.setattr(waiting, "MEMORY", 100_000)
    make_file, made = waiting.tempfile.TemporaryFile, []

    def temporary(dir, **options):
        if spilled == "nowhere" or (spilled == "elsewhere" and dir is not None):
            raise OSError(errno.ENOSPC, "no space left")
        made.append(dir)
        return make_file(dir=dir, **options)

    monkeypatch.setattr(waiting.tempfile, "TemporaryFile", temporary)
    path = tmp_path / "run.h5"
    writer = make(path)
    with open(path) as file, pytest.warns(RuntimeWarning, match=r"its rows wait") as warned:  # noqa: PT031
        fcntl.flock(file, fcntl.LOCK_SH)
        for start in range(0, 12_000, 2000):
            given_to(writer, start, start + 2000)
            assert not writer.flush()
        assert len(warned) == 1
        held = sum(len(piece) for _, piece in writer._waiting._pieces if isinstance(piece, np.ndarray))
        assert held == (12_006 if spilled == "nowhere" else 0) or held < 2000
        assert made == {"beside": [tmp_path], "elsewhere": [None], "nowhere": []}[spilled]
        assert names(tmp_path) == ["run.h5"]
    given_to(writer, 12_000, 12_010)
    assert writer.flush()
    assert_holds(load_run(path), 12_010, "running")
    assert_holds(ended(writer), 12_010)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES], ids=str)
def test_a_disk_that_is_full_for_a_while(tmp_path, monkeypatch, error):
    path = tmp_path / "run.h5"
    writer, full = make(path), []
    Disk(monkeypatch, 1, error, lambda descriptor: full)
    given_to(writer, 0, 3000)
    assert writer.flush()
    full.append(True)
    with pytest.warns(RuntimeWarning, match=os.strerror(error)) as warned:  # noqa: PT031
        for start in (3000, 6000):
            given_to(writer, start, start + 3000)
            assert not writer.flush()
            assert_holds(load_run(path), 3000, "running")
    assert len(warned) == 1
    full.clear()
    assert writer.flush()
    assert_holds(load_run(path), 9000, "running")
    assert ended(writer).path == path
    assert_holds(load_run(path), 9000)


def test_every_single_write_can_fail(tmp_path, monkeypatch):
    """The file holds the rows of the flush before, or all; the next flush writes all."""
    failing = 0
    while True:
        failing += 1
        path = tmp_path / f"{failing}.h5"
        writer = make(path)
        given_to(writer, 0, 1000)
        assert writer.flush()
        with monkeypatch.context() as patch:
            disk = Disk(patch, failing, errno.EIO)
            given_to(writer, 1000, 5000)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                whole = writer.flush()
            assert len(warned) == (not whole)
        if whole:
            break
        count = len(load_run(path).updates["tau"])
        assert count in (1000, 4096, 5000), "the rows of the flush before, of whole chunks, or all"
        assert_holds(load_run(path), count, "running")
        given_to(writer, 5000, 5010)
        assert writer.flush()
        assert_holds(load_run(path), 5010, "running")
        assert_holds(ended(writer), 5010)
    assert disk.count == failing - 1 > 10


@pytest.mark.parametrize("elsewhere", ["beside", "working", "temporary", "memory"])
def test_a_run_whose_file_cannot_be_written_at_its_end(tmp_path, monkeypatch, elsewhere):
    folders = {name: tmp_path / name for name in ("beside", "working", "temporary")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.chdir(folders["working"])
    monkeypatch.setattr(ending.tempfile, "tempdir", str(folders["temporary"]))
    (folders["beside"] / "run.1.h5").write_text("somebody's own")
    path = folders["beside"] / "run.h5"
    writer = make(path)
    given_to(writer, 0, 3000)
    assert writer.flush()
    old = path.stat().st_ino
    good = {**folders, "beside": folders["beside"] / "run.2"}.get(elsewhere, tmp_path / "none")

    def full(descriptor):
        where = os.readlink(f"/proc/self/fd/{descriptor}")
        return os.fstat(descriptor).st_ino == old or not where.replace("/.run", "/run").startswith(str(good))

    Disk(monkeypatch, 1, errno.ENOSPC, full)
    given_to(writer, 3000, 6000)
    with pytest.warns(RuntimeWarning, match="No space left") as warned:  # noqa: PT031
        assert not writer.flush()
        run = ended(writer)
    expected = {"beside": folders["beside"] / "run.2.h5", "memory": None}.get(elsewhere, good / "run.1.h5")
    assert run.path == expected
    assert f"the run is in {expected or 'memory only'}" in str(warned[-1].message)
    assert_holds(run, 6000)
    assert_holds(load_run(path), 3000, "running")
    assert (folders["beside"] / "run.1.h5").read_text() == "somebody's own"
    assert names(*folders.values()) == sorted(["run.h5", "run.1.h5", *([expected.name] if expected else [])])


def test_a_file_or_its_directory_that_is_moved(tmp_path):
    for moved, found in (("a/run.h5", "a/other.h5"), ("a", "b")):
        (tmp_path / "a").mkdir(exist_ok=True)
        writer = make(tmp_path / "a/run.h5")
        given_to(writer, 0, 3000)
        os.rename(tmp_path / moved, tmp_path / found)
        given_to(writer, 3000, 3010)
        assert writer.flush()
        run = ended(writer)
        assert run.path == tmp_path / (found if found.endswith(".h5") else f"{found}/run.h5")
        assert_holds(run, 3010)


def test_a_directory_that_vanishes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    writer = make(tmp_path / "a/run.h5")
    given_to(writer, 0, 3000)
    shutil.rmtree(tmp_path / "a")
    assert writer.flush(), "the open file takes rows"
    with pytest.warns(RuntimeWarning, match=r"it has been removed; the run is in .*run\.h5"):
        run = ended(writer)
    assert run.path == tmp_path / "run.h5"
    assert_holds(run, 3000)


def test_a_file_that_another_run_has_replaced(tmp_path):
    path = tmp_path / "run.h5"
    writer = make(path)
    given_to(writer, 0, 3000)
    path.unlink()
    path.write_text("another")
    with pytest.warns(RuntimeWarning, match=r"the run is in .*run\.1\.h5"):
        run = ended(writer)
    assert_holds(run, 3000)
    assert path.read_text() == "another"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, 524])
def test_file_systems_without_locks(tmp_path, monkeypatch, code):
    def none(*arguments):
        raise OSError(code, "no locks here")

    opened, asked = h5py.File, []

    def without_locks(*arguments, locking=None, **options):
        asked.append(locking)
        if isinstance(arguments[0], os.PathLike) and locking is not False:
            raise OSError(code, f"unable to lock file, errno = {code}")
        return opened(*arguments, locking=locking, **options)

    monkeypatch.setattr(fcntl, "flock", none)
    monkeypatch.setattr(h5py, "File", without_locks)
    path = tmp_path / "run.h5"
    writer = make(path)
    for start in (0, 3000):
        given_to(writer, start, start + 3000)
        assert writer.flush()
        assert_holds(load_run(path), start + 3000, "running")
    run = ended(writer)
    assert_holds(run, 6000)
    run.save(tmp_path / "copy.h5")
    assert_holds(load_run(tmp_path / "copy.h5"), 6000)
    assert False in asked


@pytest.mark.parametrize("said", ["FALSE", "0"])
def test_locks_that_are_switched_off_are_not_taken(tmp_path, monkeypatch, said):
    path = tmp_path / "run.h5"
    writer = make(path)
    given_to(writer, 0, 10)
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert not writer.flush()
        monkeypatch.setenv("HDF5_USE_FILE_LOCKING", said)
        assert writer.flush()


def test_a_checkpoint_that_cannot_be_saved(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    writer, full = make(path), []
    Disk(monkeypatch, 1, holds=lambda descriptor: full)
    assert writer.save_checkpoint({"params": FINAL}, {"version": 1})
    full.append(True)
    with pytest.warns(RuntimeWarning, match="No space left") as warned:  # noqa: PT031
        for version in (2, 3):
            assert not writer.save_checkpoint({"params": FINAL}, {"version": version})
    assert len(warned) == 1
    assert load_checkpoint(path).attributes["version"] == 1
    full.clear()
    assert writer.save_checkpoint({"params": FINAL}, {"version": 4})
    assert load_checkpoint(path).attributes["version"] == 4
    assert names(tmp_path) == ["run.h5", "run.h5.checkpoint"]


def test_a_new_file_that_cannot_be_written(tmp_path, monkeypatch):
    """Whichever write fails, the old file stays, nothing else is left, and the error says why."""
    path, first = tmp_path / "run.h5", 1
    ended(make(path))
    held = path.read_bytes()
    run = load_run(path)
    for act in (lambda: make(path, force=True), lambda: run.save(path, force=True)):
        for first in (1, 2, 10, 30):
            with monkeypatch.context() as patch:
                Disk(patch, first)
                with pytest.raises(RecordError, match="No space left"):
                    act()
            assert path.read_bytes() == held
            assert names(tmp_path) == ["run.h5"]
