"""Rules whose factor depends on time or on the steps before, and the compensation of gradients, on real threads."""

import numpy as np
import pytest
from naive import recompute
from problems import CONSISTENT, pull_slowly, quadratic, train

import asapnb as ab
from asapnb.rules import adadelay, wu_adaptive

BUDGETS = [wu_adaptive(1, budget=3.0, alpha=0.5), wu_adaptive(2, budget=4.0)]
OTHERS = ["sequential", "synchronous", "hogwild", "hogwild(view=snapshot)"]


def run_with(rule, scheme, **arguments):
    problem = quadratic(2000, gradient=pull_slowly)
    return train(problem, scheme, rule=rule, updates=300, step_size=1e-3, meetings=20, **arguments)


def applied_rows(run):
    rows = {name: run.updates[name][run.updates["dropped"] != 1] for name in run.updates}
    return rows, rows["scale"].astype(float) * rows["factor"]


@pytest.mark.parametrize("scheme", [*CONSISTENT, *OTHERS], ids=str)
def test_adadelay_counts_time_and_staleness(scheme):
    rule = adadelay(0.05)
    run = run_with(rule, scheme, workers=1 if scheme == "sequential" else 6)
    rows, _ = applied_rows(run)
    expected = [
        rule.schedule.factor(version - 1, tau, 0.0) for version, tau in zip(rows["version"], rows["tau"], strict=True)
    ]
    np.testing.assert_allclose(rows["factor"], expected, rtol=1e-6)


@pytest.mark.parametrize("rule", BUDGETS, ids=repr)
@pytest.mark.parametrize("scheme", [*CONSISTENT, "sequential"], ids=str)
def test_a_budget_is_kept_by_every_window_of_steps(scheme, rule):
    run = run_with(rule, scheme, workers=1 if scheme == "sequential" else 6)
    rows, steps = applied_rows(run)
    before = np.concatenate([[0], np.cumsum(steps)])  # the sum of the steps that made the first k versions
    window = before[rows["version"] - 1] - before[rows["read_version"]]
    expected = [rule.schedule.factor(0, tau, w) for tau, w in zip(rows["tau"], window, strict=True)]
    np.testing.assert_allclose(rows["factor"], expected, rtol=1e-5, atol=1e-5)
    taken = steps > 0
    assert (window[taken] + steps[taken] <= rule.schedule.budget * (1 + 2e-6)).all()
    np.testing.assert_array_equal(rows["dropped"], np.where(steps == 0, 2, 0))
    assert scheme == "sequential" or len(np.unique(rows["factor"])) > 2, "workers must have overtaken each other"


@pytest.mark.parametrize("view", ["in_place", "snapshot"])
@pytest.mark.parametrize("rule", BUDGETS, ids=repr)
def test_no_step_of_hogwild_is_lost_from_the_sum(view, rule):
    run = run_with(rule, ab.Hogwild(view), workers=6)
    assert (applied_rows(run)[1] <= rule.schedule.budget).all()


@pytest.mark.parametrize(("momentum", "kind"), [(0.0, "per_worker"), (0.9, "per_worker"), (0.9, "shared")])
@pytest.mark.parametrize("scheme", CONSISTENT, ids=repr)
def test_compensated_gradients_to_the_bit(scheme, momentum, kind):
    problem = quadratic(n=3000, gradient=pull_slowly)
    options = {"momentum": momentum, "momentum_kind": kind, "weight_decay": 0.01, "compensation": 0.04}
    run = train(problem, scheme, workers=6, updates=400, rule="inverse", step_size=0.01, meetings=40, **options)
    assert (run.updates["tau"] > 0).sum() > 100
    np.testing.assert_array_equal(recompute(problem, run), run.params["final"])
    run.config["compensation"] = 0.0
    with pytest.raises(AssertionError):  # the losses are others without it
        recompute(problem, run)


def test_hogwild_is_compensated_where_it_keeps_its_view():
    assert train(quadratic(), "hogwild(view=snapshot)", updates=50, compensation=0.04).status == "finished"
    with pytest.raises(ab.UsageError, match=r"and Hogwild\(.*\) keeps no view"):
        train(quadratic(), "hogwild", updates=50, compensation=0.04)
    with pytest.raises(ab.UsageError, match="compensation is -1"):
        train(quadratic(), "leashed", updates=50, compensation=-1)


def test_each_worker_has_a_table_of_its_own_staleness(stops_when):
    workers, seen_by = 5, [set() for _ in range(5)]

    def enough(controller):
        rows = controller.shared.rows[controller.shared.written > 0]
        for worker in range(workers):
            seen_by[worker].update(rows["row"][rows["worker"] == worker])
        return all(len(tables) > 3 for tables in seen_by)

    stops_when(enough)
    rule = "tail(refresh=every(20))"
    run = train(quadratic(2000, gradient=pull_slowly), "leashed", workers=workers, updates=10**9, rule=rule,
                worker_tables=True, step_size=1e-4)  # fmt: skip
    rows, (steps, tables) = run.updates, run.rule_tables
    np.testing.assert_array_equal(rows["scale"], tables[rows["row"], rows["tau"]].astype(np.float32))
    assert (tables[:workers] == 1).all()
    for worker in range(workers):
        own = rows["worker"] == worker
        used = np.unique(rows["row"][own])
        assert used[0] == worker
        assert len(used) > 2
        for number, version in zip(used[1:], steps[used[1:]], strict=True):
            counted = rows["tau"][own & (rows["version"] <= version)]
            seen = ab.StalenessDistribution.from_counts(np.bincount(counted)).padded(tables.shape[1])
            np.testing.assert_allclose(tables[number], ab.tail()(seen, workers), atol=1e-12)
    assert len(np.unique(rows["row"])) > 3 * workers, "no two workers share one"
