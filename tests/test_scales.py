"""The scales of a schedule, all at once, against updates that are scaled and observed one by one."""

import numpy as np
import pytest
from naive import scales as one_by_one
from simulations import CONSISTENT, ROUNDS, timing_of

import asapnb as ab
from asapnb.problems import analytic
from asapnb.rules import as_rule, every, shuffled
from asapnb.schedules import constant
from asapnb.simulator.scales import SHUFFLED, factored, scales_of
from asapnb.training.steps import step_tables


def fresh_only(staleness, workers):
    return (np.arange(len(staleness)) < 4).astype(float)


fresh_only.refresh = every(20)
RULES = [
    "constant",
    "inverse",
    "tail(refresh=once(5, 40))",
    "tail(refresh=every(7))",
    "tail(amplitude=0.5, refresh=every(10, half_life=50))",
    "tail(refresh=every(1))",
    fresh_only,
    "tail(cdf='exclusive', refresh=released_code())",
    "adadelay(c=0.3)",
    "wu_adaptive(variant=1, budget=4.0, alpha=0.5)",
    "wu_adaptive(variant=2, budget=3.0)",
]
SCHEMES = ["hogwild", *CONSISTENT, *ROUNDS]


def made(scheme, workers=4, updates=120, seed=1):
    workers = 1 if scheme == "sequential" else workers
    return ab.schedule(timing_of(scheme), scheme, workers, updates, seed)


def scales_for(rows, rule, workers, step_schedule=constant(), **options):  # noqa: B008 (frozen)
    found = scales_of(rows, as_rule(rule), workers, **options)
    return factored(found, rows, step_tables(step_schedule, as_rule(rule), 300))


def of(schedule, rule, per_worker=False, seed=0):
    fresh = schedule.scheme.fresh
    return scales_for(schedule.rows, rule, schedule.workers, per_worker=per_worker, always_fresh=fresh, seed=seed)


def assert_as_one_by_one(found, rows, rule, workers, per_worker, fresh):
    expected, tables = one_by_one(rows, as_rule(rule), workers, per_worker, fresh)
    number, scale, factor, fate = (np.array(column) for column in zip(*expected, strict=True))
    np.testing.assert_array_equal(found.columns["scale"], scale)
    np.testing.assert_array_equal(found.columns["factor"], factor)
    np.testing.assert_array_equal(found.columns["dropped"], fate)
    assert found.made_at == sorted(found.made_at)
    for ours, theirs in set(zip(found.columns["row"].tolist(), number.tolist(), strict=True)):
        step, _, table = tables[theirs]
        assert found.made_at[ours] == step
        np.testing.assert_array_equal(found.tables[ours], table)


@pytest.mark.parametrize("per_worker", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_at_once_is_one_by_one(scheme, per_worker):
    schedule = made(scheme, updates=300 if per_worker else 120)  # tables begin after 10 updates of each worker
    fresh = schedule.scheme.fresh
    for rule in RULES:
        found = of(schedule, rule, per_worker)
        assert_as_one_by_one(found, schedule.rows, rule, schedule.workers, per_worker, fresh)
        if rule is fresh_only and scheme in ("hogwild", "lock-based", "leashed", "parameter-server"):
            assert (found.columns["dropped"] == 2).any()
        if "refresh=every" in str(rule) and not fresh:
            assert len(found.tables) > 1


def name_of(rule):
    return getattr(rule, "__name__", str(rule))


@pytest.mark.parametrize("rule", [RULES[3], RULES[4], RULES[5], fresh_only, *RULES[8:]], ids=name_of)
@pytest.mark.parametrize("per_worker", [False, True])
@pytest.mark.parametrize("scheme", ["leashed(persistence=0)", "parameter-server(discard_after=3)"])
def test_the_scales_of_the_first_rows_do_not_depend_on_later_ones(scheme, per_worker, rule):
    schedule = made(scheme, updates=90)
    whole = of(schedule, rule, per_worker)
    for count in [0, 1, 2, *range(39, 45), 60, 61, 70]:
        rows = schedule.rows[:count]
        found = scales_for(rows, rule, 4, per_worker=per_worker, always_fresh=False, seed=0)
        for name in ("scale", "factor", "dropped"):
            np.testing.assert_array_equal(found.columns[name], whole.columns[name][:count], err_msg=name)
        for ours, theirs in zip(found.columns["row"], whole.columns["row"], strict=False):
            np.testing.assert_array_equal(found.tables[ours], whole.tables[theirs])


def test_a_schedule_that_staleness_zeroes_spends_nothing():
    found = of(made("lock-based"), "wu_adaptive(variant=2, budget=1.0)")
    assert (found.columns["dropped"] == 2).any()
    assert (found.columns["scale"] == 1).all()
    assert (found.columns["factor"][found.columns["dropped"] == 2] == 0).all()


@pytest.mark.parametrize("scheme", ["lock-based", "leashed(persistence=0)"])
@pytest.mark.parametrize("rule", ["inverse", "tail(refresh=every(50))"])
def test_shuffled_scales_are_the_same_but_not_where_staleness_says(scheme, rule):
    schedule = made(scheme, workers=8, updates=5000)
    applied = schedule.rows["dropped"] == 0
    plain, found = of(schedule, rule), of(schedule, f"shuffled(rule={rule})", seed=4)
    scale, tau = found.columns["scale"][applied], schedule.tau[applied]
    for start in range(0, applied.sum(), SHUFFLED):
        block = slice(start, start + SHUFFLED)
        np.testing.assert_array_equal(np.sort(scale[block]), np.sort(plain.columns["scale"][applied][block]))
    assert abs(np.corrcoef(scale, tau)[0, 1]) < 0.05
    assert np.corrcoef(plain.columns["scale"][applied], tau)[0, 1] < -0.5
    np.testing.assert_array_equal(found.columns["scale"][~applied], plain.columns["scale"][~applied])
    np.testing.assert_array_equal(np.bincount(found.columns["row"]), np.bincount(plain.columns["row"]))
    for name in ("scale", "row"):
        again = of(schedule, f"shuffled(rule={rule})", seed=4)
        np.testing.assert_array_equal(found.columns[name], again.columns[name])
    assert (of(schedule, f"shuffled(rule={rule})", seed=5).columns["scale"] != found.columns["scale"]).any()
    for number in np.unique(found.columns["row"]):  # each scale is still one of the table that its row names
        assert np.isin(
            found.columns["scale"][found.columns["row"] == number], found.tables[number].astype(np.float32)
        ).all()


def test_zeroed_updates_are_shuffled_with_their_scales():
    schedule = made("lock-based", updates=2000)
    plain, found = (of(schedule, rule) for rule in (fresh_only, shuffled(fresh_only)))
    assert (plain.columns["dropped"] == 2).any()
    assert (plain.columns["dropped"] == 2).sum() == (found.columns["dropped"] == 2).sum()
    np.testing.assert_array_equal(found.columns["dropped"] == 2, found.columns["scale"] == 0)


def test_real_threads_cannot_shuffle():
    with pytest.raises(ab.UsageError, match="use it in simulate or replay"):
        ab.train(analytic.quadratic([1.0]), rule="shuffled(tail)", updates=5)
