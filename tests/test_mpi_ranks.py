"""Ranks prepare a run together: what the server shares, and an error on one, which is an error on all."""

import pytest
from mpi_runs import ByRank

import asapnb as ab
from asapnb.engine.ranks import joining
from asapnb.errors import RankError
from asapnb.mpi import library

pytest.importorskip("mpi4py")


def failed():
    return library().Exception(library().ERR_OTHER)


def prepare(comm, error=None, what="a test"):
    with joining(comm) as ranks:
        first = ranks.share(what, lambda: f"of rank {comm.rank}")
        if error is not None:
            raise error() if callable(error) else error
        return first, ranks.share("more", lambda: {"workers": ranks.workers})


def test_what_the_server_makes_is_shared(four):
    assert four.call(prepare, size=3) == [("of rank 0", {"workers": 2})] * 3


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("error", "own", "others"),
    [
        (ab.UsageError("no such thing"), ab.UsageError, ab.UsageError),
        (KeyError("a fault"), KeyError, RankError),
        (RankError("silent"), RankError, RankError),
        (failed, RankError, RankError),
    ],
    ids=["refused", "failed", "of another rank", "of MPI"],
)
def test_an_error_on_one_rank_is_an_error_on_all(four, rank, error, own, others):
    four.begin(prepare, ByRank({rank: error}), size=3)
    for place, outcome in enumerate(four.outcomes()):
        assert type(outcome) is (own if place == rank else others), outcome
        assert place == rank or f"rank {rank} (" in str(outcome)


def test_ranks_that_do_different_things_do_not_begin(four):
    four.begin(prepare, what=ByRank({2: "another"}), size=3)
    assert all("rank 2 (worker 1, host" in str(outcome) for outcome in four.outcomes())
