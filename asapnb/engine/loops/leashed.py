"""Leashed-SGD: lock-free, with consistent views; every update is a new vector, published by compare-and-swap."""

from ...compiled import kernel, part
from ...kernels.arithmetic import compensate, copy
from ...kernels.atomics import load, store
from ...kernels.steps import descend_into
from ...kernels.types import Gradient, Real, Vector
from ...training.words import COMPENSATION, STEP
from ..words import HEADER, N_PARAMS, POINTER, QUOTA, SETTINGS, SHARES_MOMENTS, SUM, VERSION
from . import common as worker
from .pool import acquire, claim, pin, publish, release, slot_of, sum_of, version_of
from .types import Own, Shared
from .workforce import in_force, may_begin

PERSISTENCE, CHECK_EARLY = SETTINGS, SETTINGS + 1  # −1 or the persistence bound; 1 with early checks
_BLOCK = 4096  # parameters between two looks at the pointer, with check_early
_APPLIED, _DROPPED, _ENDED = range(3)


@part()
def prepare(shared: Shared, own: Own, gradient: Vector, pointer: int, mine: int, step: Real) -> bool:
    """Write the vector that follows `pointer` into slot `mine`; False if another was published meanwhile.

    Only early checks look for that.
    """
    n, how, row = shared.control[N_PARAMS], shared.numbers[STEP:], own.row[0]
    target = shared.state[mine]
    source = shared.state[slot_of(pointer)]
    half = own.moments.size // 2
    before, after = own.moments[:half], own.moments[half:]
    if shared.control[SHARES_MOMENTS] != 0:
        before, after = source[n:], target[n:]
    early = shared.control[CHECK_EARLY] != 0
    block = _BLOCK if early else n
    for low in range(0, n, block):
        if early and load(shared.control, POINTER) != pointer:
            return False
        descend_into(
            target[:n], source[:n], after, before, gradient, low, min(low + block, n), step, how, row.version,
            row.read_version,
        )  # fmt: skip
    return True


@part()
def land(shared: Shared, own: Own, mine: int, view: Vector, read_version: int, read_sum: int) -> int:
    """Attempt to publish until it succeeds, the persistence bound is passed or the quota is reached.

    Each attempt:

    1. Pin the current vector. End if it is the last version of the run.
    2. Choose the step for the staleness at this vector. Write the sum of scales into the header of `mine`.
    3. Write the next vector into `mine`. If it is to be evaluated, pin it for the evaluator.
    4. Replace the current vector by `mine` with one compare-and-swap. On success go to 6.
    5. Count the failure. Drop the gradient if there are more failures than the persistence bound.
    6. After success: store the version, keep the worker's own moments, ask for an evaluation that is due.

    Twin: the loop in `leashed` in tests/naive_simulator.py. tests/test_engine_steps.py scripts the failures.
    """
    tries = 0
    strength = shared.numbers[COMPENSATION]
    gradient = own.gradient if strength == 0 else own.snapshot
    while True:
        # 1. Pin the current vector
        pointer = acquire(shared.control, shared.slots)
        version = version_of(pointer)
        if version == shared.control[QUOTA]:
            release(shared.slots, slot_of(pointer))
            return _ENDED
        # 2. Choose the step
        total = sum_of(shared.slots, pointer)
        step = worker.choose_step(shared, own, version, read_version, total - read_sum)
        store(shared.slots, mine * HEADER + SUM, total + worker.added_scale(own))
        if strength != 0:
            compensate(gradient, own.gradient, shared.state[slot_of(pointer)], view, strength)
        # 3. Write the next vector
        evaluated = worker.evaluation_due(shared.control, version + 1)
        if prepare(shared, own, gradient, pointer, mine, step):
            if evaluated:
                pin(shared.slots, mine)  # the evaluator is its reader
            # 4. Publish it
            own.row[0].t_apply = worker.seconds(shared.control)
            if publish(shared.control, shared.slots, pointer, mine):
                break
            if evaluated:
                release(shared.slots, mine)
        else:
            release(shared.slots, slot_of(pointer))
        # 5. Failed
        tries += 1
        worker.note_tries(own, tries)
        if 0 <= shared.control[PERSISTENCE] < tries:
            own.row[0].t_apply = worker.seconds(shared.control)
            return _DROPPED
    # 6. Published
    store(shared.control, VERSION, version + 1)  # for information: it may lag behind the published pointer
    half = own.moments.size // 2
    copy(own.moments[:half], own.moments[half:])
    if evaluated:
        hand_over_slot(shared, own, mine, version + 1)
    return _APPLIED


@part()
def hand_over_slot(shared: Shared, own: Own, slot: int, version: int) -> None:
    """Ask for the evaluation of a pinned vector, without a copy."""
    box = worker.free_box(shared.control, version)
    if box >= 0:
        worker.post(shared.control, box, version, own.row[0].t_apply, slot, 1)
    else:
        release(shared.slots, slot)


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Work until the quota is reached or the run is stopped. Twin: `leashed` in tests/naive_simulator.py.

    1. Announce a version no newer than the view, then pin the current vector: it is the view, if the worker is
       still in force.
    2. Compute the gradient at the view, without a copy.
    3. Release the view, unless the compensation needs it. Then attempt to publish: see `land`.
    4. Hand in the row. Take the announcement back before a row of an applied update may have to wait for room.
    """
    worker.begin(shared, me, own.row)
    control, slots = shared.control, shared.slots
    mine = claim(slots, 2 * me)
    while may_begin(shared, me):
        # 1. Read
        if not worker.next_batch(shared, own):
            break
        worker.announce_view(control, me, version_of(load(control, POINTER)))
        pointer = acquire(control, slots)
        read_version = version_of(pointer)
        if not in_force(shared, me, read_version):
            release(slots, slot_of(pointer))
            worker.forget_view(control, me)
            continue
        read_sum = sum_of(slots, pointer)
        worker.note_tries(own, 0)
        own.row[0].t_read = worker.seconds(shared.control)
        view = shared.state[slot_of(pointer)][: shared.control[N_PARAMS]]
        # 2. Compute
        worker.compute(gradient, shared, own, view)
        # 3. Publish
        kept = shared.numbers[COMPENSATION] != 0
        if not kept:
            release(slots, slot_of(pointer))
        outcome = land(shared, own, mine, view, read_version, read_sum)
        if kept:
            release(slots, slot_of(pointer))
        # 4. Hand in
        if outcome != _ENDED:
            worker.finish(control)
        if outcome == _DROPPED:
            worker.hand_in_dropped(shared, own, me)
        worker.forget_view(control, me)
        if outcome == _ENDED:
            break
        if outcome == _APPLIED:
            worker.hand_in(shared, own, own.row[0].version - 1)
            mine = claim(slots, 2 * me)  # the same few vectors again and again: they are in this core's cache
