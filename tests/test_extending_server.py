"""docs/how-to/extending/server.md: its scheme on MPI trains, resumes and replays, and says what it lacks."""

import sys
from pathlib import Path

import numpy as np
import pytest
from mpi_runs import ByRank, train
from pages import run_page
from problems import quadratic
from test_mpi_runs import network

import asapnb as ab
from asapnb.schemes import SCHEMES
from asapnb.training import compiling

pytest.importorskip("mpi4py")

FAULTY = '''"""Schemes that lack something, and one that changes the scale."""

from asapnb.compiled import kernel
from asapnb.engine.loops.server import apply, choose, full
from asapnb.schemes import Scheme, register


@kernel()
def failing(shared, own, me, read_sum):
    raise ValueError("a fault of the step")


def plain(shared, own, me, read_sum):
    """It is not compiled."""


@kernel()
def halving(shared, own, me, read_sum):
    if not full(shared):
        choose(shared, own, read_sum)
        if own.row[0].batch % 3 == 0:
            own.row[0].scale *= 0.3
        apply(shared, own)


for loop in ("failing", "plain", "absent", "halving"):
    traits = {"__doc__": "Faulty.", "name": loop, "server_loop": f"my_faults:{loop}", "messages": True}
    register(type(loop.title(), (Scheme,), traits))


@register
class Optional(Scheme):
    """It has an option."""

    name = "optional"
    server_loop = "my_faults:halving"
    messages = True
    patience: int = 1
'''
OURS = ("gated", "failing", "plain", "absent", "halving", "optional")


def forget(comm=None, *, folder=None):
    """Take back what the page and its modules have defined; with a folder, let modules be found there instead."""
    for name in OURS:
        SCHEMES.pop(name, None)
    for module in ("my_server", "my_faults"):
        sys.modules.pop(module, None)
    sys.path[:] = [path for path in sys.path if not Path(path, "my_faults.py").exists()] + [folder] * bool(folder)


def faulty(comm, name, problem=quadratic):
    """Train with a scheme of that module."""
    import my_faults  # noqa: F401

    return train(comm, problem, scheme=name, updates=20)


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
    run_page("docs/how-to/extending/server.md", lambda: ranks)


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


def test_an_option_that_differs_between_ranks_is_named(ranks):
    Path("my_faults.py").write_text(FAULTY)
    ranks.begin(faulty, ByRank({1: "optional(patience=2)", None: "optional"}), size=3)
    for outcome in ranks.outcomes():
        with pytest.raises(ab.UsageError, match=r"its scheme is Optional\(patience=2\), and that of rank 0"):
            raise outcome


def test_a_step_of_another_size_is_replayed_to_the_bit_in_float32(ranks):
    Path("my_faults.py").write_text(FAULTY)
    run = ranks.call(faulty, "halving", network, size=3)[0]
    import my_faults  # noqa: F401

    rows = run.updates
    np.testing.assert_array_equal(rows["scale"], np.where(rows["batch"] % 3 == 0, np.float32(0.3), np.float32(1)))
    np.testing.assert_array_equal(ab.replay(run, network()).params["final"], run.params["final"])


def test_a_loop_of_a_script_is_compiled_here():
    assert compiling._marker(["asapnb.engine.team", "compile_loop", "__main__:work", "f4"]) is None
