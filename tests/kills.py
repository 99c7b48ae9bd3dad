"""Signals at random moments of every phase of a run: the file must open, hold what was flushed, and go on.

A server compiles once and forks a process for each trial. The process says when its phase begins; after a random
delay comes the signal; a second process looks at what is left and goes on with it. `make kills` calls this.

    python tests/kills.py --signals KILL,TERM,INT --trials 300 --seed 0
"""

import argparse
import faulthandler
import os
import random
import select
import signal
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from time import sleep
from types import SimpleNamespace

import numba
import numpy as np
from naive import assert_rows_are_sound
from problems import pull, quadratic

import asapnb as ab
from asapnb.engine import checkpoints, controller
from asapnb.problems.base import Problem
from asapnb.record import RunWriter
from asapnb.simulator import replayer
from asapnb.training.evaluation import Evaluator

LIMIT = 120  # seconds that a process of a trial may take
EXIT = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}
SCHEMES = ["leashed", "lock-based", "hogwild", "synchronous", "leashed(persistence=0)"]
UPDATES = 3000
PHASES: dict[str, tuple[list[tuple[object, str]], float, int]] = {
    # what a phase begins with, the seconds that it may take, and from how many of its times one is chosen
    "start": ([(Problem, "init")], 0.03, 1),
    "compile": ([(Problem, "compile")], 0.5, 1),
    "create": ([(RunWriter, "__init__")], 0.02, 1),
    "flush": ([(RunWriter, "flush")], 0.005, 20),
    "checkpoint": ([(RunWriter, "save_checkpoint")], 0.005, 5),
    "evaluation": ([(Evaluator, "evaluate")], 0.003, 20),
    "end": ([(RunWriter, "finish")], 0.05, 1),
    "reopen": ([(RunWriter, "reopen")], 0.03, 1),
}


