"""One training on several ranks of MPI: what is recorded, and that its rows give its parameters to the bit."""

import numpy as np
import pytest
from mpi_runs import train
from naive import assert_recomputed, assert_rows_are_sound
from problems import quadratic
from test_problems_dropout import make

import asapnb as ab
from asapnb.schemes import parse_scheme

pytest.importorskip("mpi4py")


def network():
    """One with dropout, which another test has compiled, too."""
    return make(np.float32)[0]


def assert_served(run, ranks):
    """What holds for the rows of every run of a server, whose workers are the other ranks."""
    assert_rows_are_sound(run)
    rows, workers = run.updates, ranks - 1
    own = "shards" in run.config  # then a worker counts its own tickets
    applied, by_ticket = rows["dropped"] != 1, np.argsort(rows["t_read" if own else "batch"])
    assert run.attributes["workers"] == workers == len(run.attributes["ranks"]) - 1
    each = parse_scheme(run.config["scheme"]).gradients(workers)
    assert rows["version"].max() * each == applied.sum() == run.staleness_counts.sum()
    assert rows["version"].max() == run.summary()["updates"]
    assert rows["batch"].max() < len(applied) + workers, "a ticket for each answer, of which so many are never used"
    for name in ("t_read", "read_version"):
        assert (np.diff(rows[name][by_ticket]) >= 0).all(), "the server answers in the order of tickets"
    assert (np.diff(rows["t_apply"][applied]) >= 0).all()
    for worker in range(workers):
        own = by_ticket[rows["worker"][by_ticket] == worker]
        assert (rows["t_read"][own][1:] >= rows["t_apply"][own][:-1]).all(), "one gradient at a time"


RUNS = {
    "two ranks": (2, {}),
    "three ranks, always the same order": (3, {"reshuffle": False, "batch_size": 60}),
    "local steps on parts of the data": (3, {"local_steps": 2, "shards": "dirichlet(0.5)", "clip": 3.0}),
    "momentum of each worker, clipped": (4, {"momentum": 0.9, "weight_decay": 0.01, "clip": 3.0, "step_size": 0.02}),
    "one momentum, compensated": (
        3,
        {"momentum": 0.8, "momentum_kind": "shared", "direct_share": 0.3, "compensation": 0.1, "step_size": 0.02},
    ),
    "adam": (3, {"optimizer": "adam(beta2=0.9)", "step_size": 0.01}),
    "ordered momentum": (4, {"momentum": 0.8, "momentum_kind": "ordered", "step_size": 0.02}),
    "a table of each worker": (4, {"rule": "tail(refresh=every(20))", "worker_tables": True, "prior": "poisson(2)"}),
    "a buffer, with one momentum, compensated": (
        4,
        {
            "scheme": "parameter-server(buffer=3, discard_after=2)",
            "momentum": 0.8,
            "compensation": 0.1,
            "rule": "inverse",
        }
        | {"step_size": 0.02},
    ),
    "a schedule": (4, {"schedule": "warmup(20) * cosine()", "rule": "inverse"}),
}
FACTORS = {"of the steps before": "wu_adaptive(2, 1.5)", "of the time of arrival": "adadelay(1)"}


@pytest.mark.parametrize(("size", "given"), RUNS.values(), ids=RUNS)
def test_the_rows_are_sound_and_give_the_parameters_to_the_bit(four, size, given):
    served(four, size, quadratic(), quadratic, **given)


@pytest.mark.parametrize("rule", FACTORS.values(), ids=FACTORS)
def test_the_factors_of_a_rule_are_those_of_the_rows_before(four, rule):
    given = {"rule": rule, "schedule": "warmup(20)"}
    run = served(four, 4, quadratic(), quadratic, **given)
    again = ab.replay(run, quadratic(), **given)
    assert len(np.unique(run.updates["factor"][30:])) > 1
    for name in ("factor", "dropped", "scale"):
        np.testing.assert_array_equal(again.updates[name], run.updates[name])
    np.testing.assert_array_equal(again.params["final"], run.params["final"])


def test_in_float64(four):
    make = quadratic, 50, 60, np.float64
    four.call(train, make, {"updates": 2}, size=2)  # so that one worker compiles for all
    run = served(four, 3, quadratic(*make[1:]), make, momentum=0.9, compensation=0.1, step_size=0.02)
    assert run.params["final"].dtype == np.float64


def test_of_a_network_whose_gradient_needs_the_ticket(four):
    problem, given = network(), {"updates": 30, "eval_every": 10, "step_size": 0.01}
    problem.compile()  # for all ranks
    run = four.call(train, network, given, size=3)[0]
    assert_served(run, 3)
    again = ab.replay(run, problem)
    np.testing.assert_array_equal(again.params["final"], run.params["final"])
    np.testing.assert_array_equal(again.updates["loss"], run.updates["loss"])


def served(four, size, problem, make, **given):
    """A run of so many ranks, once it has been found to be as it should."""
    given = {"updates": 150, "eval_every": 40, "keep_params": "evals", **given}
    run, *nothing = four.call(train, make, given, size=size)
    assert nothing == [None] * (size - 1)
    assert (run.status, run.updates["version"].max()) == ("finished", given["updates"])
    assert_served(run, size)
    every = given["eval_every"]
    assert run.evals["step"].tolist() == sorted({*range(0, given["updates"], every), given["updates"]})
    assert_recomputed(run, problem)
    return run
