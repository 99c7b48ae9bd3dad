import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from asapnb import rules
from asapnb.errors import RuleError, UsageError
from asapnb.rules import (
    CONDITIONS,
    Rule,
    as_rule,
    available,
    constant,
    every,
    examples,
    inverse,
    once,
    parse_rule,
    preserve,
    profile,
    register,
    released_code,
    scale_table,
    tail,
)
from asapnb.rules.registry import RULES
from asapnb.staleness import StalenessDistribution, geometric

SOURCE = Path(rules.__file__).parent
from_counts = StalenessDistribution.from_counts

TEXTS = [
    (constant(), "constant()"),
    (inverse(), "inverse()"),
    (inverse("floored"), "inverse(variant='floored')"),
    (tail(), "tail(amplitude=1.0)"),
    (tail(0.25, "exclusive"), "tail(amplitude=0.25, cdf='exclusive')"),
    (tail(1, refresh=once(10, 500)), "tail(amplitude=1.0, refresh=once(10, 500))"),
    (tail(0.1, refresh=every(200, half_life=1.5)), "tail(amplitude=0.1, refresh=every(200, half_life=1.5))"),
    (tail(refresh=every(np.int64(7))), "tail(amplitude=1.0, refresh=every(7))"),
    (tail(1, "exclusive", released_code()), "tail(amplitude=1.0, cdf='exclusive', refresh=released_code())"),
]


@pytest.mark.parametrize(("rule", "text"), TEXTS)
def test_text_pickle_and_equality(rule, text):
    assert repr(rule) == text
    assert parse_rule(text) == rule == as_rule(text) == pickle.loads(pickle.dumps(rule))
    assert hash(parse_rule(text)) == hash(rule)
    assert sum(rule == other for other, _ in TEXTS) == 1


@pytest.mark.parametrize("rule", examples().values(), ids=str)
def test_every_rule_prints_itself_parses_pickles_and_compares(rule):
    assert parse_rule(repr(rule)) == rule == pickle.loads(pickle.dumps(rule)) == as_rule(rule)
    assert hash(parse_rule(repr(rule))) == hash(rule)
    assert sum(rule == other for other in examples().values()) == 1
    depends = not np.array_equal(rule(geometric(m=4).padded(64), 4), rule(from_counts([0, 1]).padded(64), 4))
    assert (rule.refresh is not None) == (depends or bool(rule.sees))  # on the staleness seen, or on more
    assert rule.refresh is None or (rule(from_counts(np.zeros(9)), 4) == 1).all()


def test_every_registered_rule_is_exported_and_documented():
    modules = {path.stem for path in SOURCE.glob("*.py") if "\n@register(" in path.read_text()}
    assert {builder.__module__.rpartition(".")[2] for builder in RULES.builders().values()} == modules, (
        "import it in __init__"
    )
    assert {name for name in rules.__all__ if getattr(rules, name) in RULES.builders().values()} == set(RULES)
    for name, builder in RULES.builders().items():
        assert f">>> {name}(" in builder.__doc__, f"{name} has no example"
    page = (SOURCE.parents[1] / "docs/reference/rules.md").read_text()
    rows = [row.split(" | ") for row in re.findall(r"^\| (`.*) \|$", page.partition("\n- **C1")[0], re.MULTILINE)]
    documented = {name: row for row in rows for name in re.findall(r"`(\w+)\(", row[0])}
    assert documented.keys() == set(RULES), "docs/reference/rules.md must have a row for each rule"
    for name, (_, formula, *conditions, source) in documented.items():
        assert formula.strip(), name
        assert source.strip(), name
        for condition, cell in zip(CONDITIONS, conditions, strict=True):
            if cell in ("yes", "no"):
                assert (condition in RULES[name].conditions) == (cell == "yes"), (name, condition)


@pytest.mark.parametrize(
    ("about", "example", "conditions", "message"),
    [
        (None, "mine()", "C1", "rule 'mine' has no description: give its function a docstring"),
        ("Halves the step", "mine()", "C1", "whose first line is the formula of the scale and ends with a full stop"),
        ("1/2.", "", "C1", "rule 'mine' has the example '': must be a call of it, such as 'mine[(][)]'"),
        ("1/2.", "tail()", "C1", r"rule 'mine' has the example 'tail\(\)'"),
        ("1/2.", "mine()", "C1 C5", "unknown condition of rule 'mine' 'C5'"),
    ],
)
def test_what_is_forgotten_is_an_error(about, example, conditions, message):
    def mine():
        return constant()

    mine.__doc__ = about
    with pytest.raises(UsageError, match=message):
        register(example, conditions)(mine)
    assert "mine" not in available()


