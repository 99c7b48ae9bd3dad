"""K-sync and K-batch-sync: the first K gradients at the same parameters make a version.

Source: Dutta et al., "Slow and stale gradients can win the race", AISTATS 2018.
"""

from ...compiled import kernel, part
from ...kernels.arithmetic import copy
from ...kernels.atomics import load, wake
from ...kernels.types import Gradient, Words
from ...kernels.waiting import doze, lock, relax, unlock
from ..words import CROWDED, LOCK, N_PARAMS, PARAMS, QUOTA, SETTINGS, STOP, VERSION, WORKERS
from . import common as worker
from .groups import add
from .types import Own, Shared

BATCHES = SETTINGS + 1  # 1: a worker may have several gradients in a round


@part()
def read(shared: Shared, own: Own, held: int) -> int:
    """Copy the parameters under the lock, unless the copy is of this version; returns the version."""
    control = shared.control
    lock(control, LOCK)
    version = load(control, VERSION)
    own.row[0].t_read = worker.seconds(control)
    if version != held:
        copy(own.snapshot, shared.state[PARAMS][: control[N_PARAMS]])
    unlock(control, LOCK)
    return version


@part()
def wait_for_end(control: Words, version: int) -> None:
    """Wait until the round at this version has ended, or the run is being stopped."""
    spins = 0
    while load(control, VERSION) == version and load(control, STOP) == 0:
        spins = relax(spins) if control[CROWDED] == 0 else doze(control, VERSION, version, spins)


@part()
def announce_end(control: Words, version: int) -> None:
    """Wake those that sleep, if the round at this version has ended."""
    if control[CROWDED] != 0 and load(control, VERSION) != version:
        wake(control, VERSION, control[WORKERS])


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Work until the quota of rounds is reached or the run is stopped. Twin: `recompute` in tests/naive.py.

    1. Announce the view, for the order of the rows, and read.
    2. Compute the gradient at the copy, without the lock.
    3. Under the lock, add the gradient to those of the round: the K-th makes the version. If the round has ended
       meanwhile, give the gradient up. Stop if the quota is reached.
    4. Hand in the row. With one gradient in a round, wait for its end.
    """
    worker.begin(shared, me, own.row)
    control, held = shared.control, -1
    while worker.goes_on(control):
        # 1. Read
        worker.next_batch(shared, own)
        worker.announce_view(control, me, load(control, VERSION))
        held = read(shared, own, held)
        # 2. Compute
        worker.compute(gradient, shared, own, own.snapshot)
        # 3. Add
        lock(control, LOCK)
        version = load(control, VERSION)
        if version == control[QUOTA]:
            unlock(control, LOCK)
            worker.forget_view(control, me)
            break
        step = worker.choose_step(shared, own, version, held, 0)
        if version != held:
            own.row[0].t_apply = worker.seconds(control)
            unlock(control, LOCK)
            worker.hand_in_dropped(shared, own, me)
            continue
        number = add(shared, own, own.snapshot, step)
        unlock(control, LOCK)
        announce_end(control, version)
        # 4. Hand in, and wait
        worker.forget_view(control, me)
        worker.hand_in_added(shared, own, number)
        if control[BATCHES] == 0:
            wait_for_end(control, version)
