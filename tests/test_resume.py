"""Going on with a run: the second part continues the first in everything that is recorded, and to the bit.

Run as a script, this file compiles once and then forks a process for each trial in `KILLED`, which trains and kills
itself with SIGKILL.
"""

import faulthandler
import os
import platform
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from naive import assert_rows_are_sound, recompute, refresh_numbers
from problems import counting, failing, pull_slowly, quadratic, train
from processes import LIMIT, WITHOUT_THREADS, ctrl_c_interrupts, python

import asapnb as ab
from asapnb.engine import checkpoints, controller
from asapnb.engine.words import RING
from asapnb.record import UPDATES, RunWriter, checkpoint_path, load_checkpoint, save_checkpoint
from asapnb.record.schema import ABANDONED
from asapnb.rules import ScaleTables, as_rule, every, tail

FRESH = ["sequential", "synchronous"]
STALE = ["lock-based", "hogwild", "hogwild(view=snapshot)", "leashed", "leashed(persistence=0)"]
MOMENTA = [(0.0, "per_worker"), (0.9, "per_worker"), (0.9, "shared")]
TIMES = ("t_read", "t_ready", "t_apply")
SLOW = quadratic(gradient=pull_slowly)


def interrupted(problem, scheme, out, at=20, **arguments):
    """A run that Ctrl-C ends some time after its evaluation of version `at`."""

    pressed = []

    def press(evaluation):
        if evaluation.step >= at and not pressed:
            pressed.append(evaluation)
            signal.raise_signal(signal.SIGINT)

    with ctrl_c_interrupts():
        run = train(problem, scheme, out=out, on_eval=press, **{"updates": 10**9, "eval_every": 5, **arguments})
    assert run.status == "interrupted"
    return run


def last_version(run):
    return int(run.updates["version"].max(initial=0))


def assert_goes_on(before, run, total):
    """All that holds at the seam of any run."""
    seam = len(before.updates["version"])
    assert (run.status, last_version(run)) == ("finished", total)
    assert_rows_are_sound(run)
    assert run.staleness_counts.sum() == (run.updates["dropped"] != ABANDONED).sum()
    for name in UPDATES.names:
        np.testing.assert_array_equal(run.updates[name][:seam], before.updates[name], err_msg=name)
    for name in run.evals:
        np.testing.assert_array_equal(run.evals[name][: len(before.evals[name])], before.evals[name], err_msg=name)
    assert run.updates["t_read"][seam:].min() >= before.updates["t_apply"].max(), "the clock went back"
    assert run.updates["batch"][seam:].min() > before.updates["batch"].max(), "a minibatch was taken again"
    cadence = run.config["eval_every"]
    later = run.evals["step"][len(before.evals["step"]) :]
    expected = [t for t in range(last_version(before) + 1, total) if t % cadence == 0]
    assert list(later) == [*expected, total]
    assert not checkpoint_path(run.path).exists()
    assert run.config == {**before.config, "updates": total}
    applied = run.updates["dropped"] != ABANDONED  # a gradient may be given up after the last update
    assert run.attributes["seconds"] == run.updates["t_apply"][applied].max()


def assert_same_updates(run, other):
    for name in set(UPDATES.names) - set(TIMES):
        np.testing.assert_array_equal(run.updates[name], other.updates[name], err_msg=name)
    np.testing.assert_array_equal(run.params["final"], other.params["final"])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("scheme", FRESH)
def test_in_two_parts_or_in_one_to_the_bit(scheme, momentum, tmp_path):
    arguments = {"momentum": momentum, "weight_decay": 0.01, "rule": "tail", "eval_every": 5}
    before = interrupted(SLOW, scheme, tmp_path / "run.h5", **arguments)
    total = last_version(before) + 37
    run = ab.resume(tmp_path / "run.h5", updates=total, problem=SLOW)
    whole = train(SLOW, scheme, updates=total, **arguments)
    assert_goes_on(before, run, total)
    assert_same_updates(run, whole)
    regular = run.evals["step"] % 5 == 0
    np.testing.assert_array_equal(
        run.evals["train_loss"][regular], whole.evals["train_loss"][whole.evals["step"] % 5 == 0]
    )
    np.testing.assert_array_equal(run.rule_tables.scales, whole.rule_tables.scales)
    assert run.config == whole.config