def test_a_rule_registered_from_outside_is_known_by_name(monkeypatch):
    monkeypatch.setitem(RULES, "mine", None)  # so that it is forgotten in the end
    del RULES["mine"]

    def mine(height=0.5):
        """h: the same for all."""
        return Rule("mine", level, {"height": height})

    def level(staleness, workers, height):
        return np.full(len(staleness), height)

    register("mine(height=0.25)", "C2 C3")(mine)
    register("mine(height=0.5)", "C2 C3")(mine)  # again, as when its file is loaded once more
    assert available()["mine"] == "h: the same for all."
    assert repr(examples()["mine"]) == repr(as_rule(mine)) == "mine(height=0.5)"
    assert parse_rule("preserve(mine(0.25))") == preserve(mine(0.25))
    mine.__name__ = "tail"
    with pytest.raises(UsageError, match=r"there is a rule 'tail' already, in asapnb.rules.profiles: choose another"):
        register("tail()", "C1")(mine)


def test_short_texts():
    assert parse_rule("tail") == parse_rule(" tail() ") == parse_rule("tail(1)") == as_rule(tail) == tail()
    assert parse_rule("tail(1, refresh=every(200, half_life=2000))") == tail()
    assert available().keys() == examples().keys() == {rule.name for rule in examples().values()}
    assert all(text.endswith((".", '"')) for text in available().values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tial", "unknown rule 'tial'; available: adadelay, .* Did you mean 'tail'?"),
        ("once(0, 5)", "unknown rule 'once'"),
        ("tail(amplitud=1)", "unknown parameter of tail 'amplitud'.*Did you mean 'amplitude'"),
        ("tail(amplitude=1.5)", r"amplitude is 1.5: must be a finite number of at least 0 and of at most 1"),
        ("tail(amplitude=-0.1)", "amplitude is -0.1"),
        ("tail(amplitude=1e999-1e999)", "cannot read '1e309 - 1e309'"),
        ("tail(amplitude='1')", "amplitude is '1'"),
        ("tail(amplitude=True)", "amplitude is True"),
        ("tail(cdf='mid')", "unknown kind of cdf 'mid'"),
        ("tail(refresh=200)", "refresh is 200: must be once"),
        ("tail(refresh=evry(200))", "Did you mean 'every'"),
        ("tail(refresh=every(0))", "n is 0: must be an integer of at least 1"),
        ("tail(refresh=every(1.5))", "n is 1.5: must be an integer"),
        ("tail(refresh=every(10, half_life=-1))", "half_life is -1"),
        ("tail(refresh=every(10, half_life='9'))", "half_life is '9'"),
        ("tail(refresh=every(10, half_life=1000))", "so n >= 100"),
        ("tail(refresh=once(5, 5))", "end is 5: must be an integer of at least 6"),
        ("tail(refresh=once(-1, 5))", "start is -1"),
        ("tail(1, 'midpoint', None, 4)", "too many positional arguments; tail takes"),
        ("tail(*[1])", "cannot read"),
        ("tail(**{'amplitude': 1})", "write each parameter as name=value"),
        ("tail(amplitude=0.1, amplitude=0.2)", "gives amplitude twice"),
        ("tail(amplitude=__import__('os'))", "unknown name in a rule '__import__'"),
        ("tail(", "cannot read the rule 'tail"),
        ("", "cannot read the rule ''"),
        ("1 + 1", "'1 [+] 1' is no rule"),
        ("(" * 5000, "cannot read the rule"),
        ("missing.py:f", "no file missing.py"),
    ],
)
def test_bad_texts(text, message):
    with pytest.raises(UsageError, match=message):
        parse_rule(text)


def half_life(staleness, workers):
    return 0.5 ** (np.arange(len(staleness)) / workers)


def test_a_function_is_a_rule(monkeypatch):
    rule = as_rule(half_life)
    assert (repr(rule), rule.refresh) == ("half_life", tail().refresh)
    assert pickle.loads(pickle.dumps(rule)) == rule == as_rule(rule)
    np.testing.assert_array_equal(rule(from_counts([1, 1, 0]), 1), [1, 0.5, 0.25])
    np.testing.assert_array_equal(rule(from_counts([0, 0]), 1), [1, 1])  # nothing is known yet
    monkeypatch.setattr(half_life, "refresh", None, raising=False)
    np.testing.assert_array_equal(as_rule(half_life)(from_counts([0, 0]), 1), [1, 0.5])
    monkeypatch.setattr(half_life, "refresh", 200)
    with pytest.raises(RuleError, match="rule half_life: refresh is 200: must be once"):
        as_rule(half_life)


FILE = """
import numpy as np
import asapnb.rules

def third(staleness, workers):
    return np.full(len(staleness), 1 / 3)

def falling(u):
    return 2 - u

ready = asapnb.rules.profile(falling, refresh=asapnb.rules.once(0, 9))
permuted = asapnb.rules.shuffled("tail")
mistaken = asapnb.rules.scale_table
builder = asapnb.rules.quantile_cut

def level(height, refresh=None):
    return lambda staleness, workers: np.full(len(staleness), height)
"""


