"""One training on several ranks of MPI: what is recorded, and that its rows give its parameters."""

import numpy as np
import pytest
from mpi_runs import train
from naive import assert_rows_are_sound, recompute
from problems import quadratic

pytest.importorskip("mpi4py")


@pytest.mark.parametrize("size", [2, 3, 4])
def test_exactly_the_requested_updates_with_sound_rows(four, size):
    run, *nothing = four.call(train, quadratic, {"updates": 503, "momentum": 0.3}, size=size)
    assert nothing == [None] * (size - 1)
    assert run.status == "finished"
    assert_rows_are_sound(run)
    assert run.staleness_counts.sum() == run.updates["version"].max() == 503
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])
