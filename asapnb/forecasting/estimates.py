"""The smoothness of a problem and the noise of its gradients, estimated at given parameters from gradients alone."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import integer, real
from ..problems.base import Problem, check_is_problem

SAMPLES, ITERATIONS, PAIRS = 1024, 100, 64
_FEWEST = 10  # iterations, however soon they seem to have converged
_CHUNK = 1000  # samples of one call
_GROUPS = 8  # of samples, whose curvatures are compared
_NEAR = {"float32": 1e-3, "float64": 1e-5}  # length of a step, by that of the parameters plus 1

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure that was estimated from gradients.

    Attributes:
        value: the estimate, in loss / x² (smoothness) or (loss / x)² (variance).
        error: its standard error, in the same unit.
        gradients: how many gradients of single samples it took.
        seconds: how long it took, in seconds. Two estimates may be equal although this differs.
    """

    value: float
    error: float
    gradients: int
    seconds: float = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.error:.1g} ({self.gradients:,} gradients of a sample, {self.seconds:.2f} s)"


def smoothness(
    problem: Problem,
    params: ArrayLike | None = None,
    *,
    samples: int = SAMPLES,
    iterations: int = ITERATIONS,
    tolerance: float = 0.01,
    seed: int = 0,
) -> Estimate:
    """Estimate the largest curvature of a problem's loss at some parameters: an L that holds near them.

    The method is power iteration. Let H be the matrix of second derivatives. A random direction v is replaced by
    Hv / ‖Hv‖ again and again, until ‖Hv − λv‖ ≤ tolerance · abs(λ) with λ = vᵀHv. Hv is the difference of gradients
    (∇f(x + hv) − ∇f(x − hv)) / 2h, so it takes two gradients of each sample. The value is abs(λ). Apart from
    rounding, it is a lower bound of the size of the largest eigenvalue. Curvature differs from place to place, and
    may rise along the path of a run.

    Args:
        problem: what is minimised.
        params: where to estimate, shape (n_params,); None for the initial parameters of the seed.
        samples: use this many training samples, evenly spaced, or all if there are fewer. A few samples have a larger
            L than all samples together.
        iterations: the largest number of iterations; at least 10.
        tolerance: when to stop, in (0, 1).
        seed: determines the first direction and the initial parameters.

    Returns:
        The estimate. Its error contains ‖Hv − λv‖ and, unless all samples are used, the standard error of λ over
        them.

    Raises:
        UsageError: for arguments that cannot be used, and for gradients that are not finite.

    >>> from asapnb.problems import quadratic
    >>> found = smoothness(quadratic([1.0, 3.0, 10.0], noise=0.5))
    >>> abs(found.value - 10) <= found.error < 0.2
    True
    """
    check_is_problem(problem)
    x, begun = _place(problem, params, seed), time.perf_counter()
    count = min(integer("samples", samples, 1), problem.n_samples)
    most = integer("iterations", iterations, _FEWEST)
    enough = real("tolerance", tolerance, 0, 1, above=True, below=True)
    chosen = np.arange(count) * problem.n_samples // count
    v = np.random.default_rng([seed, 1]).standard_normal(problem.n_params)
    v /= np.linalg.norm(v)
    for made in range(1, most + 1):
        image = _times_hessian(problem, x, v, chosen)
        value = float(v @ image)
        residual = float(np.linalg.norm(image - value * v))
        if not (length := float(np.linalg.norm(image))) or (made >= _FEWEST and residual <= enough * abs(value)):
            break
        last, v = v, image / length
    gradients = 2 * count * made
    spread = 0.0
    if 1 < count < problem.n_samples and length:
        groups = [chosen[first::_GROUPS] for first in range(min(_GROUPS, count))]
        along = [float(last @ _times_hessian(problem, x, last, group)) for group in groups]
        spread, gradients = float(np.std(along, ddof=1)) / math.sqrt(len(groups)), gradients + 2 * count
    return Estimate(abs(value), math.hypot(residual, spread), gradients, time.perf_counter() - begun)


