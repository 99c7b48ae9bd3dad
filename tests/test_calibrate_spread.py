"""The spread of measured times, and the timing of a machine's shape that follows from them."""

import json
import tomllib

import numpy as np
import pytest
from commands import printed
from hypothesis import given
from hypothesis import strategies as st
from problems import quadratic

import asapnb as ab
from asapnb.engine import measured
from asapnb.engine.calibrate import calibrate
from asapnb.engine.measured import Measured
from asapnb.engine.preset import preset_of
from asapnb.errors import RecordError, UsageError
from asapnb.timing import load_timing, parse_timing
from asapnb.timing.spread import spread_of
from asapnb.training.cores import cores, pin_order

CORES = len(cores())
QUICK = ["--problem", "quadratic([1, 10], noise=0.1)", "--batch", "1", "--seconds", "0.02"]
TIMES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50)


def normal(cv, mean=1.0, size=20_000, seed=1):
    return mean * (1 + cv * np.random.default_rng(seed).standard_normal(size))


@pytest.mark.parametrize("cv", [0.01, 0.05, 0.2])
def test_the_spread_of_a_normal_law_is_its_coefficient_of_variation(cv):
    found = spread_of([normal(cv), normal(cv, seed=2)])
    assert found.plain == pytest.approx(cv, rel=0.02)
    assert found.within == pytest.approx(cv, rel=0.02)
    assert found.between < cv / 20


def test_rare_long_times_change_the_plain_cv_only():
    calm, disturbed = normal(0.05), normal(0.05)
    disturbed[::200] += 100
    before, after = spread_of([calm]), spread_of([disturbed])
    assert after.plain > 50 * before.plain
    assert after.within == pytest.approx(before.within, rel=0.05)
    assert after.typical == pytest.approx(before.typical, rel=1e-3)


def test_what_differs_between_workers_is_told_from_what_differs_within():
    found = spread_of([normal(0.02, mean=0.9), normal(0.02, mean=1.1)])
    assert found.within == pytest.approx(0.02, rel=0.05)
    assert found.between == pytest.approx(0.1, rel=0.02)
    assert found.plain == pytest.approx(np.hypot(0.02, 0.1), rel=0.05)


@given(st.lists(TIMES, min_size=1, max_size=4), st.floats(1e-3, 1e3))
def test_no_spread_depends_on_the_unit_or_on_the_order(times, factor):
    one = spread_of([np.array(some) for some in times])
    other = spread_of([factor * np.array(some)[::-1] for some in times[::-1]])
    assert other.typical == pytest.approx(factor * one.typical)
    for name in ("plain", "within", "between"):
        assert getattr(one, name) >= 0
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6, abs=1e-6)


@given(st.floats(1e-9, 10), st.integers(1, 5), st.integers(1, 20))
def test_equal_times_have_no_spread(value, workers, rounds):
    found = spread_of([np.full(rounds, value)] * workers)
    assert found.typical == value
    assert max(found.within, found.between, found.plain) < 1e-9


def test_spread_of_nothing():
    with pytest.raises(UsageError, match="there are no times"):
        spread_of([])
    with pytest.raises(UsageError, match="the times of worker 1"):
        spread_of([np.ones(3), np.ones(0)])
    assert spread_of([np.zeros(3)]).plain == 0


# --- the timing of a machine's shape


def of_workers(*means, cv=0.03):
    """What workers of these mean times measured."""
    each = [normal(cv, mean, 999, seed) for seed, mean in enumerate(means)]
    other = np.full(999 * len(means), 1e-3)
    return Measured(len(means), (999,) * len(means), np.concatenate(each), other, 2 * other, other[:0], 1.0, 1.0)


