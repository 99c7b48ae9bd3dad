"""How far a run is: shown by default in a notebook, never in a script unless it is asked for."""

import sys

import nbformat
import pytest
from nbclient import NotebookClient
from problems import quadratic

import asapnb as ab
from asapnb.config import run_config
from asapnb.training import watching
from asapnb.training.watching import in_notebook, watched

CELLS = [
    """
import asapnb as ab
problem = ab.problems.quadratic([1.0, 10.0])
seen = []
run = ab.simulate(problem, workers=2, updates=300, eval_every=1, on_eval=lambda one: seen.append(one.step))
seen == list(range(301))
""",
    "run",
    "from asapnb import plots\nplots.staleness([run])",
    "ab.replay(run, problem, progress=False).status",
    "calls = []\nab.train(problem, workers=1, updates=20, progress=calls.append).status, calls[-1].status",
    "ab.train(problem, workers=1, updates=10**7, eval_every=1000, on_eval=lambda one: one.step < 2000).status",
]


@pytest.fixture(scope="module")
def cells():
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    NotebookClient(made, timeout=300, kernel_name="python3").execute()
    return made.cells


def outputs(cell):
    return [(one.output_type, one.get("data", {})) for one in cell.outputs]


def test_a_notebook_shows_a_run_in_one_output_that_ends_as_a_line(cells):
    (kind, shown), (last, value) = outputs(cells[0])
    assert (kind, last, value["text/plain"]) == ("display_data", "execute_result", "True")
    assert shown["text/plain"].startswith("finished: 300 updates in ")
    assert " virtual s, " in shown["text/plain"]
    assert "train loss 0.0" in shown["text/plain"]
    assert len(shown["text/html"]) < 500


def test_a_run_is_shown_as_html(cells):
    ((kind, value),) = outputs(cells[1])
    assert kind == "execute_result"
    assert "<svg" in value["text/html"]
    assert value["text/plain"].startswith("<Run finished: 300 updates by 2 workers")


def test_figures_are_shown_without_pyplot(cells):
    ((kind, value),) = outputs(cells[2])
    assert (kind, 1000 < len(value["image/png"]) < 60_000) == ("execute_result", True)


def test_nothing_is_shown_when_it_is_not_wanted_or_progress_is_a_function(cells):
    assert [value["text/plain"] for _, value in outputs(cells[3])] == ["'finished'"]
    assert [value["text/plain"] for _, value in outputs(cells[4])] == ["('finished', 'finished')"]


def test_a_callback_stops_the_run_as_it_does_elsewhere(cells):
    (_, shown), (_, value) = outputs(cells[5])
    assert value["text/plain"] == "'stopped'"
    assert shown["text/plain"].startswith("stopped: ")


def test_scripts_show_nothing_unless_asked(capfd):
    assert not in_notebook()
    run = ab.simulate(quadratic(), workers=2, updates=20, eval_every=10)
    assert capfd.readouterr() == ("", "")
    ab.simulate(quadratic(), workers=2, updates=20, eval_every=10, progress=True)
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert (out, len(lines), lines[0].split()[:4]) == ("", 4, ["virt.", "s", "epoch", "upd/vs"])
    ab.replay(run, quadratic(), progress=True)
    assert "virt. s" in capfd.readouterr().err
    run_config({"problem": "quadratic([1, 2])", "workers": 1, "updates": 5}, progress=True)
    assert "   time  epoch   upd/s" in capfd.readouterr().err


def test_resumed_runs_are_shown_from_where_they_were(tmp_path, capfd):
    run = ab.train(quadratic(), "sequential", updates=20, out=tmp_path / "run.h5")
    ab.resume(run, updates=40, problem=quadratic(), progress=True)
    times = [line.split()[1] for line in capfd.readouterr().err.splitlines()[1:]]
    assert len(times) >= 2


@pytest.mark.parametrize("name", ["on_eval", "progress"])
def test_what_cannot_be_called_is_refused_before_anything_is_written(name, tmp_path):
    out = tmp_path / "run.h5"
    for start in (ab.train, ab.simulate):
        with pytest.raises(ab.UsageError, match=f"{name} is 'no function': must be a function of a"):
            start(quadratic(), updates=5, out=out, **{name: "no function"})
    run = ab.train(quadratic(), workers=1, updates=5)
    with pytest.raises(ab.UsageError, match=f"{name} is 3: must be a function"):
        ab.replay(run, quadratic(), out=out, **{name: 3})
    assert list(tmp_path.iterdir()) == []


class Shell:
    """Stands for the shell of a kernel; that of Colab inherits from Jupyter's."""


ZMQInteractiveShell = type("ZMQInteractiveShell", (Shell,), {})
TerminalInteractiveShell = type("TerminalInteractiveShell", (Shell,), {})
OfColab = type("Shell", (ZMQInteractiveShell,), {})


@pytest.mark.parametrize(
    ("shell", "found"),
    [(ZMQInteractiveShell(), True), (OfColab(), True), (TerminalInteractiveShell(), False), (None, False)],
)
def test_a_notebook_is_told_by_its_shell(shell, found, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", type("Module", (), {"get_ipython": staticmethod(lambda: shell)}))
    assert in_notebook() == found
    monkeypatch.setattr(watching.multiprocessing, "parent_process", lambda: "a parent")
    assert not in_notebook()


def test_a_display_that_fails_ends_no_run(monkeypatch):
    monkeypatch.setattr(sys.modules["asapnb.training.watching"]._Stderr, "show", lambda *given: 1 / 0)
    with pytest.warns(UserWarning, match="progress is not shown: ZeroDivisionError"):
        assert ab.train(quadratic(), workers=1, updates=20, progress=True).status == "finished"


def test_hooks_of_a_caller_stay_what_they_are():
    seen = []
    assert watched(None, None).progress is None
    assert watched(seen.append, False).on_eval == seen.append
    assert watched(None, seen.append).progress == seen.append
