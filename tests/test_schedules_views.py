"""Schedules where runs are compared, drawn, gone on with and replayed by command; and code that has changed."""

import numpy as np
import pytest
from commands import call
from problems import quadratic, train
from simulations import simulate

import asapnb as ab
from asapnb.analysis import compare
from asapnb.config import load_config, run_config

ARGUMENTS = {"workers": 2, "updates": 30, "step_size": 0.01, "eval_every": 10}
BUILT_IN = "quadratic([1, 10], noise=0.1, samples=64)"


def halves(t):
    return 0.5 ** (t // 10)


def quarters(t):
    return 0.25 ** (t // 10)


def test_a_schedule_in_a_file_is_run_only_as_it_was_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file, out = tmp_path / "my.py", tmp_path / "run.h5"
    file.write_text("def decay(t, p=0.5): return (1.0 + t) ** -p\n")
    config = {"problem": BUILT_IN, "schedule": "my.py:decay(p=1)", **ARGUMENTS, "batch_size": 8}
    run = run_config(config, "simulate", out=out)
    again = run_config(load_config(out, "simulate"), "simulate")
    np.testing.assert_array_equal(again.updates["factor"], run.updates["factor"])
    file.write_text("def decay(t, p=0.5): return (2.0 + t) ** -p\n")
    before = out.read_bytes()
    for attempt in (
        lambda: run_config(load_config(out, "simulate"), "simulate"),
        lambda: ab.resume(out, updates=60),
    ):
        with pytest.raises(ab.RecordError, match=r"(?s)my.py has changed since.*-def decay.*1.0.*\+def decay.*2.0"):
            attempt()
    assert out.read_bytes() == before
    other = ab.replay(ab.load_run(out), rule="inverse")  # what it gave is recorded, and nothing of it is run
    np.testing.assert_array_equal(other.updates["factor"], run.updates["factor"])
    assert ab.resume(out, updates=60, force=True).updates["factor"][0] == 0.5


def test_a_function_that_no_text_names_is_passed_to_go_on(tmp_path):
    train(quadratic(), "sequential", updates=20, schedule=halves, out=tmp_path / "run.h5")
    with pytest.raises(ab.UsageError, match=r"the schedule of .* cannot be made from its text: pass it"):
        ab.resume(tmp_path / "run.h5", updates=40, problem=quadratic())
    run = ab.resume(tmp_path / "run.h5", updates=40, problem=quadratic(), schedule=halves)
    np.testing.assert_array_equal(run.updates["factor"], halves(np.arange(40)).astype(np.float32))


def test_runs_are_told_apart_by_their_schedules_and_drawn_with_their_factors(tmp_path):
    chosen = ["constant", "step_decay(10, rate=0.5)", halves, quarters]
    runs = [simulate(schedule=schedule, **ARGUMENTS) for schedule in chosen]
    table = next(iter(compare(runs)))
    names = [row[table.columns.index("schedule")] for row in table.rows]
    assert sorted(names) == ["constant()", "halves", "quarters", "step_decay(every=10, rate=0.5)"]
    scales = {row[table.columns.index("schedule")]: row[table.columns.index("mean scale")] for row in table.rows}
    assert scales["halves"] == pytest.approx(1.75 / 3) == runs[2].summary()["mean_factor"]
    assert "Ση" in table.columns
    figure = ab.plots.scale(runs[1:3])
    assert any("times the mean factor" in text.get_text() for text in figure.texts)
    assert figure.axes[0].lines[-1].get_ydata()[0] == pytest.approx(1.75 / 3)


def test_a_replay_from_the_command_line(tmp_path):
    out = tmp_path / "run.h5"
    run_config({"problem": BUILT_IN, "schedule": "warmup(10)", **ARGUMENTS, "batch_size": 8}, "simulate", out=out)
    assert "warmup(n=10)" in call("show", str(out)).output
    assert "equal to the recorded ones, to the bit" in call("replay", str(out)).output
    assert "schedule cosine()" in call("replay", str(out), "--schedule", "cosine()").output


def test_a_run_that_its_schedule_leaves_no_memory_for_is_refused():
    with pytest.raises(ab.UsageError, match=r"the schedule cosine\(\), with a factor .* needs"):
        train(quadratic(), "sequential", updates=10**13, schedule="cosine()")
