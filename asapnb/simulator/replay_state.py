"""The memory of a replay, as two tuples of arrays: what all threads share, and what one thread has."""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..kernels.arrays import LINE, aligned, array_type, tuple_type, whole_lines
from ..memory import check_memory
from ..problems.base import Problem
from ..record.schema import blank_rows, made_by
from ..training.words import CLIP, COMPENSATION, DIRECT, LOSS_LIMIT, MOMENTUM, NUMBERS, STEP_SIZE, WEIGHT_DECAY
from . import words as at
from .execution import Execution
from .operations import OPERATION, Operations

LOOK_AHEAD = 4  # gradients of each thread that may be computed before their turn; 0 if there is one thread

# Inputs of the replay of one row
TASK = np.dtype(
    [
        ("batch", np.int64),  # ticket of its minibatch
        ("needs", np.int64),  # operations that must be done before its view is there
        ("ends", np.int64),  # operations after which it is done
        ("slot", np.int32),  # the vector that holds its view
        ("worker", np.int32),  # whose velocity it changes
        ("scale", np.float32),
        ("factor", np.float32),
    ],
    align=True,
)
RESULT = made_by("gradient")  # the columns of a row that its replay computes


class ReplayState(NamedTuple):
    """What all threads share."""

    control: NDArray[np.int64]  # see `words`
    numbers: NDArray[Any]  # dtype of the problem: see `training.words`
    plan: NDArray[np.int64]  # the program of the problem
    inputs: NDArray[Any]
    labels: NDArray[Any]
    tasks: NDArray[np.void]  # (rows,) TASK
    results: NDArray[np.void]  # (rows,) RESULT
    operations: NDArray[np.void]  # OPERATION
    state: NDArray[Any]  # (slots, n_params or more): versions, or parameters and views
    velocity: NDArray[Any]  # (workers, or 1, or 0, n_params)
    gradients: NDArray[Any]  # (WINDOW, n_params): of rows in the ring
    total: NDArray[Any]  # (n_params,): the gradients of a round so far; else empty
    ring: NDArray[np.int64]  # (WINDOW · LINE,): the rows that may be computed, and how far they are


class Own(NamedTuple):
    """What one thread has for itself."""

    indices: NDArray[np.int64]  # a minibatch
    workspace: NDArray[Any]


def replay_types(dtype: np.dtype[Any], inputs: np.dtype[Any], labels: np.dtype[Any]) -> tuple[types.Type, types.Type]:
    """The Numba types of `ReplayState` and `Own`, for the dtypes of a problem, of its inputs and of its labels."""
    words, reals, vectors = array_type(np.int64), array_type(dtype), array_type(dtype, 2)
    state = {"numbers": reals, "total": reals, "inputs": array_type(inputs), "labels": array_type(labels)}
    state |= {"tasks": array_type(TASK), "results": array_type(RESULT), "operations": array_type(OPERATION)}
    state |= {"state": vectors, "velocity": vectors, "gradients": vectors}
    return tuple_type(ReplayState, state, words), tuple_type(Own, {"indices": words}, reals)


def make_replay_state(execution: Execution, order: Operations, loss_limit: float, threads: int) -> ReplayState:
    """Allocate what all threads of a replay share, and put the initial parameters in place.

    Args:
        execution: the inputs of the run.
        order: its operations.
        loss_limit: the loss above which the run diverges.
        threads: how many there are.
    """
    problem, options, scales = execution.problem, execution.options, execution.scales
    gradients = options.rows_per_version
    n, dtype, count = problem.n_params, problem.dtype, len(order.slot)
    length = whole_lines(n, dtype)
    ahead = LOOK_AHEAD * threads if threads > 1 else 0
    window = max(1, min(order.overlap + ahead, count))
    one_velocity = options.shares_momentum or options.always_fresh
    velocities = 0 if options.momentum == 0 else 1 if one_velocity else options.workers
    check_memory(f"a run with {order.slots + velocities + window:,} vectors of {n:,} parameters at a time",
                 (order.slots + velocities + window) * length * dtype.itemsize,
                 "simulate fewer workers, or a smaller problem")  # fmt: skip
    tasks = np.zeros(count, TASK)
    for name in ("batch", "worker"):
        tasks[name] = execution.rows[name]
    for name in ("needs", "ends", "slot"):
        tasks[name] = getattr(order, name)
    for name in ("scale", "factor"):
        tasks[name] = scales.columns[name]
    replay = ReplayState(
        control=aligned(at.REPLAY_WORDS, np.int64),
        numbers=aligned(NUMBERS, dtype),
        plan=problem.plan,
        inputs=problem.inputs,
        labels=problem.flat_labels,
        tasks=tasks,
        results=blank_rows(count, RESULT),
        operations=order.operations,
        state=aligned((order.slots, length), dtype),
        velocity=aligned((velocities, length), dtype),
        gradients=aligned((window, length), dtype),
        total=aligned(n if gradients > 1 else 0, dtype),
        ring=aligned(window * LINE, np.int64),
    )
    replay.state[0, :n] = execution.initial
    replay.ring[::LINE] = np.arange(window) << 2 | at.FREE
    control, numbers = replay.control, replay.numbers
    control[[at.N_PARAMS, at.N_SAMPLES, at.BATCH_SIZE]] = n, problem.n_samples, options.batch_size
    control[[at.SEED, at.RESHUFFLE]] = options.seed, options.reshuffle
    control[at.HAS_TICKETS] = problem.has_tickets
    control[[at.ONE_VELOCITY, at.BLOCKS, at.AVERAGED, at.WINDOW]] = one_velocity, order.blocks, gradients, window
    numbers[[STEP_SIZE, MOMENTUM]] = options.step_size, options.momentum
    numbers[[WEIGHT_DECAY, LOSS_LIMIT]] = options.weight_decay, loss_limit
    numbers[[COMPENSATION, CLIP]] = options.compensation, options.clip or 0.0
    numbers[DIRECT] = options.direct_share
    return replay


def own_buffers(problem: Problem, batch_size: int) -> Own:
    """Allocate what one thread has for itself."""
    return Own(aligned(batch_size, np.int64), aligned(problem.workspace_size(batch_size), problem.dtype))
