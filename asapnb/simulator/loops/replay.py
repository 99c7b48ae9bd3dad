"""The threads of a replay: each computes gradients that can be computed, whoever can carries out what is next.

A row's gradient can be computed as soon as its view is there. Operations are carried out in their order, one thread
at a time, with the functions that the engine updates parameters with: so the bits are those of the engine, and the
same for any number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...compiled import kernel, part
from ...kernels.arithmetic import accelerate, add_decay, compensate, copy, descend, descend_into
from ...kernels.arrays import LINE
from ...kernels.atomics import compare_and_swap, load, store
from ...kernels.waiting import relax
from ...problems.minibatch import draw_batch
from ...training.words import COMPENSATION, DIVERGED, LOSS_LIMIT, MOMENTUM, STEP_SIZE, WEIGHT_DECAY
from ..words import (
    ADD,
    ALL,
    APPLY,
    AVERAGED,
    BATCH_SIZE,
    BLOCKS,
    CLAIM,
    CLAIMED,
    CLOSE,
    DONE,
    FIRST,
    FREE,
    N_PARAMS,
    N_SAMPLES,
    ONE_VELOCITY,
    READ,
    READY,
    RESHUFFLE,
    SEED,
    STOP,
    TURN,
    UNTIL,
    WINDOW,
    WRITE,
)

if TYPE_CHECKING:
    from typing import Any

    from ...kernels.types import Gradient, Real, Vector
    from ..replay_state import Own, ReplayState


@part()
def _place(replay: ReplayState, row: int) -> int:
    """Where the word of a row stands in the ring."""
    return row % replay.control[WINDOW] * LINE


@part()
def _claim(replay: ReplayState) -> int:
    """Claim the first row whose view is there and that nobody has claimed; −1 if there is none."""
    control, done = replay.control, load(replay.control, DONE)
    begin = load(control, CLAIM)
    end = min(load(control, FIRST) + control[WINDOW], replay.tasks.size)
    for row in range(begin, end):
        place = _place(replay, row)
        if load(replay.ring, place) != row << 2 | FREE:
            if row == begin:  # claimed, so that nobody needs to look at it again
                compare_and_swap(control, CLAIM, begin, begin + 1)
                begin += 1
        elif replay.tasks[row].needs <= done and compare_and_swap(
            replay.ring, place, row << 2 | FREE, row << 2 | CLAIMED
        ):
            return row
    return -1


@part()
def _compute(gradient: Gradient, replay: ReplayState, own: Own, row: int) -> None:
    """The gradient of a row, with the weight decay of its view."""
    control, task = replay.control, replay.tasks[row]
    count = draw_batch(
        own.indices, task.batch, control[N_SAMPLES], control[BATCH_SIZE], control[SEED], control[RESHUFFLE] != 0
    )
    result = replay.gradients[row % control[WINDOW]]
    view = replay.state[task.slot]
    n = control[N_PARAMS]
    replay.results[row].loss = gradient(
        view[:n], result[:n], own.indices[:count], replay.plan, own.workspace, replay.inputs, replay.labels
    )
    if replay.numbers[WEIGHT_DECAY] != 0:
        add_decay(result[:n], view[:n], replay.numbers[WEIGHT_DECAY])


@part()
def _step(replay: ReplayState, row: int) -> Real:
    """The step of an update, as the engine's."""
    return replay.numbers[STEP_SIZE] * replay.tasks[row].scale * replay.tasks[row].factor


@part()
def _velocity(replay: ReplayState, row: int) -> Vector:
    """The velocity that an update changes."""
    return replay.velocity[0 if replay.control[ONE_VELOCITY] != 0 else replay.tasks[row].worker]


@part()
def _descend(replay: ReplayState, row: int, gradient: Vector, source: Vector, target: Vector) -> None:
    """target = source − step·g, or with momentum v ← μ·v − step·g, target = source + v."""
    momentum, step = replay.numbers[MOMENTUM], _step(replay, row)
    if momentum != 0:
        velocity = _velocity(replay, row)[: target.size]
        accelerate(velocity, velocity, gradient, step, momentum)
        for i in range(target.size):
            target[i] = source[i] + velocity[i]
    else:
        descend_into(target, source, gradient, gradient, step, momentum)


