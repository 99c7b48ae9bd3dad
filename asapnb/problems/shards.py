"""Data that differ between workers: each has a part of the training samples of its own."""

import hashlib
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..errors import UsageError, shown
from ..numbers import integer, real
from ..text import parse_call
from .base import Problem
from .signature import Integers

_EXAMPLES = '"iid", "label" or "dirichlet(0.5)"'


@dataclass(frozen=True)
class Shards:
    """How the training samples are divided among the workers; made by `as_shards`.

    Attributes:
        kind: "iid", "label" or "dirichlet".
        alpha: of the Dirichlet distribution; None for the others.
    """

    kind: str
    alpha: float | None = None

    def __str__(self) -> str:
        return self.kind if self.alpha is None else f"{self.kind}({self.alpha!r})"


def _dirichlet(alpha: float) -> Shards:
    return Shards("dirichlet", real("alpha of dirichlet", alpha, 1e-6, 1e9))


_KINDS: dict[str, Callable[..., Shards]] = {
    "iid": lambda: Shards("iid"),
    "label": lambda: Shards("label"),
    "dirichlet": _dirichlet,
}


def as_shards(value: Any) -> Shards | None:
    """A division from its text; None for None, where all workers draw from all samples.

    >>> print(as_shards("dirichlet(alpha=0.5)"), as_shards("label"), as_shards(None))
    dirichlet(0.5) label None
    """
    if value is None or isinstance(value, Shards):
        return value
    if not isinstance(value, str):
        raise UsageError(f"shards is {shown(value)}: must be {_EXAMPLES}")
    made: Shards = parse_call(value, _KINDS, "kind of shards")
    return made


def shards(source: Problem | Dataset, how: str | Shards, workers: int, seed: int = 0) -> list[Integers]:
    """The training samples of each worker, as the argument `shards` of runs divides them.

    - "iid": parts of equal size, or one sample more, drawn at random.
    - "label": the samples are sorted by their label, or real target, and cut into parts of equal size, or one more.
      So a worker has few classes.
    - "dirichlet(alpha)": of each class, worker i gets the share p_i, with p drawn for the class from the symmetric
      Dirichlet distribution of this alpha. A small alpha gives most of a class to one worker, a large one nearly
      equal parts. A worker that would get nothing gets one sample of the largest part.

    Args:
        source: a problem, or its data.
        how: one of these.
        workers: how many parts; at most as many as samples.
        seed: of the run. The parts follow from it, on every machine.

    Returns:
        The indices of each part, int64, in ascending order.

    Raises:
        UsageError: for what cannot be divided so.

    Source of the Dirichlet division: Hsu, Qi, Brown, "Measuring the effects of non-identical data distribution for
    federated visual classification", 2019, arXiv 1909.06335. There a worker's classes are drawn, in parts of equal
    size; here a class's workers.

    >>> import asapnb as ab
    >>> data = ab.load_dataset("fashion-mnist-mini")
    >>> parts = ab.shards(data, "label", workers=5)
    >>> [sorted({*data.train.labels[part].tolist()}) for part in parts]
    [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    """
    chosen = as_shards(how)
    if chosen is None:
        raise UsageError(f"there are no parts without shards: give {_EXAMPLES}")
    return split(
        _targets(source, chosen), chosen, integer("workers", workers, 1), integer("seed", seed, 0, 2**63 - 1)
    )


def _targets(source: Problem | Dataset, how: Shards) -> NDArray[Any]:
    """What the samples are divided by."""
    if isinstance(source, Dataset):
        targets: NDArray[Any] = source.train.labels
    elif isinstance(source, Problem):
        targets = source.labels if source.targets is None else source.targets
    else:
        raise UsageError(f"source is {source!r:.80}: must be a problem or a dataset")
    name = source.name
    if not len(targets):
        raise UsageError(
            f"shards is {how}: the samples of {name} differ in their noise alone; take a problem with data, such as "
            "least_squares, logistic or a network"
        )
    if how.kind != "iid" and targets.ndim > 1:
        raise UsageError(f"shards is {how}: a sample of {name} has {targets.shape[1]} labels or targets; take iid")
    if how.kind == "dirichlet" and targets.dtype.kind == "f":
        raise UsageError(f"shards is {how}: {name} has real targets, and no classes to divide; take label, or iid")
    return targets


def split(targets: NDArray[Any], how: Shards, workers: int, seed: int) -> list[Integers]:
    """The parts of samples with these labels or targets."""
    if workers > len(targets):
        raise UsageError(f"shards is {how} and workers is {workers:,}: there are {len(targets):,} training samples; "
                         "take no more workers than that")  # fmt: skip
    order = _shuffled(len(targets), seed)
    if how.kind == "dirichlet":
        parts = _by_dirichlet(targets[order], order, float(how.alpha or 0), workers, seed)
    else:
        if how.kind == "label":
            order = order[np.argsort(targets[order], kind="stable")]
        parts = np.array_split(order, workers)
    return [np.sort(part) for part in parts]


def _shuffled(count: int, seed: int) -> Integers:
    """The numbers up to `count` in an order that follows from the seed alone: no generator of random numbers."""
    first = _mixed(np.array([seed], np.uint64))
    return np.argsort(_mixed(first + np.arange(count, dtype=np.uint64)), kind="stable")


def _mixed(state: NDArray[Any]) -> NDArray[Any]:
    """`random.splitmix64` of an array."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _by_dirichlet(
    classes: NDArray[Any], samples: Integers, alpha: float, workers: int, seed: int
) -> Sequence[Integers]:
    """Each class divided by shares of its own. `samples` are in the order in which they are given out."""
    generator = np.random.default_rng([seed, 1])
    parts: list[list[Integers]] = [[] for _ in range(workers)]
    for one in np.unique(classes):
        members = samples[classes == one]
        ends = np.rint(np.cumsum(generator.dirichlet(np.full(workers, alpha)))[:-1] * len(members)).astype(np.int64)
        for worker, own in enumerate(np.split(members, np.minimum(ends, len(members)))):
            parts[worker].append(own)
    made = [np.concatenate(own) for own in parts]
    largest = [(-len(own), worker) for worker, own in enumerate(made)]
    heapq.heapify(largest)
    for worker in range(workers):
        if not len(made[worker]):
            size, giver = heapq.heappop(largest)
            made[worker], made[giver] = made[giver][-1:], made[giver][:-1]
            heapq.heappush(largest, (size + 1, giver))
    return made


def digest_of(parts: Sequence[Integers]) -> str:
    """The SHA-256 of a division: of the sizes, then the samples, as int64 with the lowest byte first."""
    found = hashlib.sha256(np.array([len(part) for part in parts], "<i8").tobytes())
    for part in parts:
        found.update(part.astype("<i8").tobytes())
    return found.hexdigest()
