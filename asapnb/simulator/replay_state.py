"""The memory of a replay, as two tuples of arrays: what all threads share, and what one thread has."""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..kernels.arrays import LINE, aligned, array_type, tuple_type, whole_lines
from ..memory import check_memory
from ..problems.base import Problem
from ..record.schema import blank_rows, made_by
from ..training.drawing import drawing_of
from ..training.how import numbers_of
from ..training.options import Options
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
        ("version", np.int64),  # that it makes
        ("read_version", np.int64),
        ("slot", np.int32),  # the vector that holds its view
        ("worker", np.int32),  # whose moments it changes, and whose part of the data it draws from
        ("scale", np.float32),
        ("factor", np.float32),
        ("step_size", np.float64),
    ],
    align=True,
)
RESULT = made_by("gradient")  # the columns of a row that its replay computes


class ReplayState(NamedTuple):
    """What all threads share."""

    control: NDArray[np.int64]  # see `words`
    numbers: NDArray[Any]  # dtype of the problem: see `training.words`
    drawing: NDArray[np.int64]  # how minibatches are drawn: see `training.drawing`
    plan: NDArray[np.int64]  # the program of the problem
    inputs: NDArray[Any]
    labels: NDArray[Any]
    tasks: NDArray[np.void]  # (rows,) TASK
    results: NDArray[np.void]  # (rows,) RESULT
    operations: NDArray[np.void]  # OPERATION
    state: NDArray[Any]  # (slots, n_params or more): versions, or parameters and views
    moments: NDArray[Any]  # (workers, or 1, what steps carry on): vectors of n_params, one after the other
    gradients: NDArray[Any]  # (WINDOW, n_params): of rows in the ring
    total: NDArray[Any]  # (n_params,): the gradients of a version so far, or their mean; else empty
    table: NDArray[Any]  # (2 · workers, n_params or more): sums of each worker's gradients, of two rounds; else empty
    counts: NDArray[np.int64]  # (2 · workers,): how many there are in each sum
    ring: NDArray[np.int64]  # (WINDOW · LINE,): the rows that may be computed, and how far they are


class Own(NamedTuple):
    """What one thread has for itself."""

    indices: NDArray[np.int64]  # a minibatch
    workspace: NDArray[Any]
    local: NDArray[Any]  # of local steps: the moving point, then the gradient there; else empty


def replay_types(dtype: np.dtype[Any], inputs: np.dtype[Any], labels: np.dtype[Any]) -> tuple[types.Type, types.Type]:
    """The Numba types of `ReplayState` and `Own`, for the dtypes of a problem, of its inputs and of its labels."""
    words, reals, vectors = array_type(np.int64), array_type(dtype), array_type(dtype, 2)
    state = {"numbers": reals, "total": reals, "inputs": array_type(inputs), "labels": array_type(labels)}
    state |= {"tasks": array_type(TASK), "results": array_type(RESULT), "operations": array_type(OPERATION)}
    state |= {"state": vectors, "moments": vectors, "gradients": vectors, "table": vectors}
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
    n, dtype, count = problem.n_params, problem.dtype, len(order.slot)
    length = whole_lines(n, dtype)
    ahead = LOOK_AHEAD * threads if threads > 1 else 0
    window = max(1, min(order.overlap + ahead, count))
    sets = max(1, options.sets_of_moments)
    vectors = order.slots + window + sets * options.moments + 2 * options.table
    check_memory(f"a run with {vectors:,} vectors of {n:,} parameters at a time", vectors * length * dtype.itemsize,
                 "simulate fewer workers, or a smaller problem")  # fmt: skip
    tasks = np.zeros(count, TASK)
    for name in ("batch", "worker", "version", "read_version"):
        tasks[name] = execution.rows[name]
    for name in ("needs", "ends", "slot"):
        tasks[name] = getattr(order, name)
    for name in ("scale", "factor"):
        tasks[name] = scales.columns[name]
    tasks["step_size"] = _step_sizes(execution)
    replay = ReplayState(
        control=aligned(at.REPLAY_WORDS, np.int64),
        numbers=numbers_of(options, dtype, loss_limit),
        drawing=drawing_of(problem, options),
        plan=problem.plan,
        inputs=problem.inputs,
        labels=problem.flat_labels,
        tasks=tasks,
        results=blank_rows(count, RESULT),
        operations=order.operations,
        state=aligned((order.slots, length), dtype),
        moments=aligned((sets, whole_lines(n * options.moments, dtype)), dtype),
        gradients=aligned((window, length), dtype),
        total=aligned(n if options.makes_means else 0, dtype),
        table=aligned((2 * options.table, length if options.table else 0), dtype),
        counts=np.zeros(2 * options.table, np.int64),
        ring=aligned(window * LINE, np.int64),
    )
    replay.state[0, :n] = execution.initial
    replay.ring[::LINE] = np.arange(window) << 2 | at.FREE
    control = replay.control
    control[at.N_PARAMS], control[at.WEIGHTED] = n, options.weighs
    control[[at.ONE_SET, at.BLOCKS, at.WINDOW]] = sets == 1, order.blocks, window
    control[at.TOGETHER] = options.table or options.rows_per_version
    return replay


def _step_sizes(execution: Execution) -> Any:
    """The step size of each row: that of the run, or, if it changed when the run went on, that of its time."""
    if not execution.step_sizes:
        return execution.options.step_size
    begins, sizes = list(execution.step_sizes), np.array(list(execution.step_sizes.values()))
    return sizes[np.searchsorted(begins, execution.rows["read_version"], side="right") - 1]


def own_buffers(problem: Problem, options: Options) -> Own:
    """Allocate what one thread has for itself."""
    size, local = options.batch_size, 2 * problem.n_params if options.local_steps > 1 else 0
    return Own(*(aligned(*one) for one in (
        (size, np.int64), (problem.workspace_size(size), problem.dtype), (local, problem.dtype),
    )))  # fmt: skip
