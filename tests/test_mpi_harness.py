"""Ranks in tests: they do what they are told to, an end of one is seen, and nothing is left."""

import os
import signal

import pytest
from mpi_runs import ByRank, mpiexec, ranks
from processes import until

pytest.importorskip("mpi4py")


def named(comm, value, *, more=0):
    if value == "raises":
        raise LookupError(f"rank {comm.rank}")
    return comm.rank, comm.size, value, more, comm.allgather(comm.rank)


def dies(comm, rank):
    if comm.rank == rank:
        os.kill(os.getpid(), signal.SIGKILL)
    return comm.rank


def test_each_rank_calls_what_it_is_told_to(four):
    assert four.call(named, ByRank({1: "b", None: "a"}), size=3, more=2) == [
        (rank, 3, "ab"[rank == 1], 2, [0, 1, 2]) for rank in range(3)
    ]
    assert [one[1] for one in four.call(named, 0)] == [4] * 4
    four.begin(named, "raises", size=2)
    assert [f"{one!r}" for one in four.outcomes()] == ["LookupError('rank 0')", "LookupError('rank 1')"]
    assert four.idle()


def test_the_end_of_a_rank_is_seen_and_nothing_is_left(capfd):
    with ranks(2) as two:
        assert sorted(two.job.pids()) == [0, 1]
        two.begin(dies, 1)
        assert isinstance(two.outcomes()[1], EOFError)
        assert two.job.process.wait(60) != 0
    assert not two.job.left()
    with mpiexec(2, "-c", "import time; time.sleep(600)") as job:
        until(lambda: sorted(job.pids()) == [0, 1])
    assert not job.left()
