"""A gradient table (Ringleader ASGD): rounds, equal weights, staleness, parameters to the bit, ends, resumption."""

import numpy as np
import pytest
from commands import printed
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import Table, assert_recomputed, assert_rows_are_sound, recompute
from problems import quadratic
from simulations import simulate
from test_events import cases

import asapnb as ab
from asapnb.errors import UsageError
from asapnb.simulator import schedule
from asapnb.simulator.operations import turns_of, whole
from asapnb.training.turns import MAKES

SERVER, LOCKED = "parameter-server(table=True)", "lock-based(table=True)"
SLOW_ONE = "slowed(exponential(1), factor=8, workers=[0])"
ALL = {"momentum": 0.9, "weight_decay": 0.01, "compensation": 0.02, "clip": 40.0, "step_size": 0.02}


@pytest.mark.parametrize(
    ("given", "dtype"), [({}, np.float32), (ALL, np.float32), ({"optimizer": "adam", "local_steps": 2}, np.float64)]
)
@pytest.mark.parametrize("scheme", [SERVER, LOCKED])
def test_rows_give_every_version_to_the_bit(scheme, given, dtype):
    problem = quadratic(dtype=dtype)
    more = {"rule": "inverse", "keep_params": "evals", "timing": SLOW_ONE, "threads": 2, "worker_tables": bool(given)}
    run = simulate(problem, scheme, **more, **given)
    assert_rows_are_sound(run)
    assert (run.updates["scale"] != 1).any()
    assert_recomputed(run, problem, threads=3)


@pytest.mark.parametrize("rule", ["wu_adaptive(2, 1.5)", "tail"])
def test_rules_make_the_same_scales_again(rule):
    run = simulate(scheme=LOCKED, rule=rule, timing=SLOW_ONE, updates=150)
    again = ab.replay(run, quadratic(), rule=rule)
    for name in ("scale", "factor", "loss"):
        np.testing.assert_array_equal(again.updates[name], run.updates[name])
    assert len(np.unique(run.updates["scale"] * run.updates["factor"])) > 1


def test_one_worker_needs_no_table():
    ours, plain = (simulate(scheme=scheme, workers=1, momentum=0.5) for scheme in (SERVER, "parameter-server"))
    np.testing.assert_array_equal(ours.params["final"], plain.params["final"])
    assert len(ours.updates["tau"]) == 60


def test_its_memory_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr("asapnb.simulator.replay_state.check_memory", lambda *given: asked.append(given[1]))
    simulate(scheme=SERVER, timing="1")
    simulate(scheme="parameter-server", timing="1")
    assert asked[0] - asked[1] >= 2 * 5 * quadratic().n_params * 4 - 5 * 256


# --- ends -----------------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_has_the_table_that_it_left(tmp_path):
    given = {"scheme": SERVER, "timing": SLOW_ONE, "momentum": 0.5, "rule": "inverse"}
    there = simulate(**given, updates=93)
    for updates in (41, 43, 60):  # in the first and in the second phase of a round, and between two
        before = simulate(**given, updates=updates, out=tmp_path / f"{updates}.h5")
        run = ab.resume(before, updates=93, problem=quadratic())
        np.testing.assert_array_equal(run.params["final"], there.params["final"])
        np.testing.assert_array_equal(run.updates["version"], there.updates["version"])
        np.testing.assert_array_equal(ab.replay(run, quadratic()).params["final"], run.params["final"])


