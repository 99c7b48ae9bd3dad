"""The arena: a tiny suite, whose runs are compared with runs made by hand."""

from dataclasses import replace

import numpy as np
import pytest

import asapnb as ab
from asapnb.analysis import bootstrap
from asapnb.arena import (
    SUITE,
    Cell,
    Result,
    Runs,
    Scenario,
    Score,
    Suite,
    Task,
    builtin,
    compete,
    contestant,
    standings,
)
from asapnb.arena.contest import run, tuned
from asapnb.arena.recorded import window
from asapnb.arena.suite import step_size


def two_slopes():
    return ab.problems.quadratic([0.2, 1.0], noise=0.05)


TASK = Task("slopes", "two of them", two_slopes, 1, target=0.02, budget=300, eval_every=10)
QUICK = Scenario("quick", "four workers", 4, "exponential(1)")
RECORDED = Scenario("recorded", "threads", 16, None, has_limit=False)
TINY = Suite("test", (Cell(QUICK, TASK, -8), Cell(RECORDED, TASK, -16)), seeds=(0, 1), tuning=(2,))


def test_a_score_holds_the_runs_that_replay_makes():
    found = compete("tail", suite=TINY).cells["quick/slopes"]
    made = ab.replay(
        ab.schedule("exponential(1)", workers=4, updates=300, seed=1),
        two_slopes(),
        rule="tail",
        step_size=2.0 ** (found.step / 8),
        batch_size=1,
        eval_every=10,
        prior="compute=exponential(1)",
        target_loss=0.02,
    )
    steps, losses = made.evals["step"], made.evals["train_loss"]
    time = np.interp(-0.02, -losses[-2:], steps[-2:])
    assert made.status == "converged"
    assert found.best.times[1] == pytest.approx(time)
    assert len(found.best.times) == len(found.equal.times) == 2


def test_processes_compute_the_same():
    alone, together = (compete("tail", suite=TINY, jobs=jobs).document() for jobs in (1, 2))
    for found in (alone, together):
        for score in found["cells"].values():
            score["seconds"] = None
    assert alone == together


def test_the_best_step_size_is_none_worse_than_its_neighbours_and_is_tuned_on_other_seeds():
    cell, one = TINY.cells[0], contestant("constant")
    k, edge = tuned(cell, one, TINY.tuning)
    assert not edge

    def mean(at):
        return np.mean([run(cell, one, at, seed).time or cell.task.budget for seed in TINY.tuning])

    assert mean(k) == min(mean(k - 1), mean(k), mean(k + 1))
    assert not set(SUITE.tuning) & set(SUITE.seeds)


def test_a_rule_that_never_moves_ends_at_the_edge_of_the_grid_and_never_arrives():
    found = compete(lambda staleness, workers: np.zeros(len(staleness)), name="zero", suite=TINY.only(["quick"]))
    assert found.cells["quick/slopes"].edge
    assert found.cells["quick/slopes"].best.times == (None, None)


@pytest.mark.parametrize(
    ("rule", "says"),
    [(lambda staleness, workers: 1 / 0, "raised ZeroDivisionError"),
     (lambda staleness, workers: np.full(len(staleness), np.nan), "gives scale nan")],
)  # fmt: skip
def test_a_rule_that_fails_is_an_error_that_names_the_scenario(rule, says):
    with pytest.raises(ab.RuleError, match=rf"mine failed in quick/slopes, step size 0.25, seed 2: .*{says}"):
        compete(rule, name="mine", suite=TINY)


def test_a_part_of_the_recorded_schedule_is_a_schedule():
    made = window(3000, seed=12)
    assert (made.read_version + made.tau + 1 == made.version).all()
    assert (np.sort(made.batch) == np.arange(3000)).all()
    assert (made.tau[np.unique(made.worker, return_index=True)[1]] <= made.version[-1]).all()
    for worker in range(16):  # it reads again only once it has applied
        mine = made.rows[made.worker == worker]
        assert (mine["read_version"][1:] >= mine["version"][:-1]).all()


