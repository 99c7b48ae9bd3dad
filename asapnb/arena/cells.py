"""The suite of asapnb: its scenarios, its problems, where they meet, and the seeds.

Everything that a result depends on stands here, under one version. Whoever changes any of it gives the suite another
version, and computes the table of the built-in contestants anew: asapnb arena --builtin.
"""

import numpy as np

from ..data import Dataset, load_dataset
from ..problems import Problem, lenet, logistic, mlp, quadratic
from .suite import Cell, Scenario, Suite, Task

VERSION = "1"


def flat() -> Problem:
    """A quadratic all of whose directions have the same share of the loss at the start."""
    eigenvalues = np.geomspace(0.02, 1.0, 20)
    return quadratic(eigenvalues.tolist(), noise=1.0, start=(1 / np.sqrt(eigenvalues)).tolist())


def logistic_regression() -> Problem:
    """Labels drawn by a logistic model from rows whose columns differ in size."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((2000, 20)) * np.geomspace(0.2, 1.0, 20)
    chance = 1 / (1 + np.exp(-rows @ rng.standard_normal(20)))
    return logistic(rows, rng.random(2000) < chance, ridge=0.01)


def _images() -> Dataset:
    """2,000 of the embedded images. The few test samples are there because a data set has some."""
    data = load_dataset("fashion-mnist-mini")
    train, test = data.train, data.test
    return Dataset.from_arrays(train.raw[:2000], train.labels[:2000], test.raw[:20], test.labels[:20])


def small_mlp() -> Problem:
    """12,730 parameters."""
    return mlp(_images(), hidden=(16,))


def small_lenet() -> Problem:
    """34,622 parameters."""
    return lenet(_images())


SCENARIOS = (
    Scenario("near-constant", "as many cores as workers, all equally fast", 16, "machine(cores=16)"),
    Scenario("geometric", "exponential times, as most theory has them", 16, "exponential(1)"),
    Scenario("lognormal", "times that vary by a half", 32, "lognormal(mean=1, cv=0.5)"),
    Scenario("smt", "30 workers on 18 cores: 24 of them share a core", 30, "machine(cores=18)"),
    Scenario("straggler", "one of 16 workers is ten times as slow", 16,
             "slowed(gamma(mean=1, cv=0.2), factor=10, workers=[0])"),
    Scenario("server", "a parameter server, and times of infinite variance", 24,
             "pareto(minimum=1, alpha=1.5), network=0.1, update=0.01", "parameter-server", has_limit=False),
    Scenario("oversubscribed", "16 threads on 2 cores, as recorded", 16, None, has_limit=False),
)  # fmt: skip
TASKS = (
    Task("quadratic", "20 dimensions, condition number 50, with noise", flat, 1, 0.1, 3000, 25),
    Task("logistic", "logistic regression, 20 dimensions", logistic_regression, 4, 0.511, 3000, 25),
    Task("mlp", "784-16-10 on 2,000 images", small_mlp, 16, 0.85, 3000, 25, 400),
    Task("lenet", "LeNet on 2,000 images", small_lenet, 16, 0.95, 2000, 25, 300),
)
# The place of the best step size of `constant` on the grid, in the scenarios in their order; None: they do not meet.
REFERENCE = {
    "quadratic": (-27, -18, -31, -34, -25, -24, -14),
    "logistic": (-25, -23, -25, -24, -25, -25, -20),
    "mlp": (-52, -39, -60, -59, -52, -48, -30),
    "lenet": (None, None, None, -64, None, None, -34),  # the dearest one
}

# The suite that the arena runs: scenarios, problems and seeds.
SUITE = Suite(
    VERSION,
    tuple(
        Cell(scenario, task, k)
        for task in TASKS
        for scenario, k in zip(SCENARIOS, REFERENCE[task.name], strict=True)
        if k is not None
    ),
    seeds=tuple(range(10)),
    tuning=(10, 11, 12),
    quick_cells=(
        *(f"{name}/quadratic" for name in ("near-constant", "geometric", "smt", "oversubscribed")),
        *(f"{name}/logistic" for name in ("geometric", "lognormal", "straggler", "server")),
        "smt/mlp",
    ),
    quick_seeds=5,
)
