"""A lock around the copy of the parameters, and around the update: consistent views, exact staleness."""

from ...compiled import kernel
from ...kernels.arithmetic import copy
from ...kernels.atomics import load, store
from ...kernels.types import Gradient
from ...kernels.waiting import lock, unlock
from ..words import APPLIED, GRADIENTS, LOCK, N_PARAMS, PARAMS, QUOTA, SETTINGS, VERSION
from . import common as worker
from .groups import add
from .types import Own, Shared
from .workforce import in_force, may_begin

DISCARD_AFTER = SETTINGS + 5  # −1, or R


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Work until the quota is reached or the run is stopped. Twin: `lock_based` in tests/naive_simulator.py.

    1. Read: copy the parameters under the lock, if the worker is still in force. If gradients may be given up,
       announce the view before.
    2. Compute the gradient at the copy, without the lock.
    3. Update the parameters under the lock, or add the gradient to the buffer. Stop if the quota is reached. Give the
       gradient up if it is too stale.
    4. Hand in the row after the lock is released.
    """
    worker.begin(shared, me, own.row)
    control = shared.control
    params = shared.state[PARAMS][: shared.control[N_PARAMS]]
    buffered, drops = control[GRADIENTS] > 1, control[DISCARD_AFTER] > 0
    while may_begin(shared, me):
        # 1. Read
        if not worker.next_batch(shared, own):
            break
        if drops:
            worker.announce_view(control, me, load(control, VERSION))
        lock(control, LOCK)
        read_version = load(control, VERSION)
        if not in_force(shared, me, read_version):
            unlock(control, LOCK)
            worker.forget_view(control, me)
            continue
        read_sum = load(control, APPLIED)
        own.row[0].t_read = worker.seconds(shared.control)
        copy(own.snapshot, params)
        unlock(control, LOCK)
        # 2. Compute
        worker.compute(gradient, shared, own, own.snapshot)
        # 3. Update
        lock(control, LOCK)
        version = load(control, VERSION)
        if version == shared.control[QUOTA]:
            unlock(control, LOCK)
            worker.forget_view(control, me)
            break
        total = load(control, APPLIED)
        step = worker.choose_step(shared, own, version, read_version, total - read_sum)
        if drops and control[DISCARD_AFTER] <= version - read_version:
            own.row[0].t_apply = worker.seconds(control)
            unlock(control, LOCK)
            worker.finish(control)
            worker.hand_in_dropped(shared, own, me)
            continue
        if buffered:
            number = add(shared, own, own.snapshot, step)
            unlock(control, LOCK)
            worker.finish(control)
            worker.forget_view(control, me)
            worker.hand_in_added(shared, own, number)
            continue
        worker.update(shared, own, params, own.snapshot, step)
        store(control, APPLIED, total + worker.added_scale(own))
        store(control, VERSION, version + 1)
        if worker.evaluation_due(shared.control, version + 1):
            worker.hand_over_copy(shared, own, params, version + 1)
        unlock(control, LOCK)
        worker.finish(control)
        # 4. Hand in
        if drops:
            worker.forget_view(control, me)
        worker.hand_in(shared, own, version)
