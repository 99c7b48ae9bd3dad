"""A simulated run that is interrupted or killed at any moment, and goes on, leaves the file that it would have left.

Run as a script, this file compiles once and then forks a process for each trial in `KILLED`, which kills itself.
"""

import faulthandler
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from naive import recompute
from problems import counting, quadratic, train
from processes import LIMIT, WITHOUT_THREADS, ctrl_c_interrupts, python, until
from simulations import CONSISTENT, HOGWILD, ROUNDS, assert_same_contents, assert_same_runs, simulate

import asapnb as ab
from asapnb.record import checkpoint_path, load_checkpoint, save_checkpoint, writer
from asapnb.simulator import replayer
from asapnb.simulator.replayer import Replayer
from asapnb.simulator.threads import ReplayThreads
from asapnb.simulator.words import DONE, FIRST, STOP
from asapnb.training.words import DIVERGED, INTERRUPTED

ARGUMENTS = {
    "momentum": 0.9,
    "weight_decay": 0.01,
    "compensation": 0.1,
    "rule": "tail(refresh=every(5))",
    "worker_tables": True,
    "microscope": 3,
    "step_size": 0.01,
}
STEPS = {  # schemes with other steps than those of momentum for each worker
    "leashed": {"momentum_kind": "ordered"},
    "parameter-server": {"optimizer": "amsgrad(beta2=0.9)", "momentum": 0.0},
    "synchronous(wait_for=3)": {"optimizer": "adam(beta2=0.9)", "momentum": 0.0},
}
FEW = [
    "lock-based",
    "leashed(persistence=0)",
    "parameter-server(discard_after=3)",
    ROUNDS[0],
    ROUNDS[2],
    *HOGWILD[:3],
]
SCHEMES = [*CONSISTENT, *ROUNDS, *HOGWILD[1:3], "hogwild(blocks=1)", "hogwild"]


def arguments_of(scheme):
    changed = {"compensation": 0.0} if scheme in ("hogwild", *ROUNDS) else {}
    return {**ARGUMENTS, **changed, **STEPS.get(scheme, {})}


def broken(monkeypatch, at, act):
    """Have every segment stop after `at` operations, for `act` to be called; `at` is a share of all."""
    segment, done = Replayer._segment, []

    def broken_segment(self, end):
        place = round(at * len(self.replay.operations))
        if not done and self.replay.control[DONE] <= place <= end:
            segment(self, place)
            done.append(place)
            act()
            until(lambda: self.replay.control[STOP])
        segment(self, end)

    monkeypatch.setattr(Replayer, "_segment", broken_segment)


