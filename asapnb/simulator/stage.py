"""What the threads of a replay share: named words and arrays, packed into two tuples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from ..engine.memory import aligned
from ..engine.shared import COMPENSATION, LINE, LOSS_LIMIT, MOMENTUM, NUMBERS, STEP_SIZE, WEIGHT_DECAY, array_type
from ..problems.base import Problem
from .execution import Execution
from .plan import OPERATION, Plan

# Words: positions in `Stage.control`, those that change a cache line apart
DONE = 0 * LINE  # operations carried out
TURN = 1 * LINE  # 1 while a thread carries them out
CLAIM = 2 * LINE  # no row before it can be claimed
FIRST = 3 * LINE  # rows before it are done with
STOP = 4 * LINE  # not 0: leave as soon as possible
UNTIL = 5 * LINE  # operations after which to leave
CONSTANTS = 6 * LINE
N_PARAMS, N_SAMPLES, BATCH_SIZE, SEED, RESHUFFLE, ONE_VELOCITY, BLOCKS, AVERAGED = range(CONSTANTS, CONSTANTS + 8)
WINDOW = CONSTANTS + 8  # places in the ring

# What may be done with the row in a place of the ring: row << 2 | one of these
FREE, CLAIMED, READY = range(3)

LOOK_AHEAD = 4  # gradients for each thread that may be ready before their turn, unless there is one only

# What the replay of one row needs, and its loss
STEP = np.dtype(
    [
        ("batch", np.int64),
        ("needs", np.int64),
        ("ends", np.int64),
        ("slot", np.int32),
        ("worker", np.int32),
        ("scale", np.float32),
        ("factor", np.float32),
        ("loss", np.float32),
    ],
    align=True,
)


class Stage(NamedTuple):
    """What all threads see."""

    control: np.ndarray  # int64: the words above
    numbers: np.ndarray  # dtype of the problem: as those of the engine
    plan: np.ndarray  # int64: the problem's
    inputs: np.ndarray
    labels: np.ndarray
    steps: np.ndarray  # (rows,) STEP
    operations: np.ndarray  # OPERATION
    state: np.ndarray  # (slots, n_params or more): versions, or parameters and views
    velocity: np.ndarray  # (workers, or 1, or 0, n_params)
    gradients: np.ndarray  # (WINDOW, n_params): of rows in the ring
    total: np.ndarray  # (n_params,): the gradients of a round so far; else empty
    ring: np.ndarray  # int64 (WINDOW · LINE,): the rows that may be computed


class Own(NamedTuple):
    """What one thread has for itself."""

    indices: np.ndarray
    workspace: np.ndarray


def stage_types(dtype: np.dtype[Any], inputs: np.dtype[Any]) -> tuple[types.Type, types.Type]:
    """The Numba types of `Stage` and `Own` for a problem of this dtype, with inputs of that one."""
    words, reals, vectors = array_type(np.int64), array_type(dtype), array_type(dtype, 2)
    fields: dict[str, types.Type] = dict.fromkeys(Stage._fields, words)
    fields |= {"numbers": reals, "total": reals, "inputs": array_type(inputs), "steps": array_type(STEP)}
    fields |= {"operations": array_type(OPERATION), "state": vectors, "velocity": vectors, "gradients": vectors}
    own = (words, reals)
    return types.NamedTuple(tuple(fields.values()), Stage), types.NamedTuple(own, Own)


def make_stage(execution: Execution, plan: Plan, loss_limit: float, threads: int) -> Stage:
    """Everything a replay needs, with the initial parameters in place."""
    problem, options, scales = execution.problem, execution.options, execution.scales
    gradients = options.rows_per_version
    n, dtype, count = problem.n_params, problem.dtype, len(plan.slot)
    row_of = -(-n * dtype.itemsize // 64) * 64 // dtype.itemsize  # vectors begin at a cache line
    ahead = LOOK_AHEAD * threads if threads > 1 else 0
    window = max(1, min(plan.overlap + ahead, count))
    one_velocity = options.shares_momentum or options.always_fresh
    velocities = 0 if options.momentum == 0 else 1 if one_velocity else options.workers
    steps = np.zeros(count, STEP)
    for name in ("batch", "worker"):
        steps[name] = execution.rows[name]
    for name in ("needs", "ends", "slot"):
        steps[name] = getattr(plan, name)
    steps["scale"], steps["factor"] = scales.scale, scales.factor
    stage = Stage(
        control=aligned(CONSTANTS + 2 * LINE, np.int64),
        numbers=aligned(NUMBERS, dtype),
        plan=problem.plan,
        inputs=problem.inputs,
        labels=problem.labels,
        steps=steps,
        operations=plan.operations,
        state=aligned((plan.slots, row_of), dtype),
        velocity=aligned((velocities, row_of), dtype),
        gradients=aligned((window, row_of), dtype),
        total=aligned(n if gradients > 1 else 0, dtype),
        ring=aligned(window * LINE, np.int64),
    )
    stage.state[0, :n] = execution.initial
    stage.ring[::LINE] = np.arange(window) << 2 | FREE
    control, numbers = stage.control, stage.numbers
    control[[N_PARAMS, N_SAMPLES, BATCH_SIZE]] = n, problem.n_samples, options.batch_size
    control[[SEED, RESHUFFLE]] = options.seed, options.reshuffle
    control[[ONE_VELOCITY, BLOCKS, AVERAGED, WINDOW]] = one_velocity, plan.blocks, gradients, window
    numbers[[STEP_SIZE, MOMENTUM]] = options.step_size, options.momentum
    numbers[[WEIGHT_DECAY, LOSS_LIMIT]] = options.weight_decay, loss_limit
    numbers[COMPENSATION] = options.compensation
    return stage


def own_buffers(problem: Problem, batch_size: int) -> Own:
    """What one thread has for itself; call it in the thread, which then touches the memory first."""
    return Own(aligned(batch_size, np.int64), aligned(problem.workspace_size(batch_size), problem.dtype))
