"""docs/extending/server.md: a scheme of one's own on MPI trains, resumes and replays, and says what it lacks."""

import sys
from pathlib import Path

import pytest
from mpi_runs import train
from pages import run_page
from problems import quadratic

import asapnb as ab
from asapnb.schemes import SCHEMES

pytest.importorskip("mpi4py")

FAULTY = '''"""Schemes that lack something."""

from asapnb.compiled import kernel
from asapnb.schemes import Scheme, register


@kernel()
def failing(shared, own, me, read_sum):
    raise ValueError("a fault of the step")


def plain(shared, own, me, read_sum):
    """It is not compiled."""


for loop in ("failing", "plain", "absent"):
    traits = {"__doc__": "Faulty.", "name": loop, "server_loop": f"my_faults:{loop}", "messages": True}
    register(type(loop.title(), (Scheme,), traits))
'''
OURS = ("gated", "failing", "plain", "absent")


def forget(comm=None, *, folder=None):
    """Take back what the page and its modules have defined; with a folder, let modules be found there instead."""
    for name in OURS:
        SCHEMES.pop(name, None)
    for module in ("my_server", "my_faults"):
        sys.modules.pop(module, None)
    sys.path[:] = [path for path in sys.path if not Path(path, "my_faults.py").exists()] + [folder] * bool(folder)


def faulty(comm, name):
    """Train with a scheme that lacks something."""
    import my_faults  # noqa: F401

    return train(comm, quadratic, scheme=name, updates=20)


@pytest.fixture
def ranks(request, tmp_path, monkeypatch):
    """Ranks that find modules in a folder, the working directory; what they define there is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    four = request.getfixturevalue("four")
    four.call(forget, folder=str(tmp_path))
    yield four
    four.call(forget)
    forget()


def test_the_page_runs(ranks):
    run_page("docs/extending/server.md", lambda: ranks)


def test_what_a_step_of_ones_own_lacks_is_an_error_on_all_ranks(ranks):
    Path("my_faults.py").write_text(FAULTY)
    for name, kind, message in (
        ("failing", (ValueError, ab.RankError), "a fault of the step"),
        ("plain", ab.UsageError, "plain in my_faults is not compiled: .* under @kernel"),
        ("absent", ab.UsageError, "there is no absent in my_faults"),
    ):
        ranks.begin(faulty, name, size=3)
        outcomes = ranks.outcomes()
        for outcome in outcomes:
            with pytest.raises(kind, match=message):
                raise outcome
