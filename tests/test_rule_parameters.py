"""Parameters in the text of a rule from a file, wherever such a text goes."""

import pickle

import numpy as np
import pytest

import asapnb as ab
from asapnb.config import run_config
from asapnb.errors import RuleError, UsageError
from asapnb.rules import every, parse_rule, profile
from asapnb.rules.refresh import DEFAULT_REFRESH
from asapnb.staleness import StalenessDistribution
from asapnb.sweep import parse_sweep

SEEN = StalenessDistribution.from_counts([1, 1])
FILE = """
from dataclasses import dataclass
import numpy as np
import asapnb as ab

def own(staleness, workers, p=0.5, name="x"):
    return (1 + np.arange(len(staleness)) / workers) ** -p

def short(s, m, p):
    return own(s, m, p)

def made(p=0.5):
    return lambda staleness, workers: own(staleness, workers, p)

def ruled(p=0.5):
    return ab.Rule("of p", own, {"p": p}, ab.every(7))

def inner(rule, times=1):
    return ab.rules.preserve(rule)

@dataclass(frozen=True)
class Data:
    p: float = 0.5
    m: int = 1
    def __call__(self, staleness, workers):
        return own(staleness, workers, self.p)

ready = ruled()

def bend(u, k=1.0):
    return 1 + k * (1 - 2 * u)

def bent(k):
    return lambda u: bend(u, k)

own.refresh = ab.every(9)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my (own) rules.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("text", "written", "refresh"),
    [
        ("own", "own", every(9)),
        ("own()", "own()", every(9)),
        ("own( 0.5 )", "own(p=0.5)", every(9)),
        ("own(name=y, p=0.5)", "own(p=0.5, name='y')", every(9)),
        ("own(refresh=every(5))", "own(refresh=every(5))", every(5)),
        ("own(0.5, refresh=None)", "own(p=0.5, refresh=None)", None),
        ("short(0.5)", "short(p=0.5)", DEFAULT_REFRESH),
        ("made", "made", DEFAULT_REFRESH),
        ("made(0.5)", "made(p=0.5)", DEFAULT_REFRESH),
        ("ruled(p=0.5)", "ruled(p=0.5)", every(7)),
        ("ready", "ready", every(7)),
        ("Data", "Data", DEFAULT_REFRESH),
        ("Data(p=0.5)", "Data(p=0.5)", DEFAULT_REFRESH),
    ],
)
def test_what_a_text_stands_for(text, written, refresh, file):
    rule = parse_rule(f"{file}:{text}")
    assert repr(rule) == f"{file}:{written}"
    assert rule.refresh == refresh
    for same in (rule, parse_rule(repr(rule)), pickle.loads(pickle.dumps(rule))):
        assert same == rule
        assert same.code.digest == rule.code.digest
        np.testing.assert_array_equal(same(SEEN, 1), [1, 2**-0.5])
    changed = {"own( 0.5 )": "own(4)", "short(0.5)": "short(4)", "made(0.5)": "made(4)", "Data(p=0.5)": "Data(4)"}
    if text in changed:
        other = parse_rule(f"{file}:{changed[text]}")
        np.testing.assert_array_equal(other(SEEN, 1), [1, 2**-4])
        assert other.code.digest != rule.code.digest
        assert other != rule


def test_a_parameter_at_its_default_is_the_same_rule(file):
    of = {text: parse_rule(f"{file}:{text}").code.digest for text in ("own", "own(p=0.5)", "own(p=4)")}
    assert of["own"] == of["own(p=0.5)"] != of["own(p=4)"]


def test_within_other_rules(file):
    text = f"preserve(rule='{file}:own(p=4)', refresh=every(9))"
    rule = parse_rule(text)
    assert repr(rule) == text
    np.testing.assert_allclose(rule(SEEN, 1), np.array([32, 2]) / 17)
    assert parse_rule(f"shuffled('{file}:made(4)')") == ab.rules.shuffled(f"{file}:made(p=4)")
    blended = parse_rule(f"{file}:inner(rule='{file}:own(p=4)')")
    np.testing.assert_allclose(blended(SEEN, 1), rule(SEEN, 1))
    np.testing.assert_allclose(parse_rule(f"{file}:inner(inverse())")(SEEN, 1), [4 / 3, 2 / 3])
    for text in ("bend(k=0.5)", "bend(0.5)", "bent(k=0.5)"):
        rule = profile(f"{file}:{text}")
        np.testing.assert_allclose(rule(SEEN, 1), [1.25, 0.75])
        assert pickle.loads(pickle.dumps(rule)) == rule == parse_rule(repr(rule))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{}:own(q=1)", UsageError, r"unknown parameter of own 'q'; available: name, p, refresh"),
        (
            "{}:own(1, 2, 3)",
            UsageError,
            r"own\(1, 2, 3\): too many .*; own takes \(p, name, refresh",
        ),
        ("{}:own(p=p())", UsageError, r"unknown name in a function in .* 'p'; available: .*tail"),
        ("{}:own(refresh=3)", RuleError, r"refresh is 3: must be once\(start, end\) or every"),
        ("{}:short", RuleError, r"missing a required argument: 'p'"),
        ("{}:short()", UsageError, r"short\(\): missing a required argument"),
        ("{}:ready(p=1)", UsageError, r"ready is a rule, so it takes no parameters: write ready alone"),
        ("{}:Data(q=1)", UsageError, r"unknown parameter of Data 'q'"),
        ("{}:own(p=1", UsageError, r"write path/file.py:name, or with parameters path/file.py:name\(p=0.5\)"),
        ("shuffled({}:own(p=1))", UsageError, r"within another rule, a file stands in quotes"),
    ],
)
def test_what_cannot_be_meant_is_said(text, error, message, file):
    with pytest.raises(error, match=message):
        parse_rule(text.format(file))


def test_an_axis_of_a_sweep(file):
    rules = [f"{file}:own(p={p})" for p in (0.25, 4)]
    sweep = parse_sweep({"kind": "simulate", "base": {"updates": 10}, "grid": {"rule": rules}})
    assert [point.config["rule"] for point in sweep.points] == rules


def test_a_run_of_a_text_goes_on_and_is_told_apart(file, tmp_path):
    arguments = {"kind": "simulate", "config": {"problem": "quadratic([1, 2])", "updates": 20, "workers": 2}}
    for n, text in enumerate(("own(0.25)", "own(p=0.25)", "own(p=4)")):
        config = {**arguments["config"], "rule": f"{file}:{text}", "seed": n}
        run = run_config(config, kind="simulate", out=tmp_path / f"{n}.h5")
        assert run_config(run.config, kind="simulate").config == run.config
        assert len(ab.resume(run, updates=30).updates["tau"]) == 30
    table = next(iter(ab.compare(tmp_path)))
    names = {row[table.columns.index("rule")]: row[table.columns.index("runs")] for row in table.rows}
    assert names == {f"{file}:own(p=0.25)": 2, f"{file}:own(p=4)": 1}
