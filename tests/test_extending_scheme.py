"""docs/how-to/extending/scheme.md: a scheme from outside the package does all that the schemes of asapnb do."""

import dataclasses
import sys

import numpy as np
import pytest
from commands import printed
from naive import assert_rows_are_sound, recompute
from pages import ROOT, run_page
from problems import quadratic as quadratic_of

import asapnb as ab
from asapnb.schemes import SCHEMES, Scheme, parse_scheme, register, settings

QUADRATIC = quadratic_of(dtype=np.float64)  # as that of the page, whose loops it shares


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """What the page defines, in the folder of its files; the scheme is forgotten in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        patch.syspath_prepend(".")
        yield run_page("docs/how-to/extending/scheme.md")
    del SCHEMES["interval"]
    for module in ("my_loops", "my_schemes"):
        sys.modules.pop(module, None)


RUNS = {"train": ab.train, "simulate": ab.simulate}


@pytest.mark.parametrize("kind", RUNS)
def test_its_runs_are_sound_and_replay_to_the_bit(page, kind):
    given = {"workers": 6, "updates": 300, "eval_every": 100, "step_size": 0.02, "batch_size": 4}
    more = {"rule": "tail(refresh=every(50))", "momentum": 0.5, "momentum_kind": "shared", "weight_decay": 0.01}
    run = RUNS[kind](QUADRATIC, "interval(every=3)", **given, **more)
    assert run.status == "finished"
    if kind == "train":  # virtual time begins at 0
        assert_rows_are_sound(run)
    applied = run.updates["dropped"] != 1
    crossed = (run.updates["read_version"] + run.updates["tau"]) // 3 != run.updates["read_version"] // 3
    np.testing.assert_array_equal(crossed, ~applied)
    if kind == "simulate":
        assert crossed.any()
    np.testing.assert_array_equal(recompute(QUADRATIC, run), run.params["final"])
    np.testing.assert_array_equal(ab.replay(run, QUADRATIC).params["final"], run.params["final"])


def test_what_is_not_simulated_is_replayed_all_the_same(page):
    class Threads(type(parse_scheme("interval"))):
        """As `Interval`, without virtual time."""

        name = "threads"
        event_loop = None

    register(Threads)
    try:
        run = ab.train(QUADRATIC, "threads", workers=2, updates=100, step_size=0.02, batch_size=4)
        np.testing.assert_array_equal(ab.replay(run, QUADRATIC).params["final"], run.params["final"])
        for call in (ab.simulate, ab.forecast):
            with pytest.raises(ab.UsageError, match="the simulator does not have it; run it on real"):
                call(QUADRATIC, "threads", workers=2, updates=100)
        with pytest.raises(ab.UsageError, match="the simulator does not have it"):
            ab.schedule(1.0, "threads", workers=2, updates=100)
    finally:
        del SCHEMES["threads"]


def test_one_that_is_said_to_be_elastic_and_lets_nobody_wait_is_an_error(page, monkeypatch):
    monkeypatch.setattr(type(parse_scheme("interval")), "elastic", True)
    with pytest.raises(RuntimeError, match=r"worker [23] has read version 0, where it was not"):
        ab.simulate(QUADRATIC, "interval", workers="0:2, 50:4", updates=60, step_size=0.02, batch_size=4)


def test_the_command_line_takes_it_and_prints_it(page):
    what = ["--problem", "quadratic([1, 8])", "--scheme", "interval(every=4)", "-m", 3, "--batch", 1, "--updates", 40]
    assert "Interval(every=4), 3 workers" in printed("train", *what, "-o", "a.h5")
    assert "Interval(every=4)" in printed("simulate", *what, "-o", "b.h5")
    assert "dropped" in printed("simulate", "--staleness-only", *what[2:6], "--updates", 1000)
    assert "to the bit" in printed("replay", "a.h5")
    printed("resume", "a.h5", "--updates", 60)
    assert "60 updates" in printed("show", "a.h5")
    printed("plot", "b.h5", "--kind", "path", "-o", "path.png")
    printed("compare", "a.h5", "b.h5")


def test_a_scheme_of_several_gradients_a_version_whose_loop_does_not_add_them_up_is_an_error(page):
    class Pairs(type(parse_scheme("interval"))):
        """As `Interval`, and said to make a version of two gradients."""

        name = "pairs"

        def gradients(self, workers):
            return 2

        def sums(self, workers):
            return 1

    register(Pairs)
    try:
        with pytest.raises(RuntimeError, match="20 versions of 2 gradients each, and 0 gradients were added up"):
            ab.train(QUADRATIC, "pairs", workers=2, updates=20, step_size=0.02, batch_size=4)
    finally:
        del SCHEMES["pairs"]


def test_a_loop_that_does_not_hand_in_its_rows_is_an_error(monkeypatch):
    monkeypatch.setattr("asapnb.engine.rows.RowCollector._finished", lambda *_: np.empty(0, ab.record.UPDATES))
    with pytest.raises(RuntimeError, match="has made 20 versions, and handed in the rows of 0: see `hand_in`"):
        ab.train(QUADRATIC, workers=2, updates=20, step_size=0.02, batch_size=4)


# --- every scheme -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_has_loops_that_can_be_loaded_and_options_that_they_know(name):
    """A loop's constant of the name of an option stands where `settings` puts that option."""
    from asapnb.engine import words as engine
    from asapnb.simulator import words as simulator
    from asapnb.training.compiling import load

    scheme = SCHEMES[name]()
    assert parse_scheme(name) == parse_scheme(repr(scheme)) == scheme
    options = [field.name for field in dataclasses.fields(scheme)]
    assert len(settings(scheme)) == len(options)
    places = {scheme.worker_loop: engine, scheme.timed_loop: engine, scheme.server_loop: engine}
    for loop, words in {**places, scheme.event_loop: simulator}.items():
        if loop is not None:
            module = sys.modules[load(loop).py_func.__module__]
            for place, option in enumerate(options):
                assert getattr(module, option.upper(), words.SETTINGS + place) == words.SETTINGS + place


