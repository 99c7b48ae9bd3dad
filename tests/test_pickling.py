"""Everything public can be pickled and copied, also through a pool of processes that are started anew."""

import concurrent.futures
import copy
import functools
import multiprocessing
import pickle

import numba
import numpy as np
import pytest
from problems import counting, quadratic

import asapnb as ab
from asapnb.analysis import records
from asapnb.rules import examples
from asapnb.schedules import as_schedule
from asapnb.schemes import SCHEMES
from asapnb.simulator import staleness_only
from asapnb.staleness import WorkerHistogram
from asapnb.sweep import Manifest, parse_sweep


def a_scale(staleness, workers):
    return 1.0 / (1.0 + np.asarray(staleness))


def a_scale_of(staleness, workers, function):
    return [function(k) for k in range(1, len(staleness) + 1)]


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """An object of every public kind, by name."""
    folder, seen = tmp_path_factory.mktemp("runs"), {"evaluation": [], "progress": []}
    hooks = {"on_eval": seen["evaluation"].append, "progress": seen["progress"].append}
    data = ab.load_dataset("fashion-mnist-mini")
    problem = ab.mlp(data, hidden=(4,))
    run = ab.simulate(problem, workers=2, updates=40, eval_every=20, out=folder / "run.h5", **hooks)
    memory = ab.simulate(quadratic(), workers=2, updates=40, momentum=0.5, microscope=5, scheme="hogwild")
    made = {
        "run": run,
        "run in memory": memory,
        "columns": memory.updates,
        "attributes": memory.attributes,
        "config": memory.config,
        "tables": memory.rule_tables,
        "staleness": memory.staleness,
        "histogram": WorkerHistogram(2),
        "dataset": data,
        "problem": problem,
        "quadratic": ab.problems.quadratic([1.0, 4.0]),
        "problem of one's own": counting(3),
        "comparison": ab.compare([run]),
        "records": records([run]),
        "report": ab.check("tail"),
        "staleness counted": staleness_only(ab.Timing(1.0), "lock-based", 2, 20),
        "step schedule": as_schedule("warmup(10) * cosine()"),
        "sweep": (sweep := parse_sweep({"base": {"problem": "lenet"}, "grid": {"workers": [2, 4]}})),
        "manifest": Manifest({"sweep": sweep.plain()}),
        "schedule": ab.schedule(ab.Timing(1.0), workers=2, updates=20),
        "timing": ab.Timing(1.0),
        "rule of one's own": ab.Rule("own", a_scale),
        "evaluation": seen["evaluation"][0],
        "progress": seen["progress"][0],
        "error": ab.RecordError("a message"),
    }
    made |= {f"rule {name}": ab.rules.as_rule(text) for name, text in examples().items()}
    made |= {
        f"scheme {name}": scheme() for name, scheme in SCHEMES.items() if scheme.__module__.startswith("asapnb.")
    }
    return made


def same(one, other):
    """Whether two objects say the same of themselves, as far as they can be told apart."""
    if isinstance(one, ab.Run):
        return all(np.array_equal(one.updates[name], other.updates[name]) for name in one.updates) and (
            one.attributes == other.attributes and str(one.summary()) == str(other.summary())
        )
    return type(one) is type(other) and (repr(one) == repr(other) or vars(one).keys() == vars(other).keys())


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_each_is_copied(things, way):
    faults = []
    for name, one in things.items():
        try:
            if not same(one, way(one)):
                faults.append(f"{name}: another one")
        except Exception as error:
            faults.append(f"{name}: {type(error).__name__}: {error}")
    assert not faults, "\n".join(faults)


def test_each_goes_through_a_pool_of_processes(things, pool):
    back = pool.submit(copy.copy, dict(things)).result(timeout=300)
    assert [name for name, one in things.items() if not same(one, back[name])] == []


def test_a_run_is_replayed_from_its_copy(things):
    run = things["run"]
    assert run.params["initial"].any()  # read, so that the copy holds it
    for again in (run, pickle.loads(pickle.dumps(run))):
        assert np.array_equal(ab.replay(again).params["final"], run.params["final"])


