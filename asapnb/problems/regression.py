"""Least squares and logistic regression on given or generated rows, with the constants computed from them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import UsageError
from ..memory import check_memory
from ..numbers import integer, real, reals
from . import objectives
from .analytic import Numbers, Start, analytic
from .base import Builder, Problem
from .constants import Constants
from .text import register

_RESIDUAL = 0.1  # standard deviation of generated targets around the linear model


@register("least_squares(samples=50, dimension=4, noise=0.1)")
def least_squares(
    matrix: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    noise: float = 0.0,
    *,
    samples: int | None = None,
    dimension: int | None = None,
    rank: int | None = None,
    start: Start = 0.0,
    seed: int = 0,
) -> Problem:
    """f(x) = 1/(2n) ‖Ax − b‖²: a sample is one of the n rows of the matrix A, with its target.

    L is σ²/n for the largest singular value σ of A, and pl is σ²/n for the least positive one. If A has full column
    rank, mu equals pl; otherwise f is not strongly convex. Give the rows, or generate them: then A is normal, and
    b = Ay + 0.1 z for normal y and z.

    Args:
        matrix: A, shape (n, d).
        targets: b, shape (n,).
        noise: as for `quadratic`. With an odd number of rows, the middle one has no noise.
        samples: n, the number of rows to generate; instead of `matrix` and `targets`.
        dimension: d, the length of the generated rows.
        rank: the rank of the generated matrix; None for the largest possible.
        start: as for `quadratic`.
        seed: the seed of the generated rows, and of the noise.

    Raises:
        UsageError: for arguments that cannot be used.

    >>> problem = least_squares(samples=200, dimension=20, rank=10)
    >>> problem.constants.mu, round(problem.constants.pl, 3), problem.n_samples
    (0.0, 0.288, 200)
    >>> least_squares([[1, 0], [0, 2]], [1, 2]).constants.x_star
    array([1., 1.])
    """
    given = {"noise": noise, "samples": samples, "dimension": dimension, "rank": rank, "start": start, "seed": seed}
    a, b = _rows(least_squares, "targets", matrix, targets, given)
    n, d = a.shape
    x_star, _, r, values = np.linalg.lstsq(a, b, rcond=None)
    if r == 0:
        raise UsageError("matrix is 0 everywhere, so there is nothing to minimise: give a matrix of rank 1 or more")
    L, pl = values[0] ** 2 / n, values[r - 1] ** 2 / n
    f_star = float(np.sum((a @ x_star - b) ** 2)) / (2 * n)
    constants = Constants(float(L), float(pl) if r == d else 0.0, float(pl), f_star, x_star, True)
    return _of_rows(least_squares, a, b, constants, given)


@register("logistic([[1, 2], [3, 4], [-1, 0]], [0, 1, 1])")
def logistic(
    matrix: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    noise: float = 0.0,
    *,
    ridge: float = 0.01,
    samples: int | None = None,
    dimension: int | None = None,
    rank: int | None = None,
    start: Start = 0.0,
    seed: int = 0,
) -> Problem:
    """f(x) = 1/n Σ log(1 + exp(−y_i ⟨a_i, x⟩)) + ridge/2 ‖x‖²: a sample is a row a_i with its label y_i, −1 or 1.

    L is σ²/(4n) + ridge for the largest singular value σ of the matrix of rows, and mu is the ridge. Newton's method
    finds x_star. With a ridge of 0, x_star and f_star are None. The labels of generated rows are drawn from a
    logistic model.

    Args:
        matrix: the rows a_i, shape (n, d).
        labels: −1 and 1, or 0 and 1, shape (n,).
        noise: as for `least_squares`.
        ridge: the weight of ½ ‖x‖²; >= 0.
        samples: n, the number of rows to generate; instead of `matrix` and `labels`.
        dimension: d, the length of the generated rows.
        rank: the rank of the generated rows; None for the largest possible.
        start: as for `quadratic`.
        seed: the seed of the generated rows, and of the noise.

    Raises:
        UsageError: for arguments that cannot be used.

    >>> problem = logistic(samples=200, dimension=5, noise=0.1)
    >>> problem.constants.mu, round(problem.constants.f_star, 3), round(problem.evaluate(problem.init())[0], 3)
    (0.01, 0.479, 0.693)
    """
    ridge = real("ridge", ridge, 0)
    given = {"noise": noise, "samples": samples, "dimension": dimension, "rank": rank, "start": start, "seed": seed}
    a, y = _rows(logistic, "labels", matrix, labels, given)
    largest = float(np.linalg.norm(a, 2)) ** 2 / (4 * len(a))
    x_star = _newton(a * y[:, None], ridge) if ridge > 0 else None
    f_star = None if x_star is None else _logistic(a * y[:, None], ridge, x_star)
    constants = Constants(largest + ridge, ridge, ridge or None, f_star, x_star, True)
    return _of_rows(logistic, a, y, constants, given | {"ridge": ridge})


def _of_rows(
    builder: Builder, a: Numbers, targets: Numbers, constants: Constants, arguments: dict[str, Any]
) -> Problem:
    """The problem of these rows; they begin its text unless it can generate them again."""
    written = [] if arguments["samples"] else [a, targets]
    values = np.concatenate([[arguments.get("ridge", 0.0)], targets, a.ravel()])
    classes = targets.astype(np.int64) if builder is logistic else targets
    return analytic(
        builder, objectives.of_rows, a.shape[1], values, len(a), constants, arguments, *written, targets=classes
    )


def _rows(
    builder: Builder, kind: str, matrix: ArrayLike | None, targets: ArrayLike | None, arguments: dict[str, Any]
) -> tuple[Numbers, Numbers]:
    """The rows and a target for each, given or generated."""
    sizes = [arguments[name] for name in ("samples", "dimension", "rank")]
    if matrix is None and targets is None and None not in sizes[:2]:
        return _generated(kind, arguments["seed"], *sizes)
    if matrix is None or targets is None or sizes != [None] * 3:
        raise UsageError(
            f"{builder.__name__} takes a matrix and {kind}, or samples=, dimension= and perhaps rank= to generate "
            "them: give one of these, and all of it"
        )
    if kind == "labels" and isinstance(targets, np.ndarray):
        targets = targets * 1  # booleans are 0 and 1
    a, b = reals("matrix", matrix, axes=2), reals(kind, targets)
    if len(a) != len(b):
        raise UsageError(f"matrix has {len(a)} rows and there are {len(b)} {kind}: give one for each row")
    if kind == "labels":
        classes = set(b.tolist())
        if not (classes <= {0.0, 1.0} or classes <= {-1.0, 1.0}):
            raise UsageError(f"labels are {sorted(classes)!s:.80}: they must be -1 and 1, or 0 and 1")
        b = np.where(b > 0, 1.0, -1.0)
    return a, b


def _generated(kind: str, seed: int, samples: int, dimension: int, rank: int | None) -> tuple[Numbers, Numbers]:
    n, d = integer("samples", samples, 1, 2**40), integer("dimension", dimension, 1, 2**40)
    r = min(n, d) if rank is None else integer("rank", rank, 1, min(n, d))
    check_memory(f"a matrix of {n:,} × {d:,}", 16 * n * d, "take fewer samples, or a smaller dimension")
    generator = np.random.default_rng(integer("seed", seed, 0, 2**63 - 1))
    a = generator.standard_normal((n, d))
    if r < min(n, d):
        a = a[:, :r] @ generator.standard_normal((r, d)) / np.sqrt(r)
    product = a @ generator.standard_normal(d)
    if kind == "labels":
        return a, np.where(generator.random(n) < 1 / (1 + np.exp(-product)), 1.0, -1.0)
    return a, product + _RESIDUAL * generator.standard_normal(n)


def _logistic(signed: Numbers, ridge: float, x: Numbers) -> float:
    return float(np.logaddexp(0, -signed @ x).mean() + ridge / 2 * x @ x)


def _newton(signed: Numbers, ridge: float) -> Numbers:
    """The minimiser, to rounding: Newton's steps, halved while they go too far."""
    n, d = signed.shape
    x, value = np.zeros(d), _logistic(signed, ridge, np.zeros(d))
    for _ in range(100):
        chance = np.exp(-np.logaddexp(0, signed @ x))  # of the wrong label
        gradient = -(chance @ signed) / n + ridge * x
        hessian = (signed.T * (chance * (1 - chance))) @ signed / n + ridge * np.eye(d)
        step = np.linalg.solve(hessian, gradient)
        while (lower := _logistic(signed, ridge, x - step)) > value:
            step = step / 2
        before, x, value = value, x - step, lower
        if value == before:
            break
    return x
