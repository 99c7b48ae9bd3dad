"""A run on threads goes on with another step size or rule: its file says so, and all that reads it follows."""

import shutil

import numpy as np
import pytest
from commands import printed
from naive import assert_rows_are_sound, recompute, size_of
from problems import quadratic, train
from simulations import contents, simulate

import asapnb as ab
from asapnb.analysis.curves import versions
from asapnb.analysis.records import records
from asapnb.config import run_config

GIVEN = {"updates": 40, "eval_every": 10, "step_size": 0.1}


def changed_run(path, scheme="lock-based", **more):
    """A run in three parts: with another step size, then with that and another rule."""
    train(quadratic(), scheme, **GIVEN, **more, out=path)
    ab.resume(path, problem=quadratic(), updates=70, step_size=0.01)
    return ab.resume(path, problem=quadratic(), updates=100, rule="inverse")


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("scheme", ["sequential", "synchronous", "lock-based", "leashed"])
def test_every_part_has_its_own_steps_and_a_replay_follows_them_to_the_bit(scheme, momentum, tmp_path):
    run = changed_run(tmp_path / "run.h5", scheme, momentum=momentum, weight_decay=0.01)
    first, second = run.attributes["resumed"]
    assert first["changed"] == {"step_size": [0.1, 0.01]}
    assert second["changed"] == {"rule": ["constant()", run.config["rule"]]}
    assert run.config["step_size"] == 0.01
    assert_rows_are_sound(run)
    if scheme != "synchronous":
        np.testing.assert_allclose(recompute(quadratic(), run), run.params["final"], rtol=0, atol=1e-6)
    again = ab.replay(run, quadratic())
    assert again.params["final"].tobytes() == run.params["final"].tobytes()
    assert [entry["changed"] for entry in again.attributes["resumed"]] == [first["changed"], second["changed"]]
    twice = ab.replay(again, quadratic())
    assert twice.params["final"].tobytes() == run.params["final"].tobytes()


def test_the_sums_of_steps_are_those_of_the_parts(tmp_path):
    run = changed_run(tmp_path / "run.h5", "leashed")
    rows = run.updates
    sizes = np.array([size_of(run, version) for version in rows["version"]])
    assert [set(sizes[rows["version"] <= 40]), set(sizes[rows["version"] > 40])] == [{0.1}, {0.01}]
    steps = sizes * rows["scale"] * rows["factor"]
    assert run.summary()["sum_of_steps"] == pytest.approx(steps.sum(), rel=1e-6)
    assert run.attributes["sum_of_steps"] == pytest.approx(steps.sum(), rel=1e-6)
    assert sum(run.summary()["sum_of_steps_by_worker"]) == pytest.approx(steps.sum(), rel=1e-6)
    np.testing.assert_allclose(versions(run)[0][1:], np.cumsum(steps), rtol=1e-6)
    replayed = ab.replay(run, quadratic())
    assert replayed.attributes["sum_of_steps"] == pytest.approx(steps.sum(), rel=1e-6)
    uniform = ab.replay(run, quadratic(), step_size=0.05, rule="constant")
    assert "resumed" not in uniform.attributes
    assert uniform.summary()["sum_of_steps"] == pytest.approx(5.0)


def test_show_and_compare_say_so(tmp_path):
    run = changed_run(tmp_path / "run.h5")
    plain = train(
        quadratic(),
        "lock-based",
        **GIVEN | {"step_size": 0.01, "updates": 100},
        rule="inverse",
        out=tmp_path / "b.h5",
    )
    text = "step_size 0.1 → 0.01 from update 40, rule constant() → "
    assert text in " ".join(printed("show", run.path).split())
    assert "changed" not in records([plain.path])[0].config
    assert records([run.path])[0].value("changed").startswith(text)
    assert text in str(ab.compare([run, plain]))


def test_a_killed_run_whose_change_is_lost_records_it_anew(tmp_path):
    path = tmp_path / "run.h5"
    train(quadratic(), "sequential", **GIVEN, out=path)
    whole = tmp_path / "whole.h5"
    shutil.copy(path, whole)
    ab.resume(whole, problem=quadratic(), updates=70, step_size=0.01)
    run = ab.resume(whole, problem=quadratic(), updates=90, step_size=0.05)
    assert [entry["changed"] for entry in run.attributes["resumed"]] == [
        {"step_size": [0.1, 0.01]},
        {"step_size": [0.01, 0.05]},
    ]
    same = ab.resume(whole, problem=quadratic(), updates=100, step_size=0.05)
    assert "changed" not in same.attributes["resumed"][-1]
    assert ab.replay(same, quadratic()).params["final"].tobytes() == same.params["final"].tobytes()


