"""The threads of a replay: each computes gradients that can be computed, whoever can carries out what is next.

A row's gradient can be computed as soon as its view is there. Operations are carried out in their order, one thread
at a time, with the functions that the engine updates parameters with: so the bits are those of the engine, and the
same for any number of threads.
"""

from __future__ import annotations

from typing import Any

from ...compiled import kernel, part
from ...engine.atomics import compare_and_swap, load, store
from ...engine.loops.leashed import accelerate, descend_into
from ...engine.loops.steps import add_decay, compensate, copy, descend, relax
from ...engine.shared import COMPENSATION, DIVERGED, LINE, LOSS_LIMIT, MOMENTUM, STEP_SIZE, WEIGHT_DECAY
from ...problems.minibatch import draw_batch
from ..plan import ADD, ALL, APPLY, CLOSE, READ, WRITE
from ..stage import (
    AVERAGED,
    BATCH_SIZE,
    BLOCKS,
    CLAIM,
    CLAIMED,
    DONE,
    FIRST,
    FREE,
    N_PARAMS,
    N_SAMPLES,
    ONE_VELOCITY,
    READY,
    RESHUFFLE,
    SEED,
    STOP,
    TURN,
    UNTIL,
    WINDOW,
)


@part()
def _place(stage: Any, row: int) -> int:
    """Where the word of a row stands in the ring."""
    return row % stage.control[WINDOW] * LINE


@part()
def _claim(stage: Any) -> int:
    """Claim the first row whose view is there and that nobody has claimed; −1 if there is none."""
    control, done = stage.control, load(stage.control, DONE)
    begin = load(control, CLAIM)
    end = min(load(control, FIRST) + control[WINDOW], stage.steps.size)
    for row in range(begin, end):
        place = _place(stage, row)
        if load(stage.ring, place) != row << 2 | FREE:
            if row == begin:  # claimed, so that nobody needs to look at it again
                compare_and_swap(control, CLAIM, begin, begin + 1)
                begin += 1
        elif stage.steps[row].needs <= done and compare_and_swap(
            stage.ring, place, row << 2 | FREE, row << 2 | CLAIMED
        ):
            return row
    return -1


@part()
def _compute(gradient: Any, stage: Any, own: Any, row: int) -> None:
    """The gradient of a row, with the weight decay of its view."""
    control, step = stage.control, stage.steps[row]
    count = draw_batch(
        own.indices, step.batch, control[N_SAMPLES], control[BATCH_SIZE], control[SEED], control[RESHUFFLE] != 0
    )
    result = stage.gradients[row % control[WINDOW]]
    view = stage.state[step.slot]
    n = control[N_PARAMS]
    stage.steps[row].loss = gradient(
        view[:n], result[:n], own.indices[:count], stage.plan, own.workspace, stage.inputs, stage.labels
    )
    if stage.numbers[WEIGHT_DECAY] != 0:
        add_decay(result[:n], view[:n], stage.numbers[WEIGHT_DECAY])


@part()
def _step(stage: Any, row: int) -> Any:
    """The step of an update, as the engine's."""
    return stage.numbers[STEP_SIZE] * stage.steps[row].scale * stage.steps[row].factor


@part()
def _velocity(stage: Any, row: int) -> Any:
    """The velocity that an update changes."""
    return stage.velocity[0 if stage.control[ONE_VELOCITY] != 0 else stage.steps[row].worker]


@part()
def _descend(stage: Any, row: int, gradient: Any, source: Any, target: Any) -> None:
    """target = source − step·g, or with momentum v ← μ·v − step·g, target = source + v."""
    momentum, step = stage.numbers[MOMENTUM], _step(stage, row)
    if momentum != 0:
        velocity = _velocity(stage, row)[: target.size]
        accelerate(velocity, velocity, gradient, step, momentum)
        for i in range(target.size):
            target[i] = source[i] + velocity[i]
    else:
        descend_into(target, source, gradient, gradient, step, momentum)