@pytest.mark.parametrize(("momentum", "kind"), MOMENTA)
@pytest.mark.parametrize("scheme", STALE)
def test_workers_go_on_where_they_ended(scheme, momentum, kind, tmp_path):
    arguments = {"momentum": momentum, "momentum_kind": kind, "step_size": 1e-3, "rule": "inverse"}
    before = interrupted(SLOW, scheme, tmp_path / "run.h5", **arguments)
    total = last_version(before) + 203
    run = ab.resume(before, updates=total, problem=SLOW)
    assert_goes_on(before, run, total)
    assert run.attributes["resumed"] == [{"version": last_version(before), "velocity": True}]
    assert ("velocity" in run.params) == (momentum > 0)
    if "hogwild" not in scheme:
        np.testing.assert_array_equal(recompute(SLOW, run), run.params["final"])


@pytest.mark.parametrize("scheme", [*FRESH, *STALE])
def test_a_finished_run_is_extended_again_and_again(scheme, tmp_path):
    problem = quadratic(60)  # 60 samples, minibatches of 7: 9 a pass, or 3 rounds of 4 workers
    run = first = train(problem, scheme, epochs=1, momentum=0.5, out=tmp_path / "run.h5")
    once = last_version(run)
    for epochs in (2, 5):
        before, run = run, ab.resume(first, epochs=epochs, problem=problem)  # what counts is what the file holds now
        assert_goes_on(before, run, epochs * once)
    assert [entry["version"] for entry in run.attributes["resumed"]] == [once, 2 * once]
    assert list(run.evals["step"]) == [epoch * once for epoch in range(6)]
    if scheme in FRESH:
        assert_same_updates(run, train(problem, scheme, epochs=5, momentum=0.5))


@pytest.mark.parametrize("worker_tables", [False, True])
@pytest.mark.parametrize("scheme", ["lock-based", "leashed"])
def test_tables_go_on_from_all_staleness_seen(scheme, worker_tables, tmp_path):
    rule, workers = tail(refresh=every(40, half_life=100)), 4
    arguments = {"rule": rule, "worker_tables": worker_tables, "step_size": 1e-3, "updates": 150, "workers": workers}
    before = train(SLOW, scheme, out=tmp_path / "run.h5", **arguments)
    run = ab.resume(before, updates=155, problem=SLOW)  # too few for another table of the same worker
    (steps, tables), made = run.rule_tables, len(before.rule_tables.steps)
    rows, tau, who = run.updates, before.updates["tau"], before.updates["worker"]
    np.testing.assert_array_equal(steps[:made], before.rule_tables.steps)
    assert (steps[made:] >= 150).all()
    scale = tables[rows["row"], np.minimum(rows["tau"], tables.shape[1] - 1)]
    np.testing.assert_array_equal(rows["scale"], scale.astype(np.float32))
    for i in range(150, 155):
        own = tau[who == rows["worker"][i]] if worker_tables else tau
        expected = ScaleTables(rule, workers)
        for number in refresh_numbers(rule.refresh, workers, len(own)):
            expected.observe(own[expected.seen : number])
        used = tables[rows["row"][i]]
        if steps[rows["row"][i]] <= 150:  # else a worker's own updates have made another one due
            np.testing.assert_array_equal(used[: len(expected.current)], expected.current)


@pytest.mark.parametrize("cut", [0, 3, 99, 100, 101, 140, 299, 300])
@pytest.mark.parametrize("refresh", ["once(5, 100)", "every(40, half_life=100)", "every(1)"])
def test_catching_up_is_observing_one_by_one(refresh, cut):
    tau = np.random.default_rng(cut).geometric(0.2, 300) - 1
    slow, fast = (ScaleTables(as_rule(f"tail(refresh={refresh})"), 3) for _ in range(2))
    for t in tau[:cut]:
        slow.observe([t])
    fast.catch_up(tau[:cut])
    for t in tau[cut:]:
        np.testing.assert_array_equal(fast.current, slow.current)
        assert (fast.seen, fast.next_refresh) == (slow.seen, slow.next_refresh)
        fast.observe([t]), slow.observe([t])
    np.testing.assert_array_equal(fast.current, slow.current)


