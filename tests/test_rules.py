import math
import pickle
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import counts

from asapnb.errors import RuleError, UsageError
from asapnb.rules import as_rule, available, constant, every, examples, inverse, once, parse_rule, scale_table, tail
from asapnb.staleness import CDF_KINDS, StalenessDistribution

from_counts = StalenessDistribution.from_counts
amplitudes = st.floats(0, 1)


@given(counts(), amplitudes)
@example(np.array([10**12, *[1] * 1999]), 1.0)
@example(np.array([*[1] * 1999, 10**12]), 1.0)
def test_tail_preserves_the_mean_step_exactly(values, amplitude):
    seen = from_counts(values)
    mean = naive.mean_of(tail(amplitude)(seen, 4), seen.pmf)
    assert abs(mean - 1) <= Fraction(7e-16)
    # under the integer counts themselves, too, whose probabilities are no floats
    assert abs(naive.mean_of(tail(amplitude)(seen, 4), values) / int(values.sum()) - 1) <= Fraction(7e-16)


@given(counts(), amplitudes)
def test_the_other_cdfs_miss_the_mean_by_the_sum_of_squares(values, amplitude):
    seen = from_counts(values)
    squares = math.fsum(seen.pmf**2)
    for kind, sign in (("exclusive", 1), ("inclusive", -1)):
        mean = naive.mean_of(tail(amplitude, cdf=kind)(seen, 4), seen.pmf)
        assert float(mean) == pytest.approx(1 + sign * amplitude * squares, abs=2e-15)


@given(counts(), amplitudes, st.sampled_from(CDF_KINDS), st.integers(0, 50))
def test_tail_never_rises_and_stays_in_its_bounds(values, amplitude, kind, padding):
    seen = from_counts(np.append(values, np.zeros(padding, dtype=np.int64)))
    scales = tail(amplitude, cdf=kind)(seen, 4)
    assert scales.shape == (len(seen),)
    assert (np.diff(scales) <= 0).all()
    assert scales[0] <= 2
    assert scales[-1] >= 0
    assert (scales[seen.support + 1 :] == 1 - amplitude).all()


@given(counts(max_size=60), amplitudes, st.sampled_from(CDF_KINDS))
def test_tail_is_its_formula(values, amplitude, kind):
    exact = [float(c) for c in naive.tail(values, amplitude, kind)]
    np.testing.assert_allclose(tail(amplitude, cdf=kind)(from_counts(values), 4), exact, rtol=4e-15)


@given(counts(max_size=400), amplitudes)
def test_variance_and_effective_delay(values, amplitude):
    seen = from_counts(values)
    scales, tau, p = tail(amplitude)(seen, 4), np.arange(len(seen)), seen.pmf
    assert (scales - 1) ** 2 @ p == pytest.approx(amplitude**2 * (1 - math.fsum(p**3)) / 3, abs=1e-14)
    gini = float(p @ np.abs(tau[:, None] - tau) @ p)
    assert float((scales * tau) @ p) == pytest.approx(seen.mean() - amplitude * gini / 2, rel=1e-12, abs=1e-12)


@given(st.integers(0, 500), st.integers(1, 10**12), amplitudes)
def test_constant_staleness_leaves_the_step_alone(tau, count, amplitude):
    values = np.zeros(tau + 1, dtype=np.int64)
    values[tau] = count
    assert tail(amplitude)(from_counts(values), 4)[tau] == 1


def test_stalest_scales_keep_their_relative_accuracy():
    assert tail()(from_counts([10**15, 1]), 2)[1] == pytest.approx(1 / (10**15 + 1), rel=1e-15)


