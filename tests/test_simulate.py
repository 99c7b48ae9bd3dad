"""Simulated runs: recomputed by slow twins to the bit, the same on any number of threads; where and how they end."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import assert_rows_are_sound, hogwild, hogwild_events, recompute, rounds
from problems import counting, failing, quadratic, train
from processes import until
from simulations import (
    CONSISTENT,
    HOGWILD,
    MOMENTA,
    ROUNDS,
    SENT,
    SLOW,
    assert_same_contents,
    assert_same_runs,
    simulate,
)

import asapnb as ab
from asapnb.analysis import records, varying
from asapnb.schemes import Hogwild, parse_scheme
from asapnb.simulator.operations import of_blocks, of_versions
from asapnb.simulator.replay_state import make_replay_state
from asapnb.simulator.words import ADD, APPLY, CLOSE, DONE, READ, SKIP, UNTIL, WRITE
from asapnb.training import evaluation

NETWORK = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(6,))
ALL = {"momentum": 0.9, "direct_share": 0.2, "weight_decay": 0.02, "compensation": 0.1}


# --- twins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("momentum", "kind", "dtype"),
    [(0.0, "per_worker", np.float64), (0.9, "per_worker", np.float32), (0.9, "shared", np.float64)],
)
@pytest.mark.parametrize("scheme", CONSISTENT)
def test_the_rows_give_the_parameters_to_the_bit(scheme, momentum, kind, dtype):
    problem = quadratic(dtype=dtype)
    run = simulate(
        problem,
        scheme,
        updates=90,
        momentum=momentum,
        momentum_kind=kind,
        weight_decay=0.02,
        compensation=0.1,
        rule="tail(refresh=every(20))",
        threads=2,
    )
    assert_rows_are_sound_but_for_time(run)
    assert run.status == "finished"
    np.testing.assert_array_equal(recompute(problem, run), run.params["final"])
    if any(word in scheme for word in ("persistence", "discard")):
        assert (run.updates["dropped"] == 1).any()


def assert_rows_are_sound_but_for_time(run):
    """`assert_rows_are_sound`, where reading may begin at 0 and a restarted gradient ends when the worker is told."""
    assert (run.updates["t_read"] >= 0).all()
    rows = {name: run.updates[name].copy() for name in run.updates}
    rows["t_read"] += 1e-300
    for name in ("t_ready", "t_apply"):
        rows[name] = np.maximum(rows[name], rows["t_read"])

    class Sound:
        updates, attributes, config, is_virtual = rows, run.attributes, run.config, False

    assert_rows_are_sound(Sound)


@pytest.mark.parametrize("arguments", [{}, ALL, {"momentum": 0.5, "rule": "adadelay(c=0.1)"}])
@pytest.mark.parametrize("network", ["quadratic", "mlp"])
def test_networks_and_other_rules_to_the_bit(network, arguments):
    problem = NETWORK if network == "mlp" else quadratic()
    run = simulate(problem, "leashed", workers=8, threads=2, eval_samples=50, **{"rule": "inverse", **arguments})
    np.testing.assert_array_equal(recompute(problem, run), run.params["final"])


@pytest.mark.parametrize(("momentum", "decay", "dtype"), [(0.0, 0.0, np.float32), (0.9, 0.02, np.float64)])
@pytest.mark.parametrize("scheme", ROUNDS)
def test_rounds_are_means_to_the_bit(scheme, momentum, decay, dtype):
    problem = quadratic(dtype=dtype)
    run = simulate(problem, scheme, momentum=momentum, weight_decay=decay, rule="adadelay(c=0.01)", updates=30)
    rows, gradients = run.updates, parse_scheme(scheme).gradients(5)
    np.testing.assert_array_equal(rows["version"], np.repeat(np.arange(1, 31), gradients))
    assert (rows["tau"] == 0).all()
    np.testing.assert_array_equal(rounds(problem, run), run.params["final"])
    np.testing.assert_array_equal(run.evals["step"], [0, 8, 16, 24, 30])


@pytest.mark.parametrize("timing", ["exponential(1)", SLOW, "compute=exponential(1), read=0.7", "1, update=3"])
@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [({}, np.float64), (ALL, np.float32), ({**ALL, "momentum_kind": "shared"}, np.float64)],
    ids=["plain", "all", "shared"],
)
@pytest.mark.parametrize("scheme", HOGWILD)
def test_hogwild_block_by_block_to_the_bit(scheme, arguments, timing, dtype):
    if parse_scheme(scheme) == Hogwild("in_place"):
        arguments = {**arguments, "compensation": 0.0}
    problem, blocks = quadratic(n=3 if arguments else 37, dtype=dtype), parse_scheme(scheme).blocks
    run = simulate(problem, scheme, timing=timing, rule="inverse", updates=70, threads=2, **arguments)
    versions, final, _ = hogwild(problem, run, blocks)
    np.testing.assert_array_equal(final, run.params["final"])
    assert len(versions) == 71
    assert run.evals["step"].tolist() == [*range(0, 70, 8), 70]
    for step, loss, seconds in zip(run.evals["step"], run.evals["train_loss"], run.evals["t"], strict=True):
        assert problem.evaluate(versions[step])[0] == loss, step
        assert seconds == run.updates["t_apply"][:step].max(initial=0)


def test_a_hogwild_view_is_torn():
    """`count_up` counts the elements that differ from the first."""
    run = simulate(counting(64), "hogwild", step_size=1.0, divergence_factor=1e9)
    assert (run.updates["loss"] > 0).any()
    run = simulate(counting(64), "hogwild(view=snapshot, blocks=1)", step_size=1.0, divergence_factor=1e9)
    assert (run.updates["loss"] == 0).all()


# --- plans ---------------------------------------------------------------------------------------------------------


@st.composite
def schedules(draw, schemes):
    timing = draw(st.sampled_from(["exponential(1)", SLOW, "1, read=0.5, update=0.25", "1"]))
    scheme = draw(st.sampled_from(schemes))
    if scheme.startswith("parameter-server"):
        timing = draw(st.sampled_from(["exponential(1)", SENT]))
    workers = 1 if scheme == "sequential" else draw(st.integers(3, 8))
    return ab.schedule(timing, scheme, workers, draw(st.integers(1, 40)), draw(st.integers(0, 99)))


@settings(max_examples=150)
@given(schedules([*CONSISTENT, *ROUNDS]))
def test_every_slot_holds_the_version_that_is_read(made):
    rows, dropped = made.rows, made.rows["dropped"]
    plan = of_versions(rows, dropped, made.scheme.gradients(made.workers), made.scheme.table_of(made.workers))
    assert plan.slots <= made.workers + 1
    assert plan.operations["row"].tolist() == list(range(len(rows)))
    state, version = [None] * plan.slots, 0
    state[0] = 0
    history = [list(state)]  # before each operation
    for operation in plan.operations:
        assert state[operation["source"]] == version
        kind = operation["kind"]
        assert kind == (SKIP if dropped[operation["row"]] else kind)
        if kind in (APPLY, CLOSE):
            version += 1
            state[operation["target"]] = version
            assert rows["version"][operation["row"]] == version
        else:
            assert kind in (SKIP, ADD)
            assert operation["target"] == operation["source"]
        history.append(list(state))
    for row in range(len(rows)):
        held = {history[k][plan.slot[row]] for k in range(plan.needs[row], plan.ends[row])}  # until it is applied
        assert held == {rows["read_version"][row]}


def moves(plan):
    """Of each operation: whether it writes, its row, its block."""
    return [(kind == WRITE, row, None if block < 0 else block) for row, *_, kind, block in plan.operations.tolist()]


@settings(max_examples=100)
@given(schedules(HOGWILD))
def test_every_view_has_a_slot_of_its_own(made):
    blocks, rows = made.scheme.blocks, made.rows
    plan = of_blocks(rows, made.t_view, blocks)
    columns = {name: rows[name] for name in rows.dtype.names} | {"t_view": made.t_view}
    events = hogwild_events(columns, blocks)
    operations = plan.operations
    assert moves(plan) == [event[2:] for event in events]
    few = of_blocks(rows, made.t_view, blocks, 3)  # parameters: most blocks are empty
    full = {None, 0} | {block for block in range(blocks) if block * 3 // blocks < (block + 1) * 3 // blocks}
    assert moves(few) == [event[2:] for event in events if event[4] in full]
    assert plan.slots <= made.workers + 1
    lent, first = {0: "parameters"}, 0
    for k, (row, source, target, kind, _) in enumerate(operations.tolist()):
        slot = plan.slot[row]
        assert (source, target) == (0, 0)
        assert lent.setdefault(slot, row) == row
        if kind == READ:
            assert k < plan.needs[row]
        else:
            assert k >= plan.needs[row]
            assert row - first < plan.overlap
        if plan.ends[row] == k + 1:
            del lent[slot]
        while first < len(rows) and plan.ends[first] <= k + 1:
            first += 1
    assert lent == {0: "parameters"}


@pytest.mark.parametrize("scheme", ["lock-based", "leashed", "hogwild", "hogwild(view=snapshot)"])
def test_a_thousand_workers_need_a_thousand_vectors(scheme):
    made = ab.schedule("lognormal(mean=1, cv=2), read=0.001, update=0.001", scheme, 1024, 20_000)
    if made.t_view is None:
        plan = of_versions(made.rows, made.rows["dropped"], 1)
    else:
        plan = of_blocks(made.rows, made.t_view, made.scheme.blocks)
    assert 2 < plan.slots <= 1025


# --- the same bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [*CONSISTENT, *ROUNDS, *HOGWILD])
def test_the_same_bits_on_any_number_of_threads(scheme):
    arguments = {"rule": "tail(refresh=every(10))", "momentum": 0.5, "microscope": 7, "worker_tables": True}
    first = simulate(scheme=scheme, workers=None if scheme == "sequential" else 9, **arguments)
    assert len(first.microscope["version"]) == 60 // 7
    for threads in (2, 3, 8):
        again = simulate(scheme=scheme, workers=None if scheme == "sequential" else 9, threads=threads, **arguments)
        assert_same_runs(first, again)


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "leashed(persistence=0)", *ROUNDS, "parameter-server"])
def test_the_same_file_twice_and_on_more_threads(scheme, tmp_path):
    arguments = {"rule": "tail(refresh=every(10))", "microscope": 5, "momentum": 0.5, "updates": 300}
    for name, threads in (("a", 1), ("b", 2), ("c", 1)):
        simulate(NETWORK, scheme, out=tmp_path / name, threads=threads, eval_samples=20, **arguments)
    assert_same_contents(tmp_path / "a", tmp_path / "b")
    assert_same_contents(tmp_path / "a", tmp_path / "c")


def test_segments_long_and_short_commit_the_same(tmp_path, monkeypatch):
    """Each kind of segment: in this thread, or in threads of their own."""
    monkeypatch.setattr("asapnb.simulator.threads._QUICK", 0.0)
    for name, seconds in (("a", 0.0), ("b", 1e9)):
        monkeypatch.setattr("asapnb.simulator.threads._INLINE_SECONDS", seconds)
        simulate(scheme="hogwild", out=tmp_path / name, threads=2, rule="inverse", microscope=3)
    assert_same_contents(tmp_path / "a", tmp_path / "b")


# --- one worker, or no time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "arguments"),
    [(quadratic(), {}), (NETWORK, {"momentum": 0.9, "weight_decay": 0.01, "reshuffle": False})],
    ids=["quadratic", "mlp"],
)
@pytest.mark.parametrize(
    "scheme", ["sequential", "lock-based", "hogwild", "leashed", "parameter-server", "synchronous"]
)
def test_one_worker_is_plain_sgd_to_the_bit(scheme, problem, arguments):
    common = {"updates": 60, "eval_every": 7, "rule": "tail", "step_size": 0.03, **arguments}
    plain = train(problem, "sequential", **common)
    run = simulate(problem, scheme, workers=1, threads=2, **common)
    for name in ("batch", "version", "read_version", "tau", "scale", "loss"):
        np.testing.assert_array_equal(run.updates[name], plain.updates[name], err_msg=name)
    for name in ("step", "train_loss", "test_loss", "test_accuracy"):
        np.testing.assert_array_equal(run.evals[name], plain.evals[name], err_msg=name)
    np.testing.assert_array_equal(run.params["final"], plain.params["final"])


def test_synchronous_is_that_of_train_to_the_bit():
    common = {"updates": 30, "eval_every": 4, "momentum": 0.9, "weight_decay": 0.01, "workers": 4}
    real, run = train(quadratic(), "synchronous", **common), simulate(scheme="synchronous", step_size=0.1, **common)
    for name in ("batch", "version", "loss", "scale"):
        np.testing.assert_array_equal(run.updates[name], real.updates[name])
    np.testing.assert_array_equal(run.evals["train_loss"], real.evals["train_loss"])
    np.testing.assert_array_equal(run.params["final"], real.params["final"])


@pytest.mark.parametrize(("momentum", "kind"), MOMENTA)
def test_where_nothing_takes_time_the_schemes_are_one(momentum, kind):
    arguments = {"timing": "exponential(1)", "momentum": momentum, "momentum_kind": kind, "rule": "inverse"}
    schemes = ("lock-based", "hogwild(view=snapshot, blocks=1)", "hogwild(view=snapshot)", "leashed")
    runs = [simulate(scheme=scheme, workers=6, **arguments) for scheme in schemes]
    for run in runs:
        np.testing.assert_array_equal(run.params["final"], runs[0].params["final"])
        np.testing.assert_array_equal(run.updates["loss"], runs[0].updates["loss"])


def test_no_step_leaves_the_parameters_even_if_a_gradient_is_not_finite():
    run = simulate(scheme="leashed", rule="wu_adaptive(variant=2, budget=1e-9)", updates=20)
    assert (run.updates["dropped"] == 2).any()
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


# --- where a run ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("scheme", ["hogwild", "leashed(persistence=0)", "synchronous(wait_for=3)"])
def test_a_target_ends_the_run_at_the_version_evaluated(scheme, threads, monkeypatch, tmp_path):
    problem = quadratic()
    whole = simulate(problem, scheme, updates=120, microscope=1, out=tmp_path / "whole.h5")
    losses = whole.evals["train_loss"]
    target, ended = losses[5], whole.evals["step"][np.flatnonzero(losses <= losses[5])[0]]
    evaluate, stage = evaluation.Evaluator.evaluate, []

    def slowly(self, params, step, t):
        until(lambda: step == 0 or stage[0].control[DONE] >= stage[0].control[UNTIL])  # the next segment is over
        return evaluate(self, params, step, t)

    def known(execution, *others):
        stage[:] = [make_replay_state(execution, *others)]
        return stage[0]

    monkeypatch.setattr("asapnb.simulator.execute.make_replay_state", known)

    for slow in (False, True):
        if slow:
            monkeypatch.setattr(evaluation.Evaluator, "evaluate", slowly)
        run = simulate(problem, scheme, updates=120, target_loss=float(target), microscope=1, threads=threads)
        assert run.status == "converged"
        assert run.updates["version"].max() == ended == run.attributes["target_step"] == run.evals["step"][-1]
        assert run.updates["version"][-1] == ended
        rows = len(run.updates["version"])
        for name in set(run.updates):
            np.testing.assert_array_equal(run.updates[name], whole.updates[name][:rows])
        np.testing.assert_array_equal(run.microscope["version"], np.arange(1, ended + 1))
        assert problem.evaluate(run.params["final"])[0] == run.evals["train_loss"][-1]
        assert run.staleness_counts.sum() == (run.updates["dropped"] != 1).sum()
        if scheme in CONSISTENT:
            np.testing.assert_array_equal(recompute(problem, run), run.params["final"])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "hogwild(blocks=1)", "leashed(persistence=0)", *ROUNDS])
def test_a_loss_ends_the_run_with_its_row(scheme, threads):
    """Or with its round."""
    run = simulate(scheme=scheme, step_size=3.0, updates=400, eval_every=0, threads=threads, microscope=2)
    assert run.status == "diverged"
    limit = np.float32(10 * run.evals["train_loss"][0])
    bad = np.flatnonzero(~(run.updates["loss"] <= limit))
    size = (
        run.config["workers"]
        if scheme == "synchronous"
        else parse_scheme(scheme).gradients(5)
        if "sync" in scheme
        else 1
    )
    rows = len(run.updates["loss"])
    assert (bad // size == rows // size - 1).all()
    assert len(bad)
    assert rows % size == 0
    assert run.evals["step"][-1] == run.updates["version"].max()
    assert run.microscope["version"].max(initial=0) <= run.evals["step"][-1]
    assert_same_runs(run, simulate(scheme=scheme, step_size=3.0, updates=400, eval_every=0, microscope=2))


def test_an_evaluation_ends_a_run_that_diverges():
    losses = {0.0: 1.0, 16.0: 11.0}
    problem = replace(counting(50), evaluation=lambda params, split: (losses.get(float(params[0]), 1.0), np.nan))
    for threads in (1, 2):
        run = simulate(problem, "lock-based", step_size=1.0, threads=threads, timing="exponential(1)")
        assert (run.status, len(run.updates["loss"])) == ("diverged", 16)
        assert (run.params["final"] == 16).all()
        assert run.evals["step"].tolist() == [0, 8, 16]


def test_a_first_evaluation_may_end_a_run():
    problem = replace(counting(50), evaluation=lambda params, split: (np.nan, np.nan))
    run = simulate(problem)
    assert (run.status, len(run.updates["loss"]), run.evals["step"].tolist()) == ("diverged", 0, [0])
    run = simulate(target_loss=1e9)
    assert (run.status, len(run.updates["loss"]), run.attributes["target_step"]) == ("converged", 0, 0)


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", *ROUNDS, "parameter-server(discard_after=3)"])
def test_virtual_time_ends_a_run(scheme):
    whole = simulate(scheme=scheme)
    limit = float(np.sort(whole.updates["t_apply"])[len(whole.updates["t_apply"]) // 2])
    run = simulate(scheme=scheme, max_seconds=limit)
    rows = len(run.updates["t_apply"])
    assert run.status == "timed-out"
    assert rows < len(whole.updates["t_apply"])
    assert (run.updates["t_apply"] <= limit).all()
    assert whole.updates["t_apply"][rows] > limit
    for name in ("worker", "version", "tau", "loss", "t_apply"):
        if name != "loss" or scheme != "hogwild":
            np.testing.assert_array_equal(run.updates[name], whole.updates[name][:rows])
    assert run.evals["step"][-1] == run.updates["version"].max()
    assert simulate(scheme=scheme, max_seconds=1e9).status == "finished"


def test_no_time_at_all():
    seen = []
    run = simulate(max_seconds=1e-9, progress=seen.append, microscope=1)
    assert (run.status, len(run.updates["loss"]), run.evals["step"].tolist()) == ("timed-out", 0, [0])
    np.testing.assert_array_equal(run.params["final"], run.params["initial"])
    assert seen[-1].status == "timed-out"
    assert run.attributes.get("mean_scale") is None
    assert simulate(scheme="hogwild", max_seconds=1e-9).status == "timed-out"


@pytest.mark.parametrize(
    ("every", "steps"), [(0, [0, 60]), (1, range(61)), (7, [*range(0, 60, 7), 60]), (60, [0, 60])]
)
@pytest.mark.parametrize("scheme", ["leashed(persistence=0)", "hogwild", "synchronous"])
def test_when_it_is_evaluated(scheme, every, steps):
    seen = []
    run = simulate(scheme=scheme, eval_every=every, on_eval=seen.append)
    assert run.evals["step"].tolist() == list(steps) == [evaluation.step for evaluation in seen]
    assert run.evals["t"][0] == 0
    applied = run.updates["dropped"] != 1
    for step, seconds in zip(run.evals["step"][1:], run.evals["t"][1:], strict=True):
        assert seconds == run.updates["t_apply"][applied & (run.updates["version"] <= step)].max()


# --- what fails ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
def test_a_gradient_that_raises_ends_the_run_and_is_passed_on(threads, tmp_path):
    problem = failing()  # once parameters are beyond 20
    with pytest.raises(ValueError, match="this gradient fails"):
        simulate(problem, step_size=1.0, threads=threads, out=tmp_path / "run.h5", divergence_factor=1e9)
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "failed"
    version = run.updates["version"].max()
    assert 15 < version < 60
    assert (run.params["final"] == version).all()


def test_an_evaluation_that_raises_ends_the_run_and_is_passed_on(tmp_path):
    def evaluate(params, split):
        if params[0] == 24:
            raise LookupError("no evaluation")
        return 1.0, np.nan

    for threads in (1, 2):
        out = tmp_path / f"{threads}.h5"
        with pytest.raises(LookupError, match="no evaluation"):
            simulate(replace(counting(50), evaluation=evaluate), step_size=1.0, threads=threads, out=out, timing="1")
        run = ab.load_run(out)
        assert (run.status, run.evals["step"].tolist()) == ("failed", [0, 8, 16])
        np.testing.assert_array_equal(run.updates["version"], np.arange(1, 25))
        assert (run.params["final"] == 24).all()


def test_a_hook_that_raises_ends_the_run_and_is_passed_on(tmp_path):
    def look(evaluation):
        if evaluation.step == 16:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        simulate(on_eval=look, out=tmp_path / "run.h5")
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "failed"
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"microscope": -1}, "microscope is -1"),
        ({"timing": "exponential(-1)"}, "mean is -1"),
        ({"scheme": "leashed", "timing": "1, network=1"}, "sends no messages"),
        ({"timing": f"1, network=empirical({list(range(1, 99))})"}, r"network is .{,220} …: .* sends no messages"),
        ({"workers": 0}, "workers is 0"),
        ({"scheme": "synchronous(wait_for=9)"}, "cannot wait for more gradients than workers"),
        ({"pin_workers": True}, None),
    ],
)
def test_what_cannot_be_simulated_is_said_before_anything_is_written(arguments, message, tmp_path):
    with pytest.raises(TypeError if message is None else ab.UsageError, match=message):
        simulate(out=tmp_path / "run.h5", **arguments)
    assert not list(tmp_path.iterdir())


def test_runs_may_differ_in_their_times_alone(tmp_path):
    """Same initial parameters and order of the data; the schedule of the other seed; kept by replays and resumes."""
    first, other = (
        simulate(quadratic(), "lock_based", seed=3, timing_seed=of, updates=40, out=tmp_path / f"{of}.h5")
        for of in (3, 4)
    )
    assert_same_runs(first, simulate(quadratic(), "lock_based", seed=3, updates=40))
    assert (first.params["initial"] == other.params["initial"]).all()
    schedule = ab.schedule(other.config["timing"], workers=other.config["workers"], updates=40, seed=4)
    assert (other.updates["tau"] == schedule.rows["tau"]).all()
    assert (first.updates["tau"] != other.updates["tau"]).any()
    again = ab.replay(other, quadratic())
    assert again.config["timing_seed"] == 4
    found = records([first, other, again])
    assert [record.value("seed") for record in found] == [3, 4, 4]
    assert varying(found[:2]) == ["seed"]
    longer = ab.resume(tmp_path / "4.h5", updates=60, problem=quadratic())
    assert_same_runs(longer, simulate(quadratic(), "lock_based", seed=3, timing_seed=4, updates=60))


def test_very_many_workers():
    run = simulate(workers=50_000, updates=60_000, timing="exponential(1)", eval_every=0, step_size=1e-6, threads=2)
    assert run.status == "finished"
    assert run.updates["worker"].max() > 40_000


def test_progress_is_told():
    seen = []
    simulate(scheme="leashed(persistence=0)", progress=seen.append, rule="tail")
    assert [seen[0].status, seen[-1].status] == ["running", "finished"]
    assert (seen[-1].updates, seen[-1].total_updates) == (60, 60)
    assert seen[-1].dropped > 0
