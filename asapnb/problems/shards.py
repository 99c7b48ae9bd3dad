"""Data that differ from worker to worker: each worker has its own part of the training samples."""

import hashlib
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..errors import AsapnbError, UsageError, shown
from ..loading import Entry, Registry
from ..numbers import choice, integer, real
from ..text import parse_call
from .base import Problem
from .signature import Integers

Builder = TypeVar("Builder", bound=Callable[..., "Shards"])
Needs = Literal["nothing", "order", "classes"]


@dataclass(frozen=True)
class Shards:
    """How the training samples are divided among the workers.

    Attributes:
        kind: the name of the registered function that returns it.
        divide: called as `divide(targets, samples, workers, seed, *parameters)`; returns an array of samples for each
            worker. `samples` are the numbers of all samples, in an order that follows from the seed. `targets` are
            their labels or targets, in the same order. A worker without samples is then given one of the largest
            part.
        parameters: the last arguments of `divide`, numbers or words.
        needs: what a sample must have: "nothing"; "order" for one label or real target; "classes" for one label.
    """

    kind: str
    divide: Callable[..., Sequence[Integers]]
    parameters: tuple[Any, ...] = ()
    needs: Needs = "nothing"

    def __post_init__(self) -> None:
        choice(f"needs of shards {self.kind!r}", self.needs, get_args(Needs))

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.parameters))})" if self.parameters else self.kind


SHARDS: Registry[Entry] = Registry("division of data", "a description of the parts")


def register(example: str) -> Callable[[Builder], Builder]:
    """Register a function that returns `Shards`, so that texts can name it. Use this as a decorator.

    A new division needs nothing else. The first line of the function's docstring says what the parts are. If a
    function is defined again, it replaces the first one. See docs/how-to/extending/shards.md.

    Args:
        example: a text that calls the function, such as "dirichlet(0.5)".

    Raises:
        UsageError: if the example or the docstring is missing, or if a division of asapnb has this name.
    """

    def enter(builder: Builder) -> Builder:
        SHARDS.enter(Entry(builder, example))
        return builder

    return enter


def available() -> dict[str, str]:
    """All registered divisions: the name of each, and the first line of its docstring.

    >>> available()["iid"]
    'at random, of equal size, or one sample more.'
    """
    return SHARDS.lines()


def _examples() -> str:
    """The texts of all, for errors."""
    texts = [f'"{entry.example.removesuffix("()")}"' for entry in SHARDS.values()]
    return f"{', '.join(texts[:-1])} or {texts[-1]}"


@register("iid()")
def iid() -> Shards:
    """at random, of equal size, or one sample more."""
    return Shards("iid", _equal)


@register("label()")
def label() -> Shards:
    """the samples sorted by label, or real target, and cut into equal parts: a worker has few classes."""
    return Shards("label", _sorted, needs="order")


@register("dirichlet(0.5)")
def dirichlet(alpha: float) -> Shards:
    """shares of each class that are the more unequal the smaller alpha is.

    Worker i gets the share p_i of a class. For each class, p is drawn from the symmetric Dirichlet distribution.

    Source: Hsu, Qi, Brown, "Measuring the effects of non-identical data distribution for federated visual
    classification", 2019, arXiv 1909.06335. They draw the classes of each worker, in parts of equal size. Here the
    workers of each class are drawn.
    """
    return Shards("dirichlet", _by_dirichlet, (real("alpha of dirichlet", alpha, 1e-6, 1e9),), needs="classes")


def as_shards(value: Any) -> Shards | None:
    """Read a division from its text. None stays None: then all workers draw from all samples.

    >>> print(as_shards("dirichlet(alpha=0.5)"), as_shards("label"), as_shards(None))
    dirichlet(0.5) label None
    """
    if value is None:
        return None
    if isinstance(value, Shards):
        if value.kind not in SHARDS:
            raise UsageError(
                f"shards is {value}: no function of that name is under `register`, so no file can name it"
            )
        return value
    if not isinstance(value, str):
        raise UsageError(f"shards is {shown(value)}: must be {_examples()}")
    made: Shards = parse_call(value, SHARDS.builders(), "kind of shards")
    return made


