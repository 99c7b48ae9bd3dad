"""Which model does measured staleness follow? Fits by maximum likelihood, and how good they are."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..numbers import choice, reals
from .distances import ks
from .distribution import StalenessDistribution
from .models import MODELS

_LEAST_EXPECTED = 5.0  # updates in a cell of the chi-square distance
_MAX_DISPERSION = 100.0


@dataclass(frozen=True)
class Fit:
    """A model with the parameters that make the observed staleness most likely.

    The staleness of successive updates is not independent. So use these figures to rank models, not to test whether
    a model is right.

    Attributes:
        model: "geometric", "poisson" or "cmp".
        parameters: the parameters of the model, by name, as its function takes them.
        log_likelihood: the natural logarithm of the likelihood of all updates.
        aic: Akaike's criterion, 2 · (number of parameters) - 2 · log_likelihood; less is better.
        ks: the largest difference of the distribution functions, in [0, 1].
        chi2: Pearson's sum of (observed - expected)² / expected, over cells of at least 5 expected updates.
        degrees: the mean of chi2 if updates were independent draws from the model: cells - 1 - parameters.
        distribution: the model with these parameters.

    >>> found = fit([4, 2, 1, 1], "poisson")
    >>> found.parameters, found.distribution.mean().__round__(9)
    ({'mean': 0.875}, 0.875)
    """

    model: str
    parameters: Mapping[str, float] = field(hash=False)
    log_likelihood: float
    aic: float
    ks: float
    chi2: float
    degrees: int
    distribution: StalenessDistribution = field(compare=False)


def fit(counts: ArrayLike, model: str) -> Fit:
    """Fit a model to observed staleness, by maximum likelihood.

    The dispersion of cmp is searched from 0 to 100, or to less if the rate would exceed a float64. If the result is
    at a bound, no cmp has a variance as large, or as small, as the one observed.

    Args:
        counts: counts[k] is how many updates had staleness k; shape (largest staleness + 1,). For a run, give
            `run.staleness_counts.sum(axis=0)`.
        model: "geometric", "poisson" or "cmp".

    Raises:
        UsageError: if the counts hold less than one update.

    >>> fit([4, 2, 1, 1], "geometric").parameters
    {'p': 0.5333333333333333}
    """
    from scipy.special import gammaln

    fitted = _FITS[choice("model of staleness", model, _FITS)]
    weights = reals("counts", counts, 0, empty=True)
    total = math.fsum(weights)
    if not 0.0 < total < math.inf:
        raise UsageError(f"counts sum to {total}: a fit needs at least one update")
    observed = StalenessDistribution.from_counts(weights)
    seen = np.flatnonzero(observed.pmf)
    mean, log_factorial = observed.mean(), float(observed.pmf[seen] @ gammaln(seen + 1.0))
    parameters, likelihood = fitted(mean, log_factorial)
    distribution = MODELS[model](**parameters)
    chi2, cells = _chi_square(weights, total * distribution.pmf)
    return Fit(
        model,
        parameters,
        log_likelihood=total * likelihood,
        aic=2.0 * len(parameters) - 2.0 * total * likelihood,
        ks=ks(observed, distribution),
        chi2=chi2,
        degrees=max(0, cells - 1 - len(parameters)),
        distribution=distribution,
    )


def fits(counts: ArrayLike) -> tuple[Fit, ...]:
    """The fits of all three models, sorted by their AIC: the best one comes first.

    Args:
        counts: as for `fit`.

    >>> from asapnb.staleness import poisson
    >>> [found.model for found in fits(1000 * poisson(15).pmf)]
    ['poisson', 'cmp', 'geometric']
    """
    return tuple(sorted((fit(counts, model) for model in _FITS), key=lambda found: found.aic))


# Each function takes the means of tau and log(tau!) over the updates, which are sufficient statistics. It returns the
# parameters of greatest likelihood, and the mean log-likelihood of an update.


def _geometric(mean: float, log_factorial: float) -> tuple[dict[str, float], float]:
    log_p, log_q = -math.log1p(mean), -math.log1p(1.0 / mean) if mean else 0.0
    return {"p": 1.0 / (1.0 + mean)}, log_p + mean * log_q


def _poisson(mean: float, log_factorial: float) -> tuple[dict[str, float], float]:
    return {"mean": mean}, mean * (math.log(mean) if mean else 0.0) - mean - log_factorial


def _cmp(mean: float, log_factorial: float) -> tuple[dict[str, float], float]:
    # The model is an exponential family in (log rate, -dispersion), so the likelihood is concave: for a given
    # dispersion one rate has the observed mean, and along those rates E[log(tau!)] falls with the dispersion.
    from scipy.optimize import brentq
    from scipy.special import logsumexp

    if mean == 0.0:
        return {"rate": 0.0, "dispersion": 1.0}, 0.0
    # Both are written about the mean, t = tau - centre and log(tau! / (centre! mean^t)), so that nothing cancels.
    centre = math.floor(mean)
    tau = np.arange(math.ceil(40.0 * (mean + 1.0)))  # a cmp has no heavier a tail than the geometric of its mean
    t, steps = tau - centre, np.log(tau[1:] / mean)
    bend = np.concatenate((-np.cumsum(steps[:centre][::-1])[::-1], [0.0], np.cumsum(steps[centre:])))
    mean_bend = log_factorial - math.lgamma(centre + 1.0) - (mean - centre) * math.log(mean)

    def of_mean(dispersion: float) -> tuple[float, NDArray[np.float64]]:
        """log(rate / mean^dispersion) for the observed mean, and the log pmf: Newton's method in a bracket."""
        high = dispersion * math.log(2.0 + 1.0 / mean)
        low = -math.log1p(1.0 / mean) - dispersion * math.log(mean) - 1e-9
        tilt = max(low, dispersion * math.log1p(0.5 / mean * (1.0 - 1.0 / dispersion))) if dispersion > 1.0 else low
        for _ in range(100):
            logs = tilt * t - dispersion * bend
            logs -= float(logsumexp(logs))
            pmf = np.exp(logs)
            at = float(pmf @ t)
            excess = at - (mean - centre)
            step = -excess / float(pmf @ (t - at) ** 2)
            if abs(step) <= 1e-13:
                break
            low, high = (low, tilt) if excess > 0.0 else (tilt, high)
            tilt = tilt + step if low < tilt + step < high else 0.5 * (low + high)
        return tilt, logs

    def slope(dispersion: float) -> float:
        return float(np.exp(of_mean(dispersion)[1]) @ bend) - mean_bend

    largest = min(_MAX_DISPERSION, 700.0 / math.log(2.0 * mean + 2.0))
    if slope(0.0) <= 0.0:
        dispersion = 0.0
    elif slope(largest) >= 0.0:
        dispersion = largest
    else:
        dispersion = float(brentq(slope, 0.0, largest, xtol=1e-14, rtol=1e-12))
    tilt, logs = of_mean(dispersion)
    likelihood = float(logs[centre]) + tilt * (mean - centre) - dispersion * mean_bend
    return {"rate": math.exp(tilt + dispersion * math.log(mean)), "dispersion": dispersion}, likelihood


_FITS: dict[str, Callable[[float, float], tuple[dict[str, float], float]]] = {
    "geometric": _geometric,
    "poisson": _poisson,
    "cmp": _cmp,
}


def _chi_square(counts: NDArray[np.float64], expected: NDArray[np.float64]) -> tuple[float, int]:
    """Pearson's distance, and the number of cells. A cell holds neighbours until 5 updates are expected in it."""
    length = max(len(counts), len(expected))
    counts, expected = (np.append(array, np.zeros(length - len(array))) for array in (counts, expected))
    upto = np.cumsum(expected)
    starts = [0]
    while True:
        end = int(np.searchsorted(upto, (upto[starts[-1] - 1] if starts[-1] else 0.0) + _LEAST_EXPECTED))
        if end >= length or upto[-1] - upto[end] < _LEAST_EXPECTED:  # what is left fills no cell of its own
            break
        starts.append(end + 1)
    seen, due = np.add.reduceat(counts, starts), np.add.reduceat(expected, starts)
    return float(((seen - due) ** 2 / due).sum()), len(starts)
