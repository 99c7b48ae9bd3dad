"""A run on MPI goes on: rank 0 alone has its file, and tells the workers what they must know."""

import numpy as np
import pytest
from mpi_runs import ByRank, train
from naive import assert_rows_are_sound, recompute
from problems import quadratic

import asapnb as ab
from asapnb.config import run_config
from asapnb.errors import AsapnbError

pytest.importorskip("mpi4py")
SIZE = 3


def resume(comm, path, problem=None, **arguments):
    return ab.resume(path, problem=problem and problem(), comm=comm, **arguments)


def other():
    return quadratic(7)


STEPS = [
    {"momentum": 0.3, "momentum_kind": "per_worker"},
    {"momentum": 0.3, "momentum_kind": "ordered"},
    {"optimizer": "amsgrad(beta2=0.9)"},
]


@pytest.mark.parametrize("steps", STEPS, ids=str)
def test_it_goes_on_as_if_it_had_not_ended(four, tmp_path, steps):
    path = tmp_path / "run.h5"
    arguments = {**steps, "compensation": 0.1, "updates": 100, "out": path}
    before, *_ = four.call(train, quadratic, arguments, size=SIZE, rule="tail")
    server_alone = ByRank({0: str(path)})
    run, *nothing = four.call(resume, server_alone, quadratic, size=SIZE, updates=250, step_size=0.05)
    assert nothing == [None, None]
    assert run.status == "finished"
    assert_rows_are_sound(run)
    np.testing.assert_array_equal(run.updates["version"], np.arange(1, 251))
    for name in run.updates:
        np.testing.assert_array_equal(run.updates[name][:100], before.updates[name])
    np.testing.assert_array_equal(np.sort(run.updates["batch"])[:100], np.sort(before.updates["batch"]))
    assert (run.updates["t_read"][100:] >= before.updates["t_apply"].max()).all()
    [entry] = run.attributes["resumed"]
    assert entry == {"version": 100, "velocity": True, "changed": {"step_size": [0.1, 0.05]}}
    assert [one["rank"] for one in run.attributes["ranks"]] == [0, 1, 2]
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (
            {"problem": ByRank({0: quadratic, 1: quadratic})},
            r"rank 2 \(worker 1, host .*\): the problem of .* pass it",
        ),
        ({"problem": None}, "pass it"),
        ({"problem": ByRank({1: other, None: quadratic})}, "rank 1 .* was made with other code"),
        ({"updates": ByRank({2: 70, None: 60})}, r"rank 2 .*: its call is resume\(updates=70\)"),
        ({"size": 4}, "mpiexec -n 3"),
        ({"updates": 20}, "give a larger total"),
        ({"rule": "bogus"}, "unknown rule"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_go_on_is_refused_on_every_rank(four, finished, more, error):
    content = finished.read_bytes()
    four.begin(resume, ByRank({0: finished}), **{"problem": quadratic, "updates": 60, "size": SIZE, **more})
    outcomes = four.outcomes()
    assert all(isinstance(outcome, AsapnbError) for outcome in outcomes), outcomes
    with pytest.raises(ab.UsageError, match=error):
        raise outcomes[0]
    assert finished.read_bytes() == content
    assert four.idle()


@pytest.fixture(scope="module")
def finished(four_kept, tmp_path_factory):
    path = tmp_path_factory.mktemp("mpi") / "run.h5"
    four_kept().call(train, quadratic, {"updates": 20, "out": path}, size=SIZE)
    return path


def test_without_mpi_the_error_says_how(finished):
    with pytest.raises(ab.UsageError, match="resume --mpi"):
        ab.resume(finished, problem=quadratic(), updates=40)


def test_a_simulated_run_does_not_go_on_on_mpi(four, tmp_path):
    path = tmp_path / "run.h5"
    ab.simulate(quadratic(), "parameter-server", workers=2, updates=10, out=path)
    four.begin(resume, path, quadratic, updates=20, size=SIZE)
    assert all("on MPI only runs of train" in str(outcome) for outcome in four.outcomes())


def configured(comm, config, **arguments):
    return run_config(config, comm=comm, **arguments)


def test_a_run_of_a_configuration(four, tmp_path):
    config = {"problem": "quadratic([1, 10], noise=0.1)", "scheme": "parameter-server", "updates": 30}
    run, *nothing = four.call(configured, config, size=SIZE, out=ByRank({0: tmp_path / "run.h5"}))
    assert nothing == [None, None]
    assert (run.status, run.config["workers"], run.updates["version"].max()) == ("finished", 2, 30)
    four.begin(configured, config, size=SIZE, kind="simulate")
    assert all("only train runs on MPI" in str(outcome) for outcome in four.outcomes())