def test_a_run_that_converged_goes_on_to_its_total(tmp_path):
    problem = quadratic()
    start = problem.evaluate(problem.init(3))[0]
    arguments = {"step_size": 0.01, "updates": 10**9, "target_loss": 0.9 * start}
    before = train(problem, "lock-based", out=tmp_path / "run.h5", **arguments)
    assert before.status == "converged"
    total = last_version(before) + 500
    run = ab.resume(before, updates=total, problem=problem)
    assert (run.status, last_version(run)) == ("finished", total)
    for name in ("target_step", "target_seconds"):
        assert run.attributes[name] == before.attributes[name]


def test_the_limit_of_time_is_one_of_all_training(tmp_path):
    """A run of a thousand seconds, as its rows say, has a moment left, however fast this machine is."""
    before = train(quadratic(), "leashed", updates=50, step_size=1e-6, max_seconds=1000.0, out=tmp_path / "run.h5")
    with h5py.File(before.path, "r+") as file:
        file.attrs["status"] = "timed-out"
        for name in TIMES:
            file["updates"][name][:] += 1000
    before = ab.load_run(before.path)
    with pytest.raises(ab.UsageError, match=r"max_seconds is 1000: give a larger total, max_seconds"):
        ab.resume(before, problem=quadratic(), updates=60)
    many = 10 * RING  # rows: the controller looks at the clock before all of them are there
    limit = float(before.updates["t_apply"].max()) + 1e-3
    run = ab.resume(before, max_seconds=limit, updates=many, problem=quadratic())
    assert run.status == "timed-out"
    assert run.config == {**before.config, "updates": many, "max_seconds": limit}
    assert run.updates["t_read"][50:].min() >= limit - 1e-3


def test_the_limit_of_divergence_is_that_of_the_first_start(tmp_path):
    """Twice the first loss of all, not twice that at the seam."""
    losses = {0.0: 1.0, 5.0: 0.01, 9.0: 1.9}  # by version: the parameters of `counting` equal it
    problem = replace(counting(50), evaluation=lambda params, split: (losses[float(params[0])], np.nan))
    arguments = {"step_size": 1.0, "divergence_factor": 2.0, "eval_every": 0}
    before = train(problem, "sequential", updates=5, out=tmp_path / "run.h5", **arguments)
    assert ab.resume(before, updates=9, problem=problem).status == "finished"
    losses[12.0] = 2.1
    assert ab.resume(before, updates=12, problem=problem).status == "diverged"


def test_counts_that_rows_do_not_tell_go_on(tmp_path):
    before = train(quadratic(), "lock-based", updates=30, out=tmp_path / "run.h5")
    with h5py.File(before.path, "r+") as file:
        file.attrs["beyond_table"], file.attrs["waited_for_room"] = 7, 5
    run = ab.resume(before.path, updates=40, problem=quadratic())
    assert (run.attributes["beyond_table"], run.attributes["waited_for_room"]) == (7, 5)


def test_a_run_that_failed_goes_on(tmp_path):
    with pytest.raises(ValueError, match="this gradient fails"):
        train(failing(), "lock-based", step_size=1.0, updates=100, out=tmp_path / "run.h5")
    before = ab.load_run(tmp_path / "run.h5")
    version = last_version(before)
    with pytest.raises(ValueError, match="this gradient fails"):
        ab.resume(before, problem=failing())
    after = ab.load_run(tmp_path / "run.h5")
    assert (after.status, last_version(after)) == ("failed", version)


def test_a_rule_of_one_s_own_is_given(tmp_path):
    def halves(staleness, workers):
        return np.full(len(staleness), 0.5)

    run = train(quadratic(), "lock-based", updates=50, rule=halves, out=tmp_path / "run.h5")
    with pytest.raises(ab.UsageError, match=r"the rule of .* cannot be made from its text: pass it, as in"):
        ab.resume(run, updates=80, problem=quadratic())
    assert (ab.resume(run, updates=80, problem=quadratic(), rule=halves).updates["scale"][-20:] == 0.5).all()


