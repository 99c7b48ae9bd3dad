"""Calibrating a parameter server on ranks of MPI: nothing here depends on how long anything takes."""

import json
import time
import tomllib
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from mpi_runs import ByRank
from problems import failing, quadratic
from test_calibrate import nowhere
from test_mpi_cli import command

import asapnb as ab
from asapnb.engine import calibrate_ranks as module
from asapnb.engine import clocks
from asapnb.engine.calibrate_ranks import MeasuredRanks
from asapnb.engine.clocks import Offset
from asapnb.errors import RankError, UsageError
from asapnb.record.schema import UPDATES
from asapnb.simulator.held import held_against
from asapnb.staleness import StalenessDistribution
from asapnb.timing import load_timing
from asapnb.training.words import INTERRUPTED

pytest.importorskip("mpi4py")

QUICK = ["--problem", "quadratic([1, 10], noise=0.1)", "--batch", 1, "--seconds", 0.02]


def calibrate(comm, problem=quadratic, arguments=(), patched=()):
    """What `ab.calibrate` returns on this rank, as a dictionary."""
    make, *given = problem if isinstance(problem, tuple) else (problem,)
    arguments = {"scheme": "parameter-server", "batch_size": 7, "seconds": 0.02} | dict(arguments)
    with ExitStack() as stack:
        for name, value in dict(patched).items():
            stack.enter_context(patch(name, value))
        found = ab.calibrate(make(*given), comm=comm, **arguments)
    return found and (dict(found), found.measured, found.smt, found.preset)


def failing_at_once():
    return failing(start=21)


def without_a_loss():
    return ab.custom(nowhere, np.zeros(60, np.float32), np.zeros(60, int), 4)


def interrupting(timer):
    timer.stop(INTERRUPTED)


def offset(comm, ahead):
    """Of the clock of rank 1, which is so far ahead of that of rank 0."""
    ranks = module.Ranks(comm)
    if ranks.serves:
        return clocks.ask(ranks, 1)
    with patch.object(clocks, "monotonic", lambda: time.monotonic() + ahead):
        return clocks.answer(ranks)


def test_the_server_returns_times_for_each_number_of_workers(four):
    (timings, measured, smt, preset), *others = four.call(calibrate, quadratic, {"workers": [3, 1]})
    assert others == [None] * 3
    assert list(timings) == [1, 3]
    assert smt is None
    for workers, one in measured.items():
        assert len(one.rounds) == workers
        assert min(one.rounds) >= 18
        assert all(len(times) == sum(one.rounds) for name, times in one.steps.items() if name != "push")
        assert all((times > 0).all() for name, times in one.steps.items() if name not in ("pull", "push"))
        assert 0 < one.share <= 1
        assert one.gradients_per_second > 0
        for name in ("compute", "read", "update"):
            time_of = getattr(timings[workers], name)
            assert time_of.mean == pytest.approx(one.steps[name].mean(), rel=1e-4)
        made = ab.schedule(timings[workers], "parameter-server", workers=64, updates=500)
        assert made.updates == 500
    assert len(measured[1].staleness) == 1
    assert ab.schedule(preset, "parameter-server", workers=4, updates=50).updates == 50


@pytest.mark.parametrize("ahead", [0.0, 1000.0, -3.25])
def test_the_offset_of_a_clock_is_as_exact_as_it_says(four, ahead):
    found, _ = four.call(offset, ahead, size=2)
    assert abs(found.ahead - ahead) <= found.error + 1e-9
    assert 0 < found.error < np.inf


def test_times_follow_from_what_server_and_worker_note():
    """Each gradient: 3 s of pull, 5 of computing, 2 of push, 0.75 of the look and the update, 0.5 of the read."""
    count, period, drift = 40, 3 + 5 + 2 + 0.75 + 0.5, 1e-3
    sent = 100 + period * np.arange(count)
    rounds, rows = np.zeros(2 * count, module._ROUND), np.zeros(2 * count, UPDATES)
    rounds["worker"] = np.arange(2 * count) % 2
    own = rounds["worker"] == 1
    idle = np.arange(count) % 4 > 0  # when the gradient was ready; the others waited for the server
    rounds["idle"][own] = 1e9 * (sent + np.where(idle, 7, 9))
    for name, since in {"sent": 0, "found": 10, "since": 10, "served": 10.75, "ended": 11.25}.items():
        rounds[name][own] = 1e9 * (sent + since)
    rows["t_read"][own] = 7
    rows["t_ready"][own] = 12
    rows["t_apply"][own] = sent + 3 + 50 + drift * sent  # by a clock that is ahead, and runs fast
    before, after = (Offset(t, 50 + drift * t, 1e-6) for t in (90.0, 1000.0))
    found = module._times_of(1, rounds, rows, before, after)
    warm = count - count // 10
    expected = {"seconds": warm * period, "compute": 5, "update": 0.75, "read": 0.5, "pull": 3, "push": 2}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)
    assert len(found["push"]) == idle[-warm:].sum()


def constants(workers, pulls=100, pushes=100, push=0.125):
    """What would be measured if all times were the same."""
    times = {"compute": 1.0, "update": 0.25, "read": 0.125, "pull": 0.5, "push": push}
    arrays = {name: np.full({"pull": pulls, "push": pushes}.get(name, 100), value) for name, value in times.items()}
    counts = np.eye(workers)[-1]
    fixed = {"rounds": (100,), "retry": np.zeros(0), "gradients_per_second": 0.5, "share": 1.0, "clock": 1e-6}
    return MeasuredRanks(workers=workers, staleness=StalenessDistribution.from_counts(counts), **fixed, **arrays)