def test_static_rules_are_their_formulas_with_or_without_staleness():
    for seen in (from_counts(np.zeros(6)), from_counts([0, 0, 1, 5, 0, 0])):
        np.testing.assert_array_equal(constant()(seen, 2), np.ones(6))
        np.testing.assert_array_equal(inverse()(seen, 2), [1 / (k + 1) for k in range(6)])
        np.testing.assert_array_equal(inverse("floored")(seen, 2), [1, 1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    np.testing.assert_array_equal(tail()(from_counts(np.zeros(6)), 2), np.ones(6))


RULES = [
    (constant(), "constant()"),
    (inverse(), "inverse()"),
    (inverse("floored"), "inverse(variant='floored')"),
    (tail(), "tail(amplitude=1.0)"),
    (tail(0.25, "exclusive"), "tail(amplitude=0.25, cdf='exclusive')"),
    (tail(1, refresh=once(10, 500)), "tail(amplitude=1.0, refresh=once(10, 500))"),
    (tail(0.1, refresh=every(200, half_life=1.5)), "tail(amplitude=0.1, refresh=every(200, half_life=1.5))"),
    (tail(refresh=every(np.int64(7))), "tail(amplitude=1.0, refresh=every(7))"),
]


@pytest.mark.parametrize(("rule", "text"), RULES)
def test_text_pickle_and_equality(rule, text):
    assert repr(rule) == text
    assert parse_rule(text) == rule == as_rule(text) == pickle.loads(pickle.dumps(rule))
    assert hash(parse_rule(text)) == hash(rule)
    assert sum(rule == other for other, _ in RULES) == 1


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
        ("tail(amplitude=1.5)", r"amplitude is 1.5: must be a number in \[0, 1\]"),
        ("tail(amplitude=-0.1)", "amplitude is -0.1"),
        ("tail(amplitude=1e999-1e999)", "cannot read '1e309 - 1e309'"),
        ("tail(amplitude='1')", "amplitude is '1'"),
        ("tail(amplitude=True)", "amplitude is True"),
        ("tail(cdf='mid')", "unknown kind of cdf 'mid'"),
        ("tail(refresh=200)", "refresh is 200: must be once"),
        ("tail(refresh=evry(200))", "Did you mean 'every'"),
        ("tail(refresh=every(0))", "n is 0: must be at least 1"),
        ("tail(refresh=every(1.5))", "n is 1.5: must be an integer"),
        ("tail(refresh=every(10, half_life=-1))", "half_life is -1"),
        ("tail(refresh=every(10, half_life='9'))", "half_life is '9'"),
        ("tail(refresh=every(10, half_life=1000))", "so n >= 100"),
        ("tail(refresh=once(5, 5))", "end is 5: must be at least 6"),
        ("tail(refresh=once(-1, 5))", "start is -1"),
        ("tail(1, 'midpoint', None, 4)", "too many positional arguments; tail takes"),
        ("tail(*[1])", "cannot read"),
        ("tail(**{'amplitude': 1})", "unknown parameter"),
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


def test_a_rule_from_a_file(tmp_path):
    file = tmp_path / "my rules.py"
    file.write_text("import numpy as np\ndef third(staleness, workers):\n    return np.full(len(staleness), 1 / 3)\n")
    rule = parse_rule(f"{file}:third")
    assert repr(rule) == f"{file}:third"
    for same in (rule, parse_rule(repr(rule)), pickle.loads(pickle.dumps(rule))):
        np.testing.assert_array_equal(same(from_counts([1, 1]), 1), [1 / 3, 1 / 3])
    with pytest.raises(UsageError, match=r"unknown function in .* Did you mean 'third'"):
        parse_rule(f"{file}:thrid")
    file.write_text("1 / 0")
    with pytest.raises(RuleError, match="raised ZeroDivisionError"):
        parse_rule(f"{file}:third")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s, w: np.full(3, np.nan), "rule <lambda> gives scale nan at tau = 0"),
        (lambda s, w: [1, np.inf, 1], "scale inf at tau = 1"),
        (lambda s, w: [1, 1, -0.5], "scale -0.5 at tau = 2"),
        (lambda s, w: [1e39, 1, 1], "scale 1e[+]39 at tau = 0"),
        (lambda s, w: [1, 1], r"shape \(2,\): must be \(3,\)"),
        (lambda s, w: 1.0, r"shape \(\)"),
        (lambda s, w: None, "returned object, not numbers"),
        (lambda s, w: ["a", "b", "c"], "not numbers"),
        (lambda s, w: [[1], [1, 2], 3], "returned no array"),
        (lambda s, w: 1 / 0, "raised ZeroDivisionError: division by zero"),
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
