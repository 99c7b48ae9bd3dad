"""The memory of a run, as two tuples of arrays: what all workers and the controller share, and what one worker has.

`words` names the positions in them. Everything that a worker touches is allocated before it starts.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..kernels.arrays import array_type, tuple_type
from ..record.schema import UPDATES


class Shared(NamedTuple):
    """What all workers share."""

    control: NDArray[np.int64]  # counters and constants: see `words`
    numbers: NDArray[Any]  # dtype of the problem: see `training.words`
    factors: NDArray[np.float64]  # by version, the last holding for all later ones; then the rule's own numbers
    drawing: NDArray[np.int64]  # how minibatches are drawn: see `training.drawing`
    plan: NDArray[np.int64]  # the program of the problem
    inputs: NDArray[Any]  # uint8 or float: the training split, flat
    labels: NDArray[Any]  # int64 or float: those of the training split, flat
    state: NDArray[Any]  # (vectors, n_params or more), dtype; shared moments follow the parameters
    slots: NDArray[np.int64]  # the headers of the pool's slots
    tables: NDArray[np.int64]  # (1, or one per worker; see `words`)
    scales: NDArray[np.float32]  # (TABLES for each row of `tables`, width): scale by staleness
    rows: NDArray[Any]  # two rings of UPDATES: applied updates in their order, and dropped gradients
    workforce: NDArray[np.int64]  # how many workers are in force, and from which versions on (see `words`)
    written: NDArray[np.int64]  # for each place of the rings: 1 + the number of the row that is there


class Own(NamedTuple):
    """What one worker has for itself."""

    indices: NDArray[np.int64]  # its minibatch
    gradient: NDArray[Any]
    workspace: NDArray[Any]
    snapshot: NDArray[Any]  # its copy of the parameters; of Leashed, the compensated gradient
    moments: NDArray[Any]  # what its steps carry on: its velocity, under Leashed twice; empty if all share them
    local: NDArray[Any]  # of local steps: its moving point, then the gradient there; else empty
    row: NDArray[Any]  # (1,) UPDATES: the row of the update that it works on


def worker_types(dtype: np.dtype[Any], inputs: np.dtype[Any], labels: np.dtype[Any]) -> tuple[types.Type, types.Type]:
    """The Numba types of `Shared` and `Own`, for the dtypes of a problem, of its inputs and of its labels."""
    words, reals, rows = array_type(np.int64), array_type(dtype), array_type(UPDATES)
    shared = {
        "numbers": reals,
        "factors": array_type(np.float64),
        "inputs": array_type(inputs),
        "labels": array_type(labels),
        "state": array_type(dtype, 2),
        "tables": array_type(np.int64, 2),
        "scales": array_type(np.float32, 2),
        "rows": rows,
    }
    return tuple_type(Shared, shared, words), tuple_type(Own, {"indices": words, "row": rows}, reals)