def gradient_variance(
    problem: Problem,
    params: ArrayLike | None = None,
    *,
    batch_size: int = 16,
    pairs: int = PAIRS,
    seed: int = 0,
) -> Estimate:
    """Estimate the variance of a minibatch's gradient at some parameters, summed over the coordinates: E‖g − ∇f‖².

    It is half the mean squared distance between the gradients of two independent minibatches.

    Args:
        problem: what is minimised.
        params: where to estimate, shape (n_params,); None for the initial parameters of the seed.
        batch_size: samples in a minibatch, from 1 to the number of training samples.
        pairs: how many pairs of minibatches to draw; at least 2.
        seed: determines the minibatches and the initial parameters.

    Returns:
        The estimate.

    Raises:
        UsageError: for arguments that cannot be used, and for gradients that are not finite.

    >>> from asapnb.problems import quadratic
    >>> found = gradient_variance(quadratic([1.0, 10.0], noise=0.8), batch_size=4)
    >>> abs(found.value - 0.8 / 4) < 3 * found.error < 0.2
    True
    """
    check_is_problem(problem)
    x, begun = _place(problem, params, seed), time.perf_counter()
    size = integer("batch_size", batch_size, 1, problem.n_samples, note=" (the training samples)")
    count, draws = integer("pairs", pairs, 2), np.random.default_rng([seed, 2])
    halves = np.empty(count)
    for i in range(count):
        one, other = (
            problem.loss_and_gradient(
                x, draws.choice(problem.n_samples, size, replace=False, shuffle=False), ticket, seed
            )[1]
            for ticket in (2 * i, 2 * i + 1)
        )
        halves[i] = 0.5 * float(np.sum((_finite(problem, one) - _finite(problem, other)) ** 2))
    error = float(halves.std(ddof=1)) / math.sqrt(count)
    return Estimate(float(halves.mean()), error, 2 * count * size, time.perf_counter() - begun)


def _place(problem: Problem, params: ArrayLike | None, seed: int) -> NDArray[Any]:
    """Parameters of the dtype of the problem."""
    x = problem.init(seed) if params is None else np.asarray(params)
    if x.shape != (problem.n_params,) or x.dtype.kind not in "iuf" or not np.isfinite(x).all():
        raise UsageError(f"params have shape {x.shape} and dtype {x.dtype}: give {problem.n_params:,} finite numbers")
    return x.astype(problem.dtype)


def _times_hessian(problem: Problem, x: NDArray[Any], v: Vector, samples: NDArray[np.int64]) -> Vector:
    """H v of the mean loss over some samples."""
    step = _NEAR[problem.dtype.name] * (1.0 + float(np.linalg.norm(x.astype(np.float64))))
    ends = [(x + sign * step * v).astype(problem.dtype) for sign in (1, -1)]
    apart = float(np.linalg.norm(ends[0].astype(np.float64) - ends[1]))  # as rounded
    difference: Vector = _gradient(problem, ends[0], samples) - _gradient(problem, ends[1], samples)
    return difference / (apart or 1.0)


def _gradient(problem: Problem, x: NDArray[Any], samples: NDArray[np.int64]) -> Vector:
    """The gradient of the mean loss over some samples."""
    total = np.zeros(problem.n_params)
    for chunk in _chunks(samples):
        total += len(chunk) / len(samples) * _finite(problem, problem.loss_and_gradient(x, chunk)[1])
    return total


def _chunks(samples: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(samples), _CHUNK):
        yield samples[first : first + _CHUNK]


def _finite(problem: Problem, gradient: NDArray[Any]) -> Vector:
    if not np.isfinite(gradient).all():
        raise UsageError(f"a gradient of {problem!r} is not finite there: estimate at other parameters")
    return gradient.astype(np.float64)
