"""Faults of ranks on MPI: signals, silence, ends. The errors name the rank, the file stays valid and goes on."""

import os
import signal

import numpy as np
import pytest
from mpi_runs import ByRank, mpiexec, ranks, train
from naive import assert_rows_are_sound, recompute
from problems import quadratic
from processes import LIMIT, until

import asapnb as ab
from asapnb.engine.messages import Watch

pytest.importorskip("mpi4py")

LONG = {"updates": 10**9, "step_size": 1e-6, "eval_every": 10**6}
OFTEN = {"asapnb.engine.controller.FLUSH_SECONDS": 0.01}
RAISES_BEFORE = """
from mpi4py import MPI
import asapnb as ab
from problems import quadratic
comm = MPI.COMM_WORLD
problem = quadratic() if comm.rank == 0 else {}["nothing"]
ab.train(problem, "parameter-server", updates=20, comm=comm)
"""


def rows_in(path):
    return len(ab.load_run(path).updates["tau"]) if path.exists() else 0


def refused_null(comm):
    """What a rank that belongs to no communicator is told."""
    from mpi4py import MPI

    part = comm.Split(0 if comm.rank else MPI.UNDEFINED, comm.rank)
    if comm.rank:
        return part.Free()
    with pytest.raises(ab.UsageError) as error:
        ab.train(quadratic(), "parameter-server", updates=1, comm=part)
    return str(error.value)


def again(comm, path, updates):
    return ab.resume(path, problem=quadratic(), updates=updates, comm=comm)


def test_a_rank_that_raises_before_the_run_ends_the_wait_of_the_others():
    with mpiexec(2, "-c", RAISES_BEFORE) as job:
        err = job.process.communicate(timeout=LIMIT)[1]
    assert job.process.returncode != 0
    assert "RankError: rank 1 (worker 0): it has ended: KeyError: 'nothing'" in err
    assert not job.left()


@pytest.mark.parametrize("rank", [0, 2], ids=["server", "worker"])
def test_what_was_flushed_before_a_kill_stays_and_goes_on(rank, four, tmp_path):
    out = tmp_path / "run.h5"
    with ranks(3) as three:
        three.begin(train, quadratic, LONG, patched=OFTEN, out=ByRank({0: out}))
        until(lambda: rows_in(out) > 50)
        os.kill(three.job.pids()[rank], signal.SIGKILL)
        assert isinstance(three.outcomes()[rank], EOFError)
        three.job.process.wait(LIMIT)
    assert not three.job.left()
    run = ab.load_run(out)
    assert run.status == "running"
    assert_rows_are_sound(run)
    updates = int(run.updates["version"].max()) + 30
    run = four.call(again, out, updates, size=3)[0]
    assert (run.status, run.updates["version"].max()) == ("finished", updates)
    assert_rows_are_sound(run)
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


def test_a_worker_that_stands_still_is_named_and_ends_all(tmp_path):
    out = tmp_path / "run.h5"
    patches = {**OFTEN, "asapnb.engine.serving.SILENCE": 0.5}
    with ranks(3) as three:
        three.begin(train, quadratic, LONG, patched=patches, out=ByRank({0: out}))
        until(lambda: rows_in(out) > 50)
        os.kill(three.job.pids()[2], signal.SIGSTOP)
        server, one = three.outcomes(2)
    assert isinstance(server, ab.RankError)
    assert str(server).startswith("rank 2 (worker 1, host")
    assert "has sent nothing for" in str(server)
    assert repr(one) == repr(server)
    assert not three.job.left()
    assert ab.load_run(out).status == "failed"


@pytest.mark.parametrize("rank", [0, 1], ids=["server", "worker"])
def test_ctrl_c_on_one_rank_ends_the_run_in_good_order_on_all(rank, four, tmp_path):
    out = tmp_path / "run.h5"
    four.begin(train, quadratic, LONG, size=3, patched=OFTEN, out=ByRank({0: out}))
    until(lambda: rows_in(out) > 50)
    os.kill(four.job.pids()[rank], signal.SIGINT)
    run, *workers = four.outcomes()
    assert (run.status, workers) == ("interrupted", [None, None])
    assert_rows_are_sound(run)
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])
    assert four.idle()


def test_the_null_communicator_is_refused(four):
    said, *nothing = four.call(refused_null)
    assert said.startswith("comm is MPI.COMM_NULL")
    assert nothing == [None] * 3


def test_time_in_which_a_process_was_suspended_does_not_count(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("asapnb.engine.messages.time.monotonic", lambda: now[0])
    watch = Watch()
    for step, seconds in [(2.0, 2.0), (3600.0, 7.0), (1.0, 8.0)]:
        now[0] += step
        assert watch() == seconds
