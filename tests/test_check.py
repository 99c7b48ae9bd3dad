import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts

from asapnb import check
from asapnb.errors import RuleError, UsageError
from asapnb.rules import CONDITIONS, ScaleTables, examples, tail
from asapnb.rules.registry import RULES
from asapnb.rules.search import candidates, described, simplest
from asapnb.staleness import StalenessDistribution, parse_staleness

from_counts = StalenessDistribution.from_counts
SEEN = from_counts([4, 3, 2, 1])


def table(change):
    """The rule tail, its table changed by a function of (scales, staleness)."""
    return lambda staleness, workers: change(tail()(staleness, workers), staleness)


def put(scales, tau, value):
    scales[tau] = value
    return scales


BROKEN = {  # name: rule, the conditions it breaks, and of the last of them: violation, tau
    "mean 1.01": (table(lambda scales, _: 1.01 * scales), {"C1"}, 0.01, None),
    "a rise in the middle": (table(lambda scales, seen: put(scales, 2, scales[1] + 0.125)), {"C1", "C2"}, 0.125, 2),
    "a rise past the support": (table(lambda scales, seen: put(scales, 700, 0.5)), {"C2"}, 0.5, 700),
    "a slow rise": (lambda seen, workers: 1 + 1e-13 * np.arange(len(seen)), {"C2", "C4"}, 0.0, 0),
    "negative": (table(lambda scales, seen: put(scales, -1, -0.25)), {"C3"}, 0.25, 1023),
    "infinite": (table(lambda scales, seen: put(scales, 0, np.inf)), {"C1", "C3"}, math.inf, 0),
    "undefined": (table(lambda scales, seen: put(scales, 900, np.nan)), {"C2", "C3"}, math.inf, 900),
    "flat over what is seen": (lambda seen, workers: np.arange(len(seen)) < 99, {"C4"}, 0.0, 0),
    "stale not dampened": (lambda seen, workers: np.where(seen.cdf() < 0.3, 2.0, 1.0), {"C1", "C4"}, 0.0, 3),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_condition_fails_where_it_is_broken(name):
    rule, broken, violation, tau = BROKEN[name]
    report = check(rule, SEEN, workers=2)
    assert {finding.condition for finding in report.findings if not finding.holds} == broken
    last = report[max(broken)]
    assert (last.violation, last.tau) == (pytest.approx(violation, abs=1e-12), tau)
    assert (last.staleness, last.workers) == (SEEN, 2)
    assert bool(report) == (broken == {"C4"})
    assert str(last) in str(report)
    assert "FAILS" in str(last)
    searched = check(rule)
    for condition in broken:  # and a search finds it, too
        found = searched[condition]
        assert not found.holds
        assert len(np.flatnonzero(found.staleness.pmf)) <= 2
        assert not check(rule, found.staleness, found.workers)[condition].holds
        assert not check(rule, found.witness, found.workers)[condition].holds


def test_rounding_is_no_violation():
    noise = np.random.default_rng(0).uniform(-1, 1, 1024) * 2e-16
    assert check(lambda seen, workers: 1 + noise, SEEN)
    nearly = check(lambda seen, workers: np.full(len(seen), 1 + 1e-7), SEEN)
    assert nearly["C1"].violation == pytest.approx(1e-7, rel=1e-6)
    assert not nearly
    assert check(lambda seen, workers: np.full(len(seen), 1 + 1e-7), SEEN, tolerance=1e-6)


def test_constant_staleness_and_constant_rules_need_leverage_nothing():
    assert check("tail", "constant(3)")["C4"].text == "tau is constant, 3"
    assert check("tail", from_counts([10**13, 1]))["C4"].holds
    assert check("constant", SEEN)["C4"].text == "the rule is constant"
    assert not check("concurrency", SEEN)["C4"].holds


@given(counts(max_size=300), st.integers(1, 100))
def test_the_table_checked_is_the_table_of_a_run(values, workers):
    tables = ScaleTables("inverse", workers)
    report = check("inverse", from_counts(values), workers)
    assert report["C1"].value == pytest.approx(from_counts(values).pmf @ (1 / (1 + np.arange(len(values)))))
    assert report.bound == tables.current.max() == 1


HOLD = {  # what a search finds: as each rule declares, and of some variants
    **{name: entry.conditions for name, entry in RULES.items()},
    "tail(cdf='exclusive')": {"C2", "C3"},
    "tail(cdf='inclusive')": {"C2", "C3"},
    "preserve(ringmaster(16))": {"C2", "C3"},
}


@pytest.mark.parametrize("text", sorted(HOLD))
def test_what_a_search_finds_of_every_rule(text):
    report = check(examples().get(text, text), tries=60)
    assert {finding.condition for finding in report.findings if finding.holds} == HOLD[text]
    for finding in report.findings:
        if not finding.holds:
            assert not check(report.rule, finding.witness, finding.workers)[finding.condition].holds
    rule = report.rule
    assert bool(report.notes) == (rule.schedule is not None or rule.shuffled or bool(rule.sees))


def test_the_smallest_witnesses():
    assert check("tail(cdf='exclusive')")["C1"].witness == "constant(0)"
    assert check("inverse")["C1"].witness == "constant(1)"
    assert check("hinge(b=37)")["C1"].witness == "constant(38)"
    assert check("inverse")["C4"].witness == "empirical([0, 1])"
    gapped = table(lambda scales, seen: scales * (1 + 0.5 * (seen.pmf[20] > seen.pmf[10] > 0)))
    assert check(gapped)["C1"].witness == "mixture(constant(10), constant(20), weights=[1, 10])"


def test_a_search_is_reproducible_and_its_seed_matters():
    assert str(check("fleet", seed=3)) == str(check("fleet", seed=3))
    names = [[name for name, _ in candidates(seed, 40)] for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_what_is_searched():
    found = dict(candidates(0, 200))
    supports = [np.flatnonzero(seen.pmf) for seen in found.values()]
    assert any(len(tau) == 1 for tau in supports)
    assert any(len(tau) > 1 and np.diff(tau).max() > 500 for tau in supports), "gaps"
    assert max(seen.variance() / max(seen.mean(), 1) ** 2 for seen in found.values()) > 50, "heavy tails"
    assert all(abs(math.fsum(seen.pmf) - 1) < 1e-12 for seen in found.values())
    assert all(seen.pmf[seen.pmf > 0].min() >= 1e-15 for seen in found.values())
    for model in ("geometric", "poisson", "cmp", "uniform", "constant", "mixture", "exponential_workers"):
        assert any(name.startswith(f"{model}(") for name in found)
    uniform = [seen.pmf[seen.pmf > 0].size for name, seen in candidates(0, 400) if name.startswith("uniform(")]
    assert min(uniform) < 5
    assert max(uniform) > 300


@given(counts(max_size=60), st.integers(0, 40))
def test_simplest_still_breaks_and_its_text_says_it_exactly(values, least):
    start = from_counts(values)
    if start.support < least:
        return
    text, found = simplest(start, lambda text, seen: seen.support >= least)
    assert text == f"constant({least})"
    assert parse_staleness(text).support == found.support


@given(counts(max_size=9))
def test_a_description_is_right(values):
    text = described(from_counts(values))
    if "values of tau" not in text:
        np.testing.assert_allclose(parse_staleness(text).pmf, np.trim_zeros(from_counts(values).pmf, "b"), rtol=1e-5)


def test_a_rule_that_raises_is_named_with_the_simplest_distribution():
    def fragile(staleness, workers):
        return 1 / 0 if staleness.mean() > 33.3 else np.ones(len(staleness))

    with pytest.raises(RuleError, match=r"rule fragile raised ZeroDivisionError.*under constant\(34\), workers=35"):
        check(fragile)
    with pytest.raises(RuleError, match=r"rule fragile raised.*under poisson\(50\), workers=7"):
        check(fragile, "poisson(50)", 7)
    with pytest.raises(RuleError, match=r"rule <lambda> returned shape \(1,\)"):
        check(lambda seen, workers: [1])


def test_a_rule_that_refuses_a_distribution_fails_there():
    report = check("preserve(ringmaster(16))", "constant(16)")
    assert not report
    assert "all updates seen are dropped" in report["C1"].text
    assert report["C2"].holds
    assert check("preserve(ringmaster(16))")["C1"].witness == "constant(16)"


def test_a_report_as_a_table():
    report = check("inverse", "constant(1)")
    assert [cells[:2] for cells in report.rows()] == list(
        zip(CONDITIONS, ["fails", "holds", "holds", "holds"], strict=True)
    )
    assert report.rows()[0][2:] == ("E[scale] = 0.5", "constant(1), workers=2")
    assert str(report).startswith("inverse() under constant(1), workers=2\nC1 FAILS")
    assert report.holds(["C2", "C3"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"staleness": from_counts([0, 0])}, "staleness is empty"),
        ({"staleness": [1, 2]}, r"staleness is \[1, 2\]: must be a StalenessDistribution"),
        ({"staleness": "geometrik(m=4)"}, "Did you mean 'geometric'"),
        ({"workers": 0}, "workers is 0"),
        ({"tries": -1}, "tries is -1"),
        ({"seed": "x"}, "seed is 'x'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        check("tail", **arguments)