def test_what_cannot_go_on_is_said_and_left_alone(tmp_path):
    problem, out = quadratic(), tmp_path / "run.h5"
    run = train(problem, "lock-based", updates=50, out=out)
    mine = train(problem, "lock-based", updates=5)
    diverged = train(problem, "lock-based", step_size=1e6, epochs=9, out=tmp_path / "diverged.h5")
    held = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for given, arguments, error, message in (
        (tmp_path / "none.h5", {}, ab.RecordError, "there is no run file"),
        (mine, {}, ab.RecordError, r"in memory: save it to a file with run\.save"),
        (out, {"problem": problem}, ab.UsageError, "has 50 updates, and the total is 50: give a larger total"),
        (out, {"problem": problem, "updates": 49}, ab.UsageError, "has 50 updates, and the total is 49"),
        (out, {"problem": problem, "updates": 0}, ab.UsageError, "updates is 0"),
        (out, {"problem": problem, "updates": 60, "epochs": 2}, ab.UsageError, "give one of them"),
        (out, {"problem": problem, "updates": "many"}, ab.UsageError, "updates = 'many'"),
        (out, {"updates": 60}, ab.UsageError, r"your own, custom\(pull\): build it in Python and pass it"),
        (out, {"updates": 60, "problem": counting(50)}, ab.UsageError, r"other problem: custom\(pull\), and this is"),
        (out, {"updates": 60, "problem": quadratic(49)}, ab.UsageError, "other parameters: 50, and this is 49"),
        (out, {"updates": 60, "problem": quadratic(samples=61)}, ab.UsageError, "other training samples: 60"),
        (out, {"updates": 60, "problem": quadratic(dtype=np.float64)}, ab.UsageError, "other dtype: float32"),
        (diverged, {"problem": problem, "epochs": 20}, ab.UsageError, "diverged at update .* smaller step_size"),
    ):
        with pytest.raises(error, match=message):
            ab.resume(given, **arguments)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == held
    mine.save(tmp_path / "mine.h5")
    assert ab.resume(tmp_path / "mine.h5", updates=9, problem=problem).status == "finished"
    assert run.status == "finished"


def test_the_data_must_be_the_same(tmp_path):
    data = ab.load_dataset("fashion-mnist-mini")
    run = train(ab.mlp(data, hidden=(4,)), "lock-based", updates=5, out=tmp_path / "run.h5")
    with h5py.File(run.path, "r+") as file:
        file.attrs["data_sha256"] = "0" * 64
    with pytest.raises(ab.DataError, match=r"is not the data that .* and that of the run 000"):
        ab.resume(run.path, updates=9)


def test_a_file_that_is_still_written_is_left_alone(tmp_path):
    problem, out = quadratic(), tmp_path / "run.h5"
    seen = []

    def look(evaluation):
        if not seen:
            with pytest.raises(ab.RecordError) as error:
                ab.resume(out, problem=problem, updates=99)
            seen.append(error.value)

    train(problem, "lock-based", updates=50, out=out, on_eval=look)
    assert f"is being written by process {os.getpid()} on {platform.node()} since 2" in str(seen[0])
    with h5py.File(out, "r+") as file:
        file.attrs["status"] = "running"  # as if the process had died, although it has not
    run = ab.resume(out, problem=problem, updates=60)
    assert run.attributes["resumed"][0]["version"] == 0
    np.testing.assert_array_equal(run.updates["version"], np.arange(1, 61))


def test_an_interruption_of_the_reopening_changes_nothing(tmp_path, monkeypatch):
    before = train(SLOW, "leashed", updates=60, momentum=0.9, out=tmp_path / "run.h5")
    held = before.path.read_bytes()

    def broken(*arguments, **named):
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "reopen", broken)
        with pytest.raises(LookupError):
            ab.resume(before, problem=SLOW, updates=100)
    assert before.path.read_bytes() == held
    run = ab.resume(before, problem=SLOW, updates=100)
    assert_goes_on(before, run, 100)
    np.testing.assert_array_equal(recompute(SLOW, run), run.params["final"])


