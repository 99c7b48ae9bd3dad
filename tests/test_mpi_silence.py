"""A worker on MPI that is silent, as when its host is gone, ends the run: also while messages of others come."""

import os
import signal

import pytest
from mpi_runs import ranks, train
from problems import quadratic
from processes import until

import asapnb as ab

pytest.importorskip("mpi4py")

BUSY = {"asapnb.engine.serving.SILENCE": 1.0, "asapnb.engine.messages._YIELD": 1e9}  # it looks for messages only


def test_a_worker_that_is_silent_is_named_and_the_file_is_whole(tmp_path):
    path = tmp_path / "run.h5"
    with ranks(3) as three:
        three.begin(train, quadratic, {"updates": 10**9, "out": path}, patched=BUSY)
        until(path.exists)
        os.kill(three.job.pids()[2], signal.SIGSTOP)
        error = three.outcome(0)
    assert isinstance(error, ab.RankError)
    assert str(error).startswith("rank 2 (worker 1, host ")
    assert "has sent nothing for" in str(error)
    run = ab.load_run(path)
    assert run.status == "failed"
    assert len(run.updates["tau"]) == run.staleness_counts.sum()
