"""Speed-ups and best step sizes, on records whose times are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import HALF, record, runs

import asapnb as ab
from asapnb.analysis import Crossing, Target, best_step_size, compare, comparison, speed_up
from asapnb.analysis.overview import _median
from asapnb.analysis.speed import default_budget
from asapnb.errors import UsageError

TIME = st.one_of(st.integers(1, 99), st.none())
PAIRS = st.lists(st.tuples(TIME, TIME), min_size=2, max_size=6).filter(lambda p: any(t for pair in p for t in pair))


def both(pairs, **config):
    """Runs of the constant rule, and of TAIL, by these times."""
    base, other = zip(*pairs, strict=True)
    return runs(base, **config), runs(other, rule="tail(amplitude=1.0)", **config)


def test_the_ratio_is_that_of_restricted_means():
    found = speed_up(*both([(40, 20), (60, 30), (None, 40)]), HALF)
    assert found.ratio == pytest.approx((40 + 60 + 100) / (20 + 30 + 40))
    assert (found.budgets, found.not_reached, found.runs, found.paired) == ((100.0,), (1, 0), (3, 3), True)
    assert found.interval.low < found.ratio < found.interval.high
    assert found.gain == found.ratio - 1
    assert speed_up(*both([(40, 20), (60, 30)]), HALF).budgets == (None,)
    assert speed_up(*both([(40, 20), (60, 30)]), HALF, budget=50).ratio == pytest.approx(90 / 50)


@given(PAIRS)
def test_swapping_inverts_and_the_same_is_1(pairs):
    base, other = both(pairs)
    found, back = (speed_up(*sides, HALF, resamples=200) for sides in ((base, other), (other, base)))
    assert found.ratio == pytest.approx(1 / back.ratio)
    assert found.interval == pytest.approx((1 / back.interval.high, 1 / back.interval.low))
    if any(record.curve().loss[-1] <= 0.5 for record in base):
        same = speed_up(base, base, HALF, resamples=200)
        assert (same.ratio, same.interval) == (1.0, (1.0, 1.0))


@given(PAIRS)
def test_the_unit_of_time_does_not_matter(pairs):
    sides = both(pairs)
    by_clock = [speed_up(*sides, HALF, by=by, resamples=200) for by in ("updates", "seconds", "steps", "epochs")]
    for found in by_clock[1:]:
        assert found.ratio == pytest.approx(by_clock[0].ratio)
        assert found.interval == pytest.approx(by_clock[0].interval)


def test_a_run_that_diverges_never_arrives():
    base = [record(40, seed=0), record(None, "diverged", end=5.0, seed=1)]
    other = runs([40, 40], rule="tail(amplitude=1.0)")
    found = speed_up(base, other, HALF, budget=100)
    assert (found.ratio, found.diverged, found.not_reached) == (pytest.approx(140 / 80), (1, 0), (1, 0))


def test_an_interrupted_run_is_censored_not_slow():
    base = [record(40, seed=0), record(None, "interrupted", end=5.0, seed=1), record(80, seed=2)]
    other = runs([60, 60, 60], rule="tail(amplitude=1.0)")
    assert speed_up(base, other, HALF, budget=100).ratio == pytest.approx(1)


def test_cells_are_averaged_by_geometric_mean_and_seeds_drawn_together():
    """What one worker number gains on a seed the other loses on it: jointly drawn, the mean is known exactly."""
    few, many = both([(10, 20), (10, 10)], workers=4), both([(20, 10), (10, 10)], workers=16)
    base, other = ([*few[i], *many[i]] for i in (0, 1))
    found = speed_up(base, other, HALF)
    assert found.cells == 2
    assert found.ratio == pytest.approx(1)
    assert found.interval == pytest.approx((1, 1))
    assert speed_up(base, other, HALF, paired=False).interval.high > 1.05
    with pytest.raises(UsageError, match="no cell in common"):
        speed_up(few[0], many[1] + runs([5], workers=64, rule="tail(amplitude=1.0)"), HALF)


def test_pairs():
    base, other = both([(20, 19), (40, 39), (60, 59), (80, 79)])
    paired, apart = (speed_up(base, other, HALF, paired=paired) for paired in (None, False))
    assert paired.ratio == apart.ratio
    assert paired.paired
    assert not apart.paired
    assert np.ptp(paired.interval) < 0.1 < np.ptp(apart.interval)
    assert not speed_up(base, other[:3], HALF).paired
    some = speed_up(base, other[1:], HALF, paired=True)
    assert (some.runs, some.paired, some.ratio) == ((3, 3), True, speed_up(base[1:], other[1:], HALF).ratio)
    late = runs([None, 40]), runs([None], rule="tail(amplitude=1.0)")  # the only pair does not arrive
    assert comparison([*late[0], *late[1]], [HALF], paired=True)[-1].title == "Time to loss 0.5"
    for none in ([record(20, seed=7)], [record(20, seed=0), record(20, seed=0)]):
        with pytest.raises(UsageError, match=r"no pairs: the baseline has the seeds \[0, 1, 2, 3\], the others"):
            speed_up(base, none, HALF, paired=True)
    threads = both([(20, 19), (40, 39)], kind="train", virtual=False)
    assert [speed_up(*threads, HALF, paired=paired).paired for paired in (None, True)] == [False, True]
    schemes = runs([20, 40]), runs([10, 20], scheme="Leashed()")
    assert not speed_up(*schemes, HALF).paired


def test_what_cannot_be_compared():
    base, other = both([(20, 10), (20, 10)])
    wall = runs([10, 10], kind="train", virtual=False, rule="tail(amplitude=1.0)")
    for sides, options, message in (
        ((base, wall), {"by": "seconds"}, "cannot be compared"),
        ((base, other), {"by": "hours"}, "unknown clock"),
        ((base, []), {}, "no runs"),
        (both([(None, None)] * 2), {}, "no run reaches the target"),
        (both([(None, 20)] * 2), {"budget": 101}, "ended at 100"),
    ):
        with pytest.raises(UsageError, match=message):
            speed_up(*sides, HALF, **options)
    assert speed_up(base, wall, HALF).ratio == pytest.approx(2)


def grid(times, **config):
    """Runs of three step sizes and four seeds: each takes as long as its step size does, and a little of its seed."""
    return [
        record(time and time + seed, seed=seed, step_size=step, **config)
        for step, time in zip((0.1, 0.2, 0.4), times, strict=True)
        for seed in range(4)
    ]


def test_the_best_step_size_is_chosen_on_other_seeds():
    found = grid((50, 20, None))
    found += grid((60, 40, 30), rule="tail(amplitude=1.0)") + grid((None,) * 3, rule="inverse()")
    best = best_step_size(found, HALF, 2)
    assert [one.values["rule"] for one in best] == ["constant()", "inverse()", "tail(amplitude=1.0)"]
    assert [one.step_size for one in best] == [0.2, None, 0.4]
    assert [one.edge for one in best] == [None, None, "largest"]
    assert best[0].means == pytest.approx((50.5, 20.5, 100))
    assert [record.value("seed") for record in best[0].held_out] == [2, 3]
    assert {record.value("step_size") for record in best[0].held_out} == {0.2}
    text = "\n".join(table.text() for table in comparison(found, [HALF], tune_seeds=2))
    assert "rule=tail(amplitude=1.0): 0.4 is the largest of the grid" in text
    assert "rule=inverse(): no step size of the grid reaches the target" in text
    assert "nan" not in text


def test_grids_must_be_alike():
    found = grid((50, 20, None)) + grid((60, 40, 30), rule="tail(amplitude=1.0)")
    for records, tune, message in (
        (found[:-4], 2, "rule=tail.* has no runs of step size 0.4"),
        (found[:-1], 2, "step_size=0.4 has no run of seed 3"),
        ([*found, record(50, step_size=0.1)], 2, "two runs of seed 0"),
        (found[:4], 2, "no grid"),
        (found, 4, "one must be left to report on"),
        (found, 0, "tune_seeds is 0: must be an integer from 1 to 3"),
    ):
        with pytest.raises(UsageError, match=message):
            best_step_size(records, HALF, tune)
    with pytest.raises(UsageError, match="chosen by updates"):
        best_step_size(found, HALF, 2, by="steps")


def test_tables_say_what_was_not_reached_and_what_is_unequal():
    base, other = runs([20, None, 40, 60]), runs([10, 20, 30, 40], rule="inverse()", scale=0.4)
    overview, times, speed = comparison([*base, *other], [HALF])
    assert dict(zip(overview.columns, overview.rows[0], strict=True)) == {
        "rule": "constant()", "runs": 4, "seeds": "0–3", "status": "finished", "updates": 100.0, "virtual s": 50.0,
        "training loss": 0.4, "mean τ": 3.0, "mean scale": 1.0, "Ση": 10.0,
    }  # fmt: skip
    assert dict(zip(times.columns, times.rows[0], strict=True)) == {
        "rule": "constant()", "runs": 4, "reached": 3, "share from": pytest.approx(0.3006, abs=1e-4),
        "share to": pytest.approx(0.9544, abs=1e-4), "diverged": 0, "updates": 40.0, "virtual s": 20.0, "Ση": 4.0,
        "epochs": 4.0, "escape": pytest.approx(4), "after escape": pytest.approx(36),
    }  # fmt: skip
    assert "share: Wilson's 95 % interval of the share that reached it" in times.notes
    assert "Not reached by 1 of 8 runs." in times.notes
    assert any("Unequal magnitude: mean scales from 0.4 (rule=inverse()) to 1" in note for note in overview.notes)
    assert any("Unequal magnitude" in note for note in speed.notes)
    row = dict(zip(speed.columns, speed.rows[0], strict=True))
    assert (row["speed-up"], row["budget"], row["magnitude"]) == (pytest.approx(2.2), 100.0, pytest.approx(0.4))
    text = "\n".join(table.text() for table in comparison([record(None, seed=i) for i in range(3)], [HALF]))
    assert "not reached" in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("values", "median"),
    [
        ([3.0, None, 1.0, 2.0], 2.0),
        ([4.0, 1.0], 2.5),
        ([None], None),
        ([np.nan, 1.0, 3.0], 3.0),
        ([np.nan, 1], np.inf),
    ],
)
def test_a_median_counts_a_loss_that_is_no_number_as_infinite(values, median):
    assert _median(values) == median


def test_statuses_with_intervals():
    found = [record(20, "converged", seed=0), record(None, "diverged", seed=1), record(None, "timed-out", seed=2)]
    ended = comparison(found, [HALF])[1]
    row = dict(zip(ended.columns, ended.rows[0], strict=True))
    assert [row[name] for name in ("runs", "converged", "diverged", "timed-out")] == [3, 1, 1, 1]
    assert row["diverged share"] == pytest.approx(1 / 3)
    assert row["diverged from"] == pytest.approx(0.0615, abs=1e-4)


def test_seconds_of_different_clocks_are_left_out():
    found = [*runs([20, 30]), *runs([20, 30], kind="train", virtual=False)]
    overview, times = comparison(found, [HALF])
    assert overview.columns[0] == "kind"
    assert not any(name.endswith(" s") for name in (*overview.columns, *times.columns))
    assert "Seconds are left out: these runs are on different clocks (virtual, wall)." in overview.notes
    with pytest.raises(UsageError, match="no runs"):
        compare([])


def test_rules_with_other_cells_and_losses_below_0():
    """A rule that ran with other workers only is left out, and of one that ran with more, those."""
    found = runs([20, 30]) + runs([10, 10], rule="inverse()") + runs([10, 10], rule="inverse()", workers=16)
    found += runs([5, 5], rule="fleet()", workers=64)
    (speed,) = [table for table in comparison(found, [HALF]) if table.title.startswith("Speed-up")]
    assert [row[:3] for row in speed.rows] == [("inverse()", 4, pytest.approx(2.5))]
    below = [record(None, seed=seed) for seed in (0, 1)]
    for one in below:
        one.summary()["initial"] = {"train_loss": -1.0}
    assert len(comparison(below)) == 1
    assert comparison(below, [Target(loss=-2.0)])[1].rows[0][-2:] == (None, None)
    below[0].summary()["initial"] = None
    assert len(comparison(below)) == 1


def test_runs_that_did_not_end_are_left_out_and_that_is_said():
    base, other = both([(40, 20), (60, 30)])
    more = [record(None, status, end=5.0, seed=7 + i) for i, status in enumerate(("running", "interrupted"))]
    tables = {table.title: table for table in comparison([*base, *other, *more], [HALF])}
    whole = {table.title: table for table in comparison([*base, *other], [HALF])}
    assert any("2 of the runs did not come to an end" in note for table in tables.values() for note in table.notes)
    for title in set(whole) - {"4 runs"}:
        assert tables[title].rows == whole[title].rows
    assert len(comparison(more, [HALF])) == 2  # nothing to time


def test_the_default_budget_is_the_first_end_of_a_run_that_did_not_reach_the_target():
    diverged = Crossing("diverged", None, None, None, None, {"updates": 5.0, "seconds": 50.0})
    reached = Crossing("reached", 7.0, 70.0, None, None, {"updates": 9.0, "seconds": 90.0})
    early, late = (
        Crossing("not reached", None, None, None, None, {"updates": end, "seconds": 100 - end})
        for end in (20.0, 40.0)
    )
    assert default_budget([late, diverged, reached, early], "updates") == 20.0
    assert default_budget([late, diverged, reached, early], "seconds") == 60.0
    assert default_budget([diverged, reached], "updates") == 9.0
    base = [record(30), record(None, end=60.0, seed=1), record(None, end=80.0, seed=2)]
    found = speed_up(base, runs([10, 20, 40], rule="tail(amplitude=1.0)"), HALF)
    assert found.budgets == (60.0,)
    assert found.ratio == pytest.approx((30 + 60 + 60) / (10 + 20 + 40))


def test_the_budget_is_what_is_known_of_all():
    cut = [record(20), record(None, "interrupted", end=40.0, seed=1)]
    found = speed_up(cut, runs([10, 60], rule="tail(amplitude=1.0)"), HALF)
    assert found.budgets == (40.0,)
    assert found.ratio == pytest.approx((20 + 40) / (10 + 40))
    base, other = both([(34, 37), (36, 38)])
    assert speed_up(base, other, HALF, budget=50).budgets == (None,)  # all arrive before
    with pytest.raises(UsageError, match="budget is 10: no run reaches the target before 34"):
        speed_up(base, other, HALF, budget=10)
    titles = [table.title for table in comparison([*base, *other], [HALF], budget=10)]
    assert titles == ["4 runs", "Time to loss 0.5"]
    notes = comparison([*base, *other], [HALF], budget=50)[-1].notes
    assert not any("restricted" in note for note in notes)


def test_a_run_that_ended_too_early_for_a_speed_up_stops_no_comparison():
    made = [record(50), record(None, end=20.0, seed=1), *runs([40, 60], rule="tail(amplitude=1.0)")]
    with pytest.raises(UsageError, match="no run reaches the target before 40"):
        speed_up(made[:2], made[2:], HALF)
    assert [table.title for table in comparison(made, [HALF])] == ["4 runs", "Time to loss 0.5"]
    wider = [*made, *runs([40, 30], workers=8), *runs([20, 30], workers=8, rule="tail(amplitude=1.0)")]
    assert len(comparison(wider, [HALF])[-1].rows) == 1  # of the cell that can be compared


def test_magnitudes_are_means_of_the_steps_of_the_runs_compared():
    sizes = {0.1: 1.0, 1.0: 0.5}
    base = [record(20, step_size=size, scale=scale) for size, scale in sizes.items()]
    other = [record(10, rule="tail(amplitude=1.0)", step_size=size) for size in sizes]
    alone = record(10, rule="tail(amplitude=1.0)", step_size=0.1, workers=8)  # in no cell of the baseline
    found = speed_up(base, [*other, alone], HALF)
    assert found.magnitudes == pytest.approx(((0.1 + 0.5) / 2, (0.1 + 1.0) / 2))
    assert (found.cells, found.smallest_cell) == (2, 1)


@pytest.mark.parametrize("n", [10, 24, 28, 30])
def test_half_have_arrived_when_half_have(n):
    some = [record(None if i >= n // 2 else 5.0 + i, seed=i) for i in range(n)]
    row = dict(zip(*_first(comparison(some, [HALF])[-1]), strict=True))
    assert (row["reached"], row["updates"]) == (n // 2, 5.0 + n // 2 - 1)


def _first(table):
    return table.columns, table.rows[0]


def test_a_target_that_only_an_overshoot_reached_is_not_chosen():
    """Three runs stop at their own target, 0.5; the one that overshot it says nothing of lower ones."""
    stopped = [record(None, "converged", end=30.0, seed=seed) for seed in range(3)]
    assert [table.title for table in comparison([*stopped, record(20, "converged", seed=3)])[:2]] == [
        "4 runs", "How the runs ended"]  # fmt: skip
    going_on = [record(None, seed=seed) for seed in range(3)]
    assert comparison([*going_on, record(20, "converged", seed=3)])[-1].title == "Time to 50 % of the initial loss"
    notes = comparison([*stopped, record(20, seed=3)], [HALF])[-1].notes
    assert any("3 runs stopped earlier, at a target of their own" in note for note in notes)


def test_runs_that_did_not_end_choose_nothing():
    base, other = both([(20, 10), (30, 20)])
    begun = record(None, "running", end=1.0, seed=9)
    begun.__dict__["_facts"][0]["initial"] = None
    only = [record(None, "running", end=1.0, seed=9, rule="inverse()")]
    for unended in ([begun], only):
        titles = [table.title for table in comparison([*base, *other, *unended])]
        assert "Time to 50 % of the initial loss" in titles
        assert "Speed-up over rule=constant() to 50 % of the initial loss, in updates" in titles
    others = [record(20, seed=seed, rule=rule) for rule in ("tail(amplitude=1.0)", "inverse()") for seed in (0, 1)]
    tables = comparison([*others, record(None, "running", seed=0)])  # the baseline is not there yet
    assert tables[-1].title == "Time to 50 % of the initial loss"


def test_a_run_that_starts_at_infinity_never_arrives():
    far = {"problem": ab.problems.quadratic([1.0], start=1e200), "workers": 2, "updates": 20, "batch_size": 1}
    near = {**far, "problem": ab.problems.quadratic([1.0])}
    runs = [ab.simulate(**given, seed=seed, eval_every=1) for given in (near, far) for seed in (0, 1)]
    table = compare(runs, target_fraction=0.9).tables[2]
    assert [dict(zip(table.columns, row, strict=True))["reached"] for row in table.rows] == [2, 0]
    assert compare(runs).tables[2].title.startswith("Time to")


def test_keys_that_are_measured_too_keep_their_columns():
    some = [record(20, seed=seed, updates=updates) for updates in (40, 60) for seed in (0, 1)]
    for table in comparison(some, [HALF]):
        assert len(set(table.columns)) == len(table.columns)
        assert [row[table.columns.index("updates set")] for row in table.rows] == [40, 60]
