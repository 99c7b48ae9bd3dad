"""Constants of an objective that theory needs."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Constants:
    """The known constants of an objective f. A constant that does not exist or is not known is None.

    Attributes:
        L: the smoothness constant: ‖∇f(x) − ∇f(y)‖ ≤ L ‖x − y‖ for all x and y.
        mu: the constant of strong convexity: f(y) ≥ f(x) + ⟨∇f(x), y − x⟩ + ½ mu ‖y − x‖² for all x and y. 0 if f is
            not strongly convex.
        pl: the constant of the inequality of Polyak and Łojasiewicz: ½ ‖∇f(x)‖² ≥ pl (f(x) − f_star).
        f_star: the least value of f.
        x_star: the minimiser, shape (n_params,); if there are several, the one of least norm.
        convex: whether f is convex.
        noise: the variance of a sample's gradient, summed over the coordinates; None if it depends on x.

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