def test_a_checkpoint_of_another_run_is_noticed_and_one_that_is_replaced_removed(tmp_path):
    out = tmp_path / "run.h5"
    train(quadratic(), "leashed", updates=20, out=out)
    with h5py.File(out, "r+") as file:
        file.attrs["status"] = "running"
    identity = {name: ab.load_run(out).attributes[name] for name in ("run_id", "token")}
    save_checkpoint(out, {"params": np.zeros(50, np.float32)}, {"version": 21, **identity})
    with pytest.raises(ab.RecordError, match=r"run\.h5\.checkpoint comes after 21 updates that this file does not"):
        ab.resume(out, problem=quadratic(), updates=30, force=True)
    checkpoint_path(out).write_bytes(b"torn")
    with pytest.raises(ab.RecordError, match=r"cannot be read: .* remove it to start the run again"):
        ab.resume(out, problem=quadratic(), updates=30, force=True)
    train(quadratic(), "leashed", updates=20, out=out, force=True)
    assert load_checkpoint(out) is None


class Writer:
    """What `Checkpoints` asks of a writer."""

    def __init__(self, path):
        self.path, self.can_write, self.identity = path, True, {"run_id": "a", "token": "b"}

    def flush(self):
        return self.can_write

    def save_checkpoint(self, arrays, attributes):
        with suppress(ab.RecordError):
            save_checkpoint(self.path, arrays, {**attributes, **self.identity})


