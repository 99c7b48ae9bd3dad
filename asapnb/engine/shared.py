"""What the workers and the controller share, packed into two tuples of arrays; `words` says what stands where.

Everything a worker touches is allocated before it starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..kernels.arrays import array_type, tuple_type
from ..record.schema import UPDATES


class Shared(NamedTuple):
    """What all workers see."""

    control: NDArray[np.int64]  # the words of `words`
    numbers: NDArray[Any]  # dtype of the problem: the numbers of `training.words`
    factors: NDArray[np.float64]  # the numbers of the rule's schedule
    plan: NDArray[np.int64]  # the problem's
    inputs: NDArray[Any]  # uint8 or float: the training split, flat
    labels: NDArray[np.int64]
    state: NDArray[Any]  # (vectors, n_params or more), dtype; in a pool with shared momentum, velocities follow
    slots: NDArray[np.int64]  # the headers of the pool's slots
    tables: NDArray[np.int64]  # (1, or one per worker; the words of `words`)
    scales: NDArray[np.float32]  # (TABLES for each row of `tables`, width): scale by staleness
    rows: NDArray[Any]  # two rings of UPDATES: by order of application, and dropped gradients
    written: NDArray[np.int64]  # the number of the row that stands in each place of the rings, plus 1


class Own(NamedTuple):
    """What one worker has for itself."""

    indices: NDArray[np.int64]  # its minibatch
    gradient: NDArray[Any]
    workspace: NDArray[Any]
    snapshot: NDArray[Any]  # its copy of the parameters; where the view is kept elsewhere, the compensated gradient
    velocity: NDArray[Any]  # per-worker momentum, else empty
    row: NDArray[Any]  # one row of UPDATES, filled while the update comes about


def worker_types(dtype: np.dtype[Any], inputs: np.dtype[Any]) -> tuple[types.Type, types.Type]:
    """The Numba types of `Shared` and `Own` for a problem of this dtype, with inputs of that one."""
    words, reals, rows = array_type(np.int64), array_type(dtype), array_type(UPDATES)
    shared = {
        "numbers": reals,
        "factors": array_type(np.float64),
        "inputs": array_type(inputs),
        "state": array_type(dtype, 2),
        "tables": array_type(np.int64, 2),
        "scales": array_type(np.float32, 2),
        "rows": rows,
    }
    return tuple_type(Shared, shared, words), tuple_type(Own, {"indices": words, "row": rows}, reals)
