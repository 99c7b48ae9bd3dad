"""Rules that see staleness through its ranks: a non-increasing profile g of F(tau), with mean scale 1.

Update tau has the ranks S[tau-1] … S[tau], where S[k] = P(tau <= k), and as its scale the mean of g over them. The
ranks of all updates fill [0, 1], so the mean scale is the integral of g: 1, for every distribution. As g does not
increase, neither do the scales, and g(0) bounds them. TAIL-tau is the member g(u) = 1 + A (1 - 2u).

Means are never differences of antiderivatives, which would cancel where a probability is small. They are exact for g
as given; a final division by the mean scale removes the rounding error.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..loading import Use, load_function
from ..numbers import choice, real
from ..staleness import CDF_KINDS, Kind, StalenessDistribution
from .framework import Rule, with_mean_one
from .refresh import Every, Once, Refresh, ReleasedCode, checked_refresh
from .registry import register

Array = NDArray[np.float64]
Profile = Callable[[Array], ArrayLike]
_GRID = np.linspace(0.0, 1.0, 1001)  # where a given function is checked
_CLEAN = 1e-12  # a share of a cell below this is rounding


def _tail(
    staleness: StalenessDistribution, workers: int, amplitude: float, cdf: Kind = "midpoint", share: float = 1.0
) -> Array:
    # 1 + A (1 - 2F) with F = share - share (1 - F), so that for A = 1 the stalest keep their relative accuracy.
    return (1.0 + amplitude * (1.0 - 2.0 * share)) + 2.0 * amplitude * share * staleness.survival(cdf)


def _tail_released(staleness: StalenessDistribution, workers: int, amplitude: float, cdf: Kind = "midpoint") -> Array:
    return _tail(staleness, workers, amplitude, cdf, ReleasedCode.share)


def _power(staleness: StalenessDistribution, workers: int, q: float) -> Array:
    # With a = 1 - S[k-1], the mean of (1+q) (1-u)^q over the next p is a^q (1 - (1 - p/a)^(1+q)) / (p/a).
    a = staleness.survival("exclusive")
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(staleness.pmf > 0, np.minimum(staleness.pmf / a, 1.0), 0.0)
        mean = np.where(r > 0, -np.expm1((1.0 + q) * np.log1p(-r)) / r, 1.0 + q)
    return _normalised(a**q * mean, staleness)


def _exponential_profile(staleness: StalenessDistribution, workers: int, kappa: float) -> Array:
    x = kappa * staleness.pmf
    mean = np.divide(-np.expm1(-x), x, out=np.ones_like(x), where=x > 0)
    return _normalised(np.exp(-kappa * staleness.cdf("exclusive")) * mean, staleness)


def _quantile_cut(staleness: StalenessDistribution, workers: int, rho: float) -> Array:
    return _steps(staleness, (1.0, 0.0), (rho,))


def _profile(staleness: StalenessDistribution, workers: int, g: Profile | tuple[float, ...]) -> Array:
    if isinstance(g, tuple):
        return _steps(staleness, g, [i / len(g) for i in range(1, len(g))])
    below, used = staleness.cdf("exclusive"), staleness.support + 1
    nodes, weights = _gauss_legendre(16)
    ranks = np.minimum(below[:used, None] + staleness.pmf[:used, None] * nodes, 1.0)
    means = np.full(len(staleness), _heights(g, np.ones(1))[0])
    means[:used] = _heights(g, ranks.ravel()).reshape(ranks.shape) @ weights
    return _normalised(means, staleness)


def _steps(staleness: StalenessDistribution, heights: Sequence[float], edges: Sequence[float]) -> Array:
    """The means of a step function: heights[i] up to edges[i], the last height up to 1."""
    below, above, p = staleness.cdf("exclusive"), staleness.survival("exclusive"), staleness.pmf
    means = np.full(len(p), heights[-1])
    for edge, left, right in zip(edges, heights[:-1], heights[1:], strict=True):
        room = edge - below if edge < 0.5 else above - (1.0 - edge)  # from the nearer end, where ranks are exact
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(p > 0, np.clip(room / p, 0.0, 1.0), room >= 0)  # of the cell, left of the edge
        share[(share < _CLEAN) & (below > 0)] = 0.0
        means += (left - right) * share
    return _normalised(means, staleness)


def _normalised(means: Array, staleness: StalenessDistribution) -> Array:
    return with_mean_one(np.minimum.accumulate(means), staleness)


@functools.cache
def _gauss_legendre(n: int) -> tuple[Array, Array]:
    """Nodes in (0, 1) and positive weights of sum 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 * (1.0 + nodes), weights / weights.sum()


