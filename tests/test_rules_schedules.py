"""Factors of single updates: AdaDelay's formula, Wu's budgets under any delays."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asapnb.errors import UsageError
from asapnb.rules import AdaDelay, Budget, adadelay, parse_rule, wu_adaptive
from asapnb.rules.kinds import AT_ARRIVAL, BUDGET_FIT, BUDGET_SHARE, NO_FACTOR
from asapnb.staleness import geometric

BUDGETS = st.floats(1e-3, 1e3)
SCHEDULES = st.one_of(
    st.tuples(BUDGETS, st.floats(0.01, 1)).map(lambda r: wu_adaptive(1, budget=r[0], alpha=r[1]).schedule),
    BUDGETS.map(lambda budget: wu_adaptive(2, budget=budget).schedule),
)


def taken(schedule, delays):
    """The steps of a run with these delays, of type float32 as they are recorded."""
    steps = []
    for t, tau in enumerate(delays):
        window = math.fsum(steps[t - tau :] if tau else [])
        steps.append(float(np.float32(schedule.factor(t, tau, window))))
    return steps


@given(SCHEDULES, st.lists(st.integers(0, 40), min_size=1, max_size=200))
def test_no_step_exceeds_the_budget_of_its_window(schedule, wished):
    delays = [min(tau, t) for t, tau in enumerate(wished)]
    steps = taken(schedule, delays)
    assert min(steps) >= 0
    for t, tau in enumerate(delays):
        if steps[t] > 0:
            assert math.fsum(steps[t - tau : t + 1]) <= schedule.budget * (1 + 2e-6)


@given(BUDGETS, st.integers(0, 60))
def test_equal_shares_fill_the_budget_and_none_is_dropped(budget, delay):
    steps = taken(wu_adaptive(2, budget=budget).schedule, [delay if t >= delay else t for t in range(300)])
    steady = steps[2 * delay + 1 :]
    # after the start the shares of one delay fit, though float32 may round each of them up
    assert sum(step > 0 for step in steady[-(delay + 1) :]) == delay + 1
    np.testing.assert_allclose(steady[-(delay + 1) :], budget / (delay + 1), rtol=1e-6)


@given(BUDGETS, st.floats(0.01, 1), st.integers(0, 20))
def test_the_first_variant_takes_its_share_of_what_is_left(budget, alpha, delay):
    schedule = wu_adaptive(1, budget=budget, alpha=alpha).schedule
    steps = []
    for t in range(60):
        left = budget - math.fsum(steps[max(0, t - delay) :] if delay else [])
        steps.append(schedule.factor(t, min(t, delay), budget - left))
        assert steps[-1] == pytest.approx(alpha * max(0.0, left), rel=1e-9, abs=1e-12 * budget)
    assert schedule.factor(0, 5, 1.5 * budget) == 0


def test_adadelay_is_its_formula():
    schedule = adadelay(0.25).schedule
    for t, tau in ((0, 0), (10, 2), (10**9, 7)):
        assert schedule.factor(t, tau, 99.0) == pytest.approx((1 + 0.25 * (t + tau)) ** -0.5, rel=1e-15)
    assert adadelay(0).schedule.factor(5, 5, 0.0) == 1


def test_a_share_fits_up_to_a_millionth_of_the_budget():
    schedule = Budget(2, budget=3.0)  # its share at tau = 2 is 1
    assert schedule.factor(9, 2, 2.0 + 0.9e-6 * 3.0) == 1.0
    assert schedule.factor(9, 2, 2.0 + 1.1e-6 * 3.0) == 0.0


def test_the_kind_and_numbers_for_compiled_code():
    schedules = [rule.schedule for rule in (adadelay(0.5), wu_adaptive(1, 3, alpha=0.25), wu_adaptive(2, budget=4))]
    assert [schedule.kind for schedule in schedules] == [AT_ARRIVAL, BUDGET_SHARE, BUDGET_FIT]
    assert NO_FACTOR not in (AT_ARRIVAL, BUDGET_SHARE, BUDGET_FIT)
    arrivals, *budgets = (schedule.numbers(5) for schedule in schedules)
    assert [numbers.tolist() for numbers in budgets] == [[3.0, 0.25], [4.0, 4.0 * (1 + 1e-6)]]
    assert arrivals.tolist() == [schedules[0].factor(t=k, tau=0, window_sum=0.0) for k in range(9)]  # t + tau <= 8
    assert adadelay(0).schedule.numbers(10**12).tolist() == [1.0]


def test_rules_with_a_schedule():
    for text, schedule in (
        ("adadelay(c=0.01)", AdaDelay(0.01)),
        ("wu_adaptive(variant=1, budget=2.0, alpha=0.5)", Budget(1, 2.0, 0.5)),
        ("wu_adaptive(variant=2, budget=2.0)", Budget(2, 2.0)),
    ):
        rule = parse_rule(text)
        assert (repr(rule), rule.schedule, rule.refresh) == (text, schedule, None)
        np.testing.assert_array_equal(rule(geometric(m=4), 4), 1)
    assert parse_rule("adadelay(0.01)") != parse_rule("adadelay(0.02)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adadelay(c=-1)", "c is -1"),
        ("wu_adaptive(variant=3, budget=1)", "variant is 3: must be an integer from 1 to 2"),
        ("wu_adaptive(True, 1)", "variant is True"),
        ("wu_adaptive(1, budget=0)", "budget is 0: must be a finite number above 0"),
        ("wu_adaptive(1, 1, alpha=2)", r"alpha is 2: must be a finite number above 0 and of at most 1"),
        ("wu_adaptive(2, 1, alpha=0.5)", "alpha is 0.5: variant 2 does not take alpha"),
    ],
)
def test_bad_parameters(text, message):
    with pytest.raises(UsageError, match=message):
        parse_rule(text)