def shards(source: Problem | Dataset, how: str | Shards, workers: int, seed: int = 0) -> list[Integers]:
    """Divide the training samples among workers, as the argument `shards` of a run does.

    docs/how-to/data-per-worker.md explains each division.

    Args:
        source: a problem, or its data.
        how: a division or its text: "iid", "label", "dirichlet(0.5)" or one of your own.
        workers: how many parts to make; at most as many as there are samples.
        seed: the seed of the run. The same seed gives the same parts on every machine.

    Returns:
        For each worker the indices of its samples, int64, in ascending order.

    Raises:
        UsageError: if the samples cannot be divided in this way.

    >>> import asapnb as ab
    >>> data = ab.load_dataset("fashion-mnist-mini")
    >>> parts = ab.shards(data, "label", workers=5)
    >>> [sorted({*data.train.labels[part].tolist()}) for part in parts]
    [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    """
    chosen = as_shards(how)
    if chosen is None:
        raise UsageError(f"shards is None, so there are no parts: give {_examples()}")
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
            f"shards is {how}: the samples of {name} differ only in their noise; take a problem with data, such as "
            "least_squares, logistic or a network"
        )
    if how.needs != "nothing" and targets.ndim > 1:
        raise UsageError(f"shards is {how}: a sample of {name} has {targets.shape[1]} labels or targets; take iid")
    if how.needs == "classes" and targets.dtype.kind == "f":
        raise UsageError(f"shards is {how}: {name} has real targets, and no classes to divide; take label, or iid")
    return targets


def split(targets: NDArray[Any], how: Shards, workers: int, seed: int) -> list[Integers]:
    """The parts of samples with these labels or targets."""
    if workers > len(targets):
        raise UsageError(f"shards is {how} and workers is {workers:,}: there are {len(targets):,} training samples; "
                         "take no more workers than that")  # fmt: skip
    order = _shuffled(len(targets), seed)
    try:
        given = how.divide(targets[order], order, workers, seed, *how.parameters)
        parts = [np.asarray(part).ravel() for part in given]
    except AsapnbError:
        raise
    except Exception as error:  # of a function from outside
        raise UsageError(f"shards is {how}: it raised {type(error).__name__}: {error!s:.200}") from error
    return [np.sort(part) for part in _none_empty(_checked(parts, how, len(targets), workers))]


def _checked(parts: list[NDArray[Any]], how: Shards, samples: int, workers: int) -> list[Integers]:
    """The parts as int64; UsageError unless each sample is in one of them, and each worker has one."""
    given = np.concatenate(parts or [np.empty(0)])
    if len(parts) != workers or not np.array_equal(np.sort(given), np.arange(samples)):
        raise UsageError(
            f"shards is {how}: it gives {len(parts)} workers {len(given):,} samples: must give {workers} workers "
            f"each of the numbers 0 to {samples - 1:,} once"
        )
    return [part.astype(np.int64) for part in parts]


def _none_empty(parts: list[Integers]) -> list[Integers]:
    """The same parts, but one that would be empty gets one sample of the largest."""
    largest = [(-len(own), worker) for worker, own in enumerate(parts)]
    heapq.heapify(largest)
    for worker in range(len(parts)):
        if not len(parts[worker]):
            size, giver = heapq.heappop(largest)
            parts[worker], parts[giver] = parts[giver][-1:], parts[giver][:-1]
            heapq.heappush(largest, (size + 1, giver))
    return parts


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


def _equal(targets: NDArray[Any], samples: Integers, workers: int, seed: int) -> list[Integers]:
    """As they come."""
    return np.array_split(samples, workers)


def _sorted(targets: NDArray[Any], samples: Integers, workers: int, seed: int) -> list[Integers]:
    """In the order of their targets."""
    return np.array_split(samples[np.argsort(targets, kind="stable")], workers)


def _by_dirichlet(
    classes: NDArray[Any], samples: Integers, workers: int, seed: int, alpha: float
) -> Sequence[Integers]:
    """Each class divided by shares of its own."""
    generator = np.random.default_rng([seed, 1])
    parts: list[list[Integers]] = [[] for _ in range(workers)]
    for one in np.unique(classes):
        members = samples[classes == one]
        ends = np.rint(np.cumsum(generator.dirichlet(np.full(workers, alpha)))[:-1] * len(members)).astype(np.int64)
        for worker, own in enumerate(np.split(members, np.minimum(ends, len(members)))):
            parts[worker].append(own)
    return [np.concatenate(own) for own in parts]


def digest_of(parts: Sequence[Integers]) -> str:
    """The SHA-256 of a division: of the sizes, then the samples, as int64 with the lowest byte first."""
    found = hashlib.sha256(np.array([len(part) for part in parts], "<i8").tobytes())
    for part in parts:
        found.update(part.astype("<i8").tobytes())
    return found.hexdigest()
