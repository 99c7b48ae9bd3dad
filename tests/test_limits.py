"""No test waits for ever: pyproject.toml limits each test, and every call that waits has a limit of its own."""

import ast
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest
from processes import LIMIT, ctrl_c_interrupts, in_threads, python, started, until

HERE = Path(__file__).parent
OF_THEIR_OWN = (
    "processes.py",
    "mutants.py",
    "models.py",
    "orderings.py",
    "fuzz.py",
    "failing_writes.py",
)  # start processes
WAITING = {"communicate", "wait", "join", "result", "acquire", "get"}  # without arguments, for ever


def waits_for_ever(call):
    """Whether a call gives no limit: str.join and dict.get take an argument, `communicate(input)` is no limit."""
    named = {keyword.arg for keyword in call.keywords}
    if not isinstance(call.func, ast.Attribute) or "timeout" in named:
        return False
    return call.func.attr == "communicate" or (call.func.attr in WAITING and not (call.args or named))


def without_limit(text):
    """The lines that may wait for ever: such calls, and processes started past tests/processes.py."""
    nodes = list(ast.walk(ast.parse(text)))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    imports = [node for node in nodes if isinstance(node, ast.Import)]
    lines = [call.lineno for call in calls if waits_for_ever(call)]
    return lines + [line.lineno for line in imports for name in line.names if name.name == "subprocess"]


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda path: path.name)
def test_what_waits_has_a_limit(path):
    text = path.read_text()
    if path.name in OF_THEIR_OWN:
        text = text.replace("import subprocess\n", "\n")
    assert path == Path(__file__) or without_limit(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("thread.join()", [1]),
        ("', '.join(words)\nthread.join(5)", []),
        ("future.result()\nfuture.result(timeout=5)", [1]),
        ("process.communicate('input')\nprocess.communicate(timeout=5)", [1]),
        ("queue.get()\nevent.wait()\nnames.get(3)", [1, 2]),
        ("import os, subprocess", [1]),
    ],
)
def test_a_call_without_a_limit_is_found(text, found):
    assert without_limit(text) == found


def test_each_test_has_a_limit_longer_than_what_it_waits_for():
    options = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["timeout"] > LIMIT


def test_a_process_ends_with_its_block():
    with started("-c", "import time; print('here', flush=True); time.sleep(1000)") as process:
        assert process.stdout.readline() == "here\n"
    assert process.returncode == -signal.SIGKILL


def test_a_process_that_takes_too_long_is_killed(monkeypatch):
    monkeypatch.setattr("processes.LIMIT", 0.1)
    with started("-c", "import time; time.sleep(1000)") as process:
        assert process.stdout.read() == ""
        assert process.wait(LIMIT) == -signal.SIGKILL
    with pytest.raises(subprocess.TimeoutExpired):
        python("-c", "import time; time.sleep(1000)")
    with pytest.raises(AssertionError, match="too long"):
        until(lambda: False)


def test_a_thread_that_fails_is_noticed():
    assert in_threads(lambda me: 2 * me, 3) == [0, 2, 4]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda me: 1 // me, 2)


@pytest.mark.parametrize("start", [python, started])
def test_sigint_interrupts_a_process_where_it_was_ignored(start):
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if start is python:
            assert python("-c", code).stdout == "True\n"
        else:
            with started("-c", code) as process:
                assert process.stdout.readline() == "True\n"
        with pytest.raises(KeyboardInterrupt), ctrl_c_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
