"""The worker loops of LockBased and Leashed with a look at the clock between their steps, for `calibrate`.

They leave out evaluations and limits. Drawing the minibatch and handing in the row count as computing, as a worker
does them for itself. Waiting counts as nothing.

Checked in tests/test_calibrate.py: every time is above 0, and a schedule of these times can be made.
"""

from ...compiled import kernel, part
from ...kernels.arithmetic import copy
from ...kernels.atomics import clock, load, store
from ...kernels.types import Gradient, Words
from ...kernels.waiting import lock, unlock
from ...training.words import TIMED_OUT
from ..words import APPLIED, HEADER, LOCK, N_PARAMS, PARAMS, STOP, SUM, VERSION
from . import common as worker
from .leashed import prepare
from .pool import acquire, claim, publish, release, slot_of, sum_of, version_of
from .types import Own, Shared

COMPUTE, READ, UPDATE, RETRY = range(4)  # columns of `times`; RETRY is filled on its own, and 0 beyond its end


@part()
def another(control: Words, rounds: int, least: int) -> bool:
    """Whether to start another round: while there is time, and until there are at least so many rounds."""
    return worker.goes_on(control) or (rounds < least and load(control, STOP) == TIMED_OUT)


@kernel()
def lock_based(gradient: Gradient, shared: Shared, own: Own, me: int, times: Words, least: int) -> int:
    """Fill `times`, (rounds, 4) nanoseconds; returns the rounds made. When `times` is full, begin it again."""
    worker.begin(shared, me, own.row)
    control = shared.control
    params = shared.state[PARAMS][: control[N_PARAMS]]
    rounds, ended = 0, clock()
    while another(control, rounds, least):
        row = times[rounds % len(times)]
        worker.next_batch(shared, own)
        drawn = clock()
        lock(control, LOCK)
        begun = clock()
        read_version = load(control, VERSION)
        read_sum = load(control, APPLIED)
        own.row[0].t_read = worker.seconds(control)
        copy(own.snapshot, params)
        unlock(control, LOCK)
        copied = clock()
        worker.compute(gradient, shared, own, own.snapshot)
        ready = clock()
        lock(control, LOCK)
        locked = clock()
        version = load(control, VERSION)
        total = load(control, APPLIED)
        step = worker.choose_step(shared, own, version, read_version, total - read_sum)
        worker.update(shared, own, params, own.snapshot, step)
        store(control, APPLIED, total + worker.added_scale(own))
        store(control, VERSION, version + 1)
        unlock(control, LOCK)
        updated = clock()
        row[COMPUTE], row[READ], row[UPDATE] = drawn - ended + ready - copied, copied - begun, updated - locked
        rounds, ended = rounds + 1, updated
        worker.hand_in(shared, own, version)
    return rounds


@part()
def attempt(shared: Shared, own: Own, mine: int, read_version: int, read_sum: int) -> bool:
    """One attempt of `land`: make the next vector and try to publish it; True on success."""
    slots = shared.slots
    pointer = acquire(shared.control, slots)
    total = sum_of(slots, pointer)
    step = worker.choose_step(shared, own, version_of(pointer), read_version, total - read_sum)
    store(slots, mine * HEADER + SUM, total + worker.added_scale(own))
    prepare(shared, own, own.gradient, pointer, mine, step)
    own.row[0].t_apply = worker.seconds(shared.control)
    return publish(shared.control, slots, pointer, mine)


@kernel()
def leashed(gradient: Gradient, shared: Shared, own: Own, me: int, times: Words, least: int) -> int:
    """As `lock_based`, for Leashed: a read pins the vector, an update is the first attempt to publish the next one.

    The time of each further attempt is the next entry of the column RETRY, whatever the round.
    """
    worker.begin(shared, me, own.row)
    control, slots = shared.control, shared.slots
    mine = claim(slots, 2 * me)
    rounds, retries, ended = 0, 0, clock()
    while another(control, rounds, least):
        row = times[rounds % len(times)]
        worker.next_batch(shared, own)
        drawn = clock()
        pointer = acquire(control, slots)
        read_version = version_of(pointer)
        read_sum = sum_of(slots, pointer)
        worker.note_tries(own, 0)
        own.row[0].t_read = worker.seconds(control)
        pinned = clock()
        view = shared.state[slot_of(pointer)][: control[N_PARAMS]]
        worker.compute(gradient, shared, own, view)
        release(slots, slot_of(pointer))
        ready = clock()
        published = attempt(shared, own, mine, read_version, read_sum)
        updated = tried = clock()
        while not published:
            published = attempt(shared, own, mine, read_version, read_sum)
            begun, tried = tried, clock()
            times[retries % len(times), RETRY] = max(tried - begun, 1)
            retries += 1
        store(control, VERSION, own.row[0].version)
        row[COMPUTE], row[READ], row[UPDATE] = drawn - ended + ready - pinned, pinned - drawn, updated - ready
        rounds, ended = rounds + 1, tried
        worker.hand_in(shared, own, own.row[0].version - 1)
        mine = claim(slots, 2 * me)
    return rounds