def test_a_checkpoint_is_saved_when_all_before_it_is_on_disk(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    writer, params = Writer(tmp_path / "run.h5"), np.zeros(3)

    def saved():
        found = load_checkpoint(writer.path)
        return found and (found.attributes["version"], found.arrays["params"][0])

    kept = checkpoints.Checkpoints(writer)
    kept.offer(1, 0.5, params)  # too early
    kept.save(complete=9)
    assert saved() is None
    now[0] = 10.0
    kept.offer(2, 1.0, params)
    params[:] = 1  # the workers go on
    kept.offer(3, 1.5, params)  # one at a time
    kept.save(complete=1)
    assert saved() is None
    writer.can_write = False
    kept.save(complete=2)
    assert saved() is None
    writer.can_write = True
    kept.save(complete=3, waited_for_room=4)
    assert saved() == (2, 0.0)
    assert load_checkpoint(writer.path).attributes == {
        "version": 2,
        "t": 1.0,
        "waited_for_room": 4,
        **writer.identity,
    }
    kept.offer(4, 2.0, params)
    kept.save(complete=4)
    assert saved() == (2, 0.0), "ten seconds have not passed"
    now[0] = 20.0
    kept.offer(5, 2.0, params)
    kept.save(complete=5)
    assert saved() == (5, 1.0)
    writer.path = tmp_path / "nowhere" / "run.h5"
    now[0] = 30.0
    kept.offer(6, 2.0, params)
    kept.save(complete=6)  # a checkpoint that cannot be written does not end the run
    memory = checkpoints.Checkpoints(Writer(None))
    now[0] = 60.0
    memory.offer(1, 1.0, params)
    memory.save(complete=1)
    assert [path.name for path in tmp_path.iterdir()] == ["run.h5.checkpoint"]


# --- killed runs ---------------------------------------------------------------------------------------------------

KILLED = [
    *((scheme, 0.0, "late") for scheme in (*FRESH, "lock-based", "hogwild", "leashed", "leashed(persistence=0)")),
    *((scheme, 0.9, "late") for scheme in ("sequential", "lock-based", "leashed")),
    *((scheme, 0.9, "seam") for scheme in ("synchronous", "lock-based", "leashed")),
    ("leashed", 0.9, "early"),
    *((scheme, "adam", "late") for scheme in ("synchronous", "lock-based", "leashed")),
]


def serve(folder):
    """Run all trials; say how each ended."""
    for scheme in {scheme for scheme, _, _ in KILLED}:
        train(SLOW, scheme, updates=10)
    assert threading.active_count() == 1, "a fork would lose the other threads"
    for number, trial in enumerate(KILLED):
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            be_killed(Path(folder) / f"{number}.h5", *trial)
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def be_killed(out, scheme, momentum, when):
    """Train until there are rows after a checkpoint (late), before there is any (early), or after going on (seam)."""
    controller.FLUSH_SECONDS = 0.0
    arguments = {"momentum": momentum, "step_size": 1e-3, "eval_every": 10}
    if momentum == "adam":
        arguments |= {"momentum": 0.0, "optimizer": "adam(beta2=0.9)"}
    if when == "seam":
        train(SLOW, scheme, updates=57, out=out, **arguments)
    if when == "late":
        checkpoints.CHECKPOINT_SECONDS = 0.0

    flush = RunWriter.flush

    def killing(writer):  # in the thread that saves checkpoints, so that none is saved between the look and the kill
        flushed = flush(writer)
        checkpoint, rows = load_checkpoint(out), last_version(ab.load_run(out))
        if rows > (checkpoint.attributes["version"] if checkpoint else 30 if when == "early" else 10**9):
            os.kill(os.getpid(), signal.SIGKILL)
        return flushed

    RunWriter.flush = killing
    if when == "seam":
        ab.resume(out, problem=SLOW, updates=10**9)
    train(SLOW, scheme, updates=10**9, out=out, **arguments)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    done = python(__file__, folder, check=False, environment=WITHOUT_THREADS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(KILLED)
    return folder


@pytest.mark.parametrize("number", range(len(KILLED)), ids=[" ".join(map(str, trial)) for trial in KILLED])
def test_a_killed_run_goes_on_from_its_checkpoint(killed, number):
    (scheme, momentum, when), out = KILLED[number], killed / f"{number}.h5"
    before, checkpoint = ab.load_run(out), load_checkpoint(out)
    version = checkpoint.attributes["version"] if checkpoint else 0
    assert (version > 0) == (when != "early")
    assert last_version(before) > version, "rows are there that must be made again"
    rows = {name: before.updates[name] for name in UPDATES.names}
    kept = int(np.flatnonzero((rows["version"] <= version) & (rows["dropped"] != 1))[-1]) + 1 if version else 0
    total = version + 80
    run = ab.resume(out, problem=SLOW, updates=total)
    assert (run.status, last_version(run)) == ("finished", total)
    assert_rows_are_sound(run)
    for name in rows:
        np.testing.assert_array_equal(run.updates[name][:kept], rows[name][:kept], err_msg=name)
    assert (np.diff(run.evals["step"]) > 0).all()
    assert set(range(0, total + 1, 10)) <= set(run.evals["step"])
    assert "hogwild" in scheme or (np.diff(run.evals["t"]) > 0).all()
    entry = {"version": version, "velocity": momentum in (0, "adam") or when != "late" or scheme in FRESH}
    assert run.attributes["resumed"] == [entry]
    assert [path.name for path in killed.glob(f"{number}.h5*")] == [out.name]
    if scheme in FRESH:
        steps = {"optimizer": run.config["optimizer"], "momentum": run.config["momentum"], "step_size": 1e-3}
        assert_same_updates(run, train(SLOW, scheme, updates=total, **steps))
    elif "hogwild" not in scheme:
        np.testing.assert_array_equal(
            recompute(SLOW, from_version(run, 0 if entry["velocity"] else version, checkpoint)), run.params["final"]
        )


def from_version(run, version, checkpoint):
    """The part of a run after a version, as one that began with the checkpoint's parameters."""
    if version == 0:
        return run
    later = {
        name: run.updates[name][np.flatnonzero(run.updates["version"] == version)[0] + 1 :] for name in UPDATES.names
    }
    later["read_version"] = later["read_version"] - version
    return SimpleNamespace(config=run.config, updates=later, params={"initial": checkpoint.arrays["params"]})


if __name__ == "__main__":
    serve(sys.argv[1])
