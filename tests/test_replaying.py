"""Replays of recorded runs and of schedules: to the bit as they were, and under other rules on the same execution."""

import shutil
import signal

import h5py
import numpy as np
import pytest
from naive import recompute
from naive import scales as one_by_one
from problems import counting, pull_slowly, quadratic, train, work_often_overtaken
from processes import ctrl_c_interrupts
from simulations import CONSISTENT, HOGWILD, ROUNDS, assert_same_runs, grow, simulate, timing_of

import asapnb as ab
from asapnb.engine.loops import leashed
from asapnb.rules import as_rule
from asapnb.simulator.world import ROW

SLOW = quadratic(gradient=pull_slowly)
NETWORK = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(6,))
SCHEDULED = set(ROW.names) - {"dropped"}
OWN = "tail(refresh=every(10))"
OPTIONS = {
    "plain": {},
    "all": {"momentum": 0.9, "weight_decay": 0.01, "compensation": 0.1, "rule": "tail(refresh=every(20))"},
    "direct share": {"momentum": 0.9, "direct_share": 0.2, "clip": 1.0},
    "shared": {"momentum": 0.5, "momentum_kind": "shared", "rule": "inverse"},
    "worker tables": {"worker_tables": True, "rule": "tail(refresh=every(10))"},
    "adadelay": {"rule": "adadelay(c=0.1)", "momentum": 0.3},
    "wu 1": {"rule": "wu_adaptive(variant=1, budget=4.0, alpha=0.5)"},
    "wu 2": {"rule": "wu_adaptive(variant=2, budget=3.0)"},
}


def recorded(out, scheme="lock-based", problem=SLOW, **arguments):
    """A run of real threads, read from its file."""
    train(problem, scheme, out=out, **{"updates": 150, "step_size": 0.01, "eval_every": 40, **arguments})
    return ab.load_run(out)


def assert_replayed(run, again):
    """The parameters and all rows, to the bit, but not who evaluated when."""
    for name in run.updates:
        np.testing.assert_array_equal(again.updates[name], run.updates[name], err_msg=name)
    np.testing.assert_array_equal(again.params["final"], run.params["final"])
    np.testing.assert_array_equal(again.params["initial"], run.params["initial"])
    made = np.arange(again.rule_tables.scales.shape[1])
    for number in np.unique(run.updates["row"]):
        ours, theirs = (r.rule_tables.scales[number] for r in (again, run))
        np.testing.assert_array_equal(ours, theirs[np.minimum(made, len(theirs) - 1)])
    assert again.kind == "replay"
    assert again.attributes["exact"]
    assert again.attributes["clock"] == run.attributes["clock"]


# --- as it was -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    ("scheme", "workers"), [("lock-based", 2), ("lock-based", 8), ("leashed", 8), ("leashed(persistence=0)", 8)]
)
def test_a_run_of_real_threads_to_the_bit(scheme, options, workers, tmp_path):
    run = recorded(tmp_path / "run.h5", scheme, workers=workers, **OPTIONS[options])
    again = ab.replay(run, SLOW, threads=2, out=tmp_path / "again.h5")
    assert_replayed(run, again)
    np.testing.assert_array_equal(again.evals["step"], run.evals["step"])
    np.testing.assert_array_equal(again.evals["train_loss"], run.evals["train_loss"])
    assert again.attributes["replayed"] == {
        "path": str(run.path), "kind": "train", "created_utc": run.attributes["created_utc"],
    }  # fmt: skip
    for name in ("mean_scale", "sum_of_steps"):
        np.testing.assert_allclose(again.attributes[name], run.attributes[name])
    if options == "all":
        assert_replayed(run, ab.replay(ab.load_run(tmp_path / "again.h5"), SLOW, threads=1))


@pytest.mark.parametrize("scheme", ["sequential", "synchronous"])
def test_fresh_runs_to_the_bit(scheme, tmp_path):
    run = recorded(tmp_path / "run.h5", scheme, momentum=0.9, weight_decay=0.01, rule="tail")
    for rule in (None, "tail"):
        again = ab.replay(run, SLOW, rule)
        assert_replayed(run, again)
        np.testing.assert_array_equal(again.evals["train_loss"], run.evals["train_loss"])


def test_a_network_is_built_as_its_file_says(tmp_path):
    run = recorded(tmp_path / "run.h5", "leashed", NETWORK, workers=8, rule="inverse", eval_samples=50)
    again = ab.replay(run)
    assert_replayed(run, again)
    assert_replayed(run, ab.replay(run, NETWORK))
    assert again.config["problem"] == run.config["problem"]


