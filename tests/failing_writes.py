"""A write that fails, at every single write of a run: nothing is lost, and the run comes back.

There are 7,000 trials, several a second on an idle machine; `--every 20` tries one write in 20.
`failing_writes.c` makes a call that changes a file of the run's folder fail: once, or from then on; with no bytes or
half of them written. A process is forked for each. `make kills` calls this, where there is a C compiler.

    python tests/failing_writes.py --errors ENOSPC,EIO,EDQUOT,EROFS [--every 5]
"""

import argparse
import ctypes
import errno
import os
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from kills import LIMIT, forked, heard_from
from naive import assert_rows_are_sound
from problems import quadratic

import asapnb as ab
from asapnb.engine import checkpoints, controller
from asapnb.record import writer
from asapnb.simulator import replayer

UPDATES = 3000
KINDS = ("train", "simulate", "resume")


def begin(kind: str, out: Path) -> ab.Run:
    """The run of a trial, which is made with failing writes."""
    arguments = {"rule": "tail", "workers": 4, "step_size": 1e-6, "eval_every": 150, "out": out}
    if kind == "resume":
        return ab.resume(out, problem=quadratic(200), updates=UPDATES)
    make = ab.train if kind == "train" else ab.simulate
    return make(quadratic(200), "leashed", updates=UPDATES, **arguments)


def run(trial: SimpleNamespace, said: int) -> int:
    """In a process: make the run and check it; say how many calls there were, how it came back, and what is wrong."""
    controller.FLUSH_SECONDS = replayer.FLUSH_SECONDS = 0.003
    checkpoints.CHECKPOINT_SECONDS = replayer.CHECKPOINT_SECONDS = 0.01
    writer._PATIENCE = 0.2  # seconds; a disk that stays full is not waited for
    library, end, wrong = ctypes.CDLL(None), "refused", ""
    if trial.kind == "resume":
        ab.train(quadratic(200), "leashed", "tail", 4, 1e-6, updates=UPDATES // 2, eval_every=150, out=trial.out)
    before = trial.out.read_bytes() if trial.out.exists() else None
    where = str(trial.out.parent).encode()
    library.fail_in(where, ctypes.c_long(trial.first), ctypes.c_long(trial.last), trial.error, trial.half)
    try:
        with warnings.catch_warnings(record=True) as said_so:
            warnings.simplefilter("always")
            made = begin(trial.kind, trial.out)
        calls = library.calls_so_far()
        library.fail_in(b"", ctypes.c_long(-1), ctypes.c_long(-1), 0, 0)
        end = "in its place" if made.path == trial.out else "elsewhere" if made.path else "in memory"
        check(trial, made, [str(one.message) for one in said_so])
    except ab.RecordError:  # before anything began, for it is said that nothing is lost
        calls = library.calls_so_far()
        library.fail_in(b"", ctypes.c_long(-1), ctypes.c_long(-1), 0, 0)
        after = trial.out.read_bytes() if trial.out.exists() else None
        if before != after:
            wrong = f"refused, and the file has changed\n{traceback.format_exc()[-1500:]}"
    except BaseException:
        calls, wrong = library.calls_so_far(), traceback.format_exc()[-1500:]
    os.write(said, f"{calls}\t{end}\t{wrong}".encode())
    return 0


def check(trial: SimpleNamespace, made: ab.Run, warned: list[str]) -> None:
    """AssertionError unless the run is whole, where it says that it is."""
    assert made.status == "finished"
    assert len(made.updates["tau"]) == UPDATES
    assert_rows_are_sound(made)
    assert np.isfinite(made.params["final"]).all()
    assert made.evals["step"][-1] == UPDATES
    if made.path != trial.out:
        assert any(str(made.path or "in memory") in text for text in warned), warned
    if made.path is not None:
        again = ab.load_run(made.path)
        assert (again.status, len(again.updates["tau"])) == ("finished", UPDATES)
    if trial.out.exists():
        assert_rows_are_sound(ab.load_run(trial.out))


def carried_out(trial: SimpleNamespace) -> tuple[int, str, str]:
    """How many calls there were, where the run came back, and what is wrong."""
    trial.out.parent.mkdir()
    child, pipe = forked(partial(run, trial))
    calls, _, rest = heard_from(pipe).decode().partition("\t")
    os.close(pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end, _, wrong = rest.partition("\t")
    return int(calls or 0), end, wrong or ("" if code == 0 and calls else f"exit code {code}")


def main() -> int:
    """Carry out all trials and print what was wrong; returns 1 if anything was."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--errors", default="ENOSPC,EIO")
    options.add_argument("--kinds", default=",".join(KINDS))
    options.add_argument("--every", type=int, default=1, help="try every n-th write")
    given = options.parse_args()
    if "ASAPNB_FAILING_WRITES" not in os.environ:
        return again_with_library()
    for kind in KINDS[:2]:  # compiles
        with tempfile.TemporaryDirectory() as folder:
            begin(kind, Path(folder) / "run.h5")
    assert threading.active_count() == 1, "a fork would lose the other threads"
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kinds.split(","):
            planned = list(trials(kind, given.errors.split(","), given.every, Path(folder)))
            print(f"{kind}: {len(planned):,} trials", flush=True)
            for about, group in groupby(planned, key=lambda trial: trial.about):
                ends: Counter[str] = Counter()
                for trial in group:
                    end, wrong = carried_out(trial)[1:]
                    ends[end] += 1
                    if wrong:
                        faults += 1
                        print(f"{kind}, call {trial.first}, {about}: {end}\n{wrong}", flush=True)
                counts = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
                print(f"  {about}: {counts}; {faults} faults so far", flush=True)
    return min(faults, 1)


def trials(kind: str, errors: list[str], every: int, folder: Path) -> Iterator[SimpleNamespace]:
    """A trial for every call, error and way to fail."""
    whole = SimpleNamespace(kind=kind, out=folder / f"{kind}-whole" / "run.h5", first=-1, last=-1, error=0, half=0)
    calls = carried_out(whole)[0]
    for error in errors:
        for way in ("once", "from then on", "half of it"):
            for first in range(0, calls, every):
                out = folder / f"{kind}-{error}-{way}-{first}" / "run.h5"
                last = -1 if way == "from then on" else first
                failing = {"first": first, "last": last, "error": getattr(errno, error), "half": way == "half of it"}
                yield SimpleNamespace(kind=kind, out=out, about=f"{error}, {way}", **failing)


def again_with_library() -> int:
    """This script again, with the library loaded before all others."""
    with tempfile.TemporaryDirectory() as folder:
        library, source = f"{folder}/failing_writes.so", Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=LIMIT)
        environment = {**os.environ, "LD_PRELOAD": library, "ASAPNB_FAILING_WRITES": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, *sys.argv], env=environment, timeout=86400).returncode


if __name__ == "__main__":
    sys.exit(main())
