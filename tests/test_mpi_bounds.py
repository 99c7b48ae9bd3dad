"""A parameter server that holds workers back, or discards their gradients: laws on the rows."""

from unittest.mock import patch

import numpy as np
import pytest
from intervals import assert_none_crosses
from mpi_runs import train
from naive import assert_rows_are_sound, recompute
from problems import quadratic
from processes import until

import asapnb as ab
from asapnb.schemes import parse_scheme

pytest.importorskip("mpi4py")


def leads(run):
    """By how many gradients a worker led over the slowest, each time that it was given parameters."""
    rows, workers = run.updates, run.attributes["workers"]
    made = np.array(
        [[(rows["t_apply"][rows["worker"] == one] <= t).sum() for one in range(workers)] for t in rows["t_read"]]
    )
    return made[np.arange(len(made)), rows["worker"]] - made.min(1)


def waiting_for_the_others(comm, path, arguments):
    """A run in which worker 0 computes its first gradient only once all other workers are held back."""
    from asapnb.engine.remote import Worker
    from asapnb.engine.serving import ServerTeam

    go_on, computed = ServerTeam._go_on, Worker._computed

    def go_on_and_say(self, me, server):
        go_on(self, me, server)
        if len(self._held) == comm.size - 2:
            path.touch()

    def computed_late(self):
        if comm.rank == 1:
            until(path.exists)
        return computed(self)

    with patch.object(ServerTeam, "_go_on", go_on_and_say), patch.object(Worker, "_computed", computed_late):
        return train(comm, quadratic, arguments)


@pytest.mark.parametrize(("bound", "size"), [(0, 3), (1, 4), (5, 3)])
def test_no_worker_is_given_parameters_that_is_further_ahead_than_the_bound(four, bound, size, tmp_path):
    scheme = ab.ParameterServer(bound=bound)
    run = four.call(waiting_for_the_others, tmp_path / "held", {"scheme": scheme, "updates": 100}, size=size)[0]
    assert run.status == "finished"
    assert_rows_are_sound(run)
    assert leads(run).max() == bound
    first = run.updates["worker"] == 0
    assert run.updates["version"][first][0] >= 1 + (size - 2) * (bound + 1), "held back until worker 0 came"
    assert run.updates["tau"].max() <= (size - 2) * (2 * bound + 1)
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


@pytest.mark.parametrize(
    "given", [{"discard_after": 1, "bound": 9}, {"discard_after": 2, "bound": 9}, {"discard_after": 1, "bound": 1}]
)
def test_gradients_that_are_too_stale_are_discarded_and_no_others(four, given):
    """The first gradients of all workers are taken at version 0, so the last of them to arrive is too stale.

    The bound sees to it that it arrives.
    """
    arguments = {"scheme": ab.ParameterServer(**given), "updates": 120, "momentum": 0.5, "step_size": 0.02}
    run = four.call(train, quadratic, arguments, size=4)[0]
    rows, most = run.updates, given["discard_after"]
    assert_rows_are_sound(run)
    np.testing.assert_array_equal(rows["dropped"] == 1, rows["tau"] >= most)
    assert (rows["dropped"] == 1).any()
    assert (rows["dropped"] != 1).sum() == run.staleness_counts.sum() == 120
    assert run.staleness.support < most
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])
    np.testing.assert_array_equal(ab.replay(run, quadratic()).params["final"], run.params["final"])
    assert leads(run).max() <= given["bound"]


@pytest.mark.parametrize(
    ("scheme", "size"), [("interval=1", 3), ("interval=3", 4), ("interval=5, discard_after=2, bound=1", 4)]
)
def test_the_server_lets_no_gradient_cross_a_boundary(four, scheme, size):
    given = {"scheme": f"parameter-server({scheme})", "updates": 50, "step_size": 0.01}
    run = four.call(train, quadratic, given, size=size)[0]
    assert run.status == "finished"
    assert_rows_are_sound(run)
    assert_none_crosses(run.updates, parse_scheme(given["scheme"]).intervals)
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])