def test_gradients_that_were_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(leashed, "work", work_often_overtaken())
    run = recorded(tmp_path / "run.h5", "leashed(persistence=0)", SLOW, workers=16, momentum=0.9, updates=400)
    assert (run.updates["dropped"] == 1).sum() > 50
    assert_replayed(run, ab.replay(run, SLOW))
    assert_kept(run, ab.replay(run, SLOW, "inverse"), "inverse")


@pytest.mark.parametrize(("rule", "worker_tables"), [(None, True), (OWN, True), (OWN, False)])
@pytest.mark.parametrize("scheme", [*CONSISTENT, *ROUNDS, *HOGWILD])
def test_a_simulated_run_to_the_bit_under_its_own_rule(scheme, worker_tables, rule):
    """Its tables were made at their exact updates: so they are made again the same."""
    arguments = {"momentum": 0.5, "worker_tables": worker_tables, "rule": OWN}
    run = simulate(scheme=scheme, microscope=7, **arguments)
    again = ab.replay(run, quadratic(), rule, microscope=7, threads=2)
    assert_same_runs(run, again)
    assert again.config == run.config
    if scheme == "hogwild":
        assert_same_runs(run, ab.replay(again, quadratic(), rule, microscope=7))


def test_a_rule_of_one_s_own_need_not_be_known(tmp_path):
    def halves(staleness, workers):
        return np.full(len(staleness), 0.5)

    run = recorded(tmp_path / "run.h5", rule=halves)
    again = ab.replay(run, SLOW)
    assert_replayed(run, again)
    assert again.config["rule"] == "halves"
    missing = tmp_path / "rules.py"
    missing.write_text("def f(staleness, workers):\n    return staleness.pmf * 0 + 0.5\n")
    run = recorded(tmp_path / "other.h5", rule=f"{missing}:f")
    for text in ("raise ValueError", "", None):
        missing.unlink() if text is None else missing.write_text(text)
        assert_replayed(run, ab.replay(run, SLOW))


@pytest.mark.parametrize("scheme", ["lock-based", "leashed", "synchronous"])
def test_a_run_that_was_interrupted_and_went_on(scheme, tmp_path):
    pressed = []

    def press(evaluation):
        if evaluation.step >= 40 and not pressed:
            pressed.append(evaluation)
            signal.raise_signal(signal.SIGINT)

    with ctrl_c_interrupts():
        run = recorded(tmp_path / "run.h5", scheme, momentum=0.9, updates=10**7, on_eval=press)
    assert run.status == "interrupted"
    assert_replayed(run, ab.replay(run, SLOW))
    total = int(run.updates["version"].max()) + 50
    run = ab.resume(run, updates=total, problem=SLOW)
    assert_replayed(run, ab.replay(run, SLOW))


def test_a_run_that_was_killed(tmp_path):
    """The file of one that goes on is that of one killed now."""
    out, killed = tmp_path / "run.h5", tmp_path / "killed.h5"
    run = simulate(out=out, momentum=0.5, rule="inverse")
    shutil.copy(out, killed)
    grow(killed)
    with h5py.File(killed, "r+") as file:
        file.attrs["status"] = "running"
        del file["params/final"], file["staleness/counts"]
        for name, column in file["updates"].items():
            column.resize(45 if name in ("loss", "worker") else 47, axis=0)
    killed = ab.load_run(killed)
    again = ab.replay(killed, quadratic())
    assert again.status == "finished"
    for name in run.updates:
        np.testing.assert_array_equal(again.updates[name], run.updates[name][:45])
    np.testing.assert_array_equal(again.params["final"], recompute(quadratic(), again))
    losses = simulate(scheme="synchronous", out=out, force=True).updates["loss"]
    grow(out)
    with h5py.File(out, "r+") as file:
        for column in file["updates"].values():
            column.resize(5 * 13 + 3, axis=0)
    again = ab.replay(ab.load_run(out), quadratic())
    np.testing.assert_array_equal(again.updates["loss"], losses[: 5 * 13])


# --- under another rule --------------------------------------------------------------------------------------------


