"""A checkpoint belongs to one run, under any name, and to no other: not even to a copy that has gone on by itself."""

import shutil

import h5py
import numpy as np
import pytest
from problems import quadratic

import asapnb as ab
from asapnb.record import checkpoint_path, find_checkpoint, load_checkpoint, load_run, save_checkpoint
from asapnb.record.checkpoint import sessions_from

PROBLEM = quadratic()


def trained(updates, **options):
    return ab.train(PROBLEM, "sequential", updates=updates, eval_every=10, **options)


def as_killed(path, version, **facts):
    """Make the run in a file one that was killed after 60 updates, with a checkpoint after `version`."""
    with h5py.File(path, "r+") as file:
        file.attrs["status"] = "running"
    attributes = {name: load_run(path).attributes.get(name) for name in ("run_id", "token")} | facts
    seed = load_run(path).attributes["seed"]
    arrays = {"params": trained(version, seed=seed).params["final"]}
    save_checkpoint(path, arrays, {"version": version, "t": 0.5, **attributes})
    return path


def killed(path, version=40, seed=0, **facts):
    trained(60, seed=seed, out=path)
    return as_killed(path, version, **facts)


def went_on(path, version, names, seed=0, updates=70):
    """Whether the run in a file goes on from a version to the right bits, and which files are left."""
    run = ab.resume(path, problem=PROBLEM, updates=updates)
    assert run.attributes["resumed"][-1]["version"] == version
    assert run.attributes["sessions"][-1] == {"token": run.attributes["token"], "version": version}
    np.testing.assert_array_equal(run.params["final"], trained(updates, seed=seed).params["final"])
    np.testing.assert_array_equal(np.sort(run.updates["batch"]), np.arange(updates))
    assert {file.name for file in path.parent.iterdir()} == set(names)
    return run


def test_it_goes_with_a_file_that_was_renamed(tmp_path):
    run_id = load_run(killed(tmp_path / "run.h5")).attributes["run_id"]
    path = (tmp_path / "run.h5").rename(tmp_path / "new.h5")
    found = find_checkpoint(load_run(path))
    assert (found.version, found.path.name) == (40, "run.h5.checkpoint")
    assert went_on(path, 40, ["new.h5"]).attributes["run_id"] == run_id


def test_a_copy_leaves_it_to_the_first(tmp_path):
    path = killed(tmp_path / "run.h5")
    copy = shutil.copy(path, tmp_path / "copy.h5")
    went_on(copy, 40, ["copy.h5", "run.h5", "run.h5.checkpoint"])
    went_on(path, 40, ["copy.h5", "run.h5"])


def test_that_of_another_run_is_refused(tmp_path):
    path, other = killed(tmp_path / "run.h5"), killed(tmp_path / "other.h5", seed=1)
    own = checkpoint_path(path).rename(tmp_path / "somewhere.h5.checkpoint")
    checkpoint_path(other).rename(checkpoint_path(path))
    kept = own.read_bytes()
    own.unlink()
    held = {file: file.read_bytes() for file in tmp_path.iterdir()}
    one, another = (load_run(file).attributes["run_id"] for file in (path, other))
    with pytest.raises(ab.RecordError, match=rf"{checkpoint_path(path)} is of another run \({another}, not {one}\)"):
        ab.resume(path, problem=PROBLEM, updates=70)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == held
    own.write_bytes(kept)
    went_on(path, 40, ["run.h5", "other.h5", "run.h5.1.checkpoint"])
    went_on(other, 40, ["run.h5", "other.h5"], seed=1)


def test_a_new_run_leaves_that_of_a_renamed_one(tmp_path):
    path = killed(tmp_path / "run.h5")
    renamed = path.rename(tmp_path / "renamed.h5")
    trained(20, out=path)
    assert find_checkpoint(load_run(renamed)).path == tmp_path / "run.h5.1.checkpoint"
    went_on(renamed, 40, ["run.h5", "renamed.h5"])


def test_a_run_that_is_overwritten_takes_its_own_along(tmp_path):
    path = killed(tmp_path / "run.h5")
    trained(20, out=path, force=True)
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]


