"""docs/how-to/extending/shards.md: its division works by name; one that is none is an error that says so."""

import pickle
from copy import copy

import numpy as np
import pytest
from pages import run_page
from problems import quadratic

import asapnb as ab
from asapnb.problems.shards import SHARDS, Shards, as_shards, register


@pytest.fixture
def page(tmp_path, monkeypatch):
    """What the page defines, in the folder of its files; what it registers is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("asapnb.problems.shards.SHARDS", copy(SHARDS))
    return run_page("docs/how-to/extending/shards.md")


def test_the_division_of_the_page_is_known_by_name(page):
    assert str(as_shards("halving")) == "halving(0.5)"
    with pytest.raises(ab.UsageError, match="ratio of halving is 0"):
        as_shards("halving(0)")


@pytest.fixture
def known(monkeypatch):
    """Makes a function that divides known as "mine"."""
    monkeypatch.setattr("asapnb.problems.shards.SHARDS", copy(SHARDS))

    def enter(divide):
        def mine():
            """as somebody likes."""
            return Shards("mine", divide)

        register("mine()")(mine)

    return enter


@pytest.mark.parametrize(
    ("divide", "says"),
    [
        (
            lambda targets, samples, workers, seed: [samples],
            "1 workers 60 samples: must give 3 workers each",
        ),
        (lambda targets, samples, workers, seed: [samples[:20]] * 3, "3 workers 60 samples: .* the numbers 0 to 59"),
        (lambda targets, samples, workers, seed: [samples, [], []][:workers], None),
        (lambda targets, samples: [samples], "raised TypeError: .* takes 2 positional arguments"),
        (lambda targets, samples, workers, seed: None, "raised TypeError"),
    ],
)
def test_what_divides_nothing_is_an_error_before_the_run(divide, says, known):
    known(divide)
    if says is None:
        assert sorted(map(len, ab.shards(quadratic(), "mine", 3))) == [1, 1, 58]
        return
    with pytest.raises(ab.UsageError, match=f"shards is mine: it .*{says}"):
        ab.simulate(quadratic(), shards="mine", workers=3, updates=5)


def test_what_no_file_could_name_is_an_error():
    with pytest.raises(ab.UsageError, match="shards is mine: no function of that name is under `register`"):
        ab.simulate(quadratic(), shards=Shards("mine", np.array_split), workers=3, updates=5)
    with pytest.raises(ab.UsageError, match="there is a division of data 'iid' already"):

        @register("iid()")
        def iid():
            """mine."""


def test_a_division_can_be_pickled():
    how = as_shards("dirichlet(0.5)")
    assert pickle.loads(pickle.dumps(how)) == how
