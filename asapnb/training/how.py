"""The numbers that tell compiled code how the steps of a run are made."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import kinds
from ..kernels.arrays import aligned
from .options import Options
from .words import CLIP, COMPENSATION, LOSS_LIMIT, NUMBERS, STEP, STEP_SIZE, WEIGHT_DECAY


def numbers_of(options: Options, dtype: np.dtype[Any], loss_limit: float) -> NDArray[Any]:
    """The real numbers of a run, for its engine or its replay: see `words`.

    Args:
        options: the checked arguments.
        dtype: of the problem, to which they are rounded.
        loss_limit: the loss above which the run diverges.
    """
    numbers = aligned(NUMBERS, dtype)
    numbers[[STEP_SIZE, WEIGHT_DECAY]] = options.step_size, options.weight_decay
    numbers[[COMPENSATION, CLIP, LOSS_LIMIT]] = options.compensation, options.clip or 0.0, loss_limit
    how = _how(options, dtype)
    numbers[STEP : STEP + len(how)] = how
    return numbers


def _how(options: Options, dtype: np.dtype[Any]) -> list[float]:
    """The kind of the steps, and its numbers."""
    optimizer, momentum, direct = options.optimizer, options.momentum, options.direct_share
    if optimizer.moments:
        return [optimizer.kind, *optimizer.numbers]
    if dtype.type(momentum) == 0:
        return [kinds.SGD]
    if options.orders_momentum:
        return [kinds.ORDERED, momentum, options.workers]
    if dtype.type(direct) == 0:
        return [kinds.MOMENTUM, momentum]
    return [kinds.QUASI_HYPERBOLIC, momentum, direct]
