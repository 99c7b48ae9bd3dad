"""Schedules of the step size: the laws of their formulas, their tables, their texts, and what is refused."""

import ast
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import factors

import asapnb as ab
from asapnb import schedules
from asapnb.errors import RuleError, UsageError
from asapnb.rules import AdaDelay, Budget, Rule
from asapnb.schedules import (
    SCHEDULES,
    StepSchedule,
    as_schedule,
    constant,
    cosine,
    inverse_sqrt,
    parse_schedule,
    polynomial,
    register,
    step_decay,
    tabulate,
    warmup,
)

ENDS = st.floats(0, 2)
LENGTHS = st.integers(1, 60)
TOTALS = st.integers(1, 60)
SINGLE = st.one_of(
    st.floats(0, 2).map(constant),
    st.builds(warmup, LENGTHS, st.floats(0, 1)),
    st.builds(step_decay, LENGTHS, st.floats(0, 1.5)),
    st.lists(LENGTHS, min_size=1, max_size=4).map(lambda at: step_decay(rate=0.5, at=at)),
    st.builds(cosine, LENGTHS | st.none(), ENDS),
    st.builds(polynomial, st.floats(0.1, 4), LENGTHS | st.none(), ENDS),
    st.builds(inverse_sqrt, st.floats(0, 3)),
)
ANY = st.lists(SINGLE, min_size=1, max_size=3).map(lambda parts: np.prod(np.array(parts, object)))


def all_of(schedule, total, count=None):
    return schedule(np.arange(count or total), total)


# --- laws ----------------------------------------------------------------------------------------------------------


@given(SINGLE, SINGLE, SINGLE, TOTALS)
def test_products_commute_and_associate_to_the_bit(a, b, c, total):
    t = np.arange(total)
    for one, other in ((a * b, b * a), ((a * b) * c, a * (b * c)), (a * b * c, c * b * a)):
        np.testing.assert_array_equal(one(t, total), other(t, total))
    np.testing.assert_array_equal((a * constant())(t, total), a(t, total))
    np.testing.assert_allclose((a * b)(t, total), a(t, total) * b(t, total), rtol=1e-15)


@given(LENGTHS, st.floats(0, 1))
def test_a_warm_up_rises_to_1_at_its_last_version_and_stays(n, start):
    found = all_of(warmup(n, start), 1, n + 5)
    assert found[n - 1 :].tolist() == [1.0] * 6
    assert found[0] == pytest.approx(start + (1 - start) / n)
    np.testing.assert_allclose(np.diff(found[:n]), (1 - start) / n, atol=1e-12)


@given(st.sampled_from([cosine, lambda length, end: polynomial(0.7, length, end), polynomial]), LENGTHS, ENDS)
def test_a_fall_begins_at_1_goes_one_way_and_is_at_its_end_from_there_on(fall, length, end):
    schedule = fall(length=length, end=end) if fall is polynomial else fall(length, end)
    found = all_of(schedule, 5, length + 4)
    assert found[0] == pytest.approx(1)
    np.testing.assert_allclose(found[length:], end, atol=1e-15)
    assert (np.sign(end - 1) * np.diff(found) >= -1e-12).all()


@given(TOTALS, ENDS)
def test_a_fall_without_a_length_takes_the_whole_run(total, end):
    for whole, given_length in (
        (cosine(end=end), cosine(total, end)),
        (polynomial(end=end), polynomial(1, total, end)),
    ):
        np.testing.assert_array_equal(all_of(whole, total, 2 * total), all_of(given_length, 7, 2 * total))


@given(LENGTHS, ENDS)
def test_a_polynomial_of_power_1_is_a_straight_line(length, end):
    found = all_of(polynomial(1.0, length, end), 1, length + 1)
    np.testing.assert_allclose(found, np.linspace(1, end, length + 1), atol=1e-12)


@given(LENGTHS, ENDS)
def test_half_a_cosine_is_point_symmetric(length, end):
    found = all_of(cosine(length, end), 1, length + 1)
    np.testing.assert_allclose(found + found[::-1], 1 + end, atol=1e-12)


@given(LENGTHS, st.floats(0.1, 1.5), st.integers(1, 5))
def test_steps_at_their_versions_are_steps_every_so_many(every, rate, count):
    total = every * (count + 1)
    at = step_decay(rate=rate, at=[every * (k + 1) for k in range(count)])
    np.testing.assert_array_equal(all_of(at, total), all_of(step_decay(every, rate), total))


@given(st.floats(0, 10), st.integers(0, 10**9), st.integers(0, 10**6))
def test_adadelay_is_the_inverse_root_at_t_plus_tau(c, t, tau):
    assert AdaDelay(c).factor(t, tau, 0.0) == inverse_sqrt(c)(np.array([t + tau]), 1)[0]


# --- tables --------------------------------------------------------------------------------------------------------