@pytest.mark.parametrize(
    ("where", "found", "expected"),
    [
        ("ab", [of_workers(1), of_workers(1, 1)], (None, 2, 1.0)),
        ("abab", [of_workers(1, 1), of_workers(1.5, 1, 1.5)], (1.5, 2, 1.0)),
        ("abab", [of_workers(1), of_workers(1, 1), of_workers(1.6, 1.6, 1.6, 1.6)], (1.6, 2, 1.0)),
        ("abab", [of_workers(1), of_workers(1.2, 1.2)], (None, 2, 1.2)),
        ("abca", [of_workers(1, 1, 1), of_workers(2, 1, 1, 2)], (2.0, 3, 1.0)),
        ("aa", [of_workers(1.7, 1.7)], (None, 1, 1.7)),
        ("aa", [of_workers(1), of_workers(0.9, 0.9)], (1.0, 1, 1.0)),
    ],
)
def test_a_preset_has_the_cores_and_what_sharing_one_costs(where, found, expected, monkeypatch):
    monkeypatch.setattr(measured, "places", lambda: list(where))
    smt, preset = Measured.fit(found)
    assert smt == (expected[0] and pytest.approx(expected[0], rel=0.01))
    assert preset.compute.cores == expected[1]
    assert preset.compute.smt == (smt or 1)
    assert preset.compute.mean == pytest.approx(expected[2], rel=0.01)
    assert preset.compute.cv == pytest.approx(0.03, rel=0.1)
    assert (preset.read.mean, preset.update.mean, preset.changed().keys()) == (
        1e-3,
        2e-3,
        {"compute", "read", "update"},
    )


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.randoms())
def test_workers_are_pinned_to_all_cores_before_a_second_thread_of_one(core_of, random):
    cpus = sorted(random.sample(range(100), len(core_of)))
    order = pin_order(cpus, dict(zip(cpus, core_of, strict=True)))
    assert sorted(order) == cpus
    assert len({core_of[cpus.index(cpu)] for cpu in order[: len(set(core_of))]}) == len(set(core_of))
    assert pin_order(cpus, {}) == cpus


def test_calibrate_returns_the_spread_and_a_preset():
    found = calibrate(quadratic(), batch_size=7, seconds=0.02)
    assert list(found.spread) == list(found) == list(range(1, CORES + 1))
    for workers, spread in found.spread.items():
        assert spread.mean == pytest.approx(found[workers].compute.mean, rel=1e-4)
    made = ab.schedule(found.preset, workers=found.preset.compute.cores, updates=500)
    assert made.seconds > 0


def test_the_command_says_and_writes_the_spread_and_a_preset(tmp_path):
    file = tmp_path / "timing.toml"
    said = printed("calibrate", *QUICK, "-o", file)
    for part in (
        "spread   cv of computing",
        "within a worker",
        "plainly",
        "preset   --timing 'compute=machine(cores=",
    ):
        assert part in said
    written = tomllib.loads(file.read_text())
    assert written["about"]["preset"] in said
    made = ab.schedule(written["about"]["preset"], workers=1, updates=10)
    assert made.seconds > 0
    for workers in range(1, CORES + 1):
        about = written["workers"][str(workers)]["about"]
        assert set(about["spread"]) == {"typical", "mean", "plain", "within", "between"}
        assert load_timing(file, workers).compute.mean == pytest.approx(about["spread"]["mean"], rel=1e-3)


def test_the_command_as_json():
    found = json.loads(printed("calibrate", *QUICK, "--json"))
    assert found["workers"]["1"]["spread"]["within"] >= 0
    assert parse_timing(found["about"]["preset"]).compute.cores >= 1
    assert "smt" in found["about"]


def test_a_preset_of_a_machine_that_was_busy_all_the_time():
    spread = spread_of([np.array([1e-6] * 8 + [1.0] * 4)])
    assert spread.within > 1000
    assert preset_of(spread, 2, None).compute.cv == 1000
    assert preset_of(spread_of([np.ones(9)]), 2, None).compute.cv == 0


# --- of a run


def test_a_run_of_threads_gives_a_preset():
    run = ab.train(quadratic(), workers=1, batch_size=7, updates=400, eval_every=0)
    timing = ab.machine_from(run)
    own = np.diff(run.updates["t_read"])
    assert timing.compute.mean == pytest.approx(np.median(own), rel=1e-3)
    assert timing.compute.cv == pytest.approx(spread_of([own]).within, rel=0.01)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: 5, UsageError, "a run on threads, and this is 5"),
        (lambda: ab.simulate(quadratic(), workers=2, updates=50), UsageError, "and this is a run of kind simulate"),
        (lambda: ab.train(quadratic(), workers=CORES + 1, updates=60), UsageError, "were suspended in turn"),
        (
            lambda: ab.train(quadratic(), workers=1, updates=60, record="summary"),
            RecordError,
            "recorded as a summary",
        ),
        (lambda: ab.train(quadratic(), workers=1, updates=20), RecordError, "of one worker: machine_from needs 21"),
    ],
)
def test_a_run_that_gives_none(make, error, message):
    with pytest.raises(error, match=message):
        ab.machine_from(make())
