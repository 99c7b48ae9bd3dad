"""docs/how-to/extending/problem.md: its problem is known by name."""

import pytest
from pages import run_page

from asapnb.problems import text
from asapnb.problems.text import PROBLEMS, is_known, parse_problem


@pytest.fixture
def page(tmp_path, monkeypatch):
    """What the page defines, in the folder of its files; what it registers is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(text, "PROBLEMS", dict(PROBLEMS))
    return run_page("docs/how-to/extending/problem.md")


def test_the_problem_of_the_page_is_known_by_name(page):
    problem = parse_problem(text.PROBLEMS["cloud"].example)
    assert problem.config == {"problem": "cloud(dimension=3)"}
    assert parse_problem("cloud(3, seed=1)").config == {"problem": "cloud(dimension=3, seed=1)"}
    loss, gradient = problem.loss_and_gradient(problem.constants.x_star, range(500))
    assert loss == pytest.approx(problem.constants.f_star)
    assert abs(gradient).max() < 1e-12
    assert not is_known("clouds")
