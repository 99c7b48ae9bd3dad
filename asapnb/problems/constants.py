"""Constants of an objective that theory needs."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Constants:
    """The constants of an objective f; None for one that does not exist or is not known.

    Attributes:
        L: ‖∇f(x) − ∇f(y)‖ ≤ L ‖x − y‖ for all x and y.
        mu: f(y) ≥ f(x) + ⟨∇f(x), y − x⟩ + ½ mu ‖y − x‖² for all x and y (strong convexity); 0 if f is not that.
        pl: ½ ‖∇f(x)‖² ≥ pl (f(x) − f_star), the inequality of Polyak and Łojasiewicz.
        f_star: the least value of f.
        x_star: the minimiser; if there are several, the one of least norm.
        convex: whether f is convex.
        noise: the variance of a sample's gradient, summed over the coordinates, where it is the same everywhere.

    >>> from asapnb.problems import quadratic
    >>> constants = quadratic([1.0, 10.0]).constants
    >>> constants.L, constants.mu, constants.x_star
    (10.0, 1.0, array([0., 0.]))
    """

    L: float | None = None
    mu: float = 0.0
    pl: float | None = None
    f_star: float | None = None
    x_star: np.ndarray | None = None
    convex: bool = False
    noise: float | None = None
