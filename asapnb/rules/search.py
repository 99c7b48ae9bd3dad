"""Staleness distributions to try a rule on, simple ones first; and how to simplify one that breaks a condition."""

import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..staleness import StalenessDistribution, parse_staleness

_SMALL = (0, 1, 2, 3, 5, 10, 30, 100)
_ODDS = ((1, 1), (1, 9), (9, 1), (1, 10**12), (10**12, 1))
_FAMILIES = 8
_NAMED = 8  # up to so many bins are listed in the text of a distribution
_NEVER = 1e-15  # staleness of a lower probability is left out: no run is long enough to see it
_STEPS = 500  # distributions that `simplest` tries at most

Bins = tuple[NDArray[np.intp], NDArray[np.float64]]  # where the mass is, ascending, and weights > 0 there
Named = tuple[str, StalenessDistribution]  # with its text, where possible one that parse_staleness reads


@lru_cache(maxsize=1)
def candidates(seed: int, tries: int) -> tuple[Named, ...]:
    """The distributions to search: simple ones, in the order of their size, then `tries` drawn from families.

    >>> [name for name, _ in candidates(seed=0, tries=1)][8:11]
    ['constant(1000)', 'empirical([0, 1])', 'empirical([0, 2])']
    """
    return tuple(map(_named, itertools.chain(_simple(), itertools.islice(_families(seed), tries))))


def _simple() -> Iterator[str]:
    """On one value or two."""
    yield from (f"constant({tau})" for tau in (*_SMALL, 1000))
    pairs = sorted(itertools.combinations(_SMALL, 2), key=sum)
    for odds, (low, high) in itertools.product(_ODDS, pairs):
        yield _text(np.array([low, high]), np.array(odds, dtype=float))


def _families(seed: int) -> Iterator[str | Bins]:
    """Endless, each in turn: geometric, Poisson, CMP, uniform, mixed, gaps, heavy tails, unequal workers."""
    rng = np.random.default_rng(seed)
    for turn in itertools.count():
        size = float(10 ** rng.uniform(0, 2.8))
        match turn % _FAMILIES:
            case 0:
                yield f"geometric(m={size:.4g})"
            case 1:
                yield f"poisson({size:.4g})"
            case 2:
                dispersion = rng.uniform(0.4, 4)
                yield f"cmp({size**dispersion:.4g}, {dispersion:.4g})"
            case 3:
                low = int(rng.choice([0, 1, size]))
                yield f"uniform({low}, {low + int(10 ** rng.uniform(0, 3))})"
            case 4:
                share, late = int(rng.integers(1, 100)), int(10 * size)
                yield f"mixture(geometric(m={size:.4g}), constant({late}), weights=[{100 - share}, {share}])"
            case 5:
                tau = np.flatnonzero(rng.random(int(rng.integers(2, 2000))) < rng.choice([0.01, 0.1, 0.9]))
                yield np.append(tau, 2000), np.power(10.0, rng.uniform(0, 12, len(tau) + 1))
            case 6:
                tau = np.arange(int(rng.integers(2, 2000)))
                yield tau, np.power(tau + 1.0, -rng.uniform(0.3, 3))
            case _:
                rates = 10 ** rng.uniform(0, 2, int(rng.integers(1, 12)))
                yield f"exponential_workers([{', '.join(f'{rate:.3g}' for rate in rates)}])"


def described(staleness: StalenessDistribution) -> str:
    """A distribution as short text, exact when it has few bins of equal mass.

    >>> described(StalenessDistribution.from_counts([0, 4, 0, 4]))
    'empirical([1, 3])'
    """
    return _text(*_bins(staleness))


def simplest(staleness: StalenessDistribution, breaks: Callable[[str, StalenessDistribution], bool]) -> Named:
    """Simplify a distribution as long as it still `breaks` a condition: fewer bins, fresher ones, equal weights.

    The search is greedy. It keeps each step after which the condition is still broken, until no step is left.

    >>> start = StalenessDistribution.from_counts([5, 1, 0, 7, 2, 9])
    >>> simplest(start, lambda text, seen: seen.variance() > 1)
    ('empirical([0, 3])', StalenessDistribution(mean=1.5, support=3, length=4))
    """
    bins, left = _bins(staleness), _STEPS
    found = True
    while found and left > 0:
        found = False
        for tau, weights in itertools.islice(_simpler(*bins), left):
            left -= 1
            if breaks(*_named((tau, weights))):
                bins, found = (tau, weights), True
                break
    return _named(bins)


def _named(found: str | Bins) -> Named:
    text = found if isinstance(found, str) else _text(*found)
    if isinstance(found, str) or len(found[0]) <= _NAMED:
        staleness = parse_staleness(text)  # what is printed is what was tried
    else:
        staleness = StalenessDistribution.from_counts(np.bincount(*found))
    return text, StalenessDistribution.from_counts(np.where(staleness.pmf < _NEVER, 0.0, staleness.pmf))


def _bins(staleness: StalenessDistribution) -> Bins:
    tau = np.flatnonzero(staleness.pmf)
    return tau, staleness.pmf[tau] / staleness.pmf[tau].min()


def _simpler(tau: NDArray[np.intp], weights: NDArray[np.float64]) -> Iterator[Bins]:
    """One step down: without some bins, with equal weights, with fresher bins; the largest steps first."""
    bins = len(tau)
    part = bins // 2
    while part:
        for first in range(0, bins, part):
            kept = np.r_[0:first, min(bins, first + part) : bins]
            if len(kept):
                yield tau[kept], weights[kept]
        part //= 2
    weights = weights / weights.min()
    even, round_ = np.ones(bins), np.power(10.0, np.round(np.log10(weights)))
    yield from ((tau, simpler) for simpler in (even, round_) if simpler.sum() < weights.sum())
    floor = np.append(0, tau[:-1] + 1)  # as fresh as each bin can be
    for i in range(bins):
        for gap in (tau[i] - floor[i], (tau[i] - floor[i] + 1) // 2, 1):
            if 0 < gap <= tau[i] - floor[i]:
                yield np.r_[tau[:i], tau[i:] - gap], weights  # all that follow, too
                yield np.r_[tau[:i], tau[i] - gap, tau[i + 1 :]], weights


def _text(tau: NDArray[np.intp], weights: NDArray[np.float64]) -> str:
    values = tau.tolist()
    equal = bool((weights == weights[0]).all())
    if len(values) == 1:
        return f"constant({values[0]})"
    if len(values) > 2 and equal and values == list(range(values[0], values[-1] + 1)):
        return f"uniform({values[0]}, {values[-1]})"
    if len(values) <= _NAMED and equal:
        return f"empirical({values})"
    if len(values) <= _NAMED:
        parts = ", ".join(f"constant({value})" for value in values)
        return f"mixture({parts}, weights=[{', '.join(f'{weight:g}' for weight in weights)}])"
    mean = tau @ weights / weights.sum()
    return f"{len(values):,} values of tau from {values[0]:,} to {values[-1]:,}, mean {mean:.4g}"
