"""Callbacks and signals: the run does not wait for them, and whatever comes of them, its file is sound."""

import gc
import os
import signal
import threading
import time
import weakref
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from llvmlite.binding.ffi import lib
from naive import assert_rows_are_sound
from problems import quadratic, train
from processes import LIMIT, WITHOUT_THREADS, ctrl_c_interrupts, in_threads, python, started, until
from simulations import simulate

import asapnb as ab
from asapnb.engine import controller
from asapnb.engine.controller import Controller
from asapnb.record import checkpoint_path
from asapnb.signals import Terminated
from asapnb.training import apart
from asapnb.training.apart import abandonable
from asapnb.training.reporting import Hooks

ENDLESS = {"updates": 10**12, "eval_every": 1000, "step_size": 1e-6}


@contextmanager
def handled(number, handler):
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def no_thread_is_left():
    return until(lambda: not any(thread.name.startswith("asapnb") for thread in threading.enumerate()))


def test_a_run_does_not_wait_for_its_callbacks(stops_when):
    """The first callback returns when the run is at version 5000, which it would never be if it waited."""
    passed, seen = threading.Event(), []

    def enough(at_work):
        if at_work.totals.version >= 5000:
            passed.set()
        return at_work.totals.version >= 20_000

    def look(evaluation):
        assert passed.wait(LIMIT)
        seen.append(evaluation)

    stops_when(enough)
    run = train(quadratic(), "leashed", workers=2, on_eval=look, **ENDLESS)
    assert [evaluation.step for evaluation in seen] == run.evals["step"].tolist()
    assert no_thread_is_left()


def test_a_slow_report_gets_the_latest_state(stops_when, monkeypatch):
    monkeypatch.setattr(controller, "REPORT_SECONDS", -1.0)
    over, reports = threading.Event(), []

    def report(now):
        reports.append(now)
        assert over.wait(LIMIT)

    def enough(at_work):
        if at_work.totals.version < 10_000:
            return False
        over.set()
        return True

    stops_when(enough)
    run = train(quadratic(), "leashed", workers=2, progress=report, **{**ENDLESS, "eval_every": 0})
    assert reports[1].updates >= 10_000, "of those that it was too slow for, it gets the last"
    assert reports[-1].status == "interrupted"
    assert reports[-1].updates == run.updates["version"].max()


@pytest.mark.parametrize("lag", [1e9, 0.0])
def test_an_evaluation_is_told_before_the_report_that_has_it(monkeypatch, lag):
    monkeypatch.setattr(apart, "LAG", lag)
    told = []
    simulate(on_eval=lambda evaluation: told.append(evaluation.step), progress=told.append, eval_every=2)
    steps = [one for one in told if isinstance(one, int)]
    assert steps == list(range(0, 61, 2))
    for place, report in enumerate(told):
        if not isinstance(report, int):
            assert max(one for one in told[:place] if isinstance(one, int)) >= report.evaluation.step
    assert told[-1].status == "finished"


def test_callbacks_run_in_the_calling_thread():
    def run(me):
        seen = set()
        where = lambda now: seen.add(threading.current_thread())  # noqa: E731
        train(quadratic(), "leashed", updates=50, on_eval=where, progress=where)
        return seen == {threading.current_thread()}

    assert all(in_threads(run, 2))


@pytest.mark.parametrize("step", [0, 4, 60])
@pytest.mark.parametrize("kind", ["train", "simulate"])
def test_a_callback_that_raises_at_any_evaluation(kind, step, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "GRACE", LIMIT)

    def look(evaluation):
        if evaluation.step == step:
            raise LookupError("callback")

    arguments = {"updates": 60, "eval_every": 4, "on_eval": look, "out": tmp_path / "run.h5"}
    with pytest.raises(LookupError, match="callback"):
        train(quadratic(), "leashed", **arguments) if kind == "train" else simulate(**arguments)
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert_rows_are_sound(run)
    assert no_thread_is_left()
    if run.updates["version"].max(initial=0) < 60:
        assert ab.resume(run, problem=quadratic()).status == "finished"


@pytest.mark.parametrize("kind", ["train", "simulate"])
def test_a_run_ends_after_its_last_callback_has_stopped_it(kind, tmp_path, monkeypatch):
    stop = apart.Session.stop

    def slow(self, reason):
        time.sleep(0.05)  # in which a run that does not wait ends as finished
        stop(self, reason)

    def look(evaluation):
        if evaluation.step == 60:
            raise LookupError("callback")

    monkeypatch.setattr(apart, "GRACE", LIMIT)
    monkeypatch.setattr(apart.Session, "stop", slow)
    arguments = {"updates": 60, "eval_every": 4, "on_eval": look, "out": tmp_path / "run.h5"}
    with pytest.raises(LookupError, match="callback"):
        train(quadratic(), "leashed", **arguments) if kind == "train" else simulate(**arguments)
    assert ab.load_run(tmp_path / "run.h5").status == "failed"


