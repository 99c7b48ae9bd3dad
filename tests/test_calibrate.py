"""Measuring times on this machine: nothing here depends on how long anything takes."""

import json
import tomllib
from functools import partial

import commands
import numba
import numpy as np
import pytest
from problems import failing
from problems import quadratic as quadratic_of

import asapnb as ab
from asapnb.engine import calibrate as module
from asapnb.engine import measured
from asapnb.engine.calibrate import calibrate, measure
from asapnb.engine.memory import allocate
from asapnb.engine.preset import quantiles
from asapnb.errors import UsageError
from asapnb.timing import Timing, load_timing, save_timing
from asapnb.training.cores import cores

CORES = len(cores())
SHORT = {"batch_size": 7, "seconds": 0.02}
call = partial(commands.call, "calibrate")
quadratic = partial(quadratic_of, dtype=np.float64)  # as texts make it; the network of `test_the_command` has float32


@numba.njit
def nowhere(params, gradient, indices, plan, workspace, inputs, labels):
    """A loss that is not a number."""
    gradient[:] = 0
    return np.nan


@pytest.mark.parametrize("scheme", ["lock-based", ab.Leashed()], ids=str)
def test_each_number_of_workers_has_times_above_0(scheme):
    timings = calibrate(quadratic(), scheme=scheme, **SHORT)
    assert list(timings) == list(range(1, CORES + 1))
    for workers, timing in timings.items():
        assert all(getattr(timing, name).mean > 0 for name in ("compute", "read", "update"))
        assert timing.compute.variance < np.inf
        assert timing.times("compute", workers)  # a time for any number of workers, not one for each
        assert timing.times("compute", 64)


def test_a_list_says_how_many_workers():
    assert list(calibrate(quadratic(), workers=[CORES, 1, 1], **SHORT)) == sorted({1, CORES})
    assert list(calibrate(quadratic(), workers=[CORES], **SHORT)) == [CORES]


def test_what_was_measured_goes_into_the_timing():
    (one,) = measure(quadratic(), workers=1, **SHORT)
    assert one.workers == 1
    assert one.gradients_per_second > 0
    assert one.share > 0
    for name in ("compute", "read", "update"):
        seconds, time = getattr(one, name), getattr(one.timing, name)
        assert len(seconds) >= 18
        assert len(dict(time.parameters)["values"]) <= 100
        assert time.mean == pytest.approx(seconds.mean(), rel=1e-4)


def having_measured(monkeypatch, note):
    """Have `note` change what each worker has measured: an array of ns, (rounds, 4)."""
    compiled = module.compiled

    def and_noted(*given):
        access, loop = compiled(*given)

        def go_round(*arguments):
            rounds = loop(*arguments)
            note(arguments[4])
            return rounds

        return access, go_round

    monkeypatch.setattr(module, "compiled", and_noted)


def with_further_attempts(monkeypatch, count):
    """Have each worker report so many further attempts, of 1, 2 … ns, whoever overtook it."""

    def note(times):
        times[:, 3] = 0
        times[:count, 3] = np.arange(1, count + 1)

    having_measured(monkeypatch, note)


@pytest.mark.parametrize("scheme", ["lock-based", "leashed"])
def test_one_alone_makes_no_further_attempts(scheme):
    (one,) = measure(quadratic(), scheme=scheme, workers=1, **SHORT)
    assert len(one.retry) == 0
    assert one.timing.retry is None


@pytest.mark.parametrize(("count", "kept"), [(21, 0), (22, 20), (200, 180)])
def test_further_attempts_are_a_time_of_their_own_if_there_are_enough(monkeypatch, count, kept):
    with_further_attempts(monkeypatch, count)
    (one,) = measure(quadratic(), scheme="leashed", workers=1, **SHORT)
    assert len(one.retry) == kept
    if kept:
        np.testing.assert_allclose(np.sort(one.retry) * 1e9, np.arange(count - kept, count) + 1)
        assert one.timing.retry.mean == pytest.approx(one.retry.mean(), rel=1e-4)
    else:
        assert one.timing.retry is None