def test_that_of_a_copy_that_went_on_is_refused(tmp_path):
    """The rows after version 40 are others, although they are as many and the run is the same."""
    path = killed(tmp_path / "run.h5")
    copy = tmp_path / "copy.h5"
    shutil.copy(path, copy)
    went_on(copy, 40, ["run.h5", "copy.h5", "run.h5.checkpoint"])
    as_killed(copy, 60)
    as_killed(path, 50)
    assert find_checkpoint(load_run(copy)).version == 60
    checkpoint_path(copy).unlink()
    assert find_checkpoint(load_run(copy)) is None
    shutil.copy(checkpoint_path(path), checkpoint_path(copy))
    with pytest.raises(ab.RecordError, match="comes after 50 updates that this file does not hold"):
        ab.resume(copy, problem=PROBLEM, updates=80)
    as_killed(path, 30)
    shutil.copy(checkpoint_path(path), checkpoint_path(copy))
    assert find_checkpoint(load_run(copy)).version == 30, "up to 40 the rows are the same"


def test_that_of_a_file_that_was_put_back_is_refused(tmp_path):
    """A backup from before some updates does not hold them."""
    path = killed(tmp_path / "run.h5", 40)
    save_checkpoint(path, {"params": np.zeros(50, np.float32)}, {**load_checkpoint(path).attributes, "version": 61})
    with pytest.raises(ab.RecordError, match="comes after 61 updates that this file does not hold: give it the name"):
        ab.resume(path, problem=PROBLEM, updates=70)


def without_identity(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["run_id"], file.attrs["token"]


def test_files_from_before_identities(tmp_path):
    path = killed(tmp_path / "run.h5", run_id=None, token=None)
    with pytest.raises(ab.RecordError, match="comes after 40 updates that this file does not hold"):
        ab.resume(path, problem=PROBLEM, updates=70)
    without_identity(path)
    assert find_checkpoint(load_run(path)).version == 40
    renamed = path.rename(tmp_path / "renamed.h5")
    assert find_checkpoint(load_run(renamed)) is None, "nothing says whose it is"
    renamed.rename(path)
    run = went_on(path, 40, ["run.h5"])
    assert run.attributes["sessions"][0] == {"token": None, "version": 0}
    other = killed(tmp_path / "other.h5", version=61, run_id=None, token=None)
    without_identity(other)
    with pytest.raises(ab.RecordError, match="comes after 61 updates that this file does not hold"):
        ab.resume(other, problem=PROBLEM, updates=70)


def test_sessions(tmp_path):
    run = trained(20, out=tmp_path / "run.h5")
    tokens = [run.attributes["token"]]
    assert "sessions" not in run.attributes
    for updates in (30, 40):
        run = ab.resume(run, problem=PROBLEM, updates=updates)
        tokens.append(run.attributes["token"])
    begun = [{"token": token, "version": version} for token, version in zip(tokens, (0, 20, 30), strict=True)]
    assert run.attributes["sessions"] == begun
    assert sessions_from(run, 20, "new") == [*begun[:2], {"token": "new", "version": 20}]
    assert sessions_from(run, 0, "new") == [begun[0], {"token": "new", "version": 0}]


def misshape(file):
    del file["params"]
    file["params"] = np.zeros(49, np.float32)


def retype(file):
    file["velocity"] = np.zeros((1, 50))


def grow(file):
    del file["params"]
    file.create_dataset("params", (2**40,), np.float32, chunks=(1024,))


def link(file):
    del file["params"]
    file["params"] = h5py.ExternalLink("run.h5", "params/initial")


def unversion(file):
    file.attrs["version"] = "forty"


def remove(file):
    del file["params"]


@pytest.mark.parametrize("change", [misshape, retype, grow, link, unversion, remove])
def test_a_damaged_one_is_refused(tmp_path, change):
    path = killed(tmp_path / "run.h5")
    with h5py.File(checkpoint_path(path), "r+") as file:
        change(file)
    held = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ab.RecordError, match=r"the checkpoint .*run\.h5\.checkpoint (cannot be read|does not hold)"):
        ab.resume(path, problem=PROBLEM, updates=70)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == held