def assert_kept(run, again, rule, problem=None):
    """The execution is what it was, and the scales are those of the rule."""
    for name in SCHEDULED:
        np.testing.assert_array_equal(again.updates[name], run.updates[name], err_msg=name)
    rows = np.zeros(len(run.updates["tau"]), ROW)
    for name in ROW.names:
        rows[name] = run.updates[name]
    rows["dropped"] &= 1
    expected, _ = one_by_one(rows, as_rule(rule), run.config["workers"], again.config["worker_tables"])
    for name, column in zip(("row", "scale", "factor", "dropped"), zip(*expected, strict=True), strict=True):
        if name != "row":
            np.testing.assert_array_equal(again.updates[name], np.array(column), err_msg=name)
    if problem is not None:
        np.testing.assert_array_equal(recompute(problem, again), again.params["final"])


@pytest.mark.parametrize("rule", ["constant", "inverse", "tail(refresh=every(30))", OPTIONS["wu 2"]["rule"]])
@pytest.mark.parametrize("scheme", ["lock-based", "leashed"])
def test_another_rule_on_the_same_execution(scheme, rule, tmp_path):
    run = recorded(tmp_path / "run.h5", scheme, workers=8, rule="tail(refresh=every(10))", momentum=0.5)
    again = ab.replay(run, SLOW, rule)
    assert_kept(run, again, rule, SLOW)
    assert again.config["rule"] == repr(as_rule(rule))
    assert_kept(run, ab.replay(run, SLOW, rule, worker_tables=True), rule, SLOW)
    back = ab.replay(again, SLOW, "constant")
    assert_same_runs(back, ab.replay(run, SLOW, "constant"))


@pytest.mark.parametrize("rule", ["inverse", "adadelay(c=0.2)", "shuffled(rule=inverse())"])
@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "parameter-server(discard_after=3)", "synchronous"])
def test_a_rule_is_as_if_it_had_been_simulated(scheme, rule):
    """Times do not depend on the rule: so a replay under another is a simulation with it."""
    run = simulate(scheme=scheme)
    assert_same_runs(ab.replay(run, quadratic(), rule, threads=2), simulate(scheme=scheme, rule=rule))


@pytest.mark.parametrize(
    "changed",
    [
        {"step_size": 0.05},
        {"momentum": 0.5, "momentum_kind": "shared"},
        {"weight_decay": 0.1},
        {"compensation": 0.2},
        {"eval_every": 7, "eval_samples": 10},
        {"divergence_factor": 3.0},
        {"target_loss": 40.0},
    ],
    ids=str,
)
def test_what_else_may_be_changed(changed):
    run = simulate(rule="inverse")
    again = ab.replay(run, quadratic(), **changed)
    assert_same_runs(again, simulate(rule="inverse", **changed))
    assert {name: again.config[name] for name in changed} == changed


# --- schedules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [*CONSISTENT, *ROUNDS, *HOGWILD])
def test_a_schedule_replayed_is_a_simulation(scheme):
    workers = 1 if scheme == "sequential" else 5
    made = ab.schedule(timing_of(scheme), scheme, workers, 60, seed=3)
    arguments = {"rule": "tail(refresh=every(10))", "step_size": 0.03, "batch_size": 7, "eval_every": 8}
    run = ab.replay(made, quadratic(), **arguments, microscope=5, momentum=0.5)
    expected = simulate(scheme=scheme, **arguments, microscope=5, momentum=0.5)
    assert_same_runs(run, expected)
    assert run.config == expected.config
    assert run.kind == "replay"
    other = ab.replay(made, quadratic(), **arguments, seed=4)
    assert (other.params["initial"] != run.params["initial"]).any()
    np.testing.assert_array_equal(other.updates["t_apply"], run.updates["t_apply"])


def test_defaults_are_those_of_simulate():
    made = ab.schedule("exponential(1)", updates=50, seed=2)
    assert_same_runs(
        ab.replay(made, quadratic()), ab.simulate(quadratic(), timing="exponential(1)", updates=50, seed=2)
    )


def test_two_rules_on_one_schedule():
    made = ab.schedule("lognormal(mean=1, cv=1)", workers=24, updates=400, seed=2)
    runs = [ab.replay(made, quadratic(), rule, step_size=0.02) for rule in ("constant", "inverse")]
    for name in SCHEDULED:
        np.testing.assert_array_equal(runs[0].updates[name], runs[1].updates[name])
    assert runs[0].attributes["mean_scale"] == 1 > runs[1].attributes["mean_scale"]
    assert (runs[0].params["final"] != runs[1].params["final"]).any()


