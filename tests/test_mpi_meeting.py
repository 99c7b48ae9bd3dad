"""Ranks of MPI meet before a run: either all begin, or all say why not; and they may meet again and again."""

import threading
from unittest.mock import patch

import numpy as np
import pytest
from mpi_runs import ByRank, train
from naive import recompute
from problems import pull, pull_slowly, quadratic

import asapnb as ab
from asapnb.data import Dataset
from asapnb.engine.ranks import Ranks
from asapnb.problems import custom

pytest.importorskip("mpi4py")


def other_points():
    points = np.random.default_rng(6).standard_normal((60, 50)).astype(np.float32)
    return custom(pull, points, np.zeros(60, int), 50)


def huge():
    return custom(pull, np.zeros((60, 50), np.float32), np.zeros(60, int), 10**12)


def on_images(seed):
    images = np.random.default_rng(seed).integers(0, 256, (20, 1, 4, 4)).astype(np.uint8)
    labels = np.arange(20) % 10
    return ab.mlp(Dataset.from_arrays(images, labels, images[:2], labels[:2], classes="0123456789"), hidden=(4,))


def other_versions():
    from asapnb.record import versions

    return {**versions(), "numba": "0.1"}


def elsewhere():
    return {"host": "elsewhere", "pid": 1}


def odd(value, others):
    """What rank 2 has, and the other ranks."""
    return ByRank({2: value, None: others})


def problem(*changed):
    return {"problem": odd(changed, (quadratic,))}


def patched(**changed):
    return {"patched": odd({f"asapnb.engine.reports.{name}": value for name, value in changed.items()}, {})}


RANK_2 = r"^rank 2 \(worker 1, host \S+\): "
DIFFERENT = {
    "size": (problem(quadratic, 51), "its number of parameters is 51, and that of rank 0 .server.* is 50: all ranks"),
    "samples": (problem(quadratic, 50, 61), "its number of training samples is 61, and"),
    "dtype": (problem(quadratic, 50, 60, np.float64), "its dtype is float64, and that of rank 0 .* is float32"),
    "gradient": (problem(quadratic, 50, 60, np.float32, pull_slowly), r"its problem is custom\(pull_slowly\), and"),
    "what a problem holds": (problem(other_points), "its code of the problem custom.pull. is "),
    "data": ({"problem": odd((on_images, 1), (on_images, 2))}, r"its data \(its SHA-256\) is "),
    "seed": ({"seed": odd(4, 3)}, "its seed is 4, and that of rank 0 .* is 3"),
    "number": ({"clip": odd(0.5, None)}, "its clip is 0.5, and"),
    "total": ({"updates": odd(21, 20)}, "its updates is 21, and"),
    "scheme": ({"scheme": odd(ab.ParameterServer(bound=1), ab.ParameterServer())}, r"its scheme is Par.*\(bound=1"),
    "kernels": (patched(KERNEL_PATH="portable"), r"its kernel path \(\$ASAPNB_KERNELS\) is portable, and"),
    "version": (patched(versions=other_versions), "its version of numba is 0.1, and"),
    "rule": ({"rule": odd("inverse", "tail")}, r"its rule is inverse\(\), and that of rank 0 .* is tail"),
    "schedule": ({"schedule": odd("cosine()", "constant()")}, r"its schedule is cosine\(\), and"),
    "bad": ({"step_size": odd(-1, 0.1)}, "step_size is -1: must be a finite number above 0"),
}
ON_ALL = {
    "bad": ({"step_size": -1}, "^step_size is -1: must"),
    "workers": ({"workers": 5}, "workers is 5, and there are 3 ranks.*mpiexec -n 6;"),
    "threads": ({"scheme": "leashed"}, "its workers are threads of one process; on MPI choose parameter-server"),
    "virtual": ({"scheme": ab.ParameterServer(discard_after=1, restart=True)}, "restart=True is simulator-only"),
    "pinned": ({"pin_workers": True}, "the launcher pins the ranks"),
    "memory": ({"problem": (huge,)}, "with 1,000,000,000,000 parameters needs .* of memory, and there are"),
}


def refused(four, given):
    given = {"problem": (quadratic,), "updates": 20, **given}
    four.begin(train, given.pop("problem"), size=3, **given)
    return four.outcomes()