@part()
def _apply(stage: Any, operation: Any) -> None:
    """Make the next version of the gradient of a row."""
    n, row = stage.control[N_PARAMS], operation.row
    gradient = stage.gradients[row % stage.control[WINDOW]][:n]
    source, target = stage.state[operation.source][:n], stage.state[operation.target][:n]
    if operation.kind == APPLY:
        if stage.numbers[COMPENSATION] != 0:
            view = stage.state[stage.steps[row].slot][:n]
            compensate(gradient, gradient, source, view, stage.numbers[COMPENSATION])
        if operation.source == operation.target and stage.numbers[MOMENTUM] == 0:
            descend(target, gradient, gradient, _step(stage, row), stage.numbers[MOMENTUM])
        else:
            _descend(stage, row, gradient, source, target)
        return
    if row % stage.control[AVERAGED] == 0:
        copy(stage.total, gradient)
    else:
        for i in range(n):
            stage.total[i] += gradient[i]
    if operation.kind == CLOSE:
        share = stage.total.dtype.type(1) / stage.total.dtype.type(stage.control[AVERAGED])
        for i in range(n):
            stage.total[i] *= share
        _descend(stage, row, stage.total, source, target)


@part()
def _move_block(stage: Any, operation: Any) -> None:
    """Read a block of the parameters into the view of a row, or write that of its gradient."""
    n, blocks, row, block = stage.control[N_PARAMS], stage.control[BLOCKS], operation.row, operation.block
    low = 0 if block == ALL else block * n // blocks
    high = n if block == ALL else (block + 1) * n // blocks
    params, view = stage.state[0][low:high], stage.state[stage.steps[row].slot][low:high]
    if operation.kind == READ:
        copy(view, params)
        return
    gradient = stage.gradients[row % stage.control[WINDOW]][low:high]
    if stage.numbers[COMPENSATION] != 0:
        compensate(gradient, gradient, params, view, stage.numbers[COMPENSATION])
    momentum = stage.numbers[MOMENTUM]
    velocity = _velocity(stage, row)[low:high] if momentum != 0 else gradient
    descend(params, velocity, gradient, _step(stage, row), momentum)


@part()
def _possible(stage: Any, done: int) -> bool:
    """Whether the next operation can be carried out."""
    if done >= load(stage.control, UNTIL) or load(stage.control, STOP) != 0:
        return False
    operation = stage.operations[done]
    return operation.kind == READ or load(stage.ring, _place(stage, operation.row)) == operation.row << 2 | READY


@part()
def _leave(stage: Any, row: int, done: int) -> None:
    """Be done with a row: its place is free for another. A run that diverges ends with the first row (or round) to.

    So it is looked at in the order of rows, which under Hogwild is not the order in which they are done with.
    """
    control = stage.control
    store(stage.ring, _place(stage, row), row + control[WINDOW] << 2 | FREE)
    first = load(control, FIRST)
    while first < stage.steps.size and stage.steps[first].ends <= done:
        first += 1
        if first % control[AVERAGED] == 0 and _diverges(stage, first - control[AVERAGED], first):
            compare_and_swap(control, STOP, 0, DIVERGED)
            break
    store(control, FIRST, first)


@part()
def _diverges(stage: Any, low: int, high: int) -> bool:
    """Whether the loss of any of these rows shows divergence."""
    found = False
    for row in range(low, high):
        found |= not stage.steps[row].loss <= stage.numbers[LOSS_LIMIT]
    return found


@part()
def _advance(stage: Any) -> None:
    """Carry out what can be carried out, unless another thread is at it."""
    control = stage.control
    done = load(control, DONE)
    while _possible(stage, done) and compare_and_swap(control, TURN, 0, 1):
        done = load(control, DONE)
        while _possible(stage, done):
            operation = stage.operations[done]
            if operation.kind in (READ, WRITE):
                _move_block(stage, operation)
            elif operation.kind in (APPLY, ADD, CLOSE):
                _apply(stage, operation)
            done += 1
            if operation.kind != READ and stage.steps[operation.row].ends == done:
                _leave(stage, operation.row, done)
            store(control, DONE, done)
        store(control, TURN, 0)


@kernel()
def work(gradient: Any, stage: Any, own: Any) -> None:
    """Compute and carry out until enough operations are done or the replay is stopped."""
    control, spins = stage.control, 0
    while load(control, DONE) < load(control, UNTIL) and load(control, STOP) == 0:
        row = _claim(stage)
        if row < 0:
            _advance(stage)
            spins = relax(spins)
            continue
        spins = 0
        _compute(gradient, stage, own, row)
        store(stage.ring, _place(stage, row), row << 2 | READY)
        _advance(stage)