# --- what cannot be replayed ---------------------------------------------------------------------------------------


def test_what_cannot_be_replayed_is_said(tmp_path):
    run = recorded(tmp_path / "run.h5", momentum=0.5, updates=60)
    hogwild = recorded(tmp_path / "hogwild.h5", "hogwild", updates=20)
    network = recorded(tmp_path / "network.h5", problem=NETWORK, updates=5, eval_samples=9)
    made = ab.schedule("1", updates=9)
    for name in ("other data", "bare", "lost", "none"):
        shutil.copy((network if name == "other data" else run).path, tmp_path / f"{name}.h5")
    with h5py.File(tmp_path / "other data.h5", "r+") as file:
        file.attrs["data_sha256"] = "0" * 64
    with h5py.File(tmp_path / "bare.h5", "r+") as file:
        del file["updates/read_version"]
    with h5py.File(tmp_path / "lost.h5", "r+") as file:
        file.attrs["resumed"] = '[{"version": 30, "velocity": false}]'
    grow(tmp_path / "none.h5")
    with h5py.File(tmp_path / "none.h5", "r+") as file:
        for column in file["updates"].values():
            column.resize(0, axis=0)
    bare, lost, none, data = (ab.load_run(tmp_path / f"{name}.h5") for name in ("bare", "lost", "none", "other data"))
    held = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for source, arguments, error, message in (
        ("run.h5", {}, ab.UsageError, "source is 'run.h5': must be a Run"),
        (hogwild, {}, ab.UsageError, "on real threads, which does not record which parts .* simulate it instead"),
        (run, {"problem": None}, ab.UsageError, r"your own, custom\(pull_slowly\): build it in Python"),
        (run, {"problem": counting(50)}, ab.UsageError, "other problem"),
        (run, {"problem": quadratic(n=49, gradient=pull_slowly)}, ab.UsageError, "other parameters"),
        (run, {"problem": quadratic(dtype=np.float64, gradient=pull_slowly)}, ab.UsageError, "other dtype"),
        (run, {"problem": quadratic(samples=61, gradient=pull_slowly)}, ab.UsageError, "other training samples"),
        (data, {"problem": None}, ab.DataError, "is not the data that .* its SHA-256 is"),
        (bare, {}, ab.RecordError, "read_version"),
        (lost, {}, ab.UsageError, "went on at version 30 with its velocities lost"),
        (none, {}, ab.UsageError, "nothing to replay"),
        (run, {"batch_size": 8}, ab.UsageError, "batch_size is 8: a replay keeps the minibatches"),
        (run, {"seed": 8}, ab.UsageError, "seed is 8: a replay keeps the minibatches"),
        (run, {"momentum": 2.0}, ab.UsageError, "momentum is 2.0"),
        (run, {"rule": "tial"}, ab.UsageError, "tial"),
        (run, {"threads": 0}, ab.UsageError, "threads is 0"),
        (run, {"microscope": -1}, ab.UsageError, "microscope is -1"),
        (run, {"out": run.path, "force": True}, ab.UsageError, "that is the run to be replayed"),
        (run, {"out": hogwild.path}, ab.RecordError, "exists"),
        (made, {"problem": None}, ab.UsageError, "problem is missing: a schedule needs one"),
        (made, {"step_size": -1}, ab.UsageError, "step_size is -1"),
    ):
        with pytest.raises(error, match=message):
            ab.replay(source, **{"problem": SLOW, "out": tmp_path / "out.h5", **arguments})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == held
    assert ab.replay(lost, SLOW, momentum=0.0).status == "finished"


def test_other_kernels_are_told(tmp_path):
    run = recorded(tmp_path / "run.h5", updates=20)
    with h5py.File(run.path, "r+") as file:
        file.attrs["machine"] = file.attrs["machine"].replace('"kernels": "', '"kernels": "not ')
    assert not ab.replay(ab.load_run(run.path), SLOW).attributes["exact"]


def test_hogwild_that_ended_in_the_midst_of_writes_is_not_exact():
    start = simulate(scheme="hogwild").evals["train_loss"][0]
    run = simulate(scheme="hogwild", target_loss=0.8 * start)
    again = ab.replay(run, quadratic())
    assert run.status == "converged"
    assert not again.attributes["exact"]
    assert ab.replay(simulate(scheme="lock-based", target_loss=0.8 * start), quadratic()).attributes["exact"]
