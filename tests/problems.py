"""Small problems for the tests of the engine: module-level gradients, compiled in a moment; and runs of them."""

import types
from functools import cache

import numba
import numpy as np

import asapnb as ab
from asapnb.compiled import part
from asapnb.engine.loops import leashed
from asapnb.engine.loops.pool import publish, release, slot_of
from asapnb.kernels.atomics import fetch_add, load, nap
from asapnb.problems import custom
from asapnb.problems.text import code_of
from asapnb.workforce import as_workforce

CONSISTENT = [ab.LockBased(), ab.Leashed(), ab.Leashed(persistence=0), ab.Leashed(persistence=1, check_early=True)]
BEGUN, WORKERS, MEETING = range(3)  # words of `labels`, of which `pull` has no need: see `pull_slowly`
SCRIPT = 1  # a word that no run uses, in the first line of every array of words
PATIENCE = 100_000  # naps: some seconds, in case that a worker never comes


@numba.njit
def pull(params, gradient, indices, plan, workspace, inputs, labels):
    """Mean of |params - x|^2 / 2 over the samples x."""
    loss, n = 0.0, params.size
    gradient[:] = 0
    for i in indices:
        for j in range(n):
            difference = params[j] - inputs[i * n + j]
            gradient[j] += difference / indices.size
            loss += 0.5 * difference * difference / indices.size
    return loss


@numba.njit
def pull_slowly(params, gradient, indices, plan, workspace, inputs, labels):
    """`pull`, asleep for a moment, so that workers overtake each other.

    The first gradients of a run may meet (see `train`): none ends before every worker has begun one. So all but one
    of the updates that follow are stale, whichever thread comes first. It is no minibatch if it has all samples.
    """
    loss = pull(params, gradient, indices, plan, workspace, inputs, labels)
    nap(20)
    if indices.size < labels.size and load(labels, BEGUN) < labels[MEETING]:
        number = fetch_add(labels, BEGUN, 1)
        begun_by_then = (number // labels[WORKERS] + 1) * labels[WORKERS]
        for _ in range(PATIENCE):
            if load(labels, BEGUN) >= begun_by_then:
                break
            nap(20)
    return loss


@numba.njit
def count_up(params, gradient, indices, plan, workspace, inputs, labels):
    """Gradient -1 everywhere; the loss counts the elements that differ from the first: those of a torn view."""
    torn = 0.0
    for j in range(params.size):
        if params[j] != params[0]:
            torn += 1.0
        gradient[j] = -1.0
    return torn


@numba.njit
def fails(params, gradient, indices, plan, workspace, inputs, labels):
    """Raise once the parameters have moved."""
    if params[0] > 20:
        raise ValueError("this gradient fails")
    gradient[:] = -1.0
    return 1.0


@numba.njit
def fails_on_sample_0(params, gradient, indices, plan, workspace, inputs, labels):
    """Raise, after a while, if sample 0 is in the minibatch."""
    nap(100_000)
    if (indices == 0).any():
        raise ValueError("this gradient fails")
    gradient[:] = -1.0
    return 1.0


@cache  # a problem compiles its gradient when it is made
def quadratic(n=50, samples=60, dtype=np.float32, gradient=pull):
    """`pull` towards random points, from a random start."""
    points = np.random.default_rng(5).standard_normal((samples, n)).astype(dtype)
    problem = custom(
        gradient, points, np.zeros(samples, int), n, dtype=dtype, init=lambda size, rng: 3 * rng.standard_normal(size)
    )
    code_of(problem)  # which is kept: a run may count in the labels, see `pull_slowly`
    return problem


@cache
def counting(n):
    """`count_up` in n dimensions, from 0: with step size 1 every parameter equals the version."""
    return custom(count_up, np.zeros(100, np.float32), np.zeros(100, int), n)


@cache
def failing(gradient=fails, start=0, dtype=np.float32):
    """A gradient that fails, in 4 dimensions; only in workers, as it is not evaluated."""
    return custom(
        gradient,
        np.zeros(100, dtype),
        np.zeros(100, int),
        4,
        dtype=dtype,
        init=lambda size, rng: np.full(size, start),
        evaluate=lambda params, split: (1.0, np.nan),
    )


def with_neighbours(function, **others):
    """A compiled function in whose module these others stand: they do what another thread would at that place."""
    python = function.py_func
    return numba.njit(types.FunctionType(python.__code__, {**python.__globals__, **others}), nogil=True)


@part()
def publish_at_times(control, slots, word, mine):
    """`publish`, except that at every fifth attempt another is faster."""
    if fetch_add(control, SCRIPT, 1) % 5 == 4:
        release(slots, slot_of(word))
        return False
    return publish(control, slots, word, mine)


@cache
def work_often_overtaken():
    """The worker loop of Leashed with `publish_at_times`: in the place of its own, many gradients are dropped."""
    land = with_neighbours(leashed.land, publish=publish_at_times)
    return with_neighbours(leashed.work, land=land)


def train(problem, scheme, *, meetings=0, **arguments):
    """`asapnb.train` with what most tests take. All workers meet so often, if the gradient is `pull_slowly`."""
    defaults = {"workers": 1 if scheme == "sequential" else 4, "step_size": 0.1, "batch_size": 7, "seed": 3}
    arguments = {**defaults, **arguments}
    if problem.config.get("problem") == "custom(pull_slowly)":
        workers = as_workforce(arguments["workers"]).most
        problem.labels[[BEGUN, WORKERS, MEETING]] = 0, workers, meetings * workers
    return ab.train(problem, scheme=scheme, **arguments)
