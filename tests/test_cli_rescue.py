"""What the command line and a sweep say of a run whose file cannot be written at its end."""

import json
import os

import pytest
from commands import call

from asapnb import load_run
from asapnb.record import writer as writer_module
from asapnb.record.files import put_in_place
from asapnb.record.store import Store
from asapnb.sweep.points import carry_out
from asapnb.sweep.spec import Point

RUN = ["--problem", "quadratic([1, 10])", "--updates", "50", "-m", "2"]


@pytest.fixture
def full(monkeypatch):
    """The file of a run cannot be written after its start, but others can."""

    def fails(*_):
        raise OSError(28, "No space left on device")

    def put(target, write, owner=None):
        put_in_place(target, fails if target.exists() and target.stat().st_size else write, owner)

    monkeypatch.setattr(writer_module, "_PATIENCE", 0.0)
    monkeypatch.setattr("asapnb.record.ending.put_in_place", put)
    monkeypatch.setattr(Store, "write", fails)


@pytest.mark.filterwarnings("always::RuntimeWarning")
@pytest.mark.parametrize("command", ["train", "simulate"])
def test_the_command_says_where_the_run_is(tmp_path, full, command):
    path = tmp_path / "run.h5"
    done = call(command, *RUN, "-o", path, "--json")
    assert done.exit_code == 1, done.output
    assert done.stderr.count("Warning: cannot write to") == 1
    assert f"does not hold the run, which ended with status finished: it is in {tmp_path / 'run.1.h5'}" in done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    assert len(load_run(tmp_path / "run.1.h5").updates["tau"]) == 50
    assert load_run(path).status == "running"


def test_a_point_of_a_sweep_fails_and_says_where_its_run_is(tmp_path, full):
    point = Point("p", "simulate", {"problem": "quadratic([1, 10])", "updates": 50, "workers": 2}, {})
    with pytest.warns(RuntimeWarning, match="the run is in"):
        outcome = carry_out(point, tmp_path / "p.h5")
    assert outcome.status == "failed"
    assert (
        outcome.error
        == f"{tmp_path / 'p.h5'} could not be written; the run, which is finished, is in {tmp_path}{os.sep}p.1.h5"
    )
