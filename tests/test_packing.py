"""Files of runs that have ended: few bytes, written at once, and to other readers the same as ever."""

import h5py
import numpy as np
import pytest
from problems import quadratic
from simulations import simulate

import asapnb as ab
from asapnb.record import packing
from asapnb.record.files import created
from asapnb.record.held import Held
from asapnb.record.shielded import Created

SUMMARY, ROWS = 14_500, 75_000  # bytes


def small(record):
    return ab.simulate(quadratic(), workers=16, updates=2000, eval_every=200, record=record)


@pytest.mark.parametrize(("record", "most"), [("summary", SUMMARY), ("updates", ROWS)])
def test_a_file_is_small_and_one_write(record, most, tmp_path, monkeypatch):
    written, write = [], Created.write_at

    def counted(self, address, data):
        written.append(len(data))
        write(self, address, data)

    run = small(record)
    monkeypatch.setattr(Created, "write_at", counted)
    run.save(tmp_path / "run.h5")
    assert written == [(tmp_path / "run.h5").stat().st_size]
    assert written[0] < most


@pytest.mark.parametrize("record", ["summary", "updates"])
def test_one_that_was_written_on_the_way_becomes_the_same(record, tmp_path):
    made = small(record)
    whole = tmp_path / "whole.h5"
    made.save(whole)
    with h5py.File(whole) as file:
        held = Held.read(file)
        grown = tmp_path / "grown.h5"
        with created(grown) as new:
            held.write(new)
    assert grown.stat().st_size > 2 * whole.stat().st_size - ROWS
    with h5py.File(grown) as file:
        assert not packing.is_packed(file)
        assert packing.is_ours(file)
        again = Held.read(file)
    for group, arrays in held.groups.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, again.groups[group][name], strict=True)
    assert again.packed() == held.packed()


def test_others_read_what_they_always_have(tmp_path):
    run = simulate(updates=60, keep_params="evals", eval_every=20, microscope=10)
    run.save(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert packing.is_packed(file)
        assert (file.attrs["status"], file.attrs["workers"]) == ("finished", run.attributes["workers"])
        assert isinstance(file.attrs["config"], str)
        assert len(file["updates"]) == len(ab.record.UPDATES.names)
        for table in ("updates", "evals", "microscope"):
            for name, column in file[table].items():
                np.testing.assert_array_equal(column[:], getattr(run, table)[name], strict=True)
        for name in ("initial", "final"):
            np.testing.assert_array_equal(file["params"][name][:], run.params[name], strict=True)
        np.testing.assert_array_equal(file["kept/version"][:], run.kept_rows)
    ab.load_run(tmp_path / "run.h5").check()


def test_what_another_program_has_added_stays_when_the_run_goes_on(tmp_path):
    path = tmp_path / "run.h5"
    simulate(out=path)
    added = {"params/mine": 3.0, "params/inner/mine": [1, 2], "params/text": "é", "mine/rows": np.arange(5.0), "n": 4}
    with h5py.File(path, "r+") as file:
        for name, value in added.items():
            file[name] = value
        for name in ("params", "updates", "updates/tau", "params/initial", "/"):
            file[name].attrs["mine"] = name
    run = ab.resume(path, updates=90, problem=quadratic())
    assert run.rows["updates"] == 90
    ab.load_run(path).check()
    with h5py.File(path) as file:
        for name, value in added.items():
            np.testing.assert_array_equal(file[name].asstr()[()] if name == "params/text" else file[name][()], value)
        for name in ("params", "updates", "updates/tau", "params/initial", "/"):
            assert file[name].attrs["mine"] == name