@pytest.mark.parametrize(("given", "message"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_one_rank_has_is_refused_by_all_and_named(four, given, message, tmp_path):
    out = {"out": ByRank({0: tmp_path / "run.h5"})}
    *others, own = refused(four, given | out)
    for one in others:
        assert isinstance(one, ab.UsageError)
        with pytest.raises(ab.UsageError, match=RANK_2 + message):
            raise one
    assert isinstance(own, ab.UsageError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("given", "message"), ON_ALL.values(), ids=ON_ALL)
def test_what_no_rank_can_use_is_refused_by_all(four, given, message):
    for one in refused(four, given):
        with pytest.raises(ab.UsageError, match=message):
            raise one


def test_what_the_server_cannot_do_is_said_by_all_with_the_host(four):
    server, *workers = refused(four, {"out": ByRank({0: "/nowhere/run.h5"})})
    assert (type(server), {type(one) for one in workers}) == (ab.RecordError, {ab.UsageError})
    assert {str(one) for one in workers} == {f"rank 0 (server, host {host_of(four)}): {server}"}
    patches = odd({"asapnb.engine.reports.process": elsewhere}, {})
    assert "rank 2 (worker 1, host elsewhere): its seed" in str(
        refused(four, {"seed": odd(4, 3), "patched": patches})[0]
    )


def host_of(four):
    return four.call(host, size=1)[0]


def host(comm):
    from asapnb.record.provenance import process

    return process()["host"]


def test_files_to_begin_with_are_for_the_server_alone(four, tmp_path):
    first = four.call(train, quadratic, {"updates": 20}, size=3, out=ByRank({0: tmp_path / "run.h5"}))[0]
    files = {name: ByRank({0: tmp_path / "run.h5", None: "nowhere.h5"}) for name in ("start", "prior")}
    run = four.call(train, quadratic, {"updates": 20}, size=3, rule="inverse", **files)[0]
    np.testing.assert_array_equal(run.params["initial"], first.params["final"])


def refuses(comm, given):
    with pytest.raises(ab.UsageError) as error:
        train(comm, quadratic, given)
    return str(error.value)


def in_turn(comm):
    """Runs one after another on one communicator, on which others may have something to say."""
    made, duplicate = [], Ranks._duplicate
    with patch.object(Ranks, "_duplicate", lambda self, comm: made.append(duplicate(self, comm)) or made[-1]):
        comm.isend("not of asapnb", (comm.rank + 1) % comm.size, tag=30411).Wait()
        runs = [train(comm, quadratic, {"updates": 20, "seed": seed}) for seed in (1, 2)]
        said = refuses(comm, {"step_size": -1}), refuses(comm, {"seed": comm.rank})
        runs.append(train(comm, (quadratic, 51), {"updates": 30, "momentum": 0.5}))
        comm.barrier()
        heard = comm.recv(tag=30411)
    threads = [one.name for one in threading.enumerate() if one.name.startswith("asapnb")]
    return runs, said, heard, [not one for one in made], threads


def test_runs_in_turn_on_one_communicator_leave_nothing(four):
    for rank, (runs, said, heard, freed, threads) in enumerate(four.call(in_turn, size=3)):
        assert [one and one.updates["version"].max() for one in runs] == ([None] * 3 if rank else [20, 20, 30])
        assert "step_size is -1" in said[0]
        assert "its seed is 1" in said[1]
        assert (heard, freed, threads) == ("not of asapnb", [True] * 3, [])


def in_pairs(comm):
    """Two runs at once, each of two ranks; the server is the last."""
    pair = comm.Split(comm.rank % 2, -comm.rank)
    try:
        return pair.rank, train(pair, quadratic, {"updates": 50, "seed": comm.rank % 2})
    finally:
        pair.Free()


def test_a_run_is_of_the_ranks_of_its_communicator(four):
    zero, one, *servers = four.call(in_pairs)
    assert [zero, one] == [(1, None)] * 2
    for seed, (rank, run) in enumerate(servers):
        assert (rank, run.config["seed"], run.config["workers"]) == (0, seed, 1)
        np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


def unusable(comm):
    """What is said of what is no communicator of several ranks."""
    from mpi4py import MPI

    said = []
    for one in (MPI.COMM_SELF, MPI.COMM_NULL, "world", 3, True, MPI):
        with pytest.raises(ab.UsageError) as error:
            ab.train(quadratic(), "parameter-server", comm=one)
        said.append(str(error.value))
    return said


def test_what_is_no_communicator_of_several_ranks_is_refused(four):
    (said,) = four.call(unusable, size=1)
    assert said[0].startswith(
        "there is one rank only: a parameter server needs another for each worker, as in mpiexec"
    )
    assert said[1].startswith("comm is MPI.COMM_NULL: this rank belongs to no communicator here")
    assert [one.split(": must be ")[-1] for one in said[2:]] == [
        "a communicator of mpi4py, such as MPI.COMM_WORLD"
    ] * 4
    with pytest.raises(ab.UsageError, match=r"mpiexec -n 9 asapnb train --mpi.*comm=MPI.COMM_WORLD.*simulate"):
        ab.train(quadratic(), "parameter-server")


def test_a_rank_that_does_not_come_is_named(four):
    """The others give up; such a process cannot end in good order, so it is kept from ending the others."""
    server, one, absent = four.call(waits_in_vain, size=3)
    assert absent is None
    assert server == one
    assert server.startswith("rank 2 (worker 1): it has not joined in time: it has ended, or does")


def waits_in_vain(comm):
    others = comm.Dup()  # which no run can use afterwards
    if comm.rank == 2:
        return None
    patches = {"asapnb.engine.ranks.MUSTER_SECONDS": 0.3, "asapnb.engine.ranks.Ranks.abandon": lambda self: None}
    with pytest.raises(ab.RankError) as error:
        train(others, quadratic, {"updates": 20}, patched=patches)
    return str(error.value)