def test_settings_and_placeholders_of_contestants():
    assert contestant("tail(refresh=once({10m}, {15m}))").rule_for(8) == ab.tail(refresh=ab.once(80, 120))
    assert contestant("constant", compensation=0.04, momentum=0.0).name == "constant, compensation=0.04"
    with pytest.raises(ab.UsageError, match="unknown setting of a contestant 'step_size'"):
        contestant("constant", step_size=0.1)
    with pytest.raises(ab.UsageError, match="momentum"):
        contestant("constant", momentum=1.5)


def test_the_suite_is_whole():
    assert len({cell.name for cell in SUITE.cells}) == len(SUITE.cells)
    assert set(SUITE.quick_cells) < {cell.name for cell in SUITE.cells}
    assert len(builtin()) > 15
    assert step_size(8) == 2
    with pytest.raises(ab.UsageError, match="unknown scenario 'quik'"):
        TINY.only(["quik"])


PAIR = replace(TINY, seeds=(0, 1, 2, 3))


def result(name, *cells, step=-8):
    """A contestant with these times in the cells of `PAIR`, at the best and at the equal step size."""
    scores = {
        cell.name: Score(step, False, Runs(times, 1.0), Runs(times, 0.5), 0.1)
        for cell, times in zip(PAIR.cells, cells, strict=True)
    }
    return Result(name, name, {}, True, PAIR.version, scores, {"quick": 0.5 * len(name), "recorded": None})


CONSTANT = result("constant", (100.0, 120.0, 80.0, 100.0), (200.0, 210.0, 190.0, 200.0))


def test_standings_are_ratios_of_restricted_means_with_joint_bootstrap_intervals():
    other = (50.0, 70.0, 30.0, None), (100.0, 90.0, 100.0, 110.0)
    found = standings([CONSTANT, result("other", *other, step=0)], PAIR)["other"]
    first, second = np.array([50.0, 70, 30, 300]), np.array(other[1])
    base = [np.array(CONSTANT.cells[cell.name].best.times) for cell in PAIR.cells]
    assert found.by_cell["quick/slopes"].ratio == pytest.approx(400 / 450)
    assert found.best.ratio == pytest.approx(np.sqrt(400 / 450 * 2))

    def statistic(weights):
        gains = [np.log(weights @ a) - np.log(weights @ b) for a, b in zip(base, (first, second), strict=True)]
        return np.exp(np.mean(gains, axis=0))

    assert found.best.interval == pytest.approx(bootstrap(statistic, [4]))
    assert found.arrived == (7 / 8, 7 / 8)
    assert found.step == 2
    assert found.stable == pytest.approx(5 / 8)


def test_ranks_have_intervals_and_ties_are_told():
    same = result("same", *(CONSTANT.cells[cell.name].best.times for cell in PAIR.cells))
    fast = result("fast", (10.0, 12.0, 8.0, 10.0), (20.0, 21.0, 19.0, 20.0))
    noisy = result("noisy", (10.0, 300.0, 10.0, 200.0), (200.0, 20.0, 300.0, 200.0))
    found = standings([CONSTANT, same, fast, noisy], PAIR)
    assert [place.rank for place in found.places] == [1, 2, 2, 4]
    assert found["fast"].ranks == (1, 1)
    assert found["fast"].alike == ()
    assert set(found["constant"].alike) == {"same", "noisy"}
    assert found["constant"].ranks == (2, 3)
    assert found["same"].best.interval == (1, 1)
    alone = standings([CONSTANT, fast], replace(PAIR, seeds=(0,)))["fast"]
    assert (alone.best.interval, alone.ranks, alone.rank) == (None, None, 1)


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"version": "0"}, "ran in version 0 of the suite, but this is version test"),
     ({"cells": {}}, "did not run in quick/slopes, recorded/slopes"),
     ({"name": "constant"}, "the same name")],
)  # fmt: skip
def test_results_that_cannot_be_compared_are_refused(changed, says):
    with pytest.raises(ab.UsageError, match=says):
        standings([CONSTANT, replace(CONSTANT, name="other", **changed) if "name" not in changed else CONSTANT], PAIR)


def test_contestants_that_differ_by_less_than_the_grid_may_give_are_not_told_apart():
    times = [CONSTANT.cells[cell.name].best.times for cell in PAIR.cells]
    for factor, apart in ((1.015, False), (1.03, True)):
        other = result("other", *(tuple(factor * time for time in some) for some in times))
        assert (standings([CONSTANT, other], PAIR)["other"].alike == ()) is apart