def test_the_command_shows_and_writes_further_attempts(monkeypatch, tmp_path):
    with_further_attempts(monkeypatch, 1000)
    flags = ["--problem", "quadratic([1, 10], noise=0.1)", "--batch", 1, "--seconds", 0.02, "--scheme", "leashed"]
    result = call(*flags, "-o", tmp_path / "timing.toml")
    assert result.stdout.count("retry ") == CORES
    timing = load_timing(tmp_path / "timing.toml", CORES)
    assert timing.retry.mean == pytest.approx(550.5e-9, rel=1e-4)
    assert json.loads(call(*flags, "--json").stdout)["workers"]["1"]["retry"]["count"] == 900
    schedules = [ab.schedule(timing, scheme, workers=4, updates=50) for scheme in ("leashed", "lock-based")]
    assert [made.updates for made in schedules] == [50, 50]


@pytest.mark.parametrize("scheme", ["lock-based", "leashed"])
def test_every_update_has_scale_1(scheme, monkeypatch):
    kept = []
    monkeypatch.setattr(measured, "allocate", lambda *arguments: kept.append(allocate(*arguments)) or kept[0])
    list(measure(quadratic(), scheme=scheme, workers=1, **SHORT))
    rows = kept[0].rows[kept[0].written > 0]
    assert len(rows) >= 20
    assert (rows["scale"] * rows["factor"] == 1).all()


def test_a_round_is_measured_however_long_it_takes():
    (one,) = measure(quadratic(), workers=1, batch_size=60, seconds=1e-9)
    assert len(one.compute) >= 18


def test_only_the_last_rounds_are_kept(monkeypatch):
    monkeypatch.setattr(module, "_ROOM", 16)
    (one,) = measure(quadratic(), workers=1, **SHORT)
    assert len(one.compute) == 16
    assert (one.compute > 0).all()


def test_quantiles_are_the_means_of_parts():
    assert quantiles(np.arange(200.0)[::-1]).parameters == (("values", tuple(np.arange(0.5, 200, 2))),)
    assert quantiles(np.array([3.0, 1.0])).parameters == (("values", (1.0, 3.0)),)
    draws = np.random.default_rng(1).lognormal(size=12_345)
    assert quantiles(draws).mean == pytest.approx(draws.mean(), rel=1e-4)
    assert quantiles(np.zeros(5)).mean == 0.0


def test_a_schedule_takes_the_times(monkeypatch):
    having_measured(monkeypatch, lambda times: np.copyto(times, [7_000, 2_000, 1_000, 0]))
    timing = calibrate(quadratic(), workers=1, **SHORT)[1]
    assert ab.schedule(timing, "lock-based", workers=1, updates=500).seconds == pytest.approx(500 * 10e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"workers": CORES + 1},
            f"workers is {CORES + 1}: must be an integer from 1 to {CORES} .the cores; a",
        ),
        ({"workers": 0}, "workers is 0"),
        ({"workers": [1, 0]}, r"workers\[1\] is 0"),
        ({"workers": []}, r"workers is \[\]"),
        ({"workers": "2"}, "workers is '2'"),
        ({"seconds": 0}, "seconds is 0"),
        ({"batch_size": 61}, "batch_size is 61"),
        ({"seed": -1}, "seed is -1"),
        ({"scheme": "hogwild"}, r"calibrate measures LockBased\(\) and Leashed\(.*\); for any other"),
        ({"scheme": ab.Leashed(persistence=1)}, "scheme is Leashed"),
        ({"scheme": ab.LockBased(fused=True)}, "scheme is LockBased"),
        ({"scheme": 5}, "scheme is 5"),
    ],
    ids=str,
)
def test_errors(arguments, message):
    with pytest.raises(UsageError, match=message):
        calibrate(quadratic(), **{**SHORT, **arguments})


def test_what_is_no_problem():
    with pytest.raises(UsageError, match="problem is 5"):
        calibrate(5)


