"""Every problem that is declared: its example, its text, its place in the docs and among the exports."""

from pathlib import Path

import numpy as np
import pytest

import asapnb.problems
from asapnb.errors import UsageError
from asapnb.problems import log_cosh, quadratic
from asapnb.problems.text import PROBLEMS, call_text, is_custom, is_known, parse_problem, register

PAGE = (Path(__file__).parents[1] / "docs/reference/problems.md").read_text()
names = pytest.mark.parametrize("name", PROBLEMS)


@names
def test_the_example_makes_the_problem_and_so_does_its_text(name):
    problem = parse_problem(PROBLEMS[name].example)
    text = problem.config["problem"]
    assert is_known(text)
    again = parse_problem(text)
    assert again.config == problem.config
    assert np.array_equal(again.plan, problem.plan)
    assert np.array_equal(again.inputs, problem.inputs)
    assert np.array_equal(again.init(3), problem.init(3))
    assert ("data" in problem.config) == PROBLEMS[name].on_data


@names
def test_it_is_exported_and_described(name):
    assert name in asapnb.problems.__all__, "import it in asapnb/problems/__init__.py, and name it in __all__"
    assert ">>>" in getattr(asapnb.problems, name).__doc__, "its docstring needs an example"
    assert f"\n| `{name}(" in PAGE, "give it a row in a table of docs/reference/problems.md"


def test_a_problem_of_more_numbers_than_a_text_holds_is_custom():
    assert is_custom(quadratic(np.ones(65)).config["problem"])
    assert is_known(quadratic(np.ones(64)).config["problem"])
    assert is_custom(call_text(log_cosh, {"noise": object()})), "what no text can hold"


@pytest.fixture
def table(monkeypatch):
    """What a test registers is forgotten in the end."""
    monkeypatch.setattr("asapnb.problems.text.PROBLEMS", dict(PROBLEMS))


@pytest.mark.usefixtures("table")
def test_what_is_no_declaration_is_refused():
    with pytest.raises(UsageError, match=r"there is a problem 'quadratic' already, in asapnb.problems.analytic"):
        register("quadratic([1])")(quadratic_of_mine())
    with pytest.raises(UsageError, match="has the example 'bowl': must be a call of it, such as 'dish\\(\\)'"):

        @register("bowl")
        def dish(): ...


def quadratic_of_mine():
    def quadratic(): ...

    return quadratic
