"""docs/how-to/extending/rule.md and CONTRIBUTING.md: the rule works by name and from its file, as any of asapnb."""

import doctest
import pickle
import re
import textwrap

import numpy as np
import pytest
from pages import ROOT, run_page

import asapnb as ab
from asapnb.rules import available, examples, parse_rule, static
from asapnb.rules.registry import RULES
from asapnb.staleness import geometric


@pytest.fixture
def forgotten(monkeypatch):
    """The registry forgets in the end what a page registers."""
    monkeypatch.setitem(RULES, "ramp", None)
    del RULES["ramp"]


@pytest.fixture
def page(tmp_path, monkeypatch, forgotten):
    """What the page defines, in the folder of its files."""
    monkeypatch.chdir(tmp_path)
    return run_page("docs/how-to/extending/rule.md")


def assert_known(namespace):
    rule = examples()["ramp"]
    assert available().keys() == examples().keys()
    assert repr(rule) == "ramp(width=4.0)"
    assert parse_rule(repr(rule)) == rule
    report = ab.check(rule, tries=60)
    assert {found.condition for found in report.findings if found.holds} == RULES["ramp"].conditions
    examples_run = doctest.DocTestRunner()
    for found in doctest.DocTestFinder().find(namespace["ramp"], "ramp", globs=dict(namespace)):
        examples_run.run(found)
    assert (examples_run.tries, examples_run.failures) == (2, 0)


def test_the_rule_of_the_page_is_known_by_name(page):
    assert_known(page)


def test_the_rule_of_contributing_needs_no_more_than_its_module(forgotten):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"^   ```python\n(.*?)^   ```$", text, re.MULTILINE | re.DOTALL)
    namespace = dict(vars(static))
    exec(textwrap.dedent(code), namespace)
    assert_known(namespace)


def test_it_works_from_its_file_where_it_is_not_registered(page):
    del RULES["ramp"]
    text = "my_rules.py:ramp(width=2)"
    rule = parse_rule(text)
    assert repr(rule) == text
    assert pickle.loads(pickle.dumps(rule)) == rule == parse_rule(text)
    np.testing.assert_array_equal(rule(geometric(m=4), 1)[:4], [1, 0.5, 0, 0])
    assert parse_rule("my_rules.py:ramp")(geometric(m=4), 1)[1] == 0.75
    made = ab.simulate(ab.problems.quadratic([1.0]), rule=text, workers=4, updates=40, seed=1, out="run.h5")
    kept = ab.load_run("run.h5")
    assert kept.config["rule"] == text
    np.testing.assert_array_equal(made.updates["scale"], np.maximum(0, 1 - made.updates["tau"] / 8))
    again = ab.replay(kept, rule=kept.config["rule"])
    np.testing.assert_array_equal(again.updates["scale"], made.updates["scale"])