def _heights(g: Profile, u: Array) -> Array:
    """g(u) as float64, one value for each u or one for all."""
    return np.broadcast_to(np.asarray(g(u), dtype=np.float64), u.shape)


@register("tail(amplitude=1.0)", "C1 C2 C3 C4", "Bäckström et al. 2022")
def tail(amplitude: float = 1.0, cdf: Kind = "midpoint", refresh: Refresh | None = None) -> Rule:
    """1 + A (1 - 2 F(tau)), TAIL-tau: fresh updates count for more, stale ones for less; the mean step is kept.

    F is the distribution function of the staleness seen; beyond the stalest update seen, F = 1.

    Args:
        amplitude: A, in [0, 1]: how far the scales go above and below 1.
        cdf: which F. With "midpoint" the mean scale is 1 for every distribution. The other two are for comparison
            with other implementations: the mean is 1 + A s with "exclusive" and 1 - A s with "inclusive", where s is
            the sum of the squared probabilities.
        refresh: when a new table is made: `once(start, end)` or `every(n, half_life)`; for comparison also
            `released_code()`. None for every(200, half_life=2000).

    Source: Bäckström, Papatriantafilou, Tsigas: ASAP.SGD, ICML 2022.

    >>> tail()(StalenessDistribution.from_counts([1, 2, 1, 0]), workers=2)
    array([1.75, 1.  , 0.25, 0.  ])
    """
    parameters: dict[str, Any] = {"amplitude": real("amplitude", amplitude, 0, 1)}
    if choice("kind of cdf", cdf, CDF_KINDS) != "midpoint":
        parameters["cdf"] = cdf
    if isinstance(refresh, ReleasedCode):
        return Rule("tail", _tail_released, parameters, refresh)
    return Rule("tail", _tail, parameters, checked_refresh(refresh))


@register("power(q=2.0)", "C1 C2 C3 C4", "as tail, with another profile")
def power(q: float, refresh: Once | Every | None = None) -> Rule:
    """The profile (1 + q)(1 - u)^q, q >= 0: 0 is constant, 1 is tail(1), a larger q favours the freshest more.

    u is the rank of an update, from the freshest (0) to the stalest (1). See `profile`.

    Args:
        q: the exponent; >= 0.
        refresh: when a new table is made; None for every(200, half_life=2000).

    >>> power(2)(StalenessDistribution.from_counts([1, 2, 1, 0]), workers=2)
    array([2.3125, 0.8125, 0.0625, 0.    ])
    """
    return Rule("power", _power, {"q": real("q", q, 0)}, checked_refresh(refresh))


@register("quantile_cut(rho=0.9)", "C1 C2 C3 C4", "as tail, with another profile")
def quantile_cut(rho: float, refresh: Once | Every | None = None) -> Rule:
    """The profile 1/rho up to rho, then 0, rho in (0, 1]: drops the stalest share 1 - rho, scales the others up.

    Updates of one staleness share a range of ranks. If only a part of that range lies below rho, they get that part
    of the scale. See `profile`.

    Args:
        rho: the share of the updates that is kept, the freshest ones; in (0, 1].
        refresh: when a new table is made; None for every(200, half_life=2000).

    >>> quantile_cut(0.5)(StalenessDistribution.from_counts([1, 2, 1, 0]), workers=2)
    array([2., 1., 0., 0.])
    """
    return Rule("quantile_cut", _quantile_cut, {"rho": real("rho", rho, 0, 1, above=True)}, checked_refresh(refresh))


