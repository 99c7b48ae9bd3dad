"""Runs under schedules of the step size: on threads, simulated, replayed and resumed, by text, function and file."""

import numpy as np
import pytest
from naive import factors, recompute, rounds
from naive import scales as one_by_one
from problems import CONSISTENT, pull_slowly, quadratic, train
from simulations import assert_same_runs, simulate
from test_replaying import assert_replayed

import asapnb as ab
from asapnb.rules import as_rule
from asapnb.schedules import parse_schedule
from asapnb.simulator.world import ROW

TEXT = "warmup(n=20) * cosine(end=0.1)"
SLOW = quadratic(gradient=pull_slowly)
SCHEMES = ["sequential", "synchronous", "hogwild", "hogwild(view=snapshot)", *CONSISTENT]


def falling(t, total):
    return 1 - t / (2 * total)


def rows_of(run):
    rows = np.zeros(len(run.updates["tau"]), ROW)
    for name in ROW.names:
        rows[name] = run.updates[name]
    rows["dropped"] &= 1
    return rows


def expected_factors(run, schedule, total, part=slice(None)):
    """Of the rows of a run, or a part of them, by the version that each lands on."""
    return np.array(factors(parse_schedule(schedule), total, total))[
        (run.updates["read_version"] + run.updates["tau"])[part]
    ]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_run_on_threads_has_the_factor_of_the_version_that_each_update_lands_on(scheme):
    workers = 1 if scheme == "sequential" else 4
    run = train(SLOW, scheme, workers=workers, updates=120, step_size=1e-3, rule="inverse", schedule=TEXT)
    np.testing.assert_array_equal(run.updates["factor"], expected_factors(run, TEXT, 120))
    assert run.updates["factor"].min() < 0.2 < 0.9 < run.updates["factor"].max()
    assert run.config["schedule"] == TEXT
    applied = (run.updates["scale"].astype(float) * run.updates["factor"])[run.updates["dropped"] != 1]
    assert run.summary()["mean_scale"] == pytest.approx(applied.mean())
    assert run.attributes["sum_of_steps"] == pytest.approx(1e-3 * applied.mean() * 120)
    if scheme == "synchronous":
        np.testing.assert_array_equal(rounds(SLOW, run), run.params["final"])
    elif not str(scheme).lower().startswith("hogwild"):
        np.testing.assert_array_equal(recompute(SLOW, run), run.params["final"])


@pytest.mark.parametrize("rule", ["tail(refresh=every(10))", "adadelay(c=0.1)", "wu_adaptive(variant=1, budget=4.0)"])
@pytest.mark.parametrize("scheme", ["lock-based", "leashed(persistence=0)", "synchronous", "hogwild"])
def test_a_simulated_run_has_the_product_of_the_schedule_and_of_the_rule_s_own_factor(scheme, rule):
    run = simulate(scheme=scheme, rule=rule, schedule=TEXT)
    total, rows = run.config["updates"], rows_of(run)
    fresh = scheme == "synchronous"
    found, _ = one_by_one(rows, as_rule(rule), run.config["workers"], False, fresh, parse_schedule(TEXT), total)
    for name, column in zip(("scale", "factor", "dropped"), list(zip(*found, strict=True))[1:], strict=True):
        np.testing.assert_array_equal(run.updates[name], np.array(column), err_msg=name)
    assert_same_runs(run, ab.replay(run, quadratic()))
    assert_same_runs(run, ab.replay(run, quadratic(), rule, schedule=TEXT))
    assert_same_runs(run, ab.replay(run, quadratic(), schedule=parse_schedule(TEXT)))
    plain = simulate(scheme=scheme, rule=rule)
    assert_same_runs(run, ab.replay(plain, quadratic(), schedule=TEXT))
    assert_same_runs(plain, ab.replay(run, quadratic(), schedule="constant"))
    other = simulate(scheme=scheme, rule="inverse", schedule=TEXT)
    assert_same_runs(other, ab.replay(run, quadratic(), "inverse"))
    assert_same_runs(run, ab.replay(other, quadratic(), rule))


@pytest.mark.parametrize("scheme", ["lock-based", "leashed"])
def test_a_run_on_threads_is_replayed_to_the_bit(scheme, tmp_path):
    out = tmp_path / "run.h5"
    train(
        SLOW, scheme, workers=4, updates=100, step_size=0.01, momentum=0.5, schedule=falling, rule="inverse", out=out
    )
    run = ab.load_run(out)
    assert_replayed(run, ab.replay(run, SLOW))
    assert_replayed(run, ab.replay(run, SLOW, "inverse"))  # what the schedule gave is recorded, though not its code
    assert_replayed(run, ab.replay(run, SLOW, schedule=falling))
    again = ab.replay(run, SLOW, schedule="step_decay(every=50, rate=0.5)")
    np.testing.assert_array_equal(again.updates["factor"], np.where(run.updates["version"] > 50, 0.5, 1))
    np.testing.assert_array_equal(recompute(SLOW, again), again.params["final"])


@pytest.mark.parametrize(("schedule", "totals"), [("cosine()", (40, 80)), ("cosine(length=60)", (80, 80))])
def test_a_schedule_over_the_whole_run_follows_the_total_when_the_run_goes_on(schedule, totals, tmp_path):
    run = train(SLOW, "synchronous", updates=40, schedule=schedule, out=tmp_path / "run.h5")
    run = ab.resume(run, updates=80, problem=SLOW)
    before = run.updates["version"] <= 40
    for part, total in zip((before, ~before), totals, strict=True):
        np.testing.assert_array_equal(run.updates["factor"][part], expected_factors(run, schedule, total, part))
    assert_replayed(run, ab.replay(run, SLOW))
    assert run.config["schedule"] == schedule


def test_a_simulated_run_that_goes_on_is_one_of_the_new_total(tmp_path):
    arguments = {"scheme": "leashed", "schedule": "warmup(5)*cosine()"}
    simulate(updates=40, out=tmp_path / "run.h5", **arguments)
    run = ab.resume(tmp_path / "run.h5", updates=90, problem=quadratic())
    assert_same_runs(run, simulate(updates=90, **arguments))