def test_an_exception_out_of_a_signal_handler(tmp_path):
    def raises(number, frame):
        raise TimeoutError("the test took too long")

    def alarm(evaluation):
        if evaluation.step == 2000:
            signal.setitimer(signal.ITIMER_REAL, 1e-6)

    with handled(signal.SIGALRM, raises), pytest.raises(TimeoutError, match="too long"):
        train(quadratic(), "leashed", workers=2, out=tmp_path / "run.h5", on_eval=alarm, **ENDLESS)
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert_rows_are_sound(run)
    version = int(run.updates["version"].max())
    assert ab.resume(run, problem=quadratic(), updates=version + 10).status == "finished"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_handler_of_one_s_own_is_called(name):
    def mine(number, frame):
        raise InterruptedError("mine")

    def press(evaluation):
        signal.raise_signal(getattr(signal, name))

    with handled(getattr(signal, name), mine):
        with pytest.raises(InterruptedError, match="mine"):
            train(quadratic(), "leashed", on_eval=press, **ENDLESS)
        assert signal.getsignal(getattr(signal, name)) is mine


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_is_ignored_stays_ignored(name):
    number = getattr(signal, name)
    with handled(number, signal.SIG_IGN):
        run = train(quadratic(), "leashed", updates=60, on_eval=lambda evaluation: signal.raise_signal(number))
        assert signal.getsignal(number) is signal.SIG_IGN
    assert run.status == "finished"


@pytest.mark.parametrize("kind", ["train", "simulate"])
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_that_ends_the_process_ends_the_run_first(kind, name, code, tmp_path, in_step):
    number = getattr(signal, name)

    def press(evaluation):
        if evaluation.step >= 8:
            signal.raise_signal(number)

    make = partial(train, quadratic(), "leashed", **ENDLESS) if kind == "train" else simulate
    with handled(number, signal.SIG_DFL), pytest.raises(Terminated) as ended:
        make(out=tmp_path / "run.h5", on_eval=press)
    assert (ended.value.code, ended.value.run.status) == (code, "interrupted")
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "interrupted"
    assert_rows_are_sound(run)
    assert checkpoint_path(tmp_path / "run.h5").exists() == (kind == "simulate")


def test_the_second_ctrl_c_leaves_a_callback_and_hurries(tmp_path):
    """The final parameters are not evaluated, and the file is not copied; it can go on."""
    pressed = []

    def press(evaluation):
        if evaluation.step and not pressed:
            pressed.append(evaluation)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pressed.append("further than it should")

    with ctrl_c_interrupts():
        run = train(quadratic(), "leashed", out=tmp_path / "run.h5", on_eval=press, **ENDLESS)
    assert (run.status, len(pressed)) == ("interrupted", 1)
    assert_rows_are_sound(run)
    version = int(run.updates["version"].max())
    assert ab.resume(run, problem=quadratic(), updates=version + 10).status == "finished"


def test_ctrl_c_after_the_run_leaves_its_callbacks():
    over, called = threading.Event(), []

    def report(now):
        if now.status == "finished":
            over.set()

    def look(evaluation):
        called.append(evaluation.step)
        if evaluation.step == 4:
            until(lambda: all(session.over for session in apart._live))
            signal.raise_signal(signal.SIGINT)

    with ctrl_c_interrupts():
        run = train(quadratic(), "leashed", updates=60, eval_every=4, on_eval=look, progress=report)
    assert (run.status, called) == ("finished", [0, 4])
    assert not over.is_set()


def test_a_signal_between_the_file_and_the_workers(tmp_path, monkeypatch):
    init = Controller.__init__

    def interrupted(self, *arguments, **named):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        init(self, *arguments, **named)

    monkeypatch.setattr(Controller, "__init__", interrupted)
    with ctrl_c_interrupts():
        run = train(quadratic(), "leashed", out=tmp_path / "run.h5", **ENDLESS)
    assert run.status == "interrupted"


def test_no_row_is_lost_between_ring_and_writer(monkeypatch):
    append, errors, found = ab.record.RunWriter.append_updates, [MemoryError("rows")], []
    finish = ab.record.RunWriter.finish

    def fails_once(self, rows):
        if errors and len(rows):
            raise errors.pop()
        append(self, rows)

    monkeypatch.setattr(ab.record.RunWriter, "append_updates", fails_once)
    monkeypatch.setattr(
        ab.record.RunWriter, "finish", lambda self, *a, **k: found.append(finish(self, *a, **k)) or found[0]
    )
    with pytest.raises(MemoryError, match="rows"):
        train(quadratic(), "leashed(persistence=0)", workers=2, **ENDLESS)
    assert_rows_are_sound(found[0])


RUN = """
import signal, sys, threading
import asapnb as ab
from problems import quadratic
def run():
    ab.train(quadratic(), "leashed", workers=2, updates={updates}, eval_every=100, step_size=1e-6, batch_size=5,
             out={out!r}, on_eval=lambda evaluation: evaluation.step and began.set())
began = threading.Event()
"""
IN_A_THREAD = "threading.Thread(target=run, daemon={daemon}).start(); began.wait(); {end}"


