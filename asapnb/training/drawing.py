"""How the minibatches of a run are drawn, as one array of words for all loops; see `training.gradients`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import aligned
from ..problems.base import Problem
from ..problems.shards import Shards, as_shards, digest_of, shards
from ..problems.signature import Integers
from ..workforce import as_workforce
from . import words as at
from .gradients import drawn, weigh
from .options import Options


def drawing_of(problem: Problem, options: Options) -> NDArray[np.int64]:
    """The words that say how the minibatches of a run are drawn: see `words`."""
    return _words(problem, options.shards, vars(options))


def drawing_from(problem: Problem, config: Mapping[str, Any]) -> NDArray[np.int64]:
    """The same from the configuration of a run."""
    workers = as_workforce(config["workers"]).most
    return _words(problem, as_shards(config.get("shards")), {"local_steps": 1, **config, "workers": workers})


def _words(problem: Problem, how: Shards | None, options: Mapping[str, Any]) -> NDArray[np.int64]:
    parts = [] if how is None else shards(problem, how, options["workers"], options["seed"])
    end = at.BOUNDS + (len(parts) + 1 if parts else 0)
    words = aligned(end + sum(map(len, parts)), np.int64)
    words[[at.N_SAMPLES, at.BATCH_SIZE]] = problem.n_samples, options["batch_size"]
    words[[at.SEED, at.RESHUFFLE]] = options["seed"], options["reshuffle"]
    words[[at.HAS_TICKETS, at.LOCAL_STEPS, at.PARTS]] = problem.has_tickets, options["local_steps"], len(parts)
    if parts:
        words[at.BOUNDS : end] = end + np.cumsum([0, *map(len, parts)])
        words[end:] = np.concatenate(parts)
    return words


class Minibatch(NamedTuple):
    """The samples of a minibatch, and the ticket and the seed that decide what `Dropout` drops."""

    indices: Integers
    ticket: int
    seed: int


def minibatches(drawing: NDArray[np.int64], worker: int, batch: int) -> list[Minibatch]:
    """The minibatches of a row, one for each of its local steps.

    Args:
        drawing: of the run.
        worker: of the row.
        batch: of the row.
    """
    steps, found = int(drawing[at.LOCAL_STEPS]), []
    for number in range(steps * batch, steps * (batch + 1)):
        indices = np.empty(drawing[at.BATCH_SIZE], np.int64)
        count = drawn(indices, drawing, worker, number)
        ticket = number * int(drawing[at.PARTS]) + worker if drawing[at.PARTS] else number
        found.append(Minibatch(indices[:count], ticket, int(drawing[at.SEED])))
    return found


def row_gradient(problem: Problem, view: NDArray[Any], step_size: float, batches: list[Minibatch]) -> NDArray[Any]:
    """The gradient of a row without clipping and weight decay: the sum of those along the worker's own path."""
    total = problem.loss_and_gradient(view, *batches[0])[1]
    for batch in batches[1:]:
        point = view - view.dtype.type(step_size) * total
        total += problem.loss_and_gradient(point, *batch)[1]
    return total


class Weights(NamedTuple):
    """What the gradients of each training sample came to, each (samples,).

    Attributes:
        gradients: minibatches that had the sample.
        weight: the sum of scale · factor over these, divided by their sizes; 0 for gradients that were given up.
        full: the same if all scales had been 1, and no gradient given up.
    """

    gradients: Integers
    weight: NDArray[np.float64]
    full: NDArray[np.float64]


def weights_of(drawing: NDArray[np.int64], worker: Any, batch: Any, weight: Any) -> Weights:
    """The weights of all samples in a run.

    Args:
        drawing: of the run.
        worker: of each row.
        batch: likewise.
        weight: of each row its scale · factor, or 0 if it was given up.
    """
    count = int(drawing[at.N_SAMPLES])
    found = Weights(np.zeros(count, np.int64), np.zeros(count), np.zeros(count))
    who, which = (np.ascontiguousarray(one, np.int64) for one in (worker, batch))
    room, weight = np.empty(drawing[at.BATCH_SIZE], np.int64), np.ascontiguousarray(weight, np.float64)
    weigh(drawing, who, which, weight, room, found.weight, found.full, found.gradients)
    return found


def own_numbers(worker: NDArray[Any], batch: NDArray[Any]) -> NDArray[np.int64]:
    """The numbers of the minibatches of rows among those of their workers, in the order of their tickets."""
    order = np.lexsort((batch, worker))
    first = np.searchsorted(worker[order], worker[order])
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) - first
    return found


def shards_facts(problem: Problem, options: Options) -> dict[str, Any] | None:
    """The attribute `shards` of a run file; None without."""
    if options.shards is None:
        return None
    parts = shards(problem, options.shards, options.workers, options.seed)
    sizes = [len(part) for part in parts]
    return {"sha256": digest_of(parts), "least": min(sizes), "most": max(sizes)}
