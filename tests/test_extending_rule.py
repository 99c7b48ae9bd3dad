"""docs/extending/rule.md: its rule works by name and from its file, as those of asapnb do."""

import doctest
import pickle

import numpy as np
import pytest
from pages import run_page

import asapnb as ab
from asapnb.rules import available, examples, framework, parse_rule
from asapnb.staleness import geometric


@pytest.fixture
def page(tmp_path, monkeypatch):
    """What the page defines, in the folder of its files; what it registers is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    for table in ("RULES", "DECLARATIONS"):
        monkeypatch.setattr(framework, table, dict(getattr(framework, table)))
    return run_page("docs/extending/rule.md")


def test_the_rule_of_the_page_is_known_by_name(page):
    rule = examples()["ramp"]
    assert available().keys() == examples().keys()
    assert repr(rule) == "ramp(width=4.0)"
    assert parse_rule(repr(rule)) == rule
    report = ab.check(rule, tries=60)
    assert {found.condition for found in report.findings if found.holds} == framework.DECLARATIONS["ramp"].conditions
    examples_run = doctest.DocTestRunner()
    for found in doctest.DocTestFinder().find(page["ramp"], "ramp", globs=dict(page)):
        examples_run.run(found)
    assert (examples_run.tries, examples_run.failures) == (2, 0)


def test_it_works_from_its_file_where_it_is_not_registered(page):
    for table in (framework.RULES, framework.DECLARATIONS):
        del table["ramp"]
    text = "my_rules.py:ramp(width=2)"
    rule = parse_rule(text)
    assert repr(rule) == text
    assert pickle.loads(pickle.dumps(rule)) == rule == parse_rule(text)
    np.testing.assert_array_equal(rule(geometric(m=4), 1)[:4], [1, 0.5, 0, 0])
    assert parse_rule("my_rules.py:ramp")(geometric(m=4), 1)[1] == 0.75
