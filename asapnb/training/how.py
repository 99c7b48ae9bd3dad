"""The numbers that tell compiled code how the steps of a run are made."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..kernels import kinds
from ..kernels.arrays import aligned
from ..kernels.steps import OPTIMIZERS
from ..optimizers import SGD
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
    if not isinstance(optimizer, SGD):
        if optimizer.name not in OPTIMIZERS:
            raise UsageError(
                f"optimizer is {optimizer}: it has no compiled step in the table OPTIMIZERS of asapnb.kernels.steps, "
                "where an optimizer needs one; see docs/how-to/extending/optimizer.md"
            )
        return [kinds.OPTIMIZER + list(OPTIMIZERS).index(optimizer.name), *optimizer.numbers]
    if dtype.type(momentum) == 0:
        return [kinds.SGD]
    if options.orders_momentum:
        return [kinds.ORDERED, momentum, options.workers]
    if dtype.type(direct) == 0:
        return [kinds.MOMENTUM, momentum]
    return [kinds.QUASI_HYPERBOLIC, momentum, direct]
