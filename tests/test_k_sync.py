"""K-sync and K-batch-sync on threads: rounds that end with their K-th gradient; late ones are given up."""

import numpy as np
import pytest
from naive import assert_recomputed, assert_rows_are_sound, recompute
from problems import SCRIPT, counting, failing, fails_on_sample_0, pull_slowly, quadratic, train, with_neighbours
from simulations import simulate
from test_engine_steps import memory  # noqa: F401 (a fixture)

import asapnb as ab
from asapnb.compiled import part
from asapnb.engine import words
from asapnb.engine.loops import k_sync
from asapnb.record.schema import ABANDONED
from asapnb.schemes import SCHEMES
from asapnb.training.words import INTERRUPTED

SLOW = quadratic(n=3000, gradient=pull_slowly)
SOME, ALL, FIRST, BATCHES = (
    f"synchronous({given})" for given in ("wait_for=3", "wait_for=5", "wait_for=1", "wait_for=7, batches=True")
)
GIVEN = {"momentum": 0.9, "weight_decay": 0.01, "compensation": 0.02, "clip": 40.0, "step_size": 0.02}
LOCAL = {"local_steps": 2, "shards": "dirichlet(0.5)", "reshuffle": False, "optimizer": "adam", "rule": "inverse"}


def given_up(run):
    return run.updates["dropped"] == ABANDONED


def assert_rounds_are_sound(run):
    """All that counts was taken at the parameters before; under K-sync a worker counts once in a round."""
    assert_rows_are_sound(run)
    rows, late = run.updates, given_up(run)
    assert (rows["tau"][~late] == 0).all()
    assert (rows["tau"][late] > 0).all(), "it came in time"
    if "batches" not in run.config["scheme"]:
        once = rows["version"][~late] * 1000 + rows["worker"][~late]
        assert len(np.unique(once)) == len(once)
    assert len(np.unique(rows["scale"][~late])) == 1


@pytest.mark.parametrize("given", [{}, GIVEN, LOCAL])
@pytest.mark.parametrize("scheme", [SOME, ALL, FIRST, BATCHES])
def test_the_rows_give_every_version_to_the_bit(scheme, given):
    run = train(SLOW, scheme, workers=5, updates=40, eval_every=7, keep_params="evals", **given)
    assert run.status == "finished"
    assert_rounds_are_sound(run)
    assert run.evals["step"].tolist() == [*range(0, 40, 7), 40]
    assert_recomputed(run, SLOW)


@pytest.mark.parametrize(("scheme", "late"), [(FIRST, 4), (SOME, 2), (ALL, 0)])
def test_what_is_late_is_given_up_with_its_row(scheme, late):
    """Every worker begins before one ends: of 5 gradients at the same parameters K count."""
    run = train(SLOW, scheme, workers=5, updates=6, meetings=6)
    assert_rounds_are_sound(run)
    assert np.bincount(run.updates["read_version"][given_up(run)], minlength=5).tolist() == [late] * 5
    assert (run.updates["tau"][given_up(run)] == 1).all()


def test_in_batches_those_that_are_under_way_at_the_end_of_a_round_are_given_up():
    """Of the first two gradients of 5 workers, all at version 0, 7 count."""
    run = train(SLOW, BATCHES, workers=5, updates=6, meetings=2)
    assert_rounds_are_sound(run)
    assert (run.updates["read_version"][given_up(run)] == 0).sum() >= 3


def test_a_worker_goes_on_in_the_same_round_if_it_may_have_several_gradients_in_it():
    run = train(quadratic(), "synchronous(wait_for=50, batches=True)", workers=2, updates=4)
    assert_rounds_are_sound(run)
    assert np.bincount(run.updates["version"][~given_up(run)])[1:].tolist() == [50] * 4
    again = train(quadratic(), "synchronous(wait_for=3, batches=True)", workers=1, updates=20, momentum=0.5)
    same = simulate(
        scheme="synchronous(wait_for=3, batches=True)", workers=1, updates=20, step_size=0.1, momentum=0.5
    )
    np.testing.assert_array_equal(again.params["final"], same.params["final"])  # nobody else: nothing is by chance