@pytest.mark.parametrize("when", ["before the time is over", "in the last round", "after the last look at the rows"])
def test_a_loss_that_is_not_finite(when, monkeypatch):
    problem = ab.custom(nowhere, np.zeros(60), np.zeros(60, int), 4, dtype=np.float64)
    if when == "after the last look at the rows":
        monkeypatch.setattr(measured.Timer, "tick", lambda self: self.stop(measured.TIMED_OUT))
    seconds = 1e9 if when == "before the time is over" else 1e-9
    with pytest.raises(UsageError, match="is not finite near its initial parameters"):
        calibrate(problem, workers=1, batch_size=7, seconds=seconds)


def test_a_gradient_that_fails():
    with pytest.raises(ValueError, match="this gradient fails"):
        calibrate(failing(start=21, dtype=np.float64), workers=1, **SHORT)


def test_an_interrupt_ends_it(monkeypatch):
    monkeypatch.setattr(measured.Timer, "tick", lambda self: self.stop(measured.INTERRUPTED))
    with pytest.raises(KeyboardInterrupt):
        calibrate(quadratic(), workers=1, **SHORT)


def test_files_round_trip(tmp_path):
    timings = calibrate(quadratic(), **SHORT)
    save_timing(tmp_path / "timing.toml", timings)
    for workers, timing in timings.items():
        assert load_timing(tmp_path / "timing.toml", workers) == timing
    assert load_timing(tmp_path / "timing.toml", 64) == timings[CORES]


def test_the_command(tmp_path):
    file = tmp_path / "timing.toml"
    flags = ["--problem", "mlp(hidden=[8])", "--batch", 50, "--seconds", 0.05]
    result = call(*flags, "-o", file)
    assert result.exit_code == 0, result.output
    assert "compute" in result.stdout
    assert "gradients/s" in result.stdout
    about = tomllib.loads(file.read_text())["about"]
    assert (about["problem"], about["data"], about["batch_size"]) == ("mlp(hidden=[8])", "fashion-mnist-mini", 50)
    assert about["n_params"] == 6370
    assert {"scheme", "cpu", "cores", "kernels", "created_utc", "versions"} <= set(about)
    timing = load_timing(file, workers=CORES)
    assert isinstance(timing, Timing)
    problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    run = ab.simulate(problem, workers=8, timing=str(file), updates=20, eval_every=0)
    assert run.status == "finished"

    before = file.read_bytes()
    result = call(*flags, "-o", file)
    assert result.exit_code == 2
    assert "already exists" in result.stderr
    assert "compute" not in result.stdout, "nothing is measured in vain"
    assert file.read_bytes() == before
    result = call(*flags, "-o", file, "--force", "--quiet", "--scheme", "leashed", "--workers", 1)
    assert (result.exit_code, result.stdout) == (0, "")
    assert list(tomllib.loads(file.read_text())["workers"]) == ["1"]
    assert tomllib.loads(file.read_text())["about"]["scheme"] == "leashed"


def test_a_file_has_a_time_for_each_worker_if_that_is_asked_for(tmp_path):
    file = tmp_path / "timing.toml"
    flags = ["--problem", "quadratic([1, 10], noise=0.1)", "--batch", 1, "--seconds", 0.02, "--per-worker"]
    result = call(*flags, "-o", file)
    assert f"-m {CORES}" in result.stdout.replace("\n", " ")
    for workers in range(1, CORES + 1):
        assert len(load_timing(file, workers).compute) == workers
    with pytest.raises(UsageError, match=f"compute has {CORES} times for {CORES + 1} workers"):
        ab.schedule(str(file), workers=CORES + 1, updates=9)


def test_the_command_as_json():
    result = call("--problem", "quadratic([1, 10], noise=0.1)", "--batch", 1, "--seconds", 0.02, "--json")
    found = json.loads(result.stdout)
    assert found["path"] is None
    assert "data" not in found["about"]
    assert list(found["workers"]) == [str(n) for n in range(1, CORES + 1)]
    assert set(found["workers"]["1"]["compute"]) == {"mean", "cv", "p99", "count"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-o", "timing.txt"], "must end in .toml"),
        (["--scheme", "hogwild"], "calibrate measures"),
        (["--workers", 1025], "workers is 1025"),
        (["--problem", "nothing"], "nothing"),
        (["-o", "no/such/place.toml"], "does not exist"),
    ],
    ids=str,
)
def test_errors_of_the_command(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*flags)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
