"""A forecast is held against runs: it has the staleness, scales and times that a simulated run records."""

import json
from dataclasses import replace
from functools import partial

import commands
import numpy as np
import pytest
from problems import counting, quadratic
from simulations import SENT, SLOW

import asapnb as ab
from asapnb.engine.memory import elements_of_run
from asapnb.errors import RecordError, UsageError
from asapnb.forecasting import parts
from asapnb.forecasting.figures import measured
from asapnb.forecasting.known import known
from asapnb.record import load_run
from asapnb.rules import Rule
from asapnb.schemes import as_scheme
from asapnb.simulator import staleness_only
from asapnb.simulator.operations import of_versions
from asapnb.timing import as_timing

UPDATES = 400


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """The largest stable step from few executions."""
    monkeypatch.setattr(parts, "stable_step", partial(parts.stable_step, replicas=30, batches=2))


call = partial(commands.call, "forecast")


def fading(staleness, workers, progress):
    """Scales that fall as the run goes on."""
    return np.full(len(staleness), 1 - progress / 2)


CASES = [
    {},
    {"rule": "tail", "timing": "lognormal(mean=1, cv=0.3)", "seed": 5},
    {"rule": "tail", "timing_seed": 7},
    {"rule": "preserve(inverse)", "timing": SLOW, "scheme": "leashed(persistence=1)"},
    {"rule": "tail", "worker_tables": True, "timing": "[exponential(1), 1, 2, 3, 4, 5]"},
    {"rule": "tail", "prior": "geometric(m=6)", "schedule": "warmup(50) * cosine()"},
    {"rule": "shuffled(tail)"},
    {"rule": "wu_adaptive(1, budget=3)"},
    {"rule": Rule("fading", fading, refresh=ab.every(50))},
    {"scheme": "synchronous", "timing": SLOW},
    {"scheme": "hogwild", "timing": SLOW},
    {"scheme": "parameter-server(discard_after=3)", "timing": SENT, "rule": "inverse"},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_forecast_has_what_a_simulated_run_records(case):
    arguments = {"workers": 6, "batch_size": 7, "updates": UPDATES, **case}
    run = ab.simulate(quadratic(), **arguments, step_size=1e-3, eval_every=0, threads=1)
    found = ab.forecast(quadratic(), **arguments, step_size=1e-3, beside=run)
    assert found.simulated == replace(measured(run), bytes_per_update=found.simulated.bytes_per_update)
    np.testing.assert_array_equal(found.simulated.staleness.pmf, run.staleness.pmf)
    assert found.simulated.mean_scale == run.summary()["mean_scale"]
    assert found.measured == measured(run)


def test_a_summary_is_set_beside_as_well_as_rows():
    given = {"workers": 4, "rule": "tail", "updates": 300, "batch_size": 7}
    runs = [ab.simulate(quadratic(), **given, record=kept) for kept in ("updates", "summary")]
    rows, summary = (ab.forecast(quadratic(), **given, beside=run).measured for run in runs)
    assert replace(rows, scale_variance=None) == replace(summary, scale_variance=None)
    assert summary.scale_variance is None


def test_what_an_update_takes_in_the_file(tmp_path):
    arguments = {"workers": 4, "rule": "tail", "updates": 6000, "timing": "lognormal(mean=1, cv=0.3)"}
    run = ab.simulate(quadratic(), **arguments, step_size=1e-3, eval_every=0, out=tmp_path / "run.h5")
    found = ab.forecast(quadratic(), **arguments, step_size=1e-3, beside=tmp_path / "run.h5")
    assert found.simulated.bytes_per_update == pytest.approx(found.measured.bytes_per_update, rel=0.1)
    assert found.measured.bytes_per_update == pytest.approx((tmp_path / "run.h5").stat().st_size / 6000, rel=0.5)
    assert measured(run) == found.measured


@pytest.mark.parametrize(
    ("timing", "scheme", "workers", "deviation"),
    [
        ("exponential(2)", "lock-based", 8, True),
        ("[exponential(1), exponential(2), exponential(4)]", "leashed", 3, True),
        ("2.0", "hogwild", 5, True),
        ("machine(cores=4)", "lock-based", 6, False),
        ("lognormal(1, 0.5)", "lock-based", 8, False),
        ("[1, 2, 3]", "lock-based", 3, False),
        ("exponential(1)", "synchronous", 6, True),
        ("exponential(1)", "synchronous(wait_for=2)", 6, True),
        ("shifted_exponential(1, 0.5)", "synchronous", 6, True),
        ("exponential(2)", "lock-based(interval=20)", 6, True),
        ("exponential(2)", "hogwild(interval=4)", 6, True),
        ("1.5", "leashed(interval=20)", 6, False),
        ("compute=exponential(1), update=exponential(0.1)", "lock-based(fused=True)", 16, False),
        ("compute=exponential(1), update=0.1", "lock-based(fused=True)", 16, False),
        ("compute=exponential(1), update=0.1, read=0.05", "sequential", 1, True),
    ],
)
def test_formulas_agree_with_schedules(timing, scheme, workers, deviation):
    timing, scheme = as_timing(timing), as_scheme(scheme)
    formulas, tally = (
        known(timing, scheme, workers),
        staleness_only(timing, scheme, workers, 40_000 // scheme.gradients(workers)),
    )
    assert formulas.mean == pytest.approx(tally.staleness.mean(), rel=5e-3)
    assert formulas.rate == pytest.approx(tally.updates_per_second, rel=0.02)
    assert (formulas.deviation is not None) == deviation
    if deviation:
        assert formulas.deviation == pytest.approx(tally.staleness.variance() ** 0.5, rel=0.03, abs=0.05)


@pytest.mark.parametrize(
    ("timing", "scheme", "workers"),
    [
        ("compute=exponential(1), update=0.1", "lock-based", 4),
        ("compute=exponential(1), update=0.1", "leashed", 4),
        ("network=1", "parameter-server", 4),
        ("pareto(1, 0.9)", "lock-based", 4),
        ("compute=1, pauses=[(0, 1, 1)]", "lock-based", 2),
        ("[exponential(1), 2]", "synchronous", 2),
        ("compute=exponential(1), update=0.1", "lock-based(interval=8)", 4),
        ("exponential(1)", "lock-based(interval=[(0, 8), (100, 2)])", 4),
        ("[exponential(1), 2]", "lock-based(interval=9)", 2),
    ],
)
def test_where_there_is_no_formula(timing, scheme, workers):
    formulas = known(as_timing(timing), as_scheme(scheme), workers)
    assert formulas.rate is None
    assert formulas.deviation in (None, 0.0)


@pytest.mark.parametrize(
    ("rule", "timing"),
    [("constant", "1.0"), ("tail", "machine(cores=8)"), ("inverse", "compute=1.0, update=0.05")],
)
def test_a_step_below_the_largest_stable_one_converges_and_one_above_diverges(rule, timing):
    problem = ab.problems.quadratic([0.5, 4.0])
    given = {"workers": 8, "timing": timing, "rule": rule, "batch_size": 1}
    found = ab.forecast(problem, **given, updates=1000)
    assert found.L.value == 4.0
    assert found.largest_step == found.stable.step / 4.0
    for factor, converges in ((0.95, True), (1.05, False)):
        step = factor * found.largest_step
        run = ab.simulate(
            problem, **given, updates=4000, step_size=step, eval_every=0, divergence_factor=1e30, threads=1
        )
        first, last = run.evals["train_loss"][[0, -1]]
        assert (last < 0.1 * first) if converges else (last > 10 * first)
    beyond = replace(found, options=replace(found.options, step_size=1.05 * found.largest_step))
    assert "105 % of that: such a quadratic diverges" in dict(beyond.facts)["step size"]


@pytest.mark.parametrize(
    ("rule", "momentum", "share"),
    [("tail", 0.0, 0.0), ("inverse", 0.0, 0.0), ("constant", 0.5, 0.0), ("tail", 0.5, 0.3)],
)
def test_the_loss_that_noise_leaves(rule, momentum, share):
    problem = ab.problems.quadratic([1.0, 2.0], noise=4.0, start=0.0)
    given = {
        "workers": 4,
        "rule": rule,
        "momentum": momentum,
        "batch_size": 4,
        "step_size": 0.01,
        "direct_share": share,
    }
    found = ab.forecast(problem, **given, updates=2000)
    assert (found.noise.value, found.noise.source) == (1.0, "known")
    run = ab.simulate(problem, **given, updates=16_000, eval_every=40, threads=1, divergence_factor=1e9)
    settled = run.evals["train_loss"][100:].mean()
    assert found.noise_loss == pytest.approx(settled, rel=0.15)


def test_without_a_problem():
    found = ab.forecast(L=10.0, noise=0.4, n_params=1000, n_samples=160, workers=4, epochs=5)
    assert found.simulated.updates == 50
    assert found.simulated.seconds_per_epoch == pytest.approx(10 / found.simulated.updates_per_second)
    assert found.largest_step == pytest.approx(0.0843, rel=1e-3)
    assert (found.L.source, found.noise.source) == ("given", "given")
    bare = ab.forecast(workers=4, updates=50)
    assert (bare.L, bare.noise_loss, bare.largest_step, bare.simulated.seconds_per_epoch) == (None, None, None, None)
    assert bare.largest_curvature == pytest.approx(84.3, rel=1e-3)
    assert ab.forecast(scheme="synchronous", workers=8).simulated.updates == 12_500
    assert "Forecast of LockBased(), 4 workers" in repr(found)
    assert "largest stable step" in found._repr_html_()


@pytest.mark.parametrize("scheme", ["lock-based", "leashed", "hogwild", "synchronous"])
def test_memory_is_what_a_run_is_refused_for(scheme, monkeypatch):
    problem = counting(10_000_000)
    found = ab.forecast(problem, scheme=scheme, workers=4, updates=20)
    assert found.memory >= 4 * found.vectors * problem.n_params == 4 * elements_of_run(10_000_000, 0, found.options)
    monkeypatch.setattr("asapnb.memory.available", lambda: found.memory - 1)
    needs = f"a run of 4 workers with 10,000,000 parameters needs {found.memory / 1e6:.0f} MB"
    with pytest.raises(UsageError, match=needs):
        ab.train(problem, scheme=scheme, workers=4, updates=20)


@pytest.mark.parametrize("scheme", ["lock-based", "leashed", "synchronous", "parameter-server"])
def test_a_simulated_run_has_at_most_so_many_vectors(scheme):
    found = ab.forecast(scheme=scheme, workers=6, updates=300)
    made = ab.schedule("exponential(1)", scheme, workers=6, updates=300)
    slots = of_versions(made.rows, made.dropped, 6 if scheme == "synchronous" else 1).slots
    assert slots <= found.vectors_simulated <= 7


def see_loss(staleness, workers, loss):
    return np.full(len(staleness), loss)


def see_epoch(staleness, workers, epoch):
    return np.full(len(staleness), 1 / (1 + epoch))


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ({"rule": Rule("see_loss", see_loss, refresh=ab.every(50))}, "sees the loss, which no forecast knows"),
        ({"rule": Rule("see_epoch", see_epoch, refresh=ab.every(50))}, "sees the epoch: give n_samples"),
        ({"rule": "adadelay(c=1)"}, "There is no largest stable step: rule is adadelay"),
        ({"scheme": "hogwild", "timing": SLOW}, "There is no largest stable step: scheme is Hogwild"),
        ({"workers": 600, "timing": "lognormal(1, 0.3)"}, "of 600 workers would take minutes"),
        ({"timing": "pareto(1, 0.9)", "rule": "adadelay(c=1)"}, "has an infinite mean"),
        ({"schedule": "cosine()"}, "is that of the step size times its schedule"),
    ],
    ids=str,
)
def test_what_a_forecast_cannot_say_is_said(arguments, note):
    found = ab.forecast(L=1.0, **{"workers": 3, "updates": 200, **arguments})
    assert any(note in one for one in found.notes), found.notes
    if "sees" in note:
        assert found.simulated.mean_scale is None