@pytest.mark.parametrize("scheme", ["synchronous(wait_for=40)", "synchronous(wait_for=31)", BATCHES])
def test_no_gradient_is_lost_or_torn_however_many_workers_wait(scheme):
    """A gradient is −1: with step size 1 a round adds 1."""
    run = train(counting(5000), scheme, workers=40, step_size=1.0, updates=60, divergence_factor=1e9)
    assert (run.params["final"] == 60).all()
    assert (run.updates["loss"] == 0).all(), "torn"


@pytest.mark.parametrize(("scheme", "workers"), [(ALL, 5), ("synchronous(wait_for=40)", 40)])
def test_who_waits_for_a_round_that_never_ends_stops(scheme, workers):
    with pytest.raises(ValueError, match="this gradient fails"):
        train(failing(fails_on_sample_0), scheme, workers=workers, batch_size=100 // workers, updates=10)


@part()
def relax_until(spins):
    """`relax`, while another ends the round, or the run, after as many turns as `SCRIPT` says."""
    return spins + 1


@part()
def load_and_end(control, place):
    """`load`; after as many looks as the script says, another has stopped the run, or made the version."""
    control[SCRIPT] -= 1
    if control[SCRIPT] == 0:
        control[control[SCRIPT + 1]] = INTERRUPTED
    return control[place]


@pytest.mark.parametrize("word", [words.STOP, words.VERSION])
@pytest.mark.parametrize("looks", [1, 2, 3, 10])
def test_a_worker_waits_until_the_round_or_the_run_ends(memory, looks, word):  # noqa: F811
    control = memory(FIRST)[0].control
    wait = with_neighbours(k_sync.wait_for_end, load=load_and_end, relax=relax_until)
    control[[SCRIPT, SCRIPT + 1]] = looks, word
    wait(control, 0)
    assert 0 >= control[SCRIPT] >= -2, "it goes on looking"


@pytest.mark.parametrize("scheme", [SOME, BATCHES])
def test_a_run_that_is_stopped_in_a_round_goes_on(scheme, tmp_path, stops_when):
    stops_when(lambda controller: controller.totals.version >= 20)
    given = {"workers": 5, "momentum": 0.5, "step_size": 1e-3, "eval_every": 10, "meetings": 6}
    before = train(SLOW, scheme, updates=10**6, out=tmp_path / "run.h5", **given)
    assert before.status == "interrupted"
    assert_rounds_are_sound(before)
    made = before.summary()["updates"]
    assert before.params["velocity"].shape == (1, 3000)
    run = ab.resume(before, updates=made + 30, problem=SLOW)
    assert_rounds_are_sound(run)
    np.testing.assert_array_equal(recompute(SLOW, run), run.params["final"])
    np.testing.assert_array_equal(ab.replay(run, SLOW).params["final"], run.params["final"])


def test_a_summary_counts_as_the_rows_do():
    run, summary = (train(SLOW, ALL, workers=5, updates=12, record=record) for record in ("updates", "summary"))
    for name in ("updates", "dropped", "staleness", "mean_scale", "sum_of_steps"):
        assert run.summary()[name] == summary.summary()[name], name
    np.testing.assert_allclose(run.params["final"], summary.params["final"], rtol=1e-4)  # in another order


def test_what_diverges_ends_the_run():
    run = train(quadratic(), SOME, step_size=1e20, updates=10**6)
    assert run.status == "diverged"
    assert (~given_up(run)).sum() % 3 == 0


def test_it_has_a_loop_of_its_own_and_what_that_needs():
    plain, some = ab.Synchronous(), ab.Synchronous(wait_for=2)
    assert plain.chosen_loop == plain.worker_loop != some.chosen_loop
    assert (plain.averages, plain.drops, plain.copied_for_evaluation, plain.sums(4)) == (True, False, False, 0)
    assert (some.averages, some.drops, some.copied_for_evaluation, some.sums(4)) == (False, True, True, 1)
    assert (repr(plain), repr(some)) == ("Synchronous()", "Synchronous(wait_for=2)")
    place = [option.name for option in SCHEMES["synchronous"].options].index("batches")
    assert words.SETTINGS + place == k_sync.BATCHES
    with pytest.raises(ab.UsageError, match="cannot wait for more gradients than workers"):
        train(quadratic(), ALL, workers=4)