def decaying(rate):
    def inner(staleness, workers):
        return rate ** (np.arange(len(staleness)) / workers)

    return inner


def of_a_notebook(staleness, workers):
    return np.full(len(staleness), 0.25)


OTHERS = {  # what pickle refuses, or finds nowhere
    "lambda": ab.Rule("own", lambda staleness, workers: np.full(len(staleness), 0.75)),
    "closure": ab.Rule("own", decaying(0.5)),
    "parameters": ab.Rule("own", a_scale_of, {"function": lambda k: 1.0 / k}),
    "partial": ab.Rule("own", functools.partial(lambda c, staleness, workers: np.full(len(staleness), c), 0.5)),
    "inside": ab.preserve(decaying(0.25)),
    "notebook": ab.Rule("own", of_a_notebook),
}


def scales(rule):
    return rule(ab.StalenessDistribution.from_counts([3, 2, 1]), 2).tolist()


@pytest.fixture(scope="module")
def pool():
    """A process that is started anew, and gets what it works on pickled."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as started:
        yield started


def test_functions_that_cannot_be_imported_are_pickled_by_value(monkeypatch, pool):
    monkeypatch.setattr(of_a_notebook, "__module__", "__main__")  # which has a file here, but not this function
    wanted = [scales(rule) for rule in OTHERS.values()]
    assert list(pool.map(scales, OTHERS.values(), timeout=300)) == wanted
    for rule in OTHERS.values():
        again = pickle.loads(pickle.dumps(rule))
        assert (scales(again), again.code.digest) == (scales(rule), rule.code.digest)
        assert copy.copy(rule) == rule
        assert copy.deepcopy(rule).code == rule.code


def test_schedules_and_problems_of_closures_work_in_a_pool(pool):
    factor = as_schedule(lambda t: 1.0 / (1.0 + np.asarray(t)))
    again = pickle.loads(pickle.dumps(factor))
    np.testing.assert_array_equal(again(np.arange(5), total=5), factor(np.arange(5), total=5))
    assert pool.submit(loss_at_zero, pulling(2.0)).result(timeout=300) == 2.0


def pulling(strength):
    """A problem whose gradient is a closure."""

    @numba.njit
    def pull(params, gradient, indices, plan, workspace, inputs, labels):
        loss = 0.0
        for j in range(params.size):
            gradient[j] = strength * (params[j] - 1.0)
            loss += 0.5 * strength * (params[j] - 1.0) ** 2
        return loss

    return ab.custom(pull, np.zeros((20, 1), np.float32), np.zeros(20, int), n_params=2)


def loss_at_zero(problem):
    return problem.loss_and_gradient(np.zeros(2), [0])[0]


def test_columns_stay_read_only(things):
    run = pickle.loads(pickle.dumps(things["run in memory"]))
    assert not run.updates["tau"].flags.writeable


def test_a_run_whose_file_holds_another_does_not_give_it_out(tmp_path):
    path = tmp_path / "run.h5"
    first = ab.simulate(quadratic(), workers=2, updates=40, seed=1, out=path)
    assert len(first.updates["tau"]) == 40
    ab.simulate(quadratic(), workers=2, updates=40, seed=2, out=path, force=True)
    for read in (lambda: first.params["final"], lambda: first.updates["loss"], lambda: first.rule_tables):
        with pytest.raises(ab.RecordError, match="holds another run than when it was loaded"):
            read()
    assert len(first.updates["tau"]) == 40, "what was read is kept"


def test_a_run_that_went_on_keeps_its_rows_but_not_its_end(tmp_path):
    path = tmp_path / "run.h5"
    first = ab.train(quadratic(), workers=1, scheme="sequential", updates=40, out=path)
    again = ab.resume(path, updates=60, problem=quadratic())
    np.testing.assert_array_equal(first.updates["loss"], again.updates["loss"][:40])
    with pytest.raises(ab.RecordError, match="has gone on since it was loaded"):
        first.params["final"]