def test_a_run_that_is_not_what_is_forecast_is_named():
    run = ab.train(quadratic(), workers=2, rule="inverse", updates=60, compensation=0.04, batch_size=7)
    found = ab.forecast(quadratic(), workers=4, batch_size=7, updates=60, beside=run)
    (note,) = found.notes
    assert "rule inverse()" in note
    assert "workers 2" in note
    assert "compensation 0.04" in note
    assert found.measured.mean_staleness == run.staleness.mean()
    same = {"workers": 2, "rule": "inverse", "updates": 60, "batch_size": 7}
    assert not ab.forecast(quadratic(), **same, beside=ab.train(quadratic(), **same)).notes


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"L": 0}, UsageError, "L is 0"),
        ({"L": float("nan")}, UsageError, "L is nan"),
        ({"noise": -1}, UsageError, "noise is -1"),
        ({"n_params": 0}, UsageError, "n_params is 0"),
        ({"n_samples": 0}, UsageError, "n_samples is 0"),
        ({"epochs": 2}, UsageError, "epochs is 2: it takes n_samples, or a problem"),
        ({"start": [1.0]}, UsageError, "start is .*: it takes a problem"),
        ({"estimate": True}, UsageError, "estimate is True: it takes a problem"),
        ({"samples": 0}, UsageError, "samples is 0"),
        ({"problem": 5}, UsageError, "problem is 5"),
        ({"problem": quadratic(), "n_params": 50}, UsageError, "n_params is 50: the problem has 50; leave it out"),
        ({"problem": quadratic(), "start": [1.0]}, UsageError, "start is .*, with 1 parameters"),
        ({"problem": quadratic(), "batch_size": 61}, UsageError, "batch_size is 61"),
        ({"workers": 0}, UsageError, "workers is 0"),
        ({"timing": "nothing"}, UsageError, "nothing"),
        ({"scheme": "nothing"}, UsageError, "unknown scheme"),
        ({"rule": "nothing"}, UsageError, "unknown rule"),
        ({"updates": 10**12}, UsageError, "a schedule of 1,000,000,000,000 rows"),
        ({"beside": 5}, UsageError, "beside is 5"),
        ({"beside": "no/such.h5"}, RecordError, "no run file"),
    ],
    ids=str,
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        ab.forecast(**arguments)


