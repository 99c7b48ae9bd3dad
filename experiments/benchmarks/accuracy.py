"""Time to accuracy: seconds until a network tells 85 % and 88 % of Fashion-MNIST's test images right, on two cores.

    python experiments/benchmarks/accuracy.py [--tune NAME ...]

All have the same network, data and start, and use plain SGD, each with its own best step size. Everybody trains on a
piece of a fifth of an epoch, drawn at random. Then its clock stops, the test images are classified, and it goes on
with the next piece. So no evaluation counts for anyone, and no start or compilation: the last table has these. With
--tune, step sizes and batch sizes are looked for again, on another seed (twenty minutes, or those named). PyTorch
and scikit-learn take part where they are installed.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from common import Effort, Table, interleaved, main
from peer_asapnb import CORES

import asapnb as ab

PIECES = 5  # of an epoch
STEP_SIZES = (0.05, 0.1, 0.2)  # the likely ones first: others are given up sooner
LINEAR = (0.02, 0.05, 0.01)  # of the linear model, one sample at a time
BATCHES = (16, 64)
TUNING_SEEDS = (1001,)


@dataclass(frozen=True, eq=False)
class Contender:
    """Who takes part: the module that must be there, the class (module:name) and its further arguments.

    `chosen` has the best step size of the grid by batch size: for 16, and for the size at which it is fastest.
    """

    name: str
    network: str
    needs: str
    made_by: str
    arguments: tuple[Any, ...]
    chosen: dict[int, float]
    most_epochs: float = 15  # of a race

    def learner(self, problem: ab.Problem, batch: int, step_size: float) -> Any:
        """What trains, ready to begin."""
        module, _, name = self.made_by.partition(":")
        return getattr(import_module(module), name)(problem, batch, step_size, *self.arguments)


HOGWILD, ONE = "PyTorch, Hogwild, 2 processes", "PyTorch, 1 thread"  # which is faster than 2 threads, up to 128
OURS, PROCESSES = "peer_asapnb:Asapnb", "peer_torch:Processes"
CONTENDERS = [
    Contender("asapnb, Leashed", "mlp", "asapnb", OURS, ("leashed",), {16: 0.05}),
    Contender("asapnb, Hogwild", "mlp", "asapnb", OURS, ("hogwild",), {16: 0.05}),
    Contender("asapnb, LockBased", "mlp", "asapnb", OURS, ("lock-based",), {16: 0.05}),
    Contender("asapnb, Synchronous", "mlp", "asapnb", OURS, ("synchronous",), {16: 0.1}),
    Contender(HOGWILD, "mlp", "torch", PROCESSES, (2, 1), {16: 0.05, 64: 0.1}),
    Contender(ONE, "mlp", "torch", PROCESSES, (1, 1), {16: 0.05, 64: 0.1}),
    Contender("scikit-learn, MLPClassifier", "mlp", "sklearn", "peer_sklearn:Network", (), {16: 0.05, 64: 0.1}),
    Contender("scikit-learn, SGDClassifier", "mlp", "sklearn", "peer_sklearn:Linear", (), {1: 0.05}, most_epochs=4),
    Contender("asapnb, Leashed", "lenet", "asapnb", OURS, ("leashed",), {16: 0.05}),
    Contender("asapnb, Hogwild", "lenet", "asapnb", OURS, ("hogwild",), {16: 0.05}),
    Contender("asapnb, Synchronous", "lenet", "asapnb", OURS, ("synchronous",), {16: 0.1}),
    Contender(HOGWILD, "lenet", "torch", PROCESSES, (2, 1), {16: 0.05, 64: 0.1}),
    Contender(ONE, "lenet", "torch", PROCESSES, (1, 1), {64: 0.1}),
]
NETWORKS = {"mlp": "MLP 784-128-10", "lenet": "LeNet"}


def present() -> list[Contender]:
    """Those whose library is installed."""
    return [one for one in CONTENDERS if find_spec(one.needs)]


def first_of_each() -> list[Contender]:
    """The first contender of each library."""
    found: dict[str, Contender] = {}
    for one in present():
        found.setdefault(one.needs, one)
    return list(found.values())


def data(quick: bool = False) -> tuple[ab.Dataset, tuple[float, float]]:
    """Fashion-MNIST and the accuracies to be reached; the embedded part of it, and less, if quick or not fetched."""
    try:
        if not quick:
            return ab.load_dataset("fashion-mnist"), (0.85, 0.88)
    except ab.DataError:
        pass
    return ab.load_dataset("fashion-mnist-mini"), (0.78, 0.82)


def problems(dataset: ab.Dataset) -> dict[str, ab.Problem]:
    """The networks."""
    return {"mlp": ab.mlp(dataset, (128,)), "lenet": ab.lenet(dataset)}


def race(learner: Any, problem: ab.Problem, goal: float, seed: int, most: float) -> np.ndarray:
    """Train until the goal is reached, or for so many epochs: rows of epochs, seconds and accuracy."""
    generator, piece = np.random.default_rng(seed), problem.n_samples // PIECES
    learner.begin(problem.init(seed))
    curve = [(0.0, 0.0, 0.0)]
    while curve[-1][2] < goal and curve[-1][0] < most - 1e-9:
        seconds = learner.learn(generator.permutation(problem.n_samples)[:piece])
        curve.append((curve[-1][0] + 1 / PIECES, curve[-1][1] + seconds, learner.accuracy()))
    return np.array(curve)


def reached(curve: np.ndarray, goal: float) -> tuple[float, float]:
    """Epochs and seconds until the goal was first reached, interpolated; infinite if it was not."""
    epochs, seconds, accuracy = curve.T
    if accuracy.max() < goal:
        return math.inf, math.inf
    after = int(np.argmax(accuracy >= goal))
    part = (goal - accuracy[after - 1]) / (accuracy[after] - accuracy[after - 1])
    return tuple(float(c[after - 1] + part * (c[after] - c[after - 1])) for c in (epochs, seconds))


def figures(curve: np.ndarray, goals: tuple[float, float]) -> list[float]:
    """What a round says: seconds to both goals, epochs to the second, samples per second, the best accuracy."""
    (_, first), (epochs, second) = (reached(curve, goal) for goal in goals)
    return [first, second, epochs, curve[-1, 0] / curve[-1, 1], curve[:, 2].max()]


def shown(values: np.ndarray, digits: int = 2) -> tuple[float | None, str]:
    """The median, and the least and the largest; None if it is infinite."""
    middle, least, most = np.median(values), values.min(), values.max()
    return (float(middle) if np.isfinite(middle) else None), f"{least:.{digits}f}–{most:.{digits}f}"


def tables(found: dict[tuple[Contender, int], np.ndarray], goals: tuple[float, float], note: str) -> Iterator[Table]:
    """One for each network."""
    for network in dict.fromkeys(one.network for one, _ in found):
        rows = []
        first = next(value for (one, _), value in found.items() if one.network == network)
        for (one, batch), values in found.items():
            if one.network != network:
                continue
            row = {"who": one.name, "batch": batch, "step size": one.chosen[batch]}
            for goal, column in zip(goals, values.T, strict=False):
                row |= dict(zip((f"s to {goal:.0%}", f"{goal:.0%}, all rounds"), shown(column), strict=True))
            over = np.median(values[:, 1] / first[:, 1]) if np.isfinite(values[:, 1]).all() else None
            row |= {"times Leashed": over, "epochs": shown(values[:, 2])[0], "epochs/s": np.median(values[:, 3])}
            rows.append(row | {"best accuracy": values[:, 4].max()})
        formats = {**{f"s to {goal:.0%}": ".2f" for goal in goals}, "step size": "g", "times Leashed": ".1f"}
        formats |= {"epochs": ".1f", "epochs/s": ".2f", "best accuracy": ".1%"}
        yield Table(f"Time to accuracy, {NETWORKS[network]}, {CORES} cores", rows, formats, note=note)


STARTED = """
import time; start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
from accuracy import CONTENDERS, problems, data
one = CONTENDERS[{number}]
batch, step_size = next(iter(one.chosen.items()))
learner = one.learner(problems(data()[0])[one.network], batch, step_size)
print(seconds + learner.start_seconds)
learner.close()
"""
IMPORTED = {
    "asapnb": "asapnb, asapnb.engine",
    "torch": "torch",
    "sklearn": "sklearn.neural_network, sklearn.linear_model",
}


def start_seconds(contender: Contender) -> float:
    """Import and first minibatch in a fresh process, without the data."""
    code = STARTED.format(module=IMPORTED[contender.needs], number=CONTENDERS.index(contender))
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, cwd=Path(__file__).parent, check=True, stdout=subprocess.PIPE).stdout)


def measure(effort: Effort) -> list[Table]:
    """A table for each network, and one of starts."""
    dataset, goals = data(effort.quick)
    nets, cases = problems(dataset), {}
    contenders = first_of_each() if effort.quick else present()
    with ExitStack() as stack:
        for one, batch in [(each, batch) for each in contenders for batch in each.chosen]:
            problem, most = nets[one.network], 1 / PIECES if effort.quick else one.most_epochs
            learner = stack.enter_context(closing(one.learner(problem, batch, one.chosen[batch])))
            seeds = count(1)  # in a round the same for all: they begin with the same parameters

            def measured(problem=problem, learner=learner, most=most, seeds=seeds):
                return figures(race(learner, problem, goals[1], next(seeds), most), goals)

            cases[one, batch] = measured
        found = interleaved(cases, effort.rounds)
    note = (
        f"{dataset.name}, {len(dataset.train.labels):,} images. Medians of {effort.rounds} rounds, and their range."
    )
    missing = [module for module in ("torch", "sklearn") if not find_spec(module)]
    note += "".join(f" Without {module}, which is not installed here." for module in missing)
    rows = [{"who": one.name, "seconds": start_seconds(one)} for one in effort.some(first_of_each())]
    title = "Start, not counted above: import and first minibatch, with compiled kernels in the cache"
    return [*tables(found, goals, note), Table(title, rows, {"seconds": ".2f"})]


def tune(names: list[str]) -> None:
    """Epochs and seconds to the goal for every step size and batch size, of those whose name has one of the words."""
    dataset, (_, goal) = data()
    nets = problems(dataset)
    for one in present():
        if names and not any(name in f"{one.network} {one.name}" for name in names):
            continue
        linear = 1 in one.chosen
        for batch in (1,) if linear else BATCHES:
            least = one.most_epochs
            for step_size in LINEAR if linear else STEP_SIZES:
                with closing(one.learner(nets[one.network], batch, step_size)) as learner:
                    curves = [race(learner, nets[one.network], goal, seed, 1.3 * least) for seed in TUNING_SEEDS]
                epochs, seconds = np.mean([reached(curve, goal) for curve in curves], axis=0)
                least, best = min(least, epochs), max(curve[:, 2].max() for curve in curves)
                print(f"{one.network:6}{one.name:30} batch {batch:4} step {step_size:5g}: ", end="")
                print(f"{epochs:5.1f} epochs, {seconds:6.2f} s, best {best:.2%}", flush=True)


if __name__ == "__main__":
    if "--tune" in sys.argv[1:2]:
        tune(sys.argv[2:])
    else:
        main(measure, rounds=3)
