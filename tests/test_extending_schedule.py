"""docs/how-to/extending/schedule.md: its schedule works by name and from its file, as those of asapnb do."""

import doctest
import pickle

import numpy as np
import pytest
from pages import run_page

import asapnb as ab
from asapnb.schedules import SCHEDULES, available, examples, parse_schedule


@pytest.fixture
def page(tmp_path, monkeypatch):
    """What the page defines, in the folder of its files; what it registers is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SCHEDULES, "cycle", None)
    del SCHEDULES["cycle"]
    return run_page("docs/how-to/extending/schedule.md")


def test_the_schedule_of_the_page_is_known_by_name_and_from_its_file(page):
    schedule = examples()["cycle"]
    assert available().keys() == examples().keys()
    assert parse_schedule(repr(schedule)) == schedule
    examples_run = doctest.DocTestRunner()
    for found in doctest.DocTestFinder().find(page["cycle"], "cycle", globs=dict(page)):
        examples_run.run(found)
    assert (examples_run.tries, examples_run.failures) == (1, 0)
    del SCHEDULES["cycle"]
    text = "my_schedules.py:cycle(period=50) * warmup(n=9)"
    loaded = parse_schedule(text)
    assert repr(loaded) == text
    assert pickle.loads(pickle.dumps(loaded)) == loaded == parse_schedule(text)
    arguments = {"workers": 4, "updates": 60, "batch_size": 1}
    made = ab.simulate(ab.problems.quadratic([1.0]), schedule=text, out="run.h5", **arguments)
    assert {piece.kind for piece in made.code} == {"schedule"}
    np.testing.assert_array_equal(ab.replay(made, schedule=text).updates["factor"], made.updates["factor"])