# --- the command


def test_the_command_takes_a_run_file_and_sets_it_beside(tmp_path):
    file = tmp_path / "run.h5"
    arguments = {"workers": 3, "rule": "tail", "timing": "lognormal(1, 0.3)", "updates": 300, "clip": 5.0}
    ab.simulate(ab.problems.quadratic([1.0, 10.0], noise=0.1), **arguments, step_size=1e-3, out=file)
    before = file.read_bytes()
    result = call(file, "--beside", file, "--json")
    assert result.exit_code == 0, result.output
    found, run = json.loads(result.stdout), load_run(file)
    assert {**found["forecast"], "bytes_per_update": 0} == {**found["measured"], "bytes_per_update": 0}
    assert (found["rule"], found["workers"], found["L"]) == (
        str(ab.tail()),
        3,
        {"value": 10, "error": 0, "source": "known"},
    )
    assert found["measured"]["mean_staleness"] == run.staleness.mean()
    assert "clip 5.0" in found["notes"][0]
    shown = call(file, "--beside", file).stdout
    for text in (
        "staleness τ, mean",
        "measured",
        "99th percentile",
        "largest stable step",
        "quadratic, 2 parameters",
    ):
        assert text in shown
    assert file.read_bytes() == before


def test_the_command_takes_constants_in_the_place_of_a_problem():
    result = call("--L", 10, "--noise", 0.5, "--n-params", 1000, "-m", 4, "--updates", 200, "--set", "momentum=0.5")
    assert result.exit_code == 0, result.output
    assert "1,000 parameters" in result.stdout
    assert "10, given" in result.stdout
    assert "momentum 0.5" in result.stdout


