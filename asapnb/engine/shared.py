"""What the workers and the controller share: named words and arrays, packed into two tuples.

Everything a worker touches is allocated before it starts. Shared counters stand one to a cache line (`LINE` words
apart), so that a busy one does not slow its neighbours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, types

from ..record.schema import UPDATES

LINE = 8  # int64 words in a cache line

# Shared words: positions in `Shared.control`
STOP = 0 * LINE  # 0 while the run goes on, else one of the reasons below
READY = 1 * LINE  # workers that have their buffers
GO = 2 * LINE  # 1 once the clock has started
ORIGIN = 3 * LINE  # the monotonic clock, in ns, at training time 0
VERSION = 4 * LINE  # updates applied (Hogwild: claimed)
TICKET = 5 * LINE  # minibatches handed out
LOCK = 6 * LINE  # 1 while held
PUBLISHED = 7 * LINE  # Leashed: version << SLOT_BITS | slot of the current vector
DRAINED = 8 * LINE  # rows that the controller has taken
DROPPED = 9 * LINE  # rows of dropped gradients that were claimed
DROPPED_DRAINED = 10 * LINE  # and those that the controller has taken
WAITED = 11 * LINE  # rows that had to wait because the ring was full
ARRIVED = 12 * LINE  # Synchronous: workers at the barrier
PHASE = 13 * LINE  # Synchronous: barriers passed
GOING = 14 * LINE  # Synchronous: 1 when there is another round
BROKEN = 15 * LINE  # 1 when a worker has failed: nobody may wait for it
PAUSED = 16 * LINE  # the monotonic clock, in ns, while it stands still for an evaluation, else 0
APPLIED = 17 * LINE  # the sum of scale · factor of all updates, in units of 1 / UNIT; Leashed has one in each slot

SLOT_BITS = 16
RING = 1 << 16  # rows between a worker and the controller
TABLES = 16  # scale tables kept; a reader that was overtaken by so many reads again
BOXES = 64  # evaluations that may wait before the worker that asks for one more has to
EMPTY, CLAIMED = 0, -1  # in a mailbox, in the place of a version
NEVER = 1 << 62
UNIT = 1 << 32  # of the sum of applied scales: a fixed-point number, so that the order of additions does not matter

# Words that do not change while workers run
CONSTANTS = 18 * LINE
WORKERS, QUOTA, N_PARAMS, N_SAMPLES, BATCH_SIZE, SEED, RESHUFFLE, EVAL_EVERY = range(CONSTANTS, CONSTANTS + 8)
SHARED_MOMENTUM, SNAPSHOT, PERSISTENCE, CHECK_EARLY, SCHEDULE = range(CONSTANTS + 8, CONSTANTS + 13)

# Small arrays of words
MAIL = 20 * LINE  # mailboxes of LINE words: version to evaluate, time of it in ns, slot
READING = MAIL + BOXES * LINE  # per worker, LINE apart: a version that its view is no older than; NEVER without view

# Words of each row of `Shared.tables`: the scale tables of one worker, or of all
NEWEST = 0  # the number of its newest table, which stands in place NEWEST % TABLES
LENGTHS = LINE  # of the tables kept
RECORDED = LINE + TABLES  # and which rows of the record they are

# Reasons to stop
DIVERGED, CONVERGED, TIMED_OUT, INTERRUPTED, FAILED = 1, 2, 3, 4, 5

# Real numbers, in the dtype of the problem: positions in `Shared.numbers`
STEP_SIZE, MOMENTUM, WEIGHT_DECAY, LOSS_LIMIT, COMPENSATION = range(5)
NUMBERS = 5

# Rows of `Shared.state`, unless it is Leashed's pool
PARAMS, VELOCITY, EXTRA = 0, 1, 2  # from EXTRA on: copies to evaluate, or Synchronous' gradient of each worker


class Shared(NamedTuple):
    """What all workers see."""

    control: np.ndarray  # int64: the words above
    numbers: np.ndarray  # dtype of the problem: the numbers above
    schedule: np.ndarray  # float64: the numbers a and b of the rule's schedule, of the kind that SCHEDULE says
    plan: np.ndarray  # int64: the problem's
    inputs: np.ndarray  # uint8 or float: the training split, flat
    labels: np.ndarray  # int64
    state: np.ndarray  # (vectors, n_params or more), dtype; in a pool with shared momentum, velocities follow
    slots: np.ndarray  # int64: Leashed's slot headers
    tables: np.ndarray  # (1, or one per worker; the words above) int64
    scales: np.ndarray  # (TABLES for each row of `tables`, width) float32: scale by staleness
    rows: np.ndarray  # two rings of UPDATES: by order of application, and dropped gradients
    written: np.ndarray  # int64: the number of the row that stands in each place of the rings, plus 1


class Own(NamedTuple):
    """What one worker has for itself."""

    indices: np.ndarray  # int64: its minibatch
    gradient: np.ndarray
    workspace: np.ndarray
    snapshot: np.ndarray  # its copy of the parameters, where the scheme copies; Leashed: the compensated gradient
    velocity: np.ndarray  # per-worker momentum, else empty
    row: np.ndarray  # one row of UPDATES, filled while the update comes about


def array_type(dtype: Any, ndim: int = 1) -> types.Array:
    """The Numba type of a contiguous array of this dtype."""
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C")


def worker_types(dtype: np.dtype[Any], inputs: np.dtype[Any]) -> tuple[types.Type, types.Type]:
    """The Numba types of `Shared` and `Own` for a problem of this dtype, with inputs of that one."""
    words, reals = array_type(np.int64), array_type(dtype)
    fields: dict[str, types.Type] = dict.fromkeys(Shared._fields, words)
    fields |= {"numbers": reals, "state": array_type(dtype, 2), "inputs": array_type(inputs)}
    fields |= {"tables": array_type(np.int64, 2), "scales": array_type(np.float32, 2)}
    fields |= {"schedule": array_type(np.float64), "rows": array_type(UPDATES)}
    own: dict[str, types.Type] = dict.fromkeys(Own._fields, reals) | {"indices": words, "row": array_type(UPDATES)}
    return types.NamedTuple(tuple(fields.values()), Shared), types.NamedTuple(tuple(own.values()), Own)