@given(ANY, TOTALS)
def test_a_table_is_its_twin_and_stops_where_it_stays(schedule, total):
    table, expected = tabulate(schedule, total), np.array(factors(schedule, total, total))
    assert table.dtype == np.float32
    assert len(table) <= total
    np.testing.assert_array_equal(np.append(table, [table[-1]] * total)[:total], expected)
    assert len(table) == 1 or table[-2] != table[-1]


def test_a_table_takes_no_more_than_it_must():
    endless = 10**12
    assert len(tabulate(warmup(500), endless)) == 500
    assert len(tabulate(warmup(500) * cosine(700, end=0.1) * constant(2), endless)) == 701
    assert len(tabulate(step_decay(at=[30, 40]), endless)) == 41
    assert len(tabulate(constant(0.5) * inverse_sqrt(0), endless)) == 1
    assert len(tabulate(as_schedule(lambda t: np.where(t < 9, 0.5, 1)), 300_000)) == 10
    with pytest.raises(
        UsageError,
        match=r"cosine\(\), with .* 1,000,000,000,000 .* needs 12,000 GB .*fewer updates",
    ):
        tabulate(cosine(), endless)
    with pytest.raises(UsageError, match=r"adadelay.* needs .* of memory"):
        AdaDelay(0.1).numbers(endless)


def test_a_long_table_is_made_in_parts():
    seen = []

    def noted(t):
        seen.append(len(t))
        return 1 / (1.0 + t)

    np.testing.assert_array_equal(
        tabulate(as_schedule(noted), 600_000), (1 / (1.0 + np.arange(600_000))).astype("f4")
    )
    assert max(seen) < 300_000


# --- functions -----------------------------------------------------------------------------------------------------


def halves(t):
    return 0.5 ** (t // 10)


class Own:
    def __call__(self, t, total, p=2.0):
        return (1 - t / total) ** p


def test_functions_see_versions_and_the_total_if_they_name_it():
    np.testing.assert_array_equal(all_of(as_schedule(halves), 30), 0.5 ** np.repeat([0, 1, 2], 10))
    np.testing.assert_allclose(all_of(as_schedule(Own()), 20), all_of(polynomial(2), 20))
    both = as_schedule(halves) * warmup(5)
    np.testing.assert_allclose(all_of(both, 30), all_of(warmup(5), 30) * 0.5 ** np.repeat([0, 1, 2], 10))
    assert (repr(both), both.code.kind, both.code.digest) == (
        "halves * warmup(n=5)", "schedule", (as_schedule(halves) * warmup(5)).code.digest,
    )  # fmt: skip
    assert as_schedule(cosine) == cosine()
    assert cosine().code is None


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda t: -1.0 * (t > 3), r"gives the factor -1.0 at version 4: must be finite and >= 0"),
        (lambda t: np.log(t), "gives the factor -inf at version 0"),
        (lambda t: 1e39 + t, "gives the factor 1e.39 at version 0"),
        (lambda t: 1.0, r"returned shape \(\): must be \(20,\), a factor for each version"),
        (lambda t: np.ones(3), r"returned shape \(3,\)"),
        (lambda t: [[1], [1, 2]], "returned no array"),
        (lambda t: ["x"] * len(t), "returned <U1, not numbers"),
        (lambda t: 1.0 if t < 3 else 0.5, "raised ValueError.* choose between them with np.where"),
        (lambda t: 1 / 0, "raised ZeroDivisionError"),
        (lambda t: 1 - t / len(t), "gives version 10 the factor 0.5 among others and nan alone: .*parameter `total`"),
        (lambda t: t / t.max(), "gives version 0 the factor 0 among others and nan alone"),
    ],
)
def test_a_function_that_cannot_be_used_is_told_why(function, says):
    with np.errstate(all="ignore"), pytest.raises(RuleError, match=says):
        tabulate(as_schedule(function), 20)


def test_what_cannot_be_called_with_versions_is_refused():
    for bad in (lambda: 1, lambda t, other: t, 3, None, [1, 2]):
        with pytest.raises(UsageError, match="schedule"):
            as_schedule(bad)
    for bad in ([0.5], [-1], "x", [True]):
        with pytest.raises(UsageError, match="t is"):
            cosine()(bad, 5)
    with pytest.raises(TypeError):
        cosine() * 2


# --- texts ---------------------------------------------------------------------------------------------------------


@given(ANY)
def test_a_schedule_prints_itself_is_read_again_and_pickled(schedule):
    assert parse_schedule(repr(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(parse_schedule(repr(schedule))) == hash(schedule)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cosin()", "unknown schedule 'cosin'; .*Did you mean 'cosine'"),
        ("", "write a product as"),
        ("cosine() *", "write a product as"),
        ("* cosine()", "write a product as"),
        ("warmup(5) ** 2", "write a product as"),
        ("2 * cosine()", "'2' is no schedule"),
        ("cosine() + warmup(5)", "is no schedule"),
        ("warmup(5) cosine()", "cannot read the schedule"),
        ("warmup(n=[1)", "cannot read the schedule"),
        ("warmup(5.5)", "n is 5.5: must be an integer"),
        ("warmup()", "missing a required argument: 'n'"),
        ("step_decay()", "every is None and at is .*give one of them"),
        ("step_decay(every=5, at=[3])", "give one of them"),
        ("step_decay(at=5)", "at is 5: must be a list"),
        ("polynomial(power=0)", "power is 0: must be a finite number above 0"),
        ("cosine(length=0)", "length is 0"),
        ("inverse_sqrt(__import__('os'))", "cannot read '__import__"),
        ("cosine(end=().__class__)", "cannot read"),
        ("*".join(["constant"] * 51), "product of 51 factors: at most 50"),
        ("nowhere.py:decay", "there is no file nowhere.py"),
        ("(" * 2000, "cannot read"),
        ("x" * 1_000_001, "1,000,001 characters"),
    ],
)
def test_bad_texts(text, says):
    with pytest.raises(UsageError, match=says):
        parse_schedule(text)