@part()
def _apply(replay: ReplayState, operation: Any) -> None:
    """Make the next version of the gradient of a row."""
    n, row = replay.control[N_PARAMS], operation.row
    gradient = replay.gradients[row % replay.control[WINDOW]][:n]
    source, target = replay.state[operation.source][:n], replay.state[operation.target][:n]
    if operation.kind == APPLY:
        if replay.numbers[COMPENSATION] != 0:
            view = replay.state[replay.tasks[row].slot][:n]
            compensate(gradient, gradient, source, view, replay.numbers[COMPENSATION])
        if operation.source == operation.target and replay.numbers[MOMENTUM] == 0:
            descend(target, gradient, gradient, _step(replay, row), replay.numbers[MOMENTUM])
        else:
            _descend(replay, row, gradient, source, target)
        return
    if row % replay.control[AVERAGED] == 0:
        copy(replay.total, gradient)
    else:
        for i in range(n):
            replay.total[i] += gradient[i]
    if operation.kind == CLOSE:
        share = replay.total.dtype.type(1) / replay.total.dtype.type(replay.control[AVERAGED])
        for i in range(n):
            replay.total[i] *= share
        _descend(replay, row, replay.total, source, target)


@part()
def _move_block(replay: ReplayState, operation: Any) -> None:
    """Read a block of the parameters into the view of a row, or write that of its gradient."""
    n, blocks, row, block = replay.control[N_PARAMS], replay.control[BLOCKS], operation.row, operation.block
    low = 0 if block == ALL else block * n // blocks
    high = n if block == ALL else (block + 1) * n // blocks
    params, view = replay.state[0][low:high], replay.state[replay.tasks[row].slot][low:high]
    if operation.kind == READ:
        copy(view, params)
        return
    gradient = replay.gradients[row % replay.control[WINDOW]][low:high]
    if replay.numbers[COMPENSATION] != 0:
        compensate(gradient, gradient, params, view, replay.numbers[COMPENSATION])
    momentum = replay.numbers[MOMENTUM]
    velocity = _velocity(replay, row)[low:high] if momentum != 0 else gradient
    descend(params, velocity, gradient, _step(replay, row), momentum)


@part()
def _possible(replay: ReplayState, done: int) -> bool:
    """Whether the next operation can be carried out."""
    if done >= load(replay.control, UNTIL) or load(replay.control, STOP) != 0:
        return False
    operation = replay.operations[done]
    return operation.kind == READ or load(replay.ring, _place(replay, operation.row)) == operation.row << 2 | READY


@part()
def _leave(replay: ReplayState, row: int, done: int) -> None:
    """Be done with a row: its place is free for another. A run that diverges ends with the first row (or round) to.

    So it is looked at in the order of rows, which under Hogwild is not the order in which they are done with.
    """
    control = replay.control
    store(replay.ring, _place(replay, row), row + control[WINDOW] << 2 | FREE)
    first = load(control, FIRST)
    while first < replay.tasks.size and replay.tasks[first].ends <= done:
        first += 1
        if first % control[AVERAGED] == 0 and _diverges(replay, first - control[AVERAGED], first):
            compare_and_swap(control, STOP, 0, DIVERGED)
            break
    store(control, FIRST, first)


@part()
def _diverges(replay: ReplayState, low: int, high: int) -> bool:
    """Whether the loss of any of these rows shows divergence."""
    found = False
    for row in range(low, high):
        found |= not replay.results[row].loss <= replay.numbers[LOSS_LIMIT]
    return found


@part()
def _advance(replay: ReplayState) -> None:
    """Carry out what can be carried out, unless another thread is at it."""
    control = replay.control
    done = load(control, DONE)
    while _possible(replay, done) and compare_and_swap(control, TURN, 0, 1):
        done = load(control, DONE)
        while _possible(replay, done):
            operation = replay.operations[done]
            if operation.kind in (READ, WRITE):
                _move_block(replay, operation)
            elif operation.kind in (APPLY, ADD, CLOSE):
                _apply(replay, operation)
            done += 1
            if operation.kind != READ and replay.tasks[operation.row].ends == done:
                _leave(replay, operation.row, done)
            store(control, DONE, done)
        store(control, TURN, 0)


@kernel()
def work(gradient: Gradient, replay: ReplayState, own: Own) -> None:
    """Compute and carry out until enough operations are done or the replay is stopped."""
    control, spins = replay.control, 0
    while load(control, DONE) < load(control, UNTIL) and load(control, STOP) == 0:
        row = _claim(replay)
        if row < 0:
            _advance(replay)
            spins = relax(spins)
            continue
        spins = 0
        _compute(gradient, replay, own, row)
        store(replay.ring, _place(replay, row), row << 2 | READY)
        _advance(replay)
