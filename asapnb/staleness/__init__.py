"""Staleness: distributions, models, fits, distances, and estimators that count while a run goes on.

The staleness tau of an update is the number of updates applied between the read of its view and its own application.
"""

from .distances import ks, total_variation, wasserstein
from .distribution import CDF_KINDS, Kind, StalenessDistribution, staleness_array
from .estimator import StalenessEstimator, WorkerHistogram
from .fitting import Fit, fit, fits
from .models import (
    MODELS,
    cmp,
    constant,
    empirical,
    exponential_workers,
    geometric,
    mixture,
    parse_staleness,
    poisson,
    uniform,
)

__all__ = [
    "CDF_KINDS",
    "MODELS",
    "Fit",
    "Kind",
    "StalenessDistribution",
    "StalenessEstimator",
    "WorkerHistogram",
    "cmp",
    "constant",
    "empirical",
    "exponential_workers",
    "fit",
    "fits",
    "geometric",
    "ks",
    "mixture",
    "parse_staleness",
    "poisson",
    "staleness_array",
    "total_variation",
    "uniform",
    "wasserstein",
]