def begin(trial: SimpleNamespace) -> ab.Run:
    """The run of a trial."""
    problem = quadratic(200)
    if trial.phase == "compile":  # a gradient that nobody has compiled
        problem = quadratic(200, gradient=numba.njit(pull.py_func))
    arguments = {"rule": "tail", "workers": 4, "step_size": 1e-6, "eval_every": 150, "out": trial.out}
    if trial.phase == "reopen":
        made = trial.make(problem, trial.scheme, updates=UPDATES // 2, **arguments)
        return ab.resume(made, problem=problem, updates=UPDATES)
    return trial.make(problem, trial.scheme, updates=UPDATES, **arguments)


def after(owner: object, name: str, hear: Callable[..., None], *, before: bool = False) -> None:
    """Call `hear` with what a function gets and returns, each time that it has been, or is, called."""
    function = getattr(owner, name)

    @wraps(function)
    def call(*arguments: object, **named: object) -> object:
        if before:
            hear(None, *arguments)
        found = function(*arguments, **named)
        if not before:
            hear(found, *arguments)
        return found

    setattr(owner, name, call)


def be_hit(trial: SimpleNamespace, said: int) -> int:
    """In a process: run, and say when the phase begins (!) and how many rows each flush has left in the file."""
    controller.FLUSH_SECONDS = replayer.FLUSH_SECONDS = 0.003
    checkpoints.CHECKPOINT_SECONDS = replayer.CHECKPOINT_SECONDS = 0.01
    times, appended = 0, 0

    def phase_begins(*_: object) -> None:
        nonlocal times
        times += 1
        if times == trial.time:
            os.write(said, b"!\n")

    def rows_appended(_: object, writer: object, group: str, rows: np.ndarray, *_more: object) -> None:
        nonlocal appended
        appended += len(rows) if group == "updates" else 0

    def flushed(whole: object, *_: object) -> None:
        if whole:
            os.write(said, f"{appended}\n".encode())

    after(RunWriter, "append", rows_appended)
    after(RunWriter, "flush", flushed)
    for owner, name in PHASES[trial.phase][0]:
        after(owner, name, phase_begins, before=True)
    try:
        begin(trial)
    except KeyboardInterrupt:
        return EXIT[signal.SIGINT]
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def look(trial: SimpleNamespace, code: int, flushed: int, said: int) -> int:
    """In a process: check what is left, go on with it, and say what is wrong."""
    try:
        check(trial, code, flushed)
    except BaseException:
        os.write(said, traceback.format_exc()[-1500:].encode())
    return 0


def check(trial: SimpleNamespace, code: int, flushed: int) -> None:
    """AssertionError unless the file is sound and the run can go on."""
    assert code in (0, EXIT[trial.signal], -trial.signal), f"exit code {code}"
    if not trial.out.exists():
        assert flushed == 0, f"{flushed} rows had been flushed, and there is no file"
        return
    run = ab.load_run(trial.out)
    killed = trial.signal == signal.SIGKILL
    assert killed or code >= 0 or run.status == "finished", "the signal came before the run or after it"
    assert run.status in (("running", "finished", "interrupted") if killed else ("interrupted", "finished"))
    assert_rows_are_sound(run)
    if trial.phase == "reopen" and trial.make is ab.simulate:  # with another total, it is computed anew
        flushed = 0
    assert len(run.updates["tau"]) >= flushed, f"{len(run.updates['tau'])} rows of {flushed} that were flushed"
    version = int(run.updates["version"].max(initial=0))
    total = version + 50 if trial.make is ab.train else UPDATES
    goes_on = run.status != "finished" or total > version
    if goes_on:
        run = ab.resume(trial.out, problem=quadratic(200), updates=total, force=True)
        assert run.status == "finished"
        assert_rows_are_sound(run)
    if trial.make is ab.simulate:
        whole = SimpleNamespace(**{**vars(trial), "phase": "again", "out": None})
        assert run.params["final"].tobytes() == begin(whole).params["final"].tobytes()
    left = sorted(path.name for path in trial.out.parent.iterdir() if path != trial.out)
    assert not (left and goes_on), f"{left} are left by a run that went on to its end"


def forked(work: Callable[[int], int]) -> tuple[int, int]:
    """A process that does this work, and what it says: its number, and the end of a pipe."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        for number in EXIT.keys() - {signal.SIGKILL}:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        code = 99
        try:
            code = work(said)
        finally:
            os._exit(code)
    os.close(said)
    return child, heard


def heard_from(pipe: int, until: bytes = b"") -> bytes:
    """What comes through a pipe, up to its end or to a text."""
    found = b""
    while (not until or until not in found) and select.select([pipe], [], [], LIMIT)[0]:
        if not (more := os.read(pipe, 65536)):
            break
        found += more
    return found


def carried_out(trial: SimpleNamespace) -> tuple[str, str]:
    """How a trial ended, and what was wrong; "" if nothing was."""
    child, pipe = forked(partial(be_hit, trial))
    text = heard_from(pipe, b"!\n")
    sleep(trial.delay)
    ended = not text.endswith(b"!\n") and b"!\n" not in text
    os.kill(child, trial.signal)
    if trial.twice:
        sleep(trial.delay / 4)
        os.kill(child, trial.signal)
    text += heard_from(pipe)
    os.close(pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    flushed = max((int(line) for line in text.split() if line.isdigit()), default=0)
    child, pipe = forked(partial(look, trial, code, flushed))
    wrong = heard_from(pipe).decode()
    os.close(pipe)
    end = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "too late" if ended else f"exit {code}", wrong or ("" if end == 0 else f"looking at it: exit code {end}")


def make_trial(number: int, kind: signal.Signals, seed: int, folder: Path) -> SimpleNamespace:
    """A trial: its phase, moment, kind of run and scheme, from its number."""
    draw = random.Random(f"{seed}-{kind}-{number}")
    phase = list(PHASES)[number % len(PHASES)]
    place = folder / f"{kind.name}-{number}"
    place.mkdir()
    make, scheme = draw.choice([ab.train, ab.simulate]), draw.choice(SCHEMES)
    _, longest, times = PHASES[phase]
    return SimpleNamespace(
        phase=phase, signal=kind, out=place / "run.h5", make=make, scheme=scheme, time=draw.randint(1, times),
        delay=longest * draw.random(), twice=kind != signal.SIGKILL and draw.random() < 0.3,
    )  # fmt: skip


def main() -> int:
    """Carry out the trials, print what was found; returns 1 if anything was wrong."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--signals", default="KILL,TERM,INT")
    options.add_argument("--trials", type=int, default=100, help="of each signal")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    for scheme in SCHEMES:  # compiles
        for make in (ab.train, ab.simulate):
            make(quadratic(200), scheme, "tail", 4, updates=10)
    assert threading.active_count() == 1, "a fork would lose the other threads"
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in given.signals.split(","):
            ends: Counter[tuple[str, str]] = Counter()
            for number in range(given.trials):
                trial = make_trial(number, signal.Signals[f"SIG{name}"], given.seed, Path(folder))
                end, wrong = carried_out(trial)
                ends[trial.phase, end] += 1
                if wrong:
                    faults += 1
                    about = {key: str(value) for key, value in vars(trial).items()}
                    print(f"trial {number} of SIG{name}: {about}\n{wrong}", flush=True)
            print(f"SIG{name}: {given.trials} trials, {faults} faults so far", flush=True)
            for (phase, end), count in sorted(ends.items()):
                print(f"  {phase:12} {end:9} {count}", flush=True)
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
