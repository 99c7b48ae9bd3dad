"""Objectives with known constants: sums over the coordinates, exact or with normal noise of a known variance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..numbers import integer, real, reals
from . import objectives
from .base import Builder, Initial, Parameter, Problem, check_parameters, drawn
from .constants import Constants
from .signature import Gradient, Reals
from .text import call_text, normal_deviation, register

SAMPLES = 2**20
_QUICK = 2**15  # numbers that an evaluation reads: without anything that takes long for each, some ten µs
_SINE_PL = 0.17553  # the infimum of ½ f'(x)² / f(x) is 0.175530985…, near x = 2.2017
Numbers = NDArray[np.float64]
Start = float | str | Sequence[float]


@register("quadratic([1, 10], noise=0.1)")
def quadratic(
    eigenvalues: float | Sequence[float],
    noise: float = 0.0,
    *,
    start: Start = 1.0,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Problem:
    """f(x) = ½ Σ λ_j x_j², with the eigenvalues λ_j ≥ 0: L is the largest, mu the least.

    Each sample adds independent normal noise to the gradient. The noise follows from `seed` and the number of the
    sample. Its mean over all samples is 0, so f is what is minimised and evaluated.

    Args:
        eigenvalues: λ_j, a number or a list; >= 0, at least one above 0. There are as many parameters.
        noise: the variance of a sample's gradient, summed over the d coordinates: `noise` / d in each; >= 0.
        start: the initial parameters. A number, or a list that is repeated until all parameters have one; or
            "normal(s)", to draw them from the seed of the run with standard deviation s.
        samples: the number of samples, which must be even.
        seed: the seed of the noise.

    Raises:
        UsageError: for arguments that cannot be used.

    >>> problem = quadratic([1.0, 10.0], noise=0.1)
    >>> problem.evaluate([1.0, 1.0])[0], problem.constants.L, problem.config["problem"]
    (5.5, 10.0, 'quadratic([1.0, 10.0], noise=0.1)')
    """
    values = reals("eigenvalues", np.atleast_1d(eigenvalues), 0)
    if not values.any():
        raise UsageError(f"eigenvalues are {values.tolist()!s:.80}: one must be above 0")
    least, largest = float(values.min()), float(values.max())
    constants = Constants(largest, least, float(values[values > 0].min()), 0.0, np.zeros(len(values)), True)
    arguments = {"noise": noise, "start": start, "samples": samples, "seed": seed}
    return _of_coordinates(quadratic, values, constants, arguments, values)


@register("log_cosh(3)")
def log_cosh(
    dimension: int = 1, noise: float = 0.0, *, start: Start = 1.0, samples: int = SAMPLES, seed: int = 0
) -> Problem:
    """f(x) = Σ log cosh x_j: convex but not strongly, as it grows like |x|; L = 1.

    Args:
        dimension: the number of parameters; >= 1.
        noise: the variance of a sample's gradient, summed over the coordinates; >= 0.
        start: the initial parameters: a number, one for each parameter, or "normal(s)", as for `quadratic`.
        samples: the number of samples, which must be even. Each has noise of its own.
        seed: the seed of the noise.

    >>> log_cosh(2, start=3.0).loss_and_gradient([0.0, 100.0], [0])[1].tolist()
    [0.0, 1.0]
    """
    return _of_dimension(log_cosh, dimension, noise, start, samples, seed, L=1.0, convex=True)


@register("sine_pl(noise=0.5, start=2.0)")
def sine_pl(
    dimension: int = 1, noise: float = 0.0, *, start: Start = 1.0, samples: int = SAMPLES, seed: int = 0
) -> Problem:
    """f(x) = Σ x_j² + 3 sin² x_j: not convex, but with the inequality of Polyak and Łojasiewicz; L = 8.

    This is the example of Karimi, Nutini and Schmidt (2016), who give pl ≥ 1/32. The best constant is 0.17553, to
    five digits.

    Args:
        dimension: the number of parameters; >= 1.
        noise: the variance of a sample's gradient, summed over the coordinates; >= 0.
        start: the initial parameters: a number, one for each parameter, or "normal(s)", as for `quadratic`.
        samples: the number of samples, which must be even. Each has noise of its own.
        seed: the seed of the noise.

    >>> sine_pl(start=3.0).constants.pl
    0.17553
    """
    return _of_dimension(sine_pl, dimension, noise, start, samples, seed, L=8.0, pl=_SINE_PL)


@register("bounded(2, start=normal(1.0))")
def bounded(
    dimension: int = 1, noise: float = 0.0, *, start: Start = 1.0, samples: int = SAMPLES, seed: int = 0
) -> Problem:
    """f(x) = Σ x_j² / (1 + x_j²): not convex, and flat far from its minimum at 0; L = 2.

    Args:
        dimension: the number of parameters; >= 1.
        noise: the variance of a sample's gradient, summed over the coordinates; >= 0.
        start: the initial parameters: a number, one for each parameter, or "normal(s)", as for `quadratic`.
        samples: the number of samples, which must be even. Each has noise of its own.
        seed: the seed of the noise.

    >>> bounded().evaluate([1.0])[0]
    0.5
    """
    return _of_dimension(bounded, dimension, noise, start, samples, seed, L=2.0)


@register("rosenbrock")
def rosenbrock(
    dimension: int = 2, noise: float = 0.0, *, start: Start = (-1.2, 1.0), samples: int = SAMPLES, seed: int = 0
) -> Problem:
    """f(x, y) = 100 (y − x²)² + (1 − x)², summed over pairs of coordinates: a curved valley, and no L for all x.

    Args:
        dimension: number of parameters, at least 1, and even.
        noise: the variance of a sample's gradient, summed over the coordinates; >= 0.
        start: the initial parameters: a number, one for each parameter, or "normal(s)", as for `quadratic`.
        samples: the number of samples, which must be even. Each has noise of its own.
        seed: the seed of the noise.

    >>> problem = rosenbrock()
    >>> problem.init().tolist(), problem.evaluate([1.0, 1.0])[0], problem.constants.L
    ([-1.2, 1.0], 0.0, None)
    """
    if integer("dimension", dimension, 2, 2**40) % 2:
        raise UsageError(f"dimension is {dimension}: Rosenbrock's function takes pairs, so it must be even")
    return _of_dimension(rosenbrock, dimension, noise, start, samples, seed, x_star=np.ones(dimension))


def _of_dimension(
    builder: Builder, dimension: int, noise: float, start: Start, samples: int, seed: int, **known: Any
) -> Problem:
    """The problem of an objective with any number of parameters. Its least value is 0, at 0 or a `known` x_star."""
    n = integer("dimension", dimension, 1, 2**40)
    check_parameters(builder.__name__, n)
    arguments = {"dimension": n, "noise": noise, "start": start, "samples": samples, "seed": seed}
    constants = Constants(f_star=0.0, **{"x_star": np.zeros(n)} | known)
    return _of_coordinates(builder, np.zeros(n), constants, arguments)


def _of_coordinates(
    builder: Builder, values: Numbers, constants: Constants, arguments: dict[str, Any], *written: Numbers
) -> Problem:
    """The problem of an objective that is a sum over coordinates."""
    samples = integer("samples", arguments["samples"], 2, 2**40)
    if samples % 2:
        raise UsageError(f"samples is {samples}: must be even, as each sample's noise is another one's, negated")
    gradient, n = objectives.of_coordinates, len(values)
    return analytic(builder, gradient, n, values, samples, constants, arguments, *written)


def analytic(
    builder: Builder,
    gradient: Gradient,
    n_params: int,
    values: Numbers,
    samples: int,
    constants: Constants,
    arguments: dict[str, Any],
    *written: Numbers,
    targets: NDArray[Any] = np.zeros(0),  # noqa: B008 (empty)
) -> Problem:
    """The problem of the objective in `objectives` that has the name of the builder.

    Args:
        builder: what users call; the problem's text is a call of it.
        gradient: `of_coordinates` or `of_rows`.
        n_params: number of parameters.
        values: the inputs after the deviation of the noise.
        samples: number of samples.
        constants: what is known of the objective.
        arguments: of the builder, by name; "noise", "seed" and "start" are among them.
        written: its arguments that are arrays, in order; they begin the text.
        targets: of the samples, by which shards tell them apart; empty if they differ in noise alone.
    """
    by_rows = gradient is objectives.of_rows
    table = objectives.OF_ROWS if by_rows else objectives.OF_COORDINATES
    kind = [objective.__name__ for objective in table].index(builder.__name__)
    noise = real("noise", arguments["noise"], 0)
    seed = integer("seed", arguments["seed"], 0, 2**63 - 1)
    start, initial = _initial(arguments["start"], n_params)
    plan, quiet = (np.array([kind, noisy, seed], np.int64) for noisy in (noise > 0, False))
    inputs = np.concatenate([[sqrt(noise / n_params)], values])
    labels = np.zeros(samples, np.int64)
    seen = np.arange(samples if by_rows else 1)
    return Problem(
        name=builder.__name__,
        gradient=gradient,
        n_params=n_params,
        inputs=inputs,
        labels=labels,
        layout=(Parameter("params", (n_params,), 0),),
        dtype=np.dtype(np.float64),
        plan=plan,
        initial=initial,
        evaluation=_Exact(gradient, (seen, quiet, np.empty(0), inputs, labels)),
        targets=targets,
        constants=constants if by_rows else replace(constants, noise=noise),
        config={"problem": call_text(builder, arguments | {"noise": noise, "start": start}, written)},
    )


@dataclass(frozen=True)
class _Exact:
    """Evaluates f itself."""

    gradient: Gradient
    others: tuple[NDArray[Any], ...]  # its arguments from `indices` on; the plan is one without noise

    @property
    def quick(self) -> bool:
        """Whether it takes no more than some ten microseconds."""
        inputs = self.others[3]
        return inputs.size <= _QUICK

    def __call__(self, params: Reals, split: str) -> tuple[float, float]:
        return self._both(params)[0] if split == "train" else nan, nan

    def exact_gradient(self, params: Reals) -> Reals:
        """The gradient of f."""
        return self._both(params)[1]

    def _both(self, params: Reals) -> tuple[float, Reals]:
        gradient = np.empty_like(params)
        return self.gradient(params, gradient, *self.others), gradient


def _initial(start: Start, n: int) -> tuple[Start, Initial]:
    """From the argument `start`, for n parameters: what the text says of it, and what makes initial parameters."""
    if isinstance(start, str):
        return start, partial(drawn, normal_deviation("start", start, "a number, a list of numbers,"))
    pattern = reals("start", np.atleast_1d(start))
    if n % len(pattern):
        raise UsageError(f"start has {len(pattern)} numbers for {n} parameters: must be one, or one for each")
    return pattern.reshape(np.shape(start)).tolist(), partial(_repeated, pattern)


def _repeated(pattern: Numbers, n_params: int, generator: np.random.Generator) -> Numbers:
    return np.resize(pattern, n_params)
