"""The arena: a tiny suite, whose runs are compared with runs made by hand."""

import numpy as np
import pytest

import asapnb as ab
from asapnb.arena import SUITE, Cell, Scenario, Suite, Task, builtin, compete, contestant
from asapnb.arena.contest import run, tuned
from asapnb.arena.recorded import window
from asapnb.arena.suite import step_size


def two_slopes():
    return ab.problems.quadratic([0.2, 1.0], noise=0.05)


TASK = Task("slopes", "two of them", two_slopes, 1, target=0.02, budget=300, eval_every=10)
QUICK = Scenario("quick", "four workers", 4, "exponential(1)")
RECORDED = Scenario("recorded", "threads", 16, None)
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
    assert contestant("constant", compensation=0.04, momentum=0.0).name == "constant(), compensation=0.04"
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