FILE = """
import numpy as np
from asapnb.schedules import warmup
def decay(t, p=0.5): return (1.0 + t) ** -p
def falls(t, total, power): return (1 - t / total) ** power
def made(p):
    def inner(t): return np.full(len(t), p)
    return inner
ready = warmup(4)
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("decay", lambda t: (1.0 + t) ** -0.5),
        ("decay(p=2)", lambda t: (1.0 + t) ** -2),
        ("decay(2) * warmup(4)", lambda t: (1.0 + t) ** -2 * np.minimum(1, (t + 1) / 4)),
        ("falls(power=2)", lambda t: (1 - t / 20) ** 2),
        ("made(0.25)", lambda t: np.full(20, 0.25)),
        ("ready", lambda t: np.minimum(1, (t + 1) / 4)),
    ],
)
def test_a_schedule_of_a_file(name, expected, tmp_path):
    path = tmp_path / "my (1).py"
    path.write_text(FILE)
    schedule = parse_schedule(f"{path}:{name}")
    np.testing.assert_allclose(all_of(schedule, 20), expected(np.arange(20)))
    again = pickle.loads(pickle.dumps(schedule))
    assert (again, again.code.digest) == (schedule, schedule.code.digest)
    assert parse_schedule(repr(schedule)).code.digest == schedule.code.digest
    assert str(path) in schedule.code.files


# --- registration --------------------------------------------------------------------------------------------------


def test_every_registered_schedule_is_exported_and_documented():
    rows = re.findall(r"^\| `(\w+)\(", Path("docs/reference/schedules.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(SCHEDULES), "docs/reference/schedules.md must have a row for each schedule"
    tree = ast.parse(Path(schedules.builtin.__file__).read_text())
    defined = {node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, schedule in schedules.examples().items():
        assert name in schedules.__all__
        assert getattr(schedules, name) is SCHEDULES[name].build
        assert ">>>" in defined[name]
        assert schedule.name == name
    assert set(schedules.available()) == set(SCHEDULES)


@pytest.mark.parametrize(
    ("about", "example", "says"),
    [("No full stop", "mine()", "has no description"), ("1.", "other()", "has the example 'other")],
)
def test_what_is_forgotten_is_an_error(about, example, says):
    def mine():
        return constant()

    mine.__doc__ = about
    with pytest.raises(UsageError, match=says):
        register(example)(mine)


# --- factors of rules ----------------------------------------------------------------------------------------------


class Sub(AdaDelay):
    def factor(self, t, tau, window_sum):
        return 2.0


class Plain:
    def factor(self, t, tau, window_sum):
        return 2.0


UNKNOWN = {"subclass": Sub(0.1), "class": Plain(), "number": 3, "text": "cosin()", "function": lambda: 1}


@pytest.mark.parametrize("schedule", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_rule_s_schedule_that_is_not_known_is_refused_and_not_ignored(schedule):
    with pytest.raises(RuleError, match="rule mine"):
        Rule("mine", lambda s, w: np.ones(len(s)), schedule=schedule)


def test_a_rule_s_schedule_of_the_version_alone_multiplies_that_of_the_run():
    problem = ab.problems.quadratic([1.0, 2.0])
    for schedule in (halves, "step_decay(every=10, rate=0.5)"):
        rule = Rule("mine", lambda s, w: np.ones(len(s)), schedule=schedule)
        assert isinstance(rule.schedule, StepSchedule)
        for run in (
            ab.simulate(problem, rule=rule, workers=3, updates=40, batch_size=1, schedule="warmup(20)"),
            ab.train(problem, "sequential", rule, updates=40, batch_size=1, schedule="warmup(20)"),
        ):
            t = run.updates["version"] - 1
            expected = (np.minimum(1, (t + 1) / 20) * 0.5 ** (t // 10)).astype(np.float32)
            np.testing.assert_array_equal(run.updates["factor"], expected)
    other = Rule("mine", rule.function, schedule=lambda t: 0.25 ** (t // 10))
    mine = Rule("mine", rule.function, schedule=halves)
    assert len({one.code.digest for one in (other, mine, Rule("mine", rule.function))}) == 3
    assert Budget(1, 2.0) == Rule("mine", rule.function, schedule=Budget(1, 2.0)).schedule