@register("exponential_profile(kappa=2.0)", "C1 C2 C3 C4", "as tail, with another profile")
def exponential_profile(kappa: float, refresh: Once | Every | None = None) -> Rule:
    """The profile exp(-kappa u), scaled to integrate to 1; kappa >= 0.

    u is the rank of an update, from the freshest (0) to the stalest (1). See `profile`.

    Args:
        kappa: how fast the scale falls with the rank; >= 0. 0 is `constant`.
        refresh: when a new table is made; None for every(200, half_life=2000).

    >>> exponential_profile(2)(StalenessDistribution.from_counts([1, 2, 1, 0]), workers=2).round(3)
    array([1.82 , 0.887, 0.406, 0.313])
    """
    parameters = {"kappa": real("kappa", kappa, 0)}
    return Rule("exponential_profile", _exponential_profile, parameters, checked_refresh(refresh))


@register("profile(g=[3, 2, 1])", "C1 C2 C3 C4", "as tail, with another profile")
def profile(g: Profile | Sequence[float] | str, refresh: Once | Every | None = None) -> Rule:
    """The rule of any profile g(u), 0 <= u <= 1: finite, >= 0, not increasing; scaled to integrate to 1.

    u is the rank of an update, from the freshest (0) to the stalest (1). Updates of one staleness share a range of
    ranks, and their scale is the mean of g over it. So the mean scale is 1 for every distribution. The mean over a
    range is exact for steps; for a function it is a 16-point Gauss-Legendre sum.

    Args:
        g: a function that takes an array of u; its text, `file.py:name` or `file.py:name(k=2)`; or a list of heights,
            for steps of equal width.
        refresh: when a new table is made; None for every(200, half_life=2000).

    Raises:
        UsageError: if g is none of these, rises, is negative, or is 0 everywhere.

    >>> profile([3, 1])(StalenessDistribution.from_counts([1, 2, 1, 0]), workers=2)
    array([1.5, 1. , 0.5, 0.5])
    >>> profile(lambda u: 1 + (1 - 2 * u))(StalenessDistribution.from_counts([1, 2, 1, 0]), workers=2)
    array([1.75, 1.  , 0.25, 0.  ])
    """
    shape: Any = load_function(g, Use(("u",))) if isinstance(g, str) and ".py:" in g else g
    if isinstance(shape, list | tuple | np.ndarray):
        shape = tuple(real(f"g[{i}]", height, 0) for i, height in enumerate(shape))
        values, names = np.array(shape), [f"g[{i}]" for i in range(len(shape))]
    elif callable(shape):
        try:
            values = _heights(shape, _GRID)
        except Exception as error:
            raise UsageError(f"g is {g!r}: must take an array of u in [0, 1]: {error}") from error
        names = [f"g({u:g})" for u in _GRID]
    else:
        raise UsageError(
            f"g is {g!r}: must be a function of u in [0, 1], its text file.py:name, or a list of heights"
        )
    _check_profile(values, names)
    return Rule("profile", _profile, {"g": shape}, checked_refresh(refresh))


def _check_profile(values: Array, names: list[str]) -> None:
    """UsageError unless values are finite, >= 0, not all 0 and do not increase."""
    if not len(values) or not values.any():
        raise UsageError("g is 0 everywhere: a profile must be above 0 for the freshest")
    for bad, wrong in (
        (~np.isfinite(values) | (values < 0), "must be finite and >= 0"),
        (np.diff(values, prepend=values[0]) > 1e-12 * values[0], "a profile must not increase"),
    ):
        if bad.any():
            i = int(bad.argmax())
            before = f", {names[i - 1]} = {values[i - 1]:g}" if i else ""
            raise UsageError(f"{names[i]} = {values[i]:g}{before}: {wrong}")
