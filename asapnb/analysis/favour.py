"""How much weight the scales of a run gave to each training sample and to each class."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..problems import Problem
from ..problems.text import is_custom, parse_problem
from ..record import Run, load_run
from ..record.schema import ABANDONED
from ..training.drawing import Weights, drawing_from, weights_of
from ..training.resuming import check_problem

Columns = dict[str, NDArray[Any]]


def by_sample(run: Run | str | os.PathLike[str], problem: Problem | None = None) -> Columns:
    """How much weight a run gave to each training sample.

    The weights of all samples add up to the sum of scale · factor over the rows, times `local_steps`.

    Args:
        run: a run, or its file.
        problem: the problem of the run. You need it only if the problem is your own; else it is built as the file
            says.

    Returns:
        A dict of columns, with one entry for each sample.

        * `sample`: the index of the sample.
        * `label`: its label, if it has one.
        * `gradients`: how many minibatches had the sample.
        * `weight`: the sum of scale · factor over these minibatches, each divided by its size.
        * `full`: what `weight` would be if all scales were 1 and no gradient had been given up.
        * `kept`: weight / full. Below 1 the sample was dampened, above 1 it was favoured. NaN for a sample that no
          minibatch had.

    Raises:
        UsageError: for another problem than that of the run.
        RecordError: for a summary, which has no rows.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> times = "compute=[constant(1), constant(1), constant(10)]"
    >>> run = ab.simulate(problem, rule="inverse", workers=3, timing=times, shards="label", updates=210)
    >>> found = by_sample(run, problem)
    >>> slow = ab.shards(problem, "label", workers=3)[2]
    >>> bool(np.nanmax(found["kept"][slow]) < 0.1 < np.nanmin(np.delete(found["kept"], slow)))
    True
    """
    loaded, problem = _of(run, problem)
    found = _weights(loaded, problem)
    labels = {"label": problem.labels} if problem.labels.ndim == 1 else {}
    with np.errstate(invalid="ignore"):
        kept = found.weight / found.full
    return {"sample": np.arange(problem.n_samples), **labels, **found._asdict(), "kept": kept}


def by_class(run: Run | str | os.PathLike[str], problem: Problem | None = None) -> Columns:
    """How much weight a run gave to each class: the sums of `by_sample` over the samples of a class.

    Args:
        run: a run, or its file.
        problem: the problem of the run. You need it only if the problem is your own; else it is built as the file
            says.

    Returns:
        A dict of columns, with one entry for each class.

        * `label`: the class.
        * `samples`: how many training samples it has.
        * `gradients`, `weight`, `full` and `kept`: as in `by_sample`.
        * `share_of_samples`, `share_of_weight`: the shares of the class. If its share of the weight is the smaller
          one, it had less influence than its samples would give it.

    Raises:
        UsageError: for samples without classes, and for another problem than that of the run.
        RecordError: for a summary, which has no rows.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> run = ab.simulate(problem, workers=3, shards="label", updates=300)
    >>> found = by_class(run, problem)
    >>> found["samples"].sum().item(), found["share_of_weight"].sum().round(9).item()
    (5000, 1.0)
    """
    loaded, problem = _of(run, problem)
    targets = problem.labels if problem.targets is None else problem.targets
    if targets.ndim != 1 or targets.dtype.kind == "f" or not len(targets):
        raise UsageError(
            f"{problem.name} has no classes, because its samples have real targets or noise; use by_sample"
        )
    labels, which = np.unique(targets, return_inverse=True)
    sums: Columns = {name: np.bincount(which, column) for name, column in _weights(loaded, problem)._asdict().items()}
    sums["gradients"] = sums["gradients"].astype(np.int64)
    samples = np.bincount(which)
    with np.errstate(invalid="ignore"):
        more = {"kept": sums["weight"] / sums["full"], "share_of_weight": sums["weight"] / sums["weight"].sum()}
    return {"label": labels, "samples": samples, **sums, **more, "share_of_samples": samples / samples.sum()}


def _of(run: Run | str | os.PathLike[str], problem: Problem | None) -> tuple[Run, Problem]:
    """The run and its problem."""
    loaded = run if isinstance(run, Run) else load_run(run)
    loaded.check_rows("the weight of its samples is not known")
    text = loaded.config["problem"]
    if problem is None:
        if is_custom(text):
            raise UsageError(f"the problem of {loaded.name} is your own, {text}: build it in Python and pass it")
        problem = parse_problem(str(text), str(loaded.config.get("data", "")))
    check_problem(loaded, problem)
    return loaded, problem


def _weights(run: Run, problem: Problem) -> Weights:
    rows = run.updates
    weight = rows["scale"].astype(np.float64) * rows["factor"]
    weight[rows["dropped"] == ABANDONED] = 0
    return weights_of(drawing_from(problem, run.config), rows["worker"], rows["batch"], weight)
