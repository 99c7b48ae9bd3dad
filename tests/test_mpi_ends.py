"""How a run on ranks of MPI ends, and what its server does beside it: evaluations, callbacks, limits, errors."""

import os
import signal
import warnings
from unittest.mock import patch

import numba
import numpy as np
import pytest
from mpi_runs import ByRank, train
from naive import assert_rows_are_sound, recompute, versions_of
from problems import counting, failing, quadratic
from problems import fails as gradient_fails
from processes import python, until
from test_stopping import PLATEAU, first_end

import asapnb as ab

pytest.importorskip("mpi4py")

LONG = 10**9  # updates, more than any run makes


@numba.njit
def breaks(params, gradient, indices, plan, workspace, inputs, labels):
    """Not finite once the parameters have moved, with a loss that is."""
    gradient[:] = -1.0
    if params[0] > 20:
        gradient[1] = np.nan
    return 1.0


def noting(comm, problem, arguments):
    """What `train` returns on each rank, and what it warns of; and of each evaluation where it was told."""
    seen = []
    arguments = {"on_eval": lambda evaluation: seen.append(evaluation.step), **arguments}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run = train(comm, problem, arguments)
    return run, [str(one.message) for one in warned], seen


def stops(evaluation):
    return evaluation.step < 40


def says_so(evaluation):
    if evaluation.step >= 40:
        raise ab.StopTraining("enough")


def fails(evaluation):
    if evaluation.step >= 40:
        raise LookupError("callback")


@pytest.mark.parametrize("every", [1, 9, 0])
def test_every_evaluation_is_made_in_order_and_of_its_own_version_on_the_server_alone(four, every):
    given = {"step_size": 1.0, "updates": 100, "eval_every": every, "divergence_factor": 1e30}
    (run, *_), *others = four.call(noting, (counting, 2000), given, size=3)
    steps = sorted({*range(0, 100, every or 100), 100})
    assert run.evals["step"].tolist() == steps
    assert not run.evals["train_loss"].any(), "an evaluated vector was torn"
    assert others == [(None, [], [])] * 2
    np.testing.assert_array_equal(run.params["final"], np.full(2000, 100, np.float32))
    assert not run.updates["loss"].any(), "a view mixed versions"