@pytest.mark.parametrize("end", ["sys.exit(5)", "signal.raise_signal(signal.SIGINT)"])
@pytest.mark.parametrize("daemon", [True, False])
def test_the_main_thread_ends_before_the_run(daemon, end, tmp_path):
    out = str(tmp_path / "run.h5")
    code = RUN.format(out=out, updates=10**12 if daemon else 5000) + IN_A_THREAD.format(daemon=daemon, end=end)
    done = python("-c", code, check=False)
    assert done.returncode == (5 if "exit" in end else -signal.SIGINT), done.stderr
    run = ab.load_run(out)
    assert run.status == ("interrupted" if daemon else "finished")
    assert_rows_are_sound(run)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_command_ends_with_the_code_of_its_signal(name, code, tmp_path):
    out, number = tmp_path / "run.h5", getattr(signal, name)
    flags = ["--problem", "mlp(hidden=[8])", "--epochs", 100_000, "-o", out]
    shell = f"import signal; signal.signal(signal.{name}, signal.SIG_DFL); from asapnb.cli import main; main()"
    with started("-c", shell, "train", *flags) as process:
        until(lambda: out.exists() and len(ab.load_run(out).updates["tau"]))
        process.send_signal(number)
        _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == code, said
    assert f"{out} holds what was done. To continue: asapnb resume {out}" in said
    assert "Traceback" not in said
    run = ab.load_run(out)
    assert run.status == "interrupted"
    assert_rows_are_sound(run)


def forked(act):
    """The exit code of a forked child that calls `act`."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(LIMIT)
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_run_in_a_forked_child(tmp_path):
    """After a run of its parent it works; during one it is refused, and signals end the child as they should."""
    train(quadratic(), "leashed", updates=20)
    codes = []

    def run():
        assert train(quadratic(), "leashed", updates=60, out=tmp_path / "child.h5").status == "finished"

    def refused():
        with pytest.raises(ab.UsageError, match="forked while a run was going on"):
            train(quadratic(), "leashed", updates=60)
        assert signal.getsignal(signal.SIGTERM) is before
        np.testing.assert_equal(signal.getsignal(signal.SIGINT), signal.default_int_handler)

    def fork(now):
        if now.step == 0:
            with held_elsewhere(lib._lock):  # as by a thread of the run that is still compiling
                codes.append(forked(refused))

    codes.append(forked(run))
    before = signal.getsignal(signal.SIGTERM)
    with ctrl_c_interrupts():
        train(quadratic(), "leashed", updates=60, on_eval=fork)
    assert codes == [0, 0]


@contextmanager
def held_elsewhere(lock):
    """While another thread holds the lock."""
    taken, over = threading.Event(), threading.Event()

    def hold():
        with lock:
            taken.set()
            over.wait(LIMIT)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert taken.wait(LIMIT)
        yield
    finally:
        over.set()
        thread.join(LIMIT)


def test_a_forked_child_that_returns_from_a_callback_is_told(tmp_path):
    parent, children = os.getpid(), []

    def fork(evaluation):
        if not children:
            children.append(os.fork())
            signal.alarm(0 if children[0] else LIMIT)

    try:
        train(quadratic(), "leashed", updates=60, out=tmp_path / "run.h5", on_eval=fork)
    except ab.UsageError as error:
        if os.getpid() != parent:
            os._exit(3 if "forked while a run" in str(error) else 4)
    finally:
        if os.getpid() != parent:
            os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 3
    assert ab.load_run(tmp_path / "run.h5").status == "finished"


def test_ctrl_c_is_answered_while_compiled_code_works():
    """The function ends after Ctrl-C has been answered: otherwise both would wait for ever."""
    answered, ended = threading.Event(), threading.Event()

    def work():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        try:
            assert answered.wait(LIMIT)
            while True:
                pass
        finally:
            ended.set()

    with ctrl_c_interrupts(), pytest.raises(KeyboardInterrupt):
        abandonable(work)
    answered.set()
    assert ended.wait(LIMIT), "an abandoned thread goes on for ever"


def test_short_runs_under_load():
    """Five of the thousand of `make stress`."""
    done = python(Path(__file__).with_name("stress.py"), "--runs", 5, environment=WITHOUT_THREADS, check=False)
    assert done.returncode == 0, done.stderr
    assert sum(int(line.split()[0]) for line in done.stdout.splitlines()) == 5


def test_what_has_run_apart_is_freed_at_once_though_it_keeps_a_hook():
    class Work:
        def run(self, session):
            self.failure = session.hooks.failure

    work = Work()
    freed = weakref.ref(work)
    gc.disable()
    try:
        apart.apart(work.run, Hooks())
        del work
        assert freed() is None
    finally:
        gc.enable()
