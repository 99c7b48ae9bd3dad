"""What a rule may see besides the staleness and the number of workers.

A rule's function gets each of these values that it has a parameter for, whenever a table is made.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..numbers import choice
from ..text import filled

RECENT = 100  # gradients in the mean minibatch loss


# What a rule may ask for besides the staleness: the name of the parameter, and its meaning.
MEANINGS: dict[str, str] = {
    "version": "how many updates have been applied so far",
    "epoch": "how many passes over the data have been made so far, such as 1.5",
    "progress": "the share of the run's updates that is done, from 0 to 1",
    "loss": f"the mean loss of the last {RECENT} minibatches; at the start, the training loss",
    "worker": "the worker whose table is made, if the run has worker_tables",
    "own_share": "that worker's share of the updates so far, from 0 to 1; 0 before the first",
}


@dataclass(frozen=True)
class Context:
    """Where a run stands when a table is made. A rule may see these values; outside of a run they are the defaults.

    Attributes:
        {meanings}

    >>> Context(progress=0.5)
    Context(version=0, epoch=0.0, progress=0.5, loss=1.0, worker=0, own_share=0.0)
    """

    version: int = 0
    epoch: float = 0.0
    progress: float = 0.0
    loss: float = 1.0
    worker: int = 0
    own_share: float = 0.0


Context.__doc__ = filled(
    Context.__doc__, "meanings", "\n".join(f"{name}: {text}." for name, text in MEANINGS.items())
)
assert MEANINGS.keys() == {one.name for one in fields(Context)}
OUTSIDE = Context()


@dataclass(frozen=True)
class Pace:
    """How long a run is. From this, `Pace.context` computes what a rule sees after so many updates.

    Attributes:
        updates: how many updates the run makes in all.
        per_epoch: how many updates make one pass over the data.

    >>> Pace(updates=200, per_epoch=50).context(100, loss=0.25)
    Context(version=100, epoch=2.0, progress=0.5, loss=0.25, worker=0, own_share=0.0)
    """

    updates: int
    per_epoch: int

    def context(self, version: int, **more: Any) -> Context:
        """What a rule sees after `version` updates; `more` gives the other fields of `Context`, such as loss=0.25."""
        return Context(version, version / self.per_epoch, version / self.updates, **more)


def recent_loss(losses: ArrayLike) -> float:
    """The mean of losses, rounded once, so that it is the same on every machine; NaN if there are none.

    >>> recent_loss([0.5, 0.25])
    0.375
    """
    values = np.asarray(losses, np.float64)
    if not len(values):
        return math.nan
    return math.fsum(values) / len(values) if np.isfinite(values).all() else float(values.mean())


def named(function: Callable[..., Any], bound: Iterable[str] = ()) -> tuple[str, ...]:
    """The values of `Context` that a function has parameters for, without those that are bound already.

    >>> named(lambda staleness, workers, progress, p=1: 0), named(lambda staleness, workers, **more: 0)
    (('progress',), ())
    """
    fixed = {*bound}
    while isinstance(function, partial):
        fixed |= function.keywords.keys()
        function = function.func
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature to look at
        return ()
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(name for name in MEANINGS if name in parameters.keys() - fixed and parameters[name].kind not in free)


def known(names: Iterable[str]) -> tuple[str, ...]:
    """These names, as they are. UsageError if a rule cannot see one of them."""
    return tuple(choice("value that a rule may see", name, MEANINGS) for name in names)
