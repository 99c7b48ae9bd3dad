"""Scripts of campaigns, which CI does not run, still work: a trial or two of each."""

import ctypes
import os
from types import SimpleNamespace

import failing_writes
import fuzz
import kills
import mutants
import pytest

import asapnb as ab
from asapnb.record import writer


@pytest.fixture
def own_process(monkeypatch):
    """A block at whose end is undone what trials change in their own process."""
    with monkeypatch.context() as changes:
        for module in (kills.controller, kills.replayer, kills.checkpoints):
            for name in {"FLUSH_SECONDS", "CHECKPOINT_SECONDS"} & vars(module).keys():
                changes.setattr(module, name, getattr(module, name))
        functions = [function for begins, _, _ in kills.PHASES.values() for function in begins]
        for owner, name in {(kills.RunWriter, "append"), *functions}:
            changes.setattr(owner, name, getattr(owner, name))
        changes.setattr(writer, "_PATIENCE", writer._PATIENCE)
        yield changes


@pytest.mark.parametrize(("phase", "make"), [("end", ab.simulate), ("reopen", ab.train)])
def test_kills(phase, make, tmp_path, own_process):
    """A trial without its signal says that its phase has begun, and how many rows are flushed."""
    trial = kills.make_trial(0, kills.signal.SIGTERM, 0, tmp_path)
    trial.phase, trial.make, trial.scheme, trial.time = phase, make, "leashed", 1
    code, said = what_is_said(lambda said: kills.be_hit(trial, said))
    own_process.undo()
    assert b"!" in said.split()
    kills.check(trial, code, max((int(word) for word in said.split() if word.isdigit()), default=0))


def what_is_said(work):
    """What a function returns, and what it writes into the pipe that it is given."""
    heard, said = os.pipe()
    with os.fdopen(heard, "rb") as pipe:
        with os.fdopen(said, "wb"):
            code = work(said)
        return code, pipe.read()


@pytest.mark.parametrize("kind", ["simulate", "resume"])
def test_failing_writes(kind, tmp_path, own_process, monkeypatch):
    """A trial in which no write fails; without the library, which must be loaded before all others."""
    library = SimpleNamespace(fail_in=lambda *_: None, calls_so_far=lambda: 7)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    trial = SimpleNamespace(kind=kind, out=tmp_path / "run.h5", first=-1, last=-1, error=0, half=0)
    assert what_is_said(lambda said: failing_writes.run(trial, said)) == (0, b"7\tin its place\t")


def test_fuzz(monkeypatch, tmp_path):
    """Also if its time is over before its process is ready, as on a busy machine: that tries one input."""
    monkeypatch.setattr(fuzz, "KEPT", tmp_path)
    count, faults = fuzz.campaign("scheme", 0, 10_000, limit=0)
    assert count > 0
    assert faults == {}


def test_mutants_finds_a_test_file_by_each_pattern():
    for package, patterns in mutants.PACKAGES.items():
        assert (mutants.ROOT / "asapnb" / package).is_dir()
        for pattern in patterns.split("|"):
            assert list(mutants.ROOT.glob(f"tests/test_{pattern}.py")), pattern
