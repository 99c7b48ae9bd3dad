import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asapnb.errors import RuleError
from asapnb.rules import MAX_TABLE, ScaleTables, constant, every, inverse, once, tail
from asapnb.staleness import StalenessDistribution

refreshes = st.one_of(
    st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda t: once(t[0], t[0] + t[1])),
    st.tuples(st.integers(1, 50), st.sampled_from([None, 5, 10])).map(lambda t: every(*t)),
)


@given(refreshes, st.integers(1, 4), st.lists(st.integers(0, 30), max_size=200), st.data())
def test_tables_at_exact_update_numbers(refresh, workers, updates, data):
    """Fed up to each refresh in any pieces, every table is the rule of exactly the updates that count."""
    tables = ScaleTables(tail(refresh=refresh), workers)
    assert (tables.current == 1).all()
    steps, made = [0], [tables.current]
    start = 0
    while start < len(updates):
        stop = len(updates) if tables.next_refresh is None else min(len(updates), tables.next_refresh)
        stop = data.draw(st.integers(start + 1, stop))
        new = tables.observe(updates[start:stop])
        if new is not None:
            assert new is tables.current
            steps.append(stop)
            made.append(new)
        start = stop
    due = naive.refresh_numbers(refresh, workers, len(updates))
    assert set(steps[1:]) <= set(due)  # a table that did not change is left out
    for number in due:
        first = refresh.start if hasattr(refresh, "start") else 0
        expected = naive.tail(naive.forgetting_pmf(updates[first:number], refresh.half_life, 1024), 1.0)
        in_force = made[np.searchsorted(steps, number, side="right") - 1]
        np.testing.assert_allclose(in_force, [float(c) for c in expected], rtol=1e-9, atol=1e-12)


@given(refreshes, st.integers(1, 4), st.integers(0, 200))
def test_what_is_due_next_is_the_first_that_is_later(refresh, workers, seen):
    later = [number for number in naive.refresh_numbers(refresh, workers, 400) if number > seen]
    assert refresh.due(seen, workers) == (later[0] if later else None)


def test_a_refresh_that_does_not_advance_is_an_error_and_no_endless_loop(monkeypatch):
    tables = ScaleTables(tail(refresh=every(5)), workers=1)
    monkeypatch.setattr(type(every(5)), "due", lambda self, seen, workers: max(10, seen))
    for observe in (tables.observe, tables.catch_up):
        with pytest.raises(
            RuleError, match=r"refresh every\(5\) is due at update 1\d after 1\d: must be a later one"
        ):
            observe([0] * 12)


def test_a_window_counts_only_its_own_updates_when_batches_straddle_it():
    tables = ScaleTables(tail(refresh=once(3, 6)), workers=1)
    assert tables.observe([9, 9, 9, 0]) is None
    table = tables.observe([1, 1, 9, 9, 9])
    expected = tail()(StalenessDistribution.from_counts([1, 2]).padded(1024), 1)
    np.testing.assert_array_equal(table, expected)
    assert tables.next_refresh is None
    assert tables.observe([5] * 100) is None


def test_a_batch_over_several_refreshes_makes_one_table():
    tables = ScaleTables(tail(refresh=every(5)), workers=1)
    assert tables.next_refresh == 10
    assert tables.observe([0, 1] * 11) is not None
    assert tables.next_refresh == 25
    assert tables.observe([0, 1]) is None
    assert tables.observe([0, 1]) is None  # made anew at 25 and 26 … but the same: no new table


def test_static_rules_need_no_refresh():
    for rule in (constant(), inverse()):
        tables = ScaleTables(rule, workers=100)
        assert tables.next_refresh is None
        assert tables.observe([5000]) is None
        np.testing.assert_array_equal(tables.current, rule(StalenessDistribution.from_counts(np.zeros(1600)), 100))


def test_table_lengths():
    tables = ScaleTables(tail(refresh=every(10)), workers=1)
    assert len(tables.observe([0] * 9 + [2000])) == 4000
    longest = tables.observe([0] * 9 + [10**6])  # the mass past the table counts at its last entry
    assert len(longest) == MAX_TABLE
    assert longest[-1] == pytest.approx(1 / 20, rel=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        longest[0] = 1


def test_an_unusable_rule_fails_at_the_start():
    with pytest.raises(RuleError, match="rule broken gives scale nan"):
        ScaleTables(broken, workers=8)


def broken(staleness, workers):
    return np.where(staleness.pmf > 0, 1.0, np.nan)