def test_a_rule_from_a_file(tmp_path):
    file = tmp_path / "my (own) rules.py"
    file.write_text(FILE)
    rule = parse_rule(f"{file}:third")
    assert repr(rule) == f"{file}:third"
    for same in (parse_rule(repr(rule)), pickle.loads(pickle.dumps(rule))):
        assert same == rule
        assert hash(same) == hash(rule)
        np.testing.assert_array_equal(same(from_counts([1, 1]), 1), [1 / 3, 1 / 3])
    assert parse_rule(f"{file}:ready") != rule
    assert parse_rule(f"{file}:ready").refresh == once(0, 9)
    assert parse_rule(f"{file}:permuted").shuffled
    np.testing.assert_allclose(parse_rule(f"{file}:ready")(from_counts([1, 1]), 1), [3.5 / 3, 2.5 / 3])
    with pytest.raises(UsageError, match=r"unknown function in .* Did you mean 'third'"):
        parse_rule(f"{file}:thrid")
    with pytest.raises(RuleError, match=r"mistaken"):
        parse_rule(f"{file}:mistaken")(from_counts([1, 1]), 1)
    with pytest.raises(UsageError, match=r"builder\(\): missing a required argument: 'rho'"):
        parse_rule(f"{file}:builder")
    file.write_text(FILE.replace("1 / 3", "1 / 4"))
    assert parse_rule(f"{file}:third") != rule
    file.write_text("1 / 0")
    with pytest.raises(UsageError, match=r"cannot be run: .*rules.py, line 1: ZeroDivisionError: division by zero"):
        parse_rule(f"{file}:third")


def test_a_rule_with_parameters_from_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    rule = parse_rule(f"{file}:level(height=0.5, refresh=every(9))")
    assert repr(rule) == f"{file}:level(height=0.5, refresh=every(9))"
    assert parse_rule(repr(rule)) == rule == pickle.loads(pickle.dumps(rule)) != parse_rule(f"{file}:level(0.25)")
    np.testing.assert_array_equal(rule(from_counts([1, 1]), 1), [0.5, 0.5])
    cut = parse_rule(f"{file}:builder(rho=0.5)")
    assert (cut.name, cut.refresh) == (f"{file}:builder(rho=0.5)", tail().refresh)
    np.testing.assert_array_equal(cut(from_counts([1, 1]), 1), [2, 0])
    with pytest.raises(UsageError, match=r"unknown parameter of level 'hight'; .* Did you mean 'height'"):
        parse_rule(f"{file}:level(hight=1)")


def test_functions_from_files_in_other_rules(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    for text in (f"preserve(rule='{file}:third')", f"profile(g='{file}:falling')"):
        rule = parse_rule(text)
        assert repr(rule) == text
        assert parse_rule(text) == rule == pickle.loads(pickle.dumps(rule))
        assert rule.mean_scale(from_counts([1, 2]), 1) == pytest.approx(1, rel=1e-15)
    assert preserve(f"{file}:third") == preserve(parse_rule(f"{file}:third"))
    assert repr(preserve(half_life)) == "preserve(rule='half_life')"
    assert repr(profile(np.ones_like)) == "profile(g=ones_like)"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda s, w: np.full(3, np.nan),
            r"rule <lambda> gives scale nan at tau = 0.* \(for StalenessDistribution\(mean=1,",
        ),
        (lambda s, w: [1, np.inf, 1], "scale inf at tau = 1"),
        (lambda s, w: [1, 1, -0.5], "scale -0.5 at tau = 2"),
        (lambda s, w: [1e39, 1, 1], "scale 1e[+]39 at tau = 0"),
        (lambda s, w: [1, 1], r"shape \(2,\): must be \(3,\)"),
        (lambda s, w: 1.0, r"shape \(\)"),
        (lambda s, w: None, "returned object, not numbers"),
        (lambda s, w: ["a", "b", "c"], "not numbers"),
        (lambda s, w: [[1], [1, 2], 3], "returned no array"),
        (lambda s, w: 1 / 0, r"raised ZeroDivisionError: division by zero \(for StalenessDistribution\(mean=1,"),
        (lambda s, w: sys.exit(3), r"raised SystemExit: 3"),
        (lambda s: s.pmf, "which it does not take: too many positional arguments"),
    ],
)
def test_unusable_functions(function, message):
    with pytest.raises(RuleError, match=message):
        scale_table(function, from_counts([1, 1, 1]), 2)


def test_unusable_arguments():
    for rule in (None, 3):
        with pytest.raises(UsageError, match=f"a rule cannot be made from {rule}"):
            as_rule(rule)
    with pytest.raises(UsageError, match="must be a StalenessDistribution"):
        tail()([0.5, 0.5], 1)
    with pytest.raises(UsageError, match="workers is 0"):
        tail()(from_counts([1]), 0)


def test_the_caller_owns_the_scales():
    kept = np.ones(2)
    scales = scale_table(lambda s, w: kept, from_counts([1, 1]), 1)
    scales[0] = 5
    assert kept[0] == 1