def press():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@pytest.fixture
def interrupted(monkeypatch):
    """Call a function that simulates; Ctrl-C comes after a share of all operations."""

    def call(at, run, *positional, **named):
        with ctrl_c_interrupts(), monkeypatch.context() as patch:
            broken(patch, at, press)
            return run(*positional, **named)

    return call


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The file of an uninterrupted run of a scheme."""
    folder, made = tmp_path_factory.mktemp("whole"), {}

    def get(scheme):
        if scheme not in made:
            made[scheme] = folder / f"{len(made)}.h5"
            simulate(scheme=scheme, out=made[scheme], **arguments_of(scheme))
        return made[scheme]

    return get


@pytest.mark.parametrize(("number", "scheme"), list(enumerate(SCHEMES)))
def test_interrupted_at_any_moment_and_gone_on(number, scheme, interrupted, whole, tmp_path):
    at = np.sort(np.random.default_rng(number).uniform(0, 1, 2))
    out, complete = tmp_path / "run.h5", ab.load_run(whole(scheme))
    run = interrupted(at[0], simulate, scheme=scheme, out=out, threads=1 + number % 3, **arguments_of(scheme))
    for _ in range(2):
        assert run.status == "interrupted"
        assert checkpoint_path(out).exists()
        rows = len(run.updates["loss"])
        for name in run.updates:
            np.testing.assert_array_equal(run.updates[name], complete.updates[name][:rows], err_msg=name)
        seen = len(run.microscope["version"])
        for name in run.microscope:
            np.testing.assert_array_equal(run.microscope[name], complete.microscope[name][:seen], err_msg=name)
        version = run.updates["version"].max(initial=0)
        assert run.microscope["version"].max(initial=0) <= version
        assert run.evals["step"][-1] == version
        assert run.staleness_counts.sum() == (run.updates["dropped"] != 1).sum()
        if scheme in CONSISTENT:
            np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])
        run = interrupted(at[1], ab.resume, out, problem=quadratic())
        if run.status != "interrupted":  # both shares were the same operation
            break
    if run.status == "interrupted":
        run = ab.resume(out, problem=quadratic())
    assert run.status == "finished"
    assert not checkpoint_path(out).exists()
    assert_same_contents(out, whole(scheme))


@pytest.mark.parametrize("at", [0.0, 0.003, 0.27, 0.777])
@pytest.mark.parametrize("scheme", ["synchronous", "lock-based", "hogwild(blocks=1)"])
def test_what_a_checkpoint_was_made_at_is_taken_up(scheme, at, interrupted, tmp_path, monkeypatch):
    """Operations, and rows that are done with: also those of a round that is not in the file yet."""
    save, take_up, seen = Replayer.checkpoint, Replayer.go_on_from, []

    def look(replayer):
        seen.append(replayer.replay.control[[DONE, FIRST]].tolist())

    monkeypatch.setattr(Replayer, "checkpoint", lambda self: look(self) or save(self))
    monkeypatch.setattr(Replayer, "go_on_from", lambda self, *given: take_up(self, *given) or look(self))
    run = interrupted(at, simulate, scheme=scheme, out=tmp_path / "run.h5")
    ab.resume(run, problem=quadratic())
    assert seen[0] == seen[1]
    within_a_round = seen[0][1] - len(run.updates["loss"])
    assert (within_a_round > 0) == (scheme == "synchronous" and at > 0)


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "synchronous"])
def test_interrupted_before_or_after_everything(scheme, interrupted, whole, tmp_path):
    out = tmp_path / "run.h5"
    run = interrupted(1.0, simulate, scheme=scheme, out=out, **arguments_of(scheme))
    assert run.status == "finished"
    assert_same_contents(out, whole(scheme))
    run = interrupted(0.0, simulate, scheme=scheme, out=out, force=True, **arguments_of(scheme))
    assert (run.status, len(run.updates["loss"]), run.evals["step"].tolist()) == ("interrupted", 0, [0])
    ab.resume(out, problem=quadratic())
    assert_same_contents(out, whole(scheme))


@pytest.mark.parametrize("step", [0, 8, 56])
@pytest.mark.parametrize("scheme", ["leashed", "hogwild", "synchronous"])
def test_interrupted_by_an_evaluation(scheme, step, whole, tmp_path, in_step):
    def look(evaluation):
        if evaluation.step == step:
            press()

    with ctrl_c_interrupts():
        run = simulate(scheme=scheme, out=tmp_path / "run.h5", on_eval=look, **arguments_of(scheme))
    assert run.status == "interrupted"
    told = []
    ab.resume(run, problem=quadratic(), on_eval=told.append)
    assert [evaluation.step for evaluation in told] == [t for t in (*range(8, 60, 8), 60) if t > step]
    assert_same_contents(tmp_path / "run.h5", whole(scheme))


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "synchronous(wait_for=3)"])
def test_the_end_that_was_to_come_comes(scheme, share, interrupted, tmp_path):
    """Divergence, a target, a limit of time: with an interruption before, at the same row."""
    start = simulate(scheme=scheme).evals["train_loss"][0]
    for number, arguments in enumerate(
        (
            {"step_size": 3.0, "updates": 400, "eval_every": 0},
            {"target_loss": 0.75 * start, "updates": 200},
            {"target_loss": 0.75 * start, "eval_every": 0},
            {"max_seconds": 10.0},
        )
    ):
        expected, out = (tmp_path / f"{number}{name}.h5" for name in ("whole", "run"))
        whole = simulate(scheme=scheme, out=expected, **arguments)
        done = share if whole.status == "timed-out" else share * whole.evals["step"][-1] / whole.config["updates"]
        run = interrupted(done, simulate, scheme=scheme, out=out, threads=2, **arguments)
        assert run.status == "interrupted"
        assert ab.resume(run, problem=quadratic()).status == whole.status != "finished"
        assert_same_contents(out, expected)


@pytest.mark.parametrize("scheme", ["lock-based", "synchronous", "hogwild", "lock-based(buffer=3, discard_after=2)"])
def test_an_interruption_and_divergence_in_one_moment(scheme, monkeypatch):
    whole = simulate(scheme=scheme, step_size=3.0, updates=400, eval_every=0)
    keep, now = Replayer._keep_divergence, []

    def overwritten(self):
        if self.replay.control[STOP] == DIVERGED:
            self.replay.control[STOP] = INTERRUPTED  # it came first
            now.append(1)
        keep(self)

    monkeypatch.setattr(Replayer, "_keep_divergence", overwritten)
    assert_same_runs(simulate(scheme=scheme, step_size=3.0, updates=400, eval_every=0), whole)
    assert now


# --- longer runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", FEW)
def test_a_finished_run_is_extended(scheme, tmp_path):
    expected, out = tmp_path / "whole.h5", tmp_path / "run.h5"
    simulate(scheme=scheme, out=expected, **{**arguments_of(scheme), "updates": 75})
    run = simulate(scheme=scheme, out=out, **arguments_of(scheme))
    for updates in (67, 75):
        run = ab.resume(run, updates=updates, problem=quadratic())
    assert run.status == "finished"
    assert_same_contents(out, expected)


def test_an_interrupted_run_is_extended(interrupted, tmp_path):
    out = tmp_path / "run.h5"
    run = interrupted(0.5, simulate, out=out, **ARGUMENTS)
    assert checkpoint_path(out).exists()

    def look(evaluation):
        assert not checkpoint_path(out).exists(), "it is of a run of another length"

    ab.resume(run, updates=75, problem=quadratic(), on_eval=look)
    simulate(out=tmp_path / "whole.h5", **{**ARGUMENTS, "updates": 75})
    assert_same_contents(out, tmp_path / "whole.h5")


def test_more_time(tmp_path):
    run = simulate(out=tmp_path / "run.h5", max_seconds=8.0, **ARGUMENTS)
    assert run.status == "timed-out"
    with pytest.raises(ab.UsageError, match="give a larger total, max_seconds"):
        ab.resume(run, problem=quadratic())
    simulate(out=tmp_path / "whole.h5", max_seconds=12.0, **ARGUMENTS)
    ab.resume(run, max_seconds=12.0, problem=quadratic())
    assert_same_contents(tmp_path / "run.h5", tmp_path / "whole.h5")


def test_a_run_that_converged_goes_on_to_its_total(tmp_path):
    whole = simulate(**ARGUMENTS)
    arguments = {**ARGUMENTS, "target_loss": float(whole.evals["train_loss"][3])}
    run = simulate(out=tmp_path / "run.h5", **arguments)
    reached = run.attributes["target_step"], run.attributes["target_seconds"]
    assert run.status == "converged"
    run = ab.resume(run, problem=quadratic())
    assert_same_runs(run, whole)
    assert (run.attributes["target_step"], run.attributes["target_seconds"]) == reached


def test_without_a_file_of_the_problem_s_own_it_is_built(tmp_path, interrupted):
    arguments = {"timing": "lognormal(mean=1, cv=0.5)", "batch_size": 2, "seed": 5, "updates": 40, "eval_every": 10}
    problem = ab.problems.quadratic([1.0, 5.0], noise=0.1, samples=64)
    expected, out = tmp_path / "whole.h5", tmp_path / "run.h5"
    ab.simulate(problem, "leashed", "inverse", 6, out=expected, **arguments)
    interrupted(0.4, ab.simulate, problem, "leashed", "inverse", 6, out=out, **arguments)
    assert ab.resume(out).status == "finished"
    assert_same_contents(out, expected)


# --- what cannot go on ---------------------------------------------------------------------------------------------


def test_what_cannot_go_on_is_said_and_left_alone(tmp_path, interrupted):
    problem = quadratic()
    finished = simulate(out=tmp_path / "finished.h5")
    diverged = simulate(out=tmp_path / "diverged.h5", step_size=3.0, updates=400)
    one = interrupted(0.5, simulate, out=tmp_path / "one.h5", **ARGUMENTS)
    other = interrupted(0.3, simulate, out=tmp_path / "other.h5", **{**ARGUMENTS, "seed": 4})
    real = train(problem, "lock-based", updates=40, out=tmp_path / "real.h5")
    save_checkpoint(tmp_path / "bare.h5", {"params": np.zeros(3)}, {"version": 3})
    replayed = ab.replay(finished, problem, out=tmp_path / "replayed.h5")
    (tmp_path / "apart").mkdir()
    for name, checkpoint in (
        ("apart/stranger", checkpoint_path(other.path).read_bytes()),
        ("damaged", checkpoint_path(one.path).read_bytes()[:5000]),
        ("apart/of train", checkpoint_path(tmp_path / "bare.h5").read_bytes()),
    ):
        shutil.copy(one.path, tmp_path / f"{name}.h5")
        checkpoint_path(tmp_path / f"{name}.h5").write_bytes(checkpoint)
    for name in ("state", "operations"):
        shutil.copy(one.path, tmp_path / f"{name}.h5")
        shutil.copy(checkpoint_path(one.path), checkpoint_path(tmp_path / f"{name}.h5"))
        with h5py.File(checkpoint_path(tmp_path / f"{name}.h5"), "r+") as file:
            if name == "operations":
                file.attrs[name] = 10**9
            else:
                cut = file[name][:1]
                del file[name]
                file[name] = cut
    held = {path: path.read_bytes() for path in tmp_path.glob("**/*.*")}
    for path, arguments, error, message in (
        (finished.path, {}, ab.UsageError, "has 60 updates, and the total is 60: give a larger total"),
        (finished.path, {"updates": 50}, ab.UsageError, "has 60 updates, and the total is 50"),
        (diverged.path, {"updates": 500}, ab.UsageError, "diverged at update .* smaller step_size"),
        (one.path, {"problem": None}, ab.UsageError, r"your own, custom\(pull\): build it in Python and pass it"),
        (one.path, {"problem": counting(50)}, ab.UsageError, "other problem"),
        (one.path, {"problem": quadratic(dtype=np.float64)}, ab.UsageError, "other dtype"),
        (one.path, {"rule": ab.tail()}, ab.UsageError, "rule is tail.*has tail.*start="),
        (replayed.path, {"updates": 90}, ab.UsageError, "is of kind replay: only runs of train and simulate"),
        (tmp_path / "apart/stranger.h5", {}, ab.RecordError, r"stranger.h5.checkpoint is of another run \(.*, not"),
        (tmp_path / "state.h5", {}, ab.RecordError, r"is damaged: its state is float32 of shape \(1, 50\); remove"),
        (tmp_path / "operations.h5", {}, ab.RecordError, "is damaged: its operations is 1000000000, of at most"),
        (tmp_path / "damaged.h5", {}, ab.RecordError, "cannot be read: .* remove it to start the run again"),
        (tmp_path / "apart/of train.h5", {}, ab.RecordError, "comes after 3 updates that this file does not hold"),
    ):
        with pytest.raises(error, match=message):
            ab.resume(path, **{"problem": problem, **arguments})
    assert {path: path.read_bytes() for path in tmp_path.glob("**/*.*")} == held
    assert real.status == "finished"


def test_without_its_checkpoint_it_begins_again(tmp_path, interrupted, whole):
    run = interrupted(0.5, simulate, out=tmp_path / "run.h5", **ARGUMENTS)
    checkpoint_path(run.path).unlink()
    ab.resume(run, problem=quadratic())
    assert_same_contents(run.path, whole("lock-based"))


# --- killed runs ---------------------------------------------------------------------------------------------------

KILLED = [
    *((scheme, 0.35 + 0.05 * number) for number, scheme in enumerate(FEW)),
    ("lock-based", 0.01),
    ("hogwild", 1.0),
    ("again", 0.9),
]


def serve(folder):
    """Run all trials; say how each ended."""
    for scheme in FEW:
        simulate(scheme=scheme, **arguments_of(scheme))
    for thread in threading.enumerate():
        assert thread is threading.main_thread(), "a fork would lose the other threads"
    for number, trial in enumerate(KILLED):
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            be_killed(Path(folder) / f"{number}.h5", *trial)
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def be_killed(out, scheme, share):
    """Simulate, with a checkpoint at every stop, up to this share of all operations."""
    replayer.CHECKPOINT_SECONDS = replayer.FLUSH_SECONDS = 0.0
    patch = pytest.MonkeyPatch()
    if scheme == "again":  # it has gone on before
        with patch.context() as first:
            broken(first, 0.4, press)
            simulate(scheme="hogwild", out=out, **arguments_of("hogwild"))
    broken(patch, share, lambda: os.kill(os.getpid(), signal.SIGKILL))
    if scheme == "again":
        ab.resume(out, problem=quadratic())
    simulate(scheme=scheme, out=out, threads=2, **arguments_of(scheme))


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    done = python(__file__, folder, check=False, environment=WITHOUT_THREADS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(KILLED)
    return folder


@pytest.mark.parametrize("number", range(len(KILLED)), ids=[" ".join(map(str, trial)) for trial in KILLED])
def test_a_killed_run_goes_on_from_its_checkpoint(killed, number, whole):
    (scheme, share), out = KILLED[number], killed / f"{number}.h5"
    scheme = "hogwild" if scheme == "again" else scheme
    run, checkpoint = ab.load_run(out), load_checkpoint(out)
    assert run.status == "running"
    assert (checkpoint is None) == (share < 0.05)
    if checkpoint is not None:
        assert len(run.updates["loss"]) >= checkpoint.attributes["rows"]
    assert ab.resume(out, problem=quadratic()).status == "finished"
    assert_same_contents(out, whole(scheme))
    assert [path.name for path in killed.glob(f"{number}.h5*")] == [out.name]


if __name__ == "__main__":
    serve(sys.argv[1])


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "synchronous(wait_for=3)"])
def test_a_long_stretch_without_evaluations_is_paused_for_checkpoints(scheme, tmp_path, monkeypatch):
    arguments = {"scheme": scheme, "eval_every": 0, "momentum": 0.9}
    simulate(out=tmp_path / "whole.h5", **arguments)
    saved, carry_out = [], ReplayThreads.carry_out

    def carry_out_a_little(self, until, meanwhile):
        carry_out(self, min(until, int(self._replay.control[DONE]) + 7), meanwhile)

    def keep(path, arrays, attributes, owner):
        save_checkpoint(path, arrays, attributes, owner)
        saved.append(attributes["operations"])
        if len(saved) == 5:
            shutil.copy(path, tmp_path / "killed.h5")
            shutil.copy(checkpoint_path(path), checkpoint_path(tmp_path / "killed.h5"))

    with monkeypatch.context() as patched:
        patched.setattr(ReplayThreads, "carry_out", carry_out_a_little)
        patched.setattr(writer, "save_checkpoint", keep)
        simulate(out=tmp_path / "paused.h5", **arguments)
    assert len(saved) >= 8
    assert saved == list(range(7, 7 * len(saved) + 1, 7))
    assert_same_contents(tmp_path / "whole.h5", tmp_path / "paused.h5")
    ab.resume(tmp_path / "killed.h5", problem=quadratic(), force=True)
    assert_same_contents(tmp_path / "whole.h5", tmp_path / "killed.h5")
