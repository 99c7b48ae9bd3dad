"""Short runs, each ended at a random moment, with evaluations, refreshes and checkpoints: `make stress`.

All that a trial does follows from the seed and its number; when its signal comes is up to the machine, which a
busy thread loads. Each file must then be sound, and its status true.
"""

import argparse
import faulthandler
import os
import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
from naive import assert_rows_are_sound
from problems import quadratic
from processes import LIMIT, in_threads

import asapnb as ab
from asapnb.engine import checkpoints, controller
from asapnb.signals import Terminated, leaving

SCHEMES = ["leashed", "lock-based", "hogwild", "synchronous", "leashed(persistence=0)", "sequential"]
PLACES = ["main thread", "other thread", "forked child"]
ENDS = ["all updates", "time limit", "callback raises", "Ctrl-C", "two Ctrl-C", "SIGTERM"]
EXPECTED = {
    "all updates": {"finished"},
    "time limit": {"timed-out"},
    "callback raises": {"failed"},
    "Ctrl-C": {"interrupted"},
    "two Ctrl-C": {"interrupted"},
    "SIGTERM": {"interrupted"},
}
RAISED = {  # by the run, or just after it; what nobody here has sent, as the SIGTERM of `timeout`, ends the campaign
    "callback raises": LookupError,
    "Ctrl-C": KeyboardInterrupt,
    "two Ctrl-C": KeyboardInterrupt,
    "SIGTERM": Terminated,
}


def trial(number, seed, folder):
    """Make the run of a trial; returns where it ran, how it ended, and its status."""
    random = np.random.default_rng([seed, number])
    place, end = random.choice(PLACES), random.choice(ENDS)
    if place == "other thread":  # which receives no signals
        end = random.choice(ENDS[:3])
    out = Path(folder, f"{number}.h5")
    if place == "main thread":
        run_one(random, end, out)
    elif place == "other thread":
        in_threads(lambda me: run_one(random, end, out), 1)
    elif (child := os.fork()) == 0:
        code = 1
        try:
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            run_one(random, end, out)
            code = 0
        finally:
            os._exit(code)
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, f"trial {number}: its child failed"
    run = ab.load_run(out)
    assert run.status in EXPECTED[end], f"trial {number}, {place}, {end}: {run.status}"
    assert_rows_are_sound(run)
    assert [path for path in out.parent.iterdir() if path.suffix == ".part"] == []
    if run.status in ("interrupted", "failed"):
        version = int(run.updates["version"].max(initial=0))
        again = ab.resume(out, problem=quadratic(), updates=version + 20)
        assert again.status == "finished", f"trial {number}: gone on, {again.status}"
        assert_rows_are_sound(again)
    for path in out.parent.iterdir():
        path.unlink()
    return str(place), str(end), run.status


def run_one(random, end, out):
    """A run that ends so."""
    scheme = str(random.choice(SCHEMES))
    most = 20 if scheme == "synchronous" else 400  # whose rounds are slow where a core is shared
    workers, every = 1 if scheme == "sequential" else int(random.integers(2, 9)), int(random.integers(1, most))
    at, pause = int(random.integers(0, 30)), float(random.uniform(0, 0.05))
    seen, timers = [], []

    def look(evaluation):
        seen.append(evaluation)
        if end == "callback raises" and len(seen) > at:
            raise LookupError(end)
        if end in ("Ctrl-C", "two Ctrl-C", "SIGTERM") and not timers:
            number = signal.SIGTERM if end == "SIGTERM" else signal.SIGINT
            main = threading.main_thread().ident
            for i in range(1 + (end == "two Ctrl-C")):
                timers.append(threading.Timer(pause * (1 + i), signal.pthread_kill, (main, number)))
                timers[-1].start()

    ended = end == "all updates"
    try:
        with leaving():
            try:
                ab.train(
                    quadratic(),
                    scheme,
                    rule=f"tail(refresh=every({int(random.integers(1, 200))}))",
                    workers=workers,
                    step_size=1e-6,
                    batch_size=5,
                    updates=int(random.integers(1, 5 * most)) if ended else 10**12,
                    max_seconds=pause + 0.001 if end == "time limit" else None,
                    eval_every=every,
                    on_eval=look,
                    out=out,
                )
            finally:
                for timer in timers:
                    timer.cancel()
                    timer.join(LIMIT)
    except RAISED.get(end, ()):  # the second Ctrl-C may come after the end
        pass


def stress(runs, seed, say=lambda text: None):
    """Make so many trials; returns how often each place, end and status came."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    checkpoints.CHECKPOINT_SECONDS, controller.FLUSH_SECONDS = 0.005, 0.01
    for scheme in SCHEMES:
        ab.train(quadratic(), scheme, rule="tail", workers=1, updates=10)
    over = threading.Event()
    threading.Thread(target=be_busy, args=(over,), daemon=True).start()
    found = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs):
            found[trial(number, seed, folder)] += 1
            say(f"{number + 1} of {runs}")
    over.set()
    return found


def be_busy(over):
    while not over.is_set():
        np.linalg.norm(np.ones(300_000))  # mostly without the GIL


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for (place, end, status), count in sorted(stress(given.runs, given.seed).items()):
        print(f"{count:5} {place:13} {end:16} {status}")