def test_what_ends_a_run_may_change_and_its_bits_stay(tmp_path):
    whole = simulate(updates=80, out=tmp_path / "whole.h5")
    simulate(target_loss=60.0, updates=80, out=tmp_path / "run.h5")
    first = ab.load_run(tmp_path / "run.h5")
    assert first.status == "converged"
    second = ab.resume(first.path, problem=quadratic(), target_loss=40.0)
    assert second.status == "converged"
    assert second.evals["train_loss"][-1] <= 40.0 < second.evals["train_loss"][-2]
    last = ab.resume(first.path, problem=quadratic(), target_loss="none", patience=50)
    assert (last.status, last.config["patience"], "target_loss" in last.config) == ("finished", 50, False)
    assert last.params["final"].tobytes() == whole.params["final"].tobytes()
    threads = train(quadratic(), "sequential", **GIVEN, out=tmp_path / "threads.h5")
    further = ab.resume(threads.path, problem=quadratic(), updates=60, eval_every=5, divergence_factor=99.0)
    assert further.evals["step"].tolist() == [0, 10, 20, 30, 40, 45, 50, 55, 60]
    assert further.attributes["resumed"][-1]["changed"] == {"eval_every": [10, 5], "divergence_factor": [10.0, 99.0]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step_size": 0.5}, r"step_size is 0.5, and .*run\.h5 has 0.03: .*start=.*run\.h5"),
        ({"rule": "inverse"}, r"rule is inverse\(.*start=.*run\.h5"),
        ({"step_size": -1.0}, "step_size is -1.0"),
    ],
)
def test_a_simulated_run_keeps_its_steps_and_its_file(given, message, tmp_path):
    run = simulate(out=tmp_path / "run.h5")
    before = run.path.read_bytes()
    with pytest.raises(ab.UsageError, match=message):
        ab.resume(run.path, problem=quadratic(), updates=80, **given)
    assert run.path.read_bytes() == before
    assert ab.resume(run.path, problem=quadratic(), updates=80, step_size=0.03, rule="constant").status == "finished"


def test_what_cannot_change_on_threads_is_refused(tmp_path):
    run = train(quadratic(), "lock-based", **GIVEN, out=tmp_path / "run.h5")
    before = run.path.read_bytes()
    for given, message in (
        ({"rule": "adadelay(c=0.1)"}, "factor of its own"),
        ({"rule": "shuffled(inverse)"}, "needs all scales in advance"),
        ({"step_size": 0.0}, "step_size is 0.0"),
        ({"rule": "no_such_rule"}, "unknown rule"),
    ):
        with pytest.raises(ab.UsageError, match=message):
            ab.resume(run.path, problem=quadratic(), updates=80, **given)
    assert run.path.read_bytes() == before
    changed = changed_run(tmp_path / "changed.h5")
    with pytest.raises(ab.UsageError, match="changed its rule when it went on"):
        ab.replay(changed, quadratic(), worker_tables=True)


def test_the_command_line(tmp_path):
    config = {"problem": "mlp(hidden=[8])", "workers": 2, "batch_size": 50, "step_size": 0.1, "updates": 20}
    run_config({**config, "eval_samples": 100}, out=tmp_path / "run.h5")
    flags = ["--updates", "40", "--step-size", "0.02", "--rule", "inverse", "--patience", "7"]
    printed("resume", tmp_path / "run.h5", *flags)
    run = ab.load_run(tmp_path / "run.h5")
    changed = run.attributes["resumed"][0]["changed"]
    assert (changed["step_size"], changed["patience"]) == ([0.1, 0.02], [None, 7])
    assert (run.config["rule"], run.config["patience"]) == (changed["rule"][1], 7)
    assert "equal to the recorded ones, to the bit" in printed("replay", tmp_path / "run.h5")
    assert "step_size" in printed("resume", tmp_path / "run.h5", "--updates", 60, "--step-size", "big", code=2)
    assert contents(tmp_path / "run.h5")
