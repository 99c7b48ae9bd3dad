"""What the function of a rule may see besides the staleness and the number of workers, declared once.

A function gets those of these values that it names among its arguments, whenever a table is made.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

RECENT = 100  # gradients in the mean minibatch loss


def _means(default: float, text: str) -> Any:
    return field(default=default, metadata={"means": text})


@dataclass(frozen=True)
class Context:
    """Where a run stands when a table is made. The defaults hold outside of a run, and when it begins."""

    version: int = _means(0, "the updates applied so far")
    epoch: float = _means(0.0, "passes over the data made so far")
    progress: float = _means(0.0, "the share of the run that is done, from 0 to 1")
    loss: float = _means(1.0, f"the mean loss of the last {RECENT} minibatches; before the first, the training loss")
    worker: int = _means(0, "the worker whose table is made, with worker_tables")


MEANINGS: dict[str, str] = {one.name: one.metadata["means"] for one in fields(Context)}


@dataclass(frozen=True)
class Pace:
    """How far a run goes: its updates, and those of an epoch.

    >>> Pace(updates=200, per_epoch=50).context(100, loss=0.25)
    Context(version=100, epoch=2.0, progress=0.5, loss=0.25, worker=0)
    """

    updates: int
    per_epoch: int

    def context(self, version: int, **more: Any) -> Context:
        """What a rule sees after so many updates; `more` are the further fields."""
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
    """The values of `Context` that a function names among its arguments, without those that are bound.

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


def given(context: Context, names: Iterable[str]) -> Mapping[str, Any]:
    """The values of these names."""
    return {name: getattr(context, name) for name in names}