def test_a_file_is_written_by_the_server_alone_and_keeps_evaluated_parameters(four, tmp_path):
    out = ByRank({0: tmp_path / "run.h5", None: "/nowhere/run.h5"})
    given = {"updates": 60, "eval_every": 8, "keep_params": "evals", "momentum": 0.5}
    four.call(train, quadratic, given, size=3, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["run.h5"]
    run = ab.load_run(tmp_path / "run.h5")
    run.check()
    versions = versions_of(quadratic(), run)
    assert run.kept_versions.tolist() == [0, *range(8, 60, 8), 60]
    for version in run.kept_versions.tolist():
        assert run.params_at(version).tobytes() == versions[version].tobytes()


def test_a_summary_counts_every_update(four):
    given = {"updates": 200, "eval_every": 60, "record": "summary", "rule": "tail(refresh=every(20))"}
    run = four.call(train, quadratic, given, size=3)[0]
    assert run.by_staleness["updates"].sum() == run.staleness_counts.sum() == run.summary()["updates"] == 200
    assert run.evals["step"].tolist() == [0, 60, 120, 180, 200]


def test_patience_a_target_and_a_time_end_the_run(four):
    run = four.call(train, quadratic, PLATEAU | {"updates": LONG}, size=3)[0]
    assert run.status == "stopped"
    assert run.updates["version"].max() >= run.evals["step"][first_end(-run.evals["train_loss"], 3)]
    start = quadratic().evaluate(quadratic().init(3))[0]
    run = four.call(train, quadratic, {"updates": LONG, "eval_every": 9, "target_loss": 0.9 * start}, size=3)[0]
    assert run.status == "converged"
    assert run.evals["train_loss"].min() <= 0.9 * start
    run = four.call(train, quadratic, {"updates": LONG, "max_seconds": 1e-6, "step_size": 1e-6}, size=3)[0]
    assert run.status == "timed-out"
    assert_rows_are_sound(run)


@pytest.mark.parametrize("on_eval", [stops, says_so])
def test_a_callback_of_the_server_ends_the_run(four, on_eval):
    run = four.call(train, quadratic, {"updates": LONG, "eval_every": 20, "on_eval": on_eval}, size=3)[0]
    assert run.status == "stopped"
    assert run.attributes["stopped_by"].startswith("on_eval")
    assert_rows_are_sound(run)
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


def test_divergence_ends_the_run(four):
    run = four.call(train, quadratic, {"step_size": 1e6, "updates": LONG}, size=3)[0]
    assert run.status == "diverged"
    assert not run.updates["loss"][-20:].max() < 10 * run.evals["train_loss"][0]


def test_a_gradient_that_is_not_finite_is_said_and_not_applied(four):
    given = {"step_size": 1.0, "updates": LONG}
    (run, warned, _), *others = four.call(noting, (failing, breaks), given, size=3)
    assert run.status == "diverged"
    assert [(rank, notes) for rank, notes, _ in others] == [(None, [])] * 2
    assert "computed a gradient that is not finite" in warned[0]
    assert "worker" in warned[0]
    assert np.isfinite(run.params["final"]).all()
    np.testing.assert_array_equal(run.params["final"], run.updates["version"].max())
    assert_rows_are_sound(run)


@pytest.mark.parametrize("start", [0, 21], ids=["in the run", "in the first gradients"])
def test_an_error_in_a_gradient_ends_all_and_the_next_run_finds_all_in_order(four, start, tmp_path):
    given = {"step_size": 1.0, "updates": LONG, "out": tmp_path / "run.h5"}
    four.begin(train, (failing, gradient_fails, start), given, size=3)
    server, *workers = four.outcomes()
    assert isinstance(server, ab.RankError), server
    assert "failed: ValueError: this gradient fails" in str(server)
    raised = {repr(one) for one in workers}
    assert repr(ValueError("this gradient fails")) in raised
    assert raised <= {repr(ValueError("this gradient fails")), repr(server)}
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert_rows_are_sound(run)
    assert len(run.updates["tau"]) >= (20 if start == 0 else 0)
    assert four.call(train, quadratic, {"updates": 30}, size=3)[0].status == "finished"


def test_an_error_in_a_callback_ends_all(four, tmp_path):
    given = {"updates": LONG, "eval_every": 20, "out": tmp_path / "run.h5"}
    four.begin(train, quadratic, given, size=3, on_eval=ByRank({0: fails}))
    server, *workers = four.outcomes()
    assert repr(server) == "LookupError('callback')"
    assert [type(one) for one in workers] == [ab.RankError] * 2
    assert all(str(one).startswith("rank 0 (server, host") for one in workers)
    assert all(str(one).endswith("): LookupError: callback") for one in workers), "why"
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert_rows_are_sound(run)
    assert four.call(train, quadratic, {"updates": 30}, size=3)[0].status == "finished"


def alarmed(comm):
    """A run in which a handler of signals, the user's own, raises on rank 1 in its first gradient."""
    from asapnb.engine.remote import Worker

    computed = Worker._computed

    def computed_then(self):
        if comm.rank == 1 and self._hooks.failure() is None:
            os.kill(os.getpid(), signal.SIGALRM)
            until(lambda: self._hooks.failure() is not None)
        return computed(self)

    def handler(*_):
        raise LookupError("alarm")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with patch.object(Worker, "_computed", computed_then):
            return train(comm, quadratic, {"updates": LONG, "step_size": 1e-6})
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_error_in_a_signal_handler_of_a_worker_ends_all(four):
    four.begin(alarmed, size=3)
    server, *workers = four.outcomes()
    assert repr(workers[0]) == "LookupError('alarm')"
    assert [type(one) for one in (server, workers[1])] == [ab.RankError] * 2
    assert "rank 1 (worker 0" in str(server)
    assert str(server).endswith("failed: LookupError: alarm")
    assert four.call(train, quadratic, {"updates": 30}, size=3)[0].status == "finished"


def breaks_later(staleness, workers, epoch):
    """A rule whose first tables alone can be made."""
    if epoch > 1:
        raise LookupError("rule")
    return np.ones(len(staleness))


def test_an_error_in_a_rule_ends_all_and_each_says_why(four):
    four.begin(train, quadratic, {"updates": LONG, "step_size": 1e-6, "rule": breaks_later}, size=3)
    server, *workers = four.outcomes()
    assert isinstance(server, ab.RuleError)
    assert [type(one) for one in workers] == [ab.RankError] * 2
    assert all("LookupError: rule" in str(one) for one in workers), "why"


HANGING = """
from asapnb.engine import ranks

class Hanging:
    def Abort(self, code):
        while True:  # as MPICH does with a host that is gone
            pass

ranks.LEAVING_SECONDS = 0.2
ranks._abort(Hanging())
"""


def test_a_rank_ends_though_mpi_cannot_end_the_others():
    assert python("-c", HANGING, check=False).returncode == 1
