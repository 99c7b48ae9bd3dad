"""A parameter server: it applies the gradients of workers in other processes, and answers with the parameters.

`serve` and `answer` are steps of the server, `begin` and `finish` those of a worker. A row travels with the
parameters to the worker, and comes back with the gradient: each side fills in its own fields. The messages are those
of `engine.serving` and `engine.remote`.
"""

import math

from ...compiled import kernel, part
from ...kernels.arithmetic import copy
from ...kernels.atomics import clock, fetch_add, load, store
from ...kernels.types import Vector
from ..words import APPLIED, N_PARAMS, PARAMS, QUOTA, SETTINGS, SHARED_MOMENTUM, TICKET, VELOCITY, VERSION
from . import common as worker
from .types import Own, Shared

DISCARD_AFTER = SETTINGS + 1  # −1, or R


@part()
def all_finite(vector: Vector) -> bool:
    """Whether no entry is infinite or not a number."""
    found = True
    for i in range(vector.size):
        found &= math.isfinite(vector[i])
    return found


@kernel()
def answer(shared: Shared, own: Own, me: int) -> int:
    """Begin an answer to a worker: fill its row and `own.snapshot`; returns the sum of applied scales at the read."""
    control, row = shared.control, own.row
    row[0].worker = me
    row[0].batch = fetch_add(control, TICKET, 1)
    row[0].read_version = load(control, VERSION)
    row[0].t_read = worker.seconds(control)
    copy(own.snapshot, shared.state[PARAMS][: control[N_PARAMS]])
    return load(control, APPLIED)


@kernel()
def begin(shared: Shared, own: Own) -> int:
    """Begin the gradient that a row asks for: draw its minibatch; returns the size."""
    return worker.draw(shared, own, own.row[0].batch)


@kernel()
def finish(shared: Shared, own: Own, loss: float) -> bool:
    """Finish a gradient that was taken at `own.snapshot`; returns whether it is finite.

    `t_read` of the row is the server's. As `t_apply` the worker has noted when it got the row, by its own clock. It
    adds its own duration to the server's time, so the clocks need not agree.
    """
    worker.note_gradient(shared, own, own.snapshot, loss)
    finite = all_finite(own.gradient)
    own.row[0].t_ready = own.row[0].t_read + clock() * 1e-9 - own.row[0].t_apply
    return finite


@kernel()
def serve(shared: Shared, own: Own, me: int, read_sum: int) -> None:
    """Apply, or discard, the gradient that has arrived from a worker. Twin: `recompute` in tests/naive.py.

    1. Once the quota is reached, gradients are left.
    2. Choose the step. A gradient that is too stale is discarded.
    3. Update the parameters, and hand in the row.
    """
    # 1. Quota
    control = shared.control
    version = load(control, VERSION)
    if version == control[QUOTA]:
        return
    # 2. Step
    now = worker.seconds(control)
    own.row[0].t_ready = min(own.row[0].t_ready, now)  # the clock of the worker may be a little faster
    total = load(control, APPLIED)
    step = worker.choose_step(shared, own, version, own.row[0].read_version, total - read_sum)
    if 0 < control[DISCARD_AFTER] <= own.row[0].tau:
        own.row[0].t_apply = now
        worker.hand_in_dropped(shared, own, me)
        return
    # 3. Update
    params = shared.state[PARAMS][: control[N_PARAMS]]
    velocity = shared.state[VELOCITY][: params.size] if control[SHARED_MOMENTUM] != 0 else own.velocity
    worker.update(shared, own, params, own.snapshot, velocity, step)
    store(control, APPLIED, total + worker.added_scale(own))
    store(control, VERSION, version + 1)
    if worker.evaluation_due(control, version + 1):
        worker.hand_over_copy(shared, own, params, version + 1)
    worker.hand_in(shared, own, version)