def test_the_command_estimates_and_says_what_it_took():
    result = call("--problem", "quadratic([1, 10], noise=0.5)", "--estimate", "--samples", 64, "--updates", 100)
    assert result.exit_code == 0, result.output
    assert "estimating L from at most 12,800 gradients of single samples" in result.stderr
    assert "gradients of a sample," in result.stdout
    found = json.loads(call("--problem", "quadratic([1, 10])", "--estimate", "--updates", 100, "--json").stdout)
    assert found["L"]["source"] == "estimated"
    assert found["L"]["value"] == pytest.approx(10, rel=0.02)
    assert found["L"]["gradients"] > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--L", "0"], "L is 0"),
        (["--L", "ten"], "not a valid float"),
        (["--L", 1, "--estimate"], "it takes a problem"),
        (["--problem", "quadratic(1)", "--n-params", 3], "leave it out"),
        (["--L", 1, "--beside", "no.h5"], "no run file"),
        (["no.h5"], "no.h5"),
        (["--L", 1, "--set", "target_loss=1"], "forecast has no target_loss"),
        (["--problem", "nothing"], "nothing"),
        (["--L", 1, "--timing", "exponential(0)"], "mean must be above 0"),
    ],
    ids=str,
)
def test_errors_of_the_command(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*flags)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_predict_and_forecast_name_each_other():
    assert "predict" in call("--help").output
    assert "asapnb forecast" in commands.printed("predict", "--help")