def test_a_simulation_is_held_against_what_was_measured():
    held = held_against(constants(1))
    assert held.gradients_per_second == pytest.approx(0.5, rel=1e-2), "two messages take as long as pull and push"
    assert held.total_variation == 0
    assert held_against(constants(2, push=0.5)).total_variation == pytest.approx(0, abs=1e-4)


def test_a_worker_that_is_slower_keeps_its_times_in_a_timing_for_each():
    one = constants(2, push=0.5)
    one = replace(one, rounds=(50, 50), compute=np.repeat([1.0, 4.0], 50))
    fresh, both = held_against(one), held_against(one, one.timing_of_each)
    assert [time.mean for time in one.timing_of_each.times("compute", 2)] == [1, 4]
    assert both.gradients_per_second == pytest.approx(1 / 2.375 + 1 / 5.375, rel=0.1), "which wait for one another"
    assert both.gradients_per_second > fresh.gradients_per_second


@pytest.mark.parametrize(("pushes", "mean"), [(100, 0.3125), (1000, 0.3125), (19, 0.5), (0, 0.5)])
def test_a_message_is_as_often_a_pull_as_a_push_whatever_was_seen_of_them(pushes, mean):
    """Without pushes that the server was waiting for, a push takes as long as a pull."""
    assert constants(3, pushes=pushes).timing.network.mean == pytest.approx(mean)


def test_where_the_system_does_not_say_how_long_a_thread_waited_it_had_its_core():
    assert module.share((0, 0), (0, 0)) == 1
    assert module.share((10, 5), (40, 15)) == 0.75
    assert all(isinstance(value, int) for value in module.scheduled())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "lock-based"}, "on MPI calibrate measures ParameterServer"),
        ({"scheme": ab.ParameterServer(bound=3)}, "whose times fit all its options"),
        ({"workers": 4}, "workers is 4: must be an integer from 1 to 3 .the ranks besides the server"),
        ({"workers": [1, 0]}, r"workers\[1\] is 0"),
        ({"seconds": 0}, "seconds is 0"),
        ({"batch_size": 61}, "batch_size is 61"),
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_an_error_on_all_ranks(four, arguments, message):
    four.begin(calibrate, quadratic, arguments)
    outcomes = four.outcomes()
    assert [type(one) for one in outcomes] == [UsageError] * 4
    for one in outcomes:
        with pytest.raises(UsageError, match=message):
            raise one


def test_ranks_that_differ_are_refused(four):
    four.begin(calibrate, ByRank({2: (quadratic, 51), None: quadratic}))
    for one in four.outcomes():
        with pytest.raises(UsageError, match=r"rank 2.*number of parameters is 51"):
            raise one


def test_errors_end_all_ranks_which_then_calibrate_again(four):
    four.begin(calibrate, without_a_loss)
    server, *workers = four.outcomes()
    assert workers == [None] * 3
    with pytest.raises(UsageError, match="is not finite near its initial parameters"):
        raise server
    four.begin(calibrate, failing_at_once)
    server, *workers = four.outcomes()
    with pytest.raises(RankError, match=r"rank 1 .*failed: ValueError: this gradient fails"):
        raise server
    assert repr(workers) == repr([ValueError("this gradient fails"), None, None])
    four.begin(calibrate, patched={"asapnb.engine.measured.Timer.tick": interrupting})
    assert repr(four.outcomes()) == repr([KeyboardInterrupt(), None, None, None])
    assert four.call(calibrate, quadratic, {"workers": 1})[0]


def test_without_ranks_the_error_shows_the_way():
    with pytest.raises(UsageError, match="mpiexec -n 3 asapnb calibrate --mpi, or from Python with comm=MPI"):
        ab.calibrate(quadratic(), scheme="parameter-server")


# --- the command


def test_the_command_writes_a_file_that_a_simulation_takes(four, tmp_path):
    file = tmp_path / "timing.toml"
    server, *workers = four.call(command, "calibrate", "--mpi", *QUICK, "-m", 2, "-o", file)
    assert server[0] == 0, server
    assert workers == [(0, "", "")] * 3
    for part in (
        "pull",
        "push",
        "clocks  exact to",
        "total variation",
        "--scheme parameter-server --timing",
        "server on",
    ):
        assert part in server[1]
    written = tomllib.loads(file.read_text())
    assert written["about"]["scheme"] == "parameter-server"
    assert list(written["workers"]) == ["1", "2"]
    assert written["workers"]["1"]["about"]["total_variation"] == 0
    about = written["workers"]["2"]["about"]
    assert {"pull", "push", "clock", "gradients_per_second", "simulated", "spread"} <= set(about)
    timing = load_timing(file, workers=64)
    assert timing.network.mean > 0
    run = ab.simulate(quadratic(), "parameter-server", workers=8, timing=str(file), updates=20, eval_every=0)
    assert run.config["timing"] == str(timing)

    before = file.read_bytes()
    server, *workers = four.call(command, "calibrate", "--mpi", *QUICK, "-o", file)
    assert (server[0], workers) == (2, [(0, "", "")] * 3)
    assert "already exists" in server[2]
    assert file.read_bytes() == before


def test_the_command_as_json(four):
    server, *_ = four.call(command, "calibrate", "--mpi", *QUICK, "-m", 1, "--json")
    found = json.loads(server[1])
    assert set(found["workers"]["1"]) >= {"compute", "update", "read", "pull", "simulated", "clock"}
    assert ab.schedule(found["about"]["preset"], "parameter-server", workers=2, updates=9).updates == 9
