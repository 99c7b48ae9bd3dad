import random

import numpy as np
import pytest
from hypothesis import find, given, settings
from processes import python

from asapnb.errors import RuleError, UsageError
from asapnb.rules import tail
from asapnb.testing import assert_framework, delay_sequences, distributions, histograms


@pytest.mark.parametrize(
    "wanted",
    [
        lambda counts: counts.size == 1,
        lambda counts: counts.size > 1900,
        lambda counts: (counts[:-1] == 0).all() and counts.size > 100,
        lambda counts: counts.size > 3 and (counts[1:-1] == 0).any() and counts[0] and counts[-1],
        lambda counts: counts.max() == 10**12 and counts.min() == 1,
        lambda counts: counts.size > 50 and (np.diff(counts) >= 0).all() and counts[0] != counts[-1],
    ],
)
def test_histograms_reach_what_they_promise(wanted):
    long = settings(
        max_examples=20_000, database=None
    )  # some of these are rare, so that a short search may miss them
    found = find(histograms(), wanted, settings=long, random=random.Random(0))
    assert found.dtype == np.int64


@given(histograms(), histograms(max_size=1), distributions(max_size=50))
def test_histograms_keep_within_their_bounds(counts, one, seen):
    assert 1 <= counts.size <= 2000
    assert counts.any()
    assert 0 <= counts.min() <= counts.max() <= 10**12 + 1
    assert one.size == 1 <= one[0]
    assert len(seen) <= 50
    assert seen.pmf.sum() == pytest.approx(1)


@given(delay_sequences(max_size=30, max_delay=9))
def test_delays_go_back_to_the_start_at_most(tau):
    assert tau.dtype == np.int64
    assert 1 <= tau.size <= 30
    assert (tau >= 0).all()
    assert (tau <= np.minimum(np.arange(tau.size), 9)).all()


def test_a_rule_of_the_family_passes():
    for rule in ("tail", "power(2)", "quantile_cut(0.5)", tail(0.3)):
        assert_framework(rule, conditions=("C1", "C2", "C3", "C4"), max_examples=50)


def rises(staleness, workers):
    scales = tail()(staleness, workers)
    return np.where((np.arange(len(scales)) == 6) & (staleness.mean() > 2), 3.0, scales)


@pytest.mark.parametrize(
    ("rule", "conditions", "message"),
    [
        ("inverse", ("C1", "C2", "C3"), r"inverse\(\): C1 FAILS: E\[scale\] = 0.5, under constant\(1\)"),
        (
            "inverse",
            ("C4",),
            r"C4 FAILS: scale 1 at tau = 0, the freshest: must be above 1, under empirical\(\[0, 1\]\)",
        ),
        (rises, ("C2",), r"rises: C2 FAILS: the scale rises from [\d.]+ at tau = \d to 3 at tau = 6, under "),
        (lambda s, w: 2 - s.cdf() * 4, ("C3",), r"C3 FAILS: scale -2 at tau = 1, .* under constant\(0\)"),
    ],
)
def test_a_broken_rule_fails_with_an_example(rule, conditions, message):
    with pytest.raises(AssertionError, match=message):
        assert_framework(rule, conditions)


def test_only_the_conditions_asked_for_count():
    assert_framework("inverse", ["C2", "C3"])
    assert_framework("inverse", [])
    assert_framework(lambda seen, workers: np.full(len(seen), 1.01), ["C1"], tolerance=0.02)
    assert_framework(lambda seen, workers: np.full(len(seen), workers / 4), ["C1"], workers=4)


def test_bad_arguments():
    with pytest.raises(UsageError, match="unknown condition 'C5'"):
        assert_framework("tail", ["C5"])
    with pytest.raises(RuleError, match="ZeroDivisionError"):
        assert_framework(lambda seen, workers: 1 / 0)


def test_without_hypothesis_an_error_says_how_to_get_it():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import asapnb.errors\n"
        "try: import asapnb.testing\n"
        "except asapnb.errors.MissingExtraError as error: print(error)"
    )
    done = python("-c", code)
    assert done.stdout == "asapnb.testing needs Hypothesis, which is not installed: pip install hypothesis\n"
