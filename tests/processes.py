"""Child processes, threads and signals in tests. Everything that waits has a limit; nothing outlives its test."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager, suppress

LIMIT = 600  # seconds: far more than anything takes, also on a core that eight busy processes share
WITHOUT_THREADS = {"OPENBLAS_NUM_THREADS": "1"}  # which would not survive a fork
SHELL = ("-c", "from asapnb.cli import main; main()")
HERE = os.path.dirname(__file__)


def python(*arguments, **options):
    """Run Python with these arguments; it can import from the folder of tests."""
    return command(sys.executable, *arguments, **options)


def command(*words, check=True, environment=(), **options):
    """Run a program with these arguments, within the limit."""
    with ctrl_c_interrupts():
        return subprocess.run(
            [*map(str, words)],
            check=check,
            timeout=LIMIT,
            text=True,
            env={**os.environ, "PYTHONPATH": HERE, **dict(environment)},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )


@contextmanager
def started(*arguments, program=sys.executable, environment=(), **options):
    """Python with these arguments, in a process group that is killed after LIMIT seconds or when the block ends."""
    with ctrl_c_interrupts():
        process = subprocess.Popen(
            [program, *map(str, arguments)],
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": HERE, **dict(environment)},
            **{**dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE), **options},
        )
    with process:

        def kill():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(LIMIT, kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            kill()


@contextmanager
def ctrl_c_interrupts():
    """SIGINT raises KeyboardInterrupt, here and in processes started here; `nohup make test &` ignores it."""
    if threading.current_thread() is not threading.main_thread():  # which alone can set it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def until(condition, pause=0.01, limit=None):
    """Wait for what another thread or process does; returns what `condition` does."""
    deadline = time.monotonic() + (LIMIT if limit is None else limit)
    while not (found := condition()):
        assert time.monotonic() < deadline, "this took too long"
        time.sleep(pause)
    return found


def in_threads(function, count):
    """The results of `function(0)` … `function(count - 1)`, each called in a thread of its own."""
    results = [Future() for _ in range(count)]

    def call(me):
        try:
            results[me].set_result(function(me))
        except BaseException as error:
            results[me].set_exception(error)

    for me in range(count):
        threading.Thread(target=call, args=(me,), daemon=True).start()
    return [result.result(LIMIT) for result in results]
