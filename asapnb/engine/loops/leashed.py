"""Leashed-SGD: lock-free, with consistent views; every update is a new vector, published by compare-and-swap."""

from __future__ import annotations

from typing import Any

from ...compiled import kernel, part
from ..atomics import fetch_add, load, store
from ..shared import (
    CHECK_EARLY,
    COMPENSATION,
    DRAINED,
    DROPPED,
    DROPPED_DRAINED,
    LINE,
    MOMENTUM,
    N_PARAMS,
    NEVER,
    PERSISTENCE,
    PUBLISHED,
    QUOTA,
    READING,
    SHARED_MOMENTUM,
    VERSION,
)
from ..vectors import HEADER, SUM, acquire, claim, pin, publish, release, slot_of, version_of
from .steps import (
    applied,
    begin,
    choose_step,
    compensate,
    evaluation_due,
    free_box,
    goes_on,
    hand_in,
    next_batch,
    note_gradient,
    post,
    seconds,
)

_BLOCK = 4096  # parameters between two looks at the published word, with check_early
_APPLIED, _DROPPED, _ENDED = range(3)


@part()
def descend_into(target: Any, source: Any, velocity: Any, gradient: Any, step: Any, momentum: Any) -> None:
    """target = source − step·g, or source + (μ·v − step·g): the same bits as `descend` in place."""
    if momentum != 0:
        for i in range(gradient.size):
            target[i] = source[i] + (momentum * velocity[i] - step * gradient[i])
    elif step != 0:
        for i in range(gradient.size):
            target[i] = source[i] - step * gradient[i]
    else:
        for i in range(gradient.size):
            target[i] = source[i]


@part()
def accelerate(target: Any, velocity: Any, gradient: Any, step: Any, momentum: Any) -> None:
    """target = μ·v − step·g."""
    for i in range(gradient.size):
        target[i] = momentum * velocity[i] - step * gradient[i]


@part()
def prepare(shared: Any, own: Any, gradient: Any, word: int, mine: int, step: Any) -> bool:
    """Write into slot `mine` the vector that follows `word`; False if it was left early."""
    n = shared.control[N_PARAMS]
    momentum = shared.numbers[MOMENTUM]
    target = shared.state[mine]
    source = shared.state[slot_of(word)]
    velocity = own.velocity
    if shared.control[SHARED_MOMENTUM] != 0:
        velocity = source[n:]
        accelerate(target[n:], velocity, gradient, step, momentum)
    if shared.control[CHECK_EARLY] == 0:
        descend_into(target[:n], source[:n], velocity, gradient, step, momentum)
        return True
    for low in range(0, n, _BLOCK):
        if load(shared.control, PUBLISHED) != word:
            return False
        high = min(low + _BLOCK, n)
        descend_into(target[low:high], source[low:high], velocity[low:high], gradient[low:high], step, momentum)
    return True


@part()
def land(shared: Any, own: Any, mine: int, view: Any, read_version: int, read_sum: int) -> int:
    """Try to publish until it succeeds, the persistence bound is passed or the quota is reached."""
    tries = 0
    strength = shared.numbers[COMPENSATION]
    gradient = own.gradient if strength == 0 else own.snapshot
    while True:
        word = acquire(shared.control, shared.slots)
        version = version_of(word)
        if version == shared.control[QUOTA]:
            release(shared.slots, slot_of(word))
            return _ENDED
        total = load(shared.slots, slot_of(word) * HEADER + SUM)
        step = choose_step(shared, own, version, read_version, total - read_sum)
        store(shared.slots, mine * HEADER + SUM, total + applied(own.row))
        if strength != 0:
            compensate(gradient, own.gradient, shared.state[slot_of(word)], view, strength)
        evaluated = evaluation_due(shared.control, version + 1)
        if prepare(shared, own, gradient, word, mine, step):
            if evaluated:
                pin(shared.slots, mine)  # on behalf of who evaluates it
            own.row[0].t_apply = seconds(shared.control)
            if publish(shared.control, shared.slots, word, mine):
                break
            if evaluated:
                release(shared.slots, mine)
        else:
            release(shared.slots, slot_of(word))
        tries += 1
        own.row[0].tries = min(tries, 32767)
        if 0 <= shared.control[PERSISTENCE] < tries:
            own.row[0].t_apply = seconds(shared.control)
            return _DROPPED
    store(shared.control, VERSION, version + 1)  # for information: it may lag behind the published word
    if shared.numbers[MOMENTUM] != 0 and shared.control[SHARED_MOMENTUM] == 0:
        accelerate(own.velocity, own.velocity, gradient, step, shared.numbers[MOMENTUM])
    if evaluated:
        hand_over_slot(shared, own, mine, version + 1)
    return _APPLIED


@part()
def hand_over_slot(shared: Any, own: Any, slot: int, version: int) -> None:
    """Have a pinned vector evaluated where it is."""
    box = free_box(shared.control, version)
    if box >= 0:
        shared.control[box + 2] = slot
        post(shared.control, box, version, own.row[0].t_apply)
    else:
        release(shared.slots, slot)


@part()
def hand_in_dropped(shared: Any, own: Any) -> None:
    """Hand in the row of a gradient that was given up."""
    own.row[0].version = -1
    own.row[0].dropped = 1
    hand_in(shared, own, 1, DROPPED_DRAINED, fetch_add(shared.control, DROPPED, 1))


@kernel()
def work(gradient: Any, shared: Any, own: Any, me: int) -> None:
    """Run until the quota is reached or the run is stopped."""
    begin(shared, me, own.row)
    control, slots = shared.control, shared.slots
    mine = claim(slots, 2 * me)
    while goes_on(shared.control):
        count = next_batch(shared, own)
        store(control, READING + me * LINE, version_of(load(control, PUBLISHED)))
        word = acquire(control, slots)
        read_version = version_of(word)
        read_sum = load(slots, slot_of(word) * HEADER + SUM)
        own.row[0].tries = 0
        own.row[0].t_read = seconds(shared.control)
        view = shared.state[slot_of(word)][: shared.control[N_PARAMS]]
        loss = gradient(
            view, own.gradient, own.indices[:count], shared.plan, own.workspace, shared.inputs, shared.labels
        )
        note_gradient(shared, own, view, loss)
        kept = shared.numbers[COMPENSATION] != 0
        if not kept:
            release(slots, slot_of(word))
        outcome = land(shared, own, mine, view, read_version, read_sum)
        if kept:
            release(slots, slot_of(word))
        if outcome == _DROPPED:
            hand_in_dropped(shared, own)
        store(control, READING + me * LINE, NEVER)  # before a row may have to wait: others' rows wait for this word
        if outcome == _ENDED:
            break
        if outcome == _APPLIED:
            hand_in(shared, own, 0, DRAINED, own.row[0].version - 1)
            mine = claim(slots, 2 * me)  # the same few vectors again and again: they are in this core's cache
