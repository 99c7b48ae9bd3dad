"""`keep_params="evals"`: the parameters of every evaluation stand in the run file, also after a kill."""

import itertools

import h5py
import numpy as np
import pytest
from naive import hogwild, versions_of
from problems import quadratic, train
from simulations import contents, simulate

import asapnb as ab
from asapnb.engine.controller import Controller
from asapnb.record.schema import RUNNING

GIVEN = {"keep_params": "evals", "updates": 60, "eval_every": 8}
KEPT = [0, *range(8, 60, 8), 60]


@pytest.mark.parametrize("scheme", ["sequential", "lock-based", "leashed(persistence=1)"])
def test_runs_on_threads_keep_the_versions_that_are_evaluated(scheme, tmp_path):
    run = train(quadratic(), scheme, **GIVEN, out=tmp_path / "run.h5")
    run.check()
    versions = versions_of(quadratic(), run)
    assert run.kept_versions.tolist() == KEPT
    for version in KEPT:
        assert run.params_at(version).tobytes() == versions[version].tobytes()
    with pytest.raises(ab.RecordError, match="version 9: it holds those of 0, 8, 16, "):
        run.params_at(9)
    again = ab.replay(run, quadratic(), keep_params="evals", eval_every=4)
    assert again.kept_versions.tolist() == list(range(0, 61, 4))
    assert all((again.params_at(version) == run.params_at(version)).all() for version in KEPT)
    assert ab.replay(run, quadratic()).kept_versions.tolist() == [0, 60]
    further = ab.resume(run.path, problem=quadratic(), updates=80)
    assert further.kept_versions.tolist() == [*KEPT[:-1], 64, 72, 80]
    assert further.params_at(56).tobytes() == versions[56].tobytes()


@pytest.mark.parametrize("scheme", ["synchronous(wait_for=3)", "hogwild(blocks=7)"])
def test_runs_in_virtual_time_keep_them_too(scheme, tmp_path):
    run = simulate(scheme=scheme, **GIVEN, threads=2, out=tmp_path / "run.h5")
    assert run.kept_versions.tolist() == KEPT
    for version in KEPT[1:-1]:
        loss = quadratic().evaluate(run.params_at(version), "train", 10_000)[0]
        assert loss == run.evals["train_loss"][run.evals["step"] == version]
    if scheme.startswith("hogwild"):
        versions = hogwild(quadratic(), run, 7)[0]
        np.testing.assert_allclose(run.params_at(16), versions[16], atol=1e-6)
    further = ab.resume(run.path, problem=quadratic(), updates=80)
    whole = simulate(scheme=scheme, **{**GIVEN, "updates": 80}, out=tmp_path / "whole.h5")
    found, wanted = contents(further.path), contents(whole.path)
    assert [name for name in wanted if "/" in name and found[name].tobytes() != wanted[name].tobytes()] == []


def test_a_run_keeps_in_its_file_what_has_been_written(tmp_path, monkeypatch):
    """As a file is left by a kill: its run is "running", and nothing has been written after the last flush."""
    seen, turns = [], itertools.count()
    ticks = Controller.tick

    def tick(self):
        again = ticks(self)
        self.writer.flush()
        if next(turns) % 8:  # a file is read in a few milliseconds
            return again
        run = ab.load_run(tmp_path / "run.h5")
        if run.status == RUNNING and len(run.kept_versions) > 2:
            seen.append({version: run.params_at(version) for version in run.kept_versions.tolist()})
        return again

    monkeypatch.setattr(Controller, "tick", tick)
    run = train(quadratic(), "sequential", **{**GIVEN, "updates": 4000, "eval_every": 40}, out=tmp_path / "run.h5")
    assert seen
    for held in seen:
        assert all((run.params_at(version) == params).all() for version, params in held.items())


def test_without_it_a_file_has_no_such_group_and_in_memory_it_works_too(tmp_path):
    plain = simulate(out=tmp_path / "run.h5")
    with h5py.File(plain.path) as file:
        assert "kept" not in file
    assert plain.kept_versions.tolist() == [0, 60]
    assert simulate(**GIVEN).kept_versions.tolist() == KEPT
    saved = simulate(quadratic(dtype=np.float64), **GIVEN)
    saved.save(tmp_path / "double.h5")
    assert ab.load_run(tmp_path / "double.h5").params_at(8).dtype == np.float64
    with pytest.raises(ab.UsageError, match=r"keep_params.*available: evals"):
        simulate(keep_params="all")


def test_a_damaged_group_is_refused(tmp_path):
    run = simulate(**GIVEN, out=tmp_path / "run.h5")
    with h5py.File(run.path, "r+") as file:
        del file["kept/params"]
        file["kept"].create_dataset("params", data=np.zeros((7, 3), np.float32), maxshape=(None, 3), chunks=(1, 3))
    with pytest.raises(
        ab.RecordError, match=r"/kept/params of .* is float32 of shape \(7, 3\): must be float32 of 50"
    ):
        ab.load_run(run.path)
