"""Ctrl-C and kill: a real process, told to stop at a moment that it reports itself."""

import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import asapnb as ab

HERE = Path(__file__).parent
PROGRAM = """
import sys; sys.path.insert(0, sys.argv[1])
import asapnb as ab
from problems import quadratic

def tell(evaluation):
    if evaluation.step:
        print(evaluation.step, flush=True)

run = ab.train(quadratic(500), scheme=sys.argv[2], workers=8 if sys.argv[2] != "sequential" else 1, updates=10**12,
               step_size=1e-6, eval_every=200, out=sys.argv[3], on_eval=tell)
print(run.status, flush=True)
"""


def start(scheme, out):
    command = [sys.executable, "-c", PROGRAM, str(HERE), scheme, str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_lines(process, count):
    return [process.stdout.readline() for _ in range(count)]


@pytest.mark.parametrize(
    "scheme", ["sequential", "synchronous", "lock-based", "hogwild", "leashed", "leashed(persistence=0)"]
)
def test_ctrl_c_leaves_a_valid_run(scheme, tmp_path):
    out = tmp_path / "run.h5"
    with start(scheme, out) as process:
        read_lines(process, 3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines()[-1] == "interrupted"
    run = ab.load_run(out)
    assert run.status == "interrupted"
    applied = run.updates["dropped"] != 1
    version = run.updates["version"][applied]
    assert len(np.unique(version)) == version[-1] >= 600
    assert np.isfinite(run.params["final"]).all()


def test_a_killed_run_keeps_what_was_flushed(tmp_path):
    out = tmp_path / "run.h5"
    with start("leashed", out) as process:
        while True:
            read_lines(process, 1)
            with h5py.File(out, "r", locking=False) as file:
                flushed = min(len(column) for column in file["updates"].values())
            if flushed > 1000:
                break
        process.kill()
        process.communicate()
    run = ab.load_run(out)
    assert run.status == "running"
    rows = run.updates
    assert len(rows["version"]) >= flushed
    np.testing.assert_array_equal(rows["version"], np.arange(1, len(rows["version"]) + 1))
    np.testing.assert_array_equal(rows["tau"], rows["version"] - 1 - rows["read_version"])
    with pytest.raises(ab.RecordError, match="no final parameters"):
        run.params["final"]
