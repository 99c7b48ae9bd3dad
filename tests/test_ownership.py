"""One writer of a file at a time: another command, call, thread or process is refused, and the first is unharmed."""

import errno
import json
import os
import platform
import threading

import numpy as np
import pytest
from problems import quadratic
from processes import LIMIT, in_threads, started
from test_record import record

import asapnb as ab
from asapnb.errors import RecordError
from asapnb.record import lease, load_run, own, owner_of
from asapnb.record import owner as owners
from asapnb.record.owner import beside

HOLD = """
import sys, pathlib
from asapnb.record import own
with own(pathlib.Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""
ME = f"process {os.getpid()} on {platform.node()} since 2"


def refused(path):
    with pytest.raises(RecordError) as error:
        own(path).release()
    return str(error.value)


def test_one_owner_at_a_time(tmp_path):
    path = tmp_path / "run.h5"
    assert owner_of(path) is None
    with own(path) as owner:
        owner.check()
        says = refused(path)
        assert says.startswith(f"{path} is being written by {ME}")
        assert says.endswith(": wait for it, end it, or give another name")
        assert owner_of(path)["pid"] == os.getpid()
        with own(tmp_path / "other.h5"):
            pass
        owner.release()
        owner.release()
        with own(path):
            assert owner.token != owner_of(path)["token"]
    assert list(tmp_path.iterdir()) == []


def test_one_of_many_threads_owns_it(tmp_path):
    path, barrier, ended = tmp_path / "run.h5", threading.Barrier(8), threading.Barrier(8)

    def take(_):
        barrier.wait(LIMIT)
        try:
            owner = own(path)
        except RecordError as error:
            return str(error)
        finally:
            ended.wait(LIMIT)
        owner.release()
        return None

    results = in_threads(take, 8)
    assert results.count(None) == 1
    assert all("is being written" in result for result in results if result)


def test_it_is_free_when_its_owner_is_killed(tmp_path):
    path = tmp_path / "run.h5"
    with started("-c", HOLD, path) as process:
        assert process.stdout.readline() == "owned\n"
        assert f"process {process.pid} on" in refused(path)
        process.kill()
        process.wait(LIMIT)
        assert beside(path, ".lock").exists()
        assert owner_of(path) is None
        own(path).release()
    assert list(tmp_path.iterdir()) == []


FORK = """
import os, sys, pathlib
from asapnb.errors import RecordError
from asapnb.record import own
path = pathlib.Path(sys.argv[1])
owner = own(path)
go_on, tell = os.pipe()
if os.fork() == 0:
    try:
        owner.check()
    except RecordError as error:
        print(error, flush=True)
    owner.release()
    os.close(tell)
    os.read(go_on, 1)  # until the parent has died
    own(path)
    print("the child owns it", flush=True)
    os._exit(0)