def test_the_loops_of_each_scheme_read_each_of_its_options():
    """Engine or simulator: an option that no loop looks at would do nothing."""
    from pathlib import Path

    from asapnb.training.compiling import load

    elsewhere = {"blocks": "pieces of a view, in the order of operations", "wait_for": "`Scheme.gradients`"}
    elsewhere |= {"interval": "`Scheme.intervals`, the gate", "adaptive": "`Scheme.adapts`, the controller"}
    elsewhere |= {"buffer": "`Scheme.gradients`", "table": "`Scheme.table_of`"}
    for scheme in SCHEMES.values():
        if scheme.__module__.startswith("asapnb."):
            loops = [load(loop).py_func for loop in scheme().loops if loop]
            texts = "".join(Path(loop.__code__.co_filename).read_text() for loop in loops)
            for field in dataclasses.fields(scheme):
                assert field.name in elsewhere or texts.count(f"[{field.name.upper()}]"), (scheme, field.name)


def test_every_scheme_is_exported_and_documented():
    page = (ROOT / "docs/explanation/schemes.md").read_text()
    for name, scheme in SCHEMES.items():
        if scheme.__module__.startswith("asapnb."):
            assert getattr(ab, scheme.__name__) is getattr(ab.schemes, scheme.__name__) is scheme
            assert f"| `{name}` | `{scheme.__name__}(" in page, f"docs/explanation/schemes.md has no row for {name}"


def test_a_scheme_that_is_defined_again_replaces_the_first_and_another_of_its_name_is_refused():
    try:
        first, second = register(lacking()), register(lacking(drops=True))
        assert [one for one in SCHEMES.values() if one in (first, second)] == [second]
        assert parse_scheme("lacking") == second()
        with pytest.raises(TypeError, match="there is a scheme 'lacking' already, in test_extending_scheme"):
            register(lacking(__module__="elsewhere"))
        with pytest.raises(TypeError, match=r"there is a scheme 'lock-based' already, in asapnb\.schemes\.builtin"):
            register(type("Lockbased", (Scheme,), {"__doc__": "Mine.", "name": "lockbased", "event_loop": "a:b"}))
    finally:
        del SCHEMES["lacking"]


def test_an_unknown_scheme_may_be_one_that_is_not_imported():
    with pytest.raises(
        ab.UsageError, match=r"unknown scheme 'my_schemes\.py:mine'.*once Python has imported its module"
    ):
        parse_scheme("my_schemes.py:mine(every=5)")
    with pytest.raises(ab.UsageError, match=r"Did you mean 'leashed'\?$"):
        parse_scheme("leashd")


def lacking(**traits):
    """A scheme with a doc string and a loop, but for these changes."""
    body = {"__doc__": "One of the test.", "name": "lacking", "event_loop": "a:b", **traits}
    return type("Lacking", (Scheme,), body)


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"name": None}, "needs a name"),
        ({"name": "other"}, "needs a name like its own"),
        ({"event_loop": None}, "needs a worker_loop, server_loop or event_loop"),
        ({"worker_loop": "a:b", "messages": True}, "instead of a worker_loop"),
        ({"server_loop": "a:b"}, "set messages = True"),
        ({"worker_loop": "work"}, "as 'module:function'"),
        ({"__doc__": None}, "needs a docstring"),
        ({"__annotations__": {"share": float}, "share": 0.5}, "option share of Lacking is <class 'float'>"),
        ({"__annotations__": {f"o{i}": int for i in range(9)}, **{f"o{i}": i for i in range(9)}}, "more than 8"),
    ],
)
def test_a_scheme_that_lacks_something_is_an_error_at_once(traits, message):
    with pytest.raises(TypeError, match=message):
        register(lacking(**traits))
    assert "lacking" not in SCHEMES
