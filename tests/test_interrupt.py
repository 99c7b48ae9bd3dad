"""Kill and Ctrl-C at random moments, drawn from the number of the trial: real processes with real files.

Run as a script, this file compiles once and then forks a process for each trial, told by a line of JSON on stdin.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from naive import assert_rows_are_sound
from problems import counting, quadratic
from processes import LIMIT, WITHOUT_THREADS, python, until

import asapnb as ab
from asapnb.engine import controller
from asapnb.record import checkpoint_path
from asapnb.record.files import part_of
from asapnb.record.owner import beside

KILLS, INTERRUPTS = 8, 12  # `make kills` has 100 of each signal
SCHEMES = ["leashed", "lock-based", "hogwild", "synchronous", "leashed(persistence=0)", "sequential"]
N = 5000  # parameters: enough that updates take a while
FLUSH_SECONDS = 0.02  # fifty times as often as usual, so that many kills fall into an append


def serve():
    """Run the trials given, one after the other; say how each ended."""
    for scheme in SCHEMES:
        ab.train(counting(N), scheme, workers=1, updates=10)
    ab.train(quadratic(500), updates=10)
    assert threading.active_count() == 1, "a fork would lose the other threads"
    for line in sys.stdin:
        trial = json.loads(line)
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            be_killed(trial) if trial["signal"] == signal.SIGKILL else be_interrupted(trial, said)
        os.close(said)
        if trial["signal"] == signal.SIGINT:
            os.read(heard, 1)
        until(lambda trial=trial: rows_in(trial["out"]) >= trial["rows"])
        time.sleep(trial["delay"])
        os.kill(child, trial["signal"])
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        os.close(heard)


def rows_in(path):
    return len(ab.load_run(path).updates["tau"]) if os.path.exists(path) else 0


def be_killed(trial):
    controller.FLUSH_SECONDS = FLUSH_SECONDS
    ab.train(
        quadratic(500),
        trial["scheme"],
        workers=trial["workers"],
        updates=10**12,
        step_size=1e-6,
        eval_every=50,
        out=trial["out"],
    )


def be_interrupted(trial, said):
    """Train beside two busy threads; `said` hears when enough updates have been made."""
    done = []

    def be_busy():
        while not done:
            pass

    def tell(report):
        if report.updates >= trial["step"]:
            os.write(said, b".")

    sys.setswitchinterval(5e-4)  # or the busy threads would make the start of 64 others take a second
    for _ in range(2):
        threading.Thread(target=be_busy, daemon=True).start()
    run = ab.train(
        counting(N),
        trial["scheme"],
        workers=trial["workers"],
        updates=10**12,
        step_size=1.0,
        eval_every=1000,
        divergence_factor=1e30,
        out=trial["out"],
        progress=tell,
    )
    done.append(run)
    os._exit(run.status != "interrupted")  # to tear down all that was compiled takes longer than the run


def run_trials(trials):
    """The exit code of each trial."""
    told = "\n".join(map(json.dumps, trials))
    done = python(__file__, input=told, check=False, environment=WITHOUT_THREADS)
    assert (done.returncode, done.stderr) == (0, "")
    return list(map(int, done.stdout.split()))


def trial(number, kind, folder, **more):
    scheme = SCHEMES[number % len(SCHEMES)]
    random = np.random.default_rng([kind, number])
    (folder / str(number)).mkdir()
    return {
        "signal": kind,
        "scheme": scheme,
        "workers": 1 if scheme == "sequential" else 8 if number % 7 else 64,
        "delay": random.uniform(0, 0.2),
        "rows": 0,
        "out": str(folder / str(number) / "run.h5"),
        **more,
    }


def at_work(number):
    """Whether the run of a trial is well on its way when its delay begins; the other half are just starting."""
    return number // len(SCHEMES) % 2 == 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    trials = [trial(i, signal.SIGKILL, folder, rows=1000 * at_work(i)) for i in range(KILLS)]
    return list(zip(trials, run_trials(trials), strict=True))


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_keeps_what_was_flushed(killed, number):
    trial, code = killed[number]
    assert code == -signal.SIGKILL
    out = Path(trial["out"])
    others = (out, checkpoint_path(out), beside(out, ".lock"))  # the lock file of a killed owner bars nobody
    left = [path.name for path in out.parent.iterdir() if path not in others]
    assert left in ([], [part_of(out).name]), left
    if not out.exists():
        assert trial["rows"] == 0
        return
    with h5py.File(out, "r") as file:  # as anybody reads it
        whole = min(len(column) for column in file["updates"].values())
        rows = {name: column[:whole] for name, column in file["updates"].items()}
        evaluated = min(len(column) for column in file["evals"].values())
        losses = file["evals/train_loss"][:evaluated]
    assert (rows["loss"] > 0).all()
    assert (rows["scale"] == 1).all()
    assert (losses > 0).all()
    run = ab.load_run(out)
    assert run.status == "running"
    assert len(run.updates["loss"]) >= trial["rows"]
    for name in rows:  # the columns hold whole chunks, and the tail the rows after them
        np.testing.assert_array_equal(run.updates[name][:whole], rows[name], err_msg=name)
    assert_rows_are_sound(run)
    with pytest.raises(ab.RecordError, match="no final parameters"):
        run.params["final"]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted")
    trials = [trial(i, signal.SIGINT, folder, step=1 * at_work(i)) for i in range(INTERRUPTS)]
    return list(zip(trials, run_trials(trials), strict=True))


@pytest.mark.parametrize("number", range(INTERRUPTS))
def test_ctrl_c_under_load_loses_no_row(interrupted, number):
    trial, code = interrupted[number]
    assert code == 0
    assert [path.name for path in Path(trial["out"]).parent.iterdir()] == ["run.h5"]
    run = ab.load_run(trial["out"])
    assert run.status == "interrupted"
    assert_rows_are_sound(run)
    last = run.updates["version"].max(initial=0)
    assert run.evals["step"][-1] == last
    if trial["scheme"] != "hogwild":
        np.testing.assert_array_equal(run.params["final"], np.full(N, last, np.float32))


if __name__ == "__main__":
    serve()
