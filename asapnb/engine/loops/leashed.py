"""Leashed-SGD: lock-free, with consistent views; every update is a new vector, published by compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...compiled import kernel, part
from ...kernels.arithmetic import accelerate, compensate, descend_into
from ...kernels.atomics import load, store
from ...training.words import COMPENSATION, MOMENTUM
from ..words import HEADER, N_PARAMS, POINTER, QUOTA, SETTINGS, SHARED_MOMENTUM, SUM, VERSION
from .common import (
    added_scale,
    announce_view,
    begin,
    choose_step,
    evaluation_due,
    forget_view,
    free_box,
    goes_on,
    hand_in,
    hand_in_dropped,
    next_batch,
    note_gradient,
    note_tries,
    post,
    seconds,
)
from .pool import acquire, claim, pin, publish, release, slot_of, sum_of, version_of

if TYPE_CHECKING:
    from ...kernels.types import Gradient, Real, Vector
    from ..shared import Own, Shared


PERSISTENCE, CHECK_EARLY = SETTINGS, SETTINGS + 1  # −1 or the persistence bound; 1 with early checks
_BLOCK = 4096  # parameters between two looks at the pointer, with check_early
_APPLIED, _DROPPED, _ENDED = range(3)


@part()
def prepare(shared: Shared, own: Own, gradient: Vector, pointer: int, mine: int, step: Real) -> bool:
    """Write into slot `mine` the vector that follows `pointer`; False if it was left early."""
    n = shared.control[N_PARAMS]
    momentum = shared.numbers[MOMENTUM]
    target = shared.state[mine]
    source = shared.state[slot_of(pointer)]
    velocity = own.velocity
    if shared.control[SHARED_MOMENTUM] != 0:
        velocity = source[n:]
        accelerate(target[n:], velocity, gradient, step, momentum)
    if shared.control[CHECK_EARLY] == 0:
        descend_into(target[:n], source[:n], velocity, gradient, step, momentum)
        return True
    for low in range(0, n, _BLOCK):
        if load(shared.control, POINTER) != pointer:
            return False
        high = min(low + _BLOCK, n)
        descend_into(target[low:high], source[low:high], velocity[low:high], gradient[low:high], step, momentum)
    return True


@part()
def land(shared: Shared, own: Own, mine: int, view: Vector, read_version: int, read_sum: int) -> int:
    """Try to publish until it succeeds, the persistence bound is passed or the quota is reached."""
    tries = 0
    strength = shared.numbers[COMPENSATION]
    gradient = own.gradient if strength == 0 else own.snapshot
    while True:
        pointer = acquire(shared.control, shared.slots)
        version = version_of(pointer)
        if version == shared.control[QUOTA]:
            release(shared.slots, slot_of(pointer))
            return _ENDED
        total = sum_of(shared.slots, pointer)
        step = choose_step(shared, own, version, read_version, total - read_sum)
        store(shared.slots, mine * HEADER + SUM, total + added_scale(own))
        if strength != 0:
            compensate(gradient, own.gradient, shared.state[slot_of(pointer)], view, strength)
        evaluated = evaluation_due(shared.control, version + 1)
        if prepare(shared, own, gradient, pointer, mine, step):
            if evaluated:
                pin(shared.slots, mine)  # on behalf of who evaluates it
            own.row[0].t_apply = seconds(shared.control)
            if publish(shared.control, shared.slots, pointer, mine):
                break
            if evaluated:
                release(shared.slots, mine)
        else:
            release(shared.slots, slot_of(pointer))
        tries += 1
        note_tries(own, tries)
        if 0 <= shared.control[PERSISTENCE] < tries:
            own.row[0].t_apply = seconds(shared.control)
            return _DROPPED
    store(shared.control, VERSION, version + 1)  # for information: it may lag behind the published pointer
    if shared.numbers[MOMENTUM] != 0 and shared.control[SHARED_MOMENTUM] == 0:
        accelerate(own.velocity, own.velocity, gradient, step, shared.numbers[MOMENTUM])
    if evaluated:
        hand_over_slot(shared, own, mine, version + 1)
    return _APPLIED


@part()
def hand_over_slot(shared: Shared, own: Own, slot: int, version: int) -> None:
    """Have a pinned vector evaluated where it is."""
    box = free_box(shared.control, version)
    if box >= 0:
        post(shared.control, box, version, own.row[0].t_apply, slot, 1)
    else:
        release(shared.slots, slot)


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Run until the quota is reached or the run is stopped."""
    begin(shared, me, own.row)
    control, slots = shared.control, shared.slots
    mine = claim(slots, 2 * me)
    while goes_on(shared.control):
        count = next_batch(shared, own)
        announce_view(control, me, version_of(load(control, POINTER)))
        pointer = acquire(control, slots)
        read_version = version_of(pointer)
        read_sum = sum_of(slots, pointer)
        note_tries(own, 0)
        own.row[0].t_read = seconds(shared.control)
        view = shared.state[slot_of(pointer)][: shared.control[N_PARAMS]]
        loss = gradient(
            view, own.gradient, own.indices[:count], shared.plan, own.workspace, shared.inputs, shared.labels
        )
        note_gradient(shared, own, view, loss)
        kept = shared.numbers[COMPENSATION] != 0
        if not kept:
            release(slots, slot_of(pointer))
        outcome = land(shared, own, mine, view, read_version, read_sum)
        if kept:
            release(slots, slot_of(pointer))
        if outcome == _DROPPED:
            hand_in_dropped(shared, own, me)
        forget_view(control, me)
        if outcome == _ENDED:
            break
        if outcome == _APPLIED:
            hand_in(shared, own, own.row[0].version - 1)
            mine = claim(slots, 2 * me)  # the same few vectors again and again: they are in this core's cache