sys.stdin.readline()
owner.check()
print("the parent owns it", flush=True)
os._exit(9)
"""


def test_a_forked_child_neither_has_the_lock_nor_keeps_it(tmp_path):
    path = tmp_path / "run.h5"
    with started("-c", FORK, path) as process:
        assert f"belongs to process {process.pid}, and this process is a fork of it" in process.stdout.readline()
        assert f"process {process.pid} on" in refused(path)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "the parent owns it\n"
        assert process.stdout.readline() == "the child owns it\n"


@pytest.fixture(params=["flock", "range", "lease"])
def means(request, monkeypatch):
    """A file system that has locks, only those of bytes, or none."""

    def missing(*arguments):
        raise OSError(request.node.callspec.params.get("number", errno.ENOSYS), "none")

    if request.param != "flock":
        monkeypatch.setattr(owners, "_flock", missing)
    if request.param == "lease":
        monkeypatch.setattr(owners, "_lock_range", missing)
    return request.param


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, 524])
def test_file_systems_with_and_without_locks(tmp_path, means, number):
    path = tmp_path / "run.h5"
    with own(path) as owner:
        owner.check()
        assert f"{path} is being written by {ME}" in refused(path)
        assert owner_of(path)["token"] == owner.token
        assert [file.name for file in tmp_path.iterdir()] == [".run.h5.lease" if means == "lease" else ".run.h5.lock"]
    assert owner_of(path) is None
    run = ab.train(quadratic(), updates=20, out=path)
    assert ab.resume(run, problem=quadratic(), updates=30).status == "finished"
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def stale(path, **changed):
    """A lease of another owner."""
    path.write_text(json.dumps({**lease.make_record(), "token": "another", **changed}))


@pytest.mark.parametrize("means", ["lease"], indirect=True)
@pytest.mark.parametrize(
    ("changed", "seconds", "free"),
    [
        ({}, 0, False),
        ({}, lease.LEASE + 1, True),
        ({"pid": 2**22 + 1}, 0, True),  # no process can have this number
        ({"pid": 2**22 + 1, "host": "elsewhere"}, 0, False),
        ({"pid": 2**22 + 1, "boot": "before"}, 0, False),
        ({"pid": 2**22 + 1, "space": "another container"}, 0, False),
        ({"started": "1"}, 0, True),  # another process has the number by now
        ({"pid": "x\x1b[31m", "host": None}, 0, False),
    ],
    ids=str,
)
def test_a_lease_is_taken_over_if_its_owner_is_dead(tmp_path, means, changed, seconds, free):
    path = tmp_path / "run.h5"
    file = beside(path, ".lease")
    stale(file, **changed)
    if seconds:
        now = file.stat().st_mtime
        os.utime(file, (now, now - seconds))
    assert (owner_of(path) is None) == free
    if free:
        own(path).release()
        assert list(tmp_path.iterdir()) == []
    else:
        says = refused(path)
        assert f"it has not touched {file} for 180 seconds: remove that file" in says
        assert "\x1b" not in says
        assert [found.name for found in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("means", ["lease"], indirect=True)
def test_an_owner_notices_that_its_lease_was_taken_over(tmp_path, means):
    path = tmp_path / "run.h5"
    with own(path) as owner:
        stale(beside(path, ".lease"))
        with pytest.raises(RecordError, match="has another owner now, as this one gave no sign of life"):
            owner.check()
    assert beside(path, ".lease").exists(), "it is that of the other"


@pytest.mark.parametrize("means", ["lease"], indirect=True)
def test_a_lease_is_touched(tmp_path, means, monkeypatch):
    path, touched = tmp_path / "run.h5", threading.Event()
    monkeypatch.setattr(lease, "REFRESH", 0.001)
    monkeypatch.setattr(lease.os, "utime", lambda file: touched.set())
    with own(path):
        assert touched.wait(LIMIT)


def test_what_is_no_lock_file(tmp_path):
    path, mine = tmp_path / "run.h5", tmp_path / "mine.txt"
    lock = beside(path, ".lock")
    mine.write_text("kept")
    for make_it in (lock.symlink_to, lock.hardlink_to, lambda _: os.mkfifo(lock)):
        make_it(mine)
        with pytest.raises(RecordError, match=r"run.h5.lock is (not a lock file|a symbolic link).*: remove it"):
            own(path)
        lock.unlink()
    lock.mkdir()
    with pytest.raises(RecordError, match="cannot write to the folder"):
        own(path)
    assert mine.read_text() == "kept"
    with pytest.raises(RecordError, match=r"cannot write to the folder .*No such file or directory; make the"):
        own(tmp_path / "nowhere" / "run.h5")


def test_the_lock_file_of_another_user_can_be_locked(tmp_path, monkeypatch):
    path, really = tmp_path / "run.h5", os.open
    beside(path, ".lock").touch()

    def forbidden(file, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "no", file)
        return really(file, flags, *mode)

    monkeypatch.setattr(owners.os, "open", forbidden)
    with own(path):
        assert f"{path} is being written by another process: wait" in refused(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 252 + ".h5", "é" * 120 + ".h5"], ids=["long", "of two bytes each"])
def test_the_longest_name(tmp_path, name):
    run = ab.train(quadratic(), updates=20, out=tmp_path / name)
    assert ab.resume(run, problem=quadratic(), updates=30).status == "finished"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_whatever_wants_to_write_the_file_of_a_run_is_refused(tmp_path):
    """And finds it by any name. The run goes on, and its file has all rows."""
    problem, link, says = quadratic(), tmp_path / "link.h5", []
    link.symlink_to(tmp_path / "run.h5")
    simulated = ab.simulate(problem, workers=2, updates=30)
    before = record(tmp_path / "run.h5") and load_run(tmp_path / "run.h5")

    def look(evaluation):
        if evaluation.step:
            return
        for out in (tmp_path / "run.h5", link):
            for write, arguments in (
                (ab.train, {"problem": problem, "updates": 10, "out": out}),
                (ab.simulate, {"problem": problem, "updates": 10, "out": out}),
                (ab.replay, {"source": simulated, "problem": problem, "out": out}),
                (ab.resume, {"run": out, "problem": problem, "updates": 70}),
                (simulated.save, {"path": out}),
            ):
                with pytest.raises(RecordError) as error:
                    write(**arguments, force=True)
                says.append(str(error.value))

    run = ab.train(problem, "lock-based", workers=2, updates=60, out=tmp_path / "run.h5", force=True, on_eval=look)
    assert len(says) == 10
    assert all(text.startswith(f"{tmp_path / 'run.h5'} is being written by {ME}") for text in says)
    assert before.attributes["run_id"] != run.attributes["run_id"]
    assert run.status == load_run(run.path).status == "finished"
    np.testing.assert_array_equal(run.updates["version"], np.arange(1, 61))
    assert {file.name for file in tmp_path.iterdir()} == {"run.h5", "link.h5"}


def test_of_two_that_make_the_same_file_one_goes_on(tmp_path):
    """Neither has `force`: also the one that comes when the first has ended must not replace its file."""
    problem = quadratic()

    def make_it(me):
        try:
            return ab.train(problem, updates=40, seed=me, out=tmp_path / "run.h5")
        except RecordError as error:
            return str(error)

    made = in_threads(make_it, 4)
    (run,) = (found for found in made if not isinstance(found, str))
    assert all(
        "is being written by" in found or "already exists" in found for found in made if isinstance(found, str)
    )
    found = load_run(tmp_path / "run.h5")
    assert found.attributes["run_id"] == run.attributes["run_id"]
    np.testing.assert_array_equal(found.updates["version"], np.arange(1, 41))


def test_a_refused_call_leaves_nothing(tmp_path):
    path = tmp_path / "run.h5"
    record(path)
    held = path.read_bytes()
    for write in (
        lambda: ab.train(quadratic(), updates=20, out=path),
        lambda: ab.train(quadratic(), updates=20, rule="no", out=tmp_path / "new.h5"),
        lambda: ab.simulate(quadratic(), updates=20, timing="no", out=tmp_path / "new.h5"),
        lambda: ab.resume(path, updates=20),
        lambda: load_run(path).save(path),
    ):
        with pytest.raises(ab.AsapnbError):
            write()
    assert path.read_bytes() == held
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]