def test_a_time_limit_leaves_whole_versions():
    rows = simulate(scheme=LOCKED, timing=SLOW_ONE).updates
    for row in (0, 1, 30, len(rows["tau"]) // 2):
        run = simulate(scheme=LOCKED, timing=SLOW_ONE, max_seconds=rows["t_apply"][row])
        turns = turns_of(run.updates, 5)
        assert (turns & MAKES != 0).sum() == run.updates["version"].max(initial=0)
        assert not len(turns) or turns[-1] & MAKES
        np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


def test_a_loss_that_diverges_ends_the_run_with_its_version():
    run = simulate(scheme=SERVER, step_size=1e20, updates=400, eval_every=0)
    assert run.status == "diverged"
    bad = ~(run.updates["loss"] <= 10 * run.evals["train_loss"][0])
    assert bad.any()
    assert (run.updates["version"][bad] == run.updates["version"].max()).all()


def test_summaries_count_versions():
    rows, summary = (simulate(scheme=SERVER, record=record, timing=SLOW_ONE) for record in ("updates", "summary"))
    assert rows.summary()["updates"] == summary.summary()["updates"] == 60
    assert summary.summary()["sum_of_steps"] == pytest.approx(rows.summary()["sum_of_steps"]) == pytest.approx(1.8)


# --- what it cannot be combined with --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameter-server(table=True, buffer=2)", r"table=True, buffer=2\)"),
        ("lock-based(table=True, interval=4)", r"table=True, interval=4\)"),
        ("lock-based(table=True, discard_after=1)", r"table=True, discard_after=1\)"),
        ("parameter-server(table=True, discard_after=4, restart=True)", r"table=True, discard_after=4\)"),
    ],
)
def test_options_that_exclude_each_other_name_each_other(text, message):
    with pytest.raises(UsageError, match=message):
        ab.schemes.parse_scheme(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": "0:2, 5:4"}, "workers is .* with table"),
        ({"momentum": 0.5, "momentum_kind": "ordered"}, "momentum_kind is 'ordered'.*leave the table out"),
    ],
)
def test_arguments_that_exclude_a_table(arguments, message):
    with pytest.raises(UsageError, match=message):
        simulate(scheme=SERVER, **arguments)


def test_real_workers_say_where_it_can_be_had():
    with pytest.raises(UsageError, match=r"table=True.*simulate"):
        ab.train(quadratic(), ab.LockBased(table=True), workers=2, updates=5)
    with pytest.raises(UsageError, match="leave the table out"):
        ab.schedule_from([0, 1, 1], scheme=LOCKED)
    assert "simulate" in printed("train", "--scheme", LOCKED, "--updates", 5, code=2)


def test_no_stable_step_is_claimed_where_gradients_of_several_ages_make_a_version():
    for scheme in (LOCKED, "lock-based(buffer=3)"):
        with pytest.raises(
            UsageError, match="no limit is known where a version is a mean of gradients of several ages"
        ):
            ab.theory.stable_step(workers=4, scheme=scheme)
    found = ab.forecast(quadratic(), LOCKED, workers=4, timing="exponential(1)", updates=400)
    assert found.stable is None
    assert found.vectors_simulated == 5 + 8
    assert not ab.theory.stable_step(workers=3, scheme="lock-based(interval=3)", replicas=8, batches=2).exact


# --- laws -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(cases("server with a table", most=60) | cases("table", most=60))
def test_each_round_makes_a_version_for_each_worker_and_no_gradient_is_staler_than_two_rounds(case):
    made = schedule(*case)
    n = made.workers
    assert made.tau.max() <= max(0, 2 * n - 2)
    if n == 1:
        return
    makes = turns_of(made.rows, n) & MAKES != 0
    assert whole(made.rows, made.rows["dropped"] != 0, 1, n) == len(made)
    np.testing.assert_array_equal(made.rows["version"], np.cumsum(makes) - makes + 1)
    for first in range(0, made.updates - n + 1, n):
        assert sorted(made.worker[makes][first : first + n]) == list(range(n))


@settings(max_examples=100)
@given(st.integers(2, 5).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), max_size=60))))
def test_the_table_is_that_of_the_twin_and_every_gradient_is_used(case):
    workers, arrivals = case
    table, used = Table(workers), set()
    turns = turns_of({"worker": np.array(arrivals, np.int64)}, workers)
    for number, (worker, turn) in enumerate(zip(arrivals, turns.tolist(), strict=True)):
        entries = table.add(worker, number)
        assert (entries is not None) == bool(turn & MAKES)
        for own in entries or []:
            assert own, "a version has a gradient of every worker"
            used |= {*own}
    assert used | {one for own in [*table.here, *table.next] for one in own} == {*range(len(arrivals))}


def test_all_workers_have_the_same_weight_however_fast_they_are():
    """Each worker pulls to the mean of its own part: the table to the mean of these, others to who is fast."""
    problem, workers = quadratic(dtype=np.float64), 4
    parts = ab.shards(problem, "iid", workers, 3)
    middle = np.mean([problem.inputs.reshape(problem.n_samples, -1)[part].mean(axis=0) for part in parts], axis=0)
    given = {"shards": "iid", "workers": workers, "batch_size": max(map(len, parts)), "step_size": 0.05}
    given |= {"timing": "slowed(constant(1), factor=7, workers=[0])", "updates": 600, "eval_every": 0}
    ours, plain = (simulate(problem, scheme, **given).params["final"] for scheme in (LOCKED, "lock-based"))
    assert np.abs(ours - middle).max() < 1e-9
    assert np.abs(plain - middle).max() > 1e-2
