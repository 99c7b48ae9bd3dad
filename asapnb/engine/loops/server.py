"""A parameter server: it applies the gradients of workers in other processes, and answers with the parameters.

`serve` and `answer` are steps of the server, `begin` and `finish` those of a worker, before and after each gradient.
`full`, `choose`, `apply` and `discard` are the parts of `serve`, also for schemes that serve otherwise. A row travels
with the parameters to the worker, and comes back with the gradient: each side fills in its own fields. The messages
are those of `engine.serving` and `engine.remote`.
"""

import math

from ...compiled import kernel, part
from ...kernels.arithmetic import copy
from ...kernels.atomics import clock, load, store
from ...kernels.types import Vector
from ...training import gradients
from ...training.words import LOCAL_STEPS, STEP_SIZE
from ..words import APPLIED, GRADIENTS, N_PARAMS, PARAMS, QUOTA, SETTINGS, VERSION
from . import common as worker
from .groups import add
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
    worker.next_batch(shared, own)
    row[0].read_version = load(control, VERSION)
    row[0].t_read = worker.seconds(control)
    copy(own.snapshot, shared.state[PARAMS][: control[N_PARAMS]])
    return load(control, APPLIED)


@kernel()
def begin(shared: Shared, own: Own, made: int) -> int:
    """Begin a gradient of the row that is asked for, of which so many are made; returns the size of its minibatch."""
    row, step = own.row[0], shared.numbers[STEP_SIZE]
    return gradients.begin(
        own.snapshot, own.gradient, own.local, own.indices, own.workspace, shared.drawing, step, row.worker,
        row.batch, made,
    )  # fmt: skip


@kernel()
def finish(shared: Shared, own: Own, total: float, made: int) -> bool:
    """Finish a gradient of the row; returns whether the sum so far is finite. `total` is the sum of losses.

    `t_read` of the row is the server's. As `t_apply` the worker has noted when it got the row, by its own clock. It
    adds its own duration to the server's time, so the clocks need not agree.
    """
    norm = gradients.finish(own.snapshot, own.gradient, own.local, shared.numbers, made)
    own.row[0].norm = norm if made == 0 else max(own.row[0].norm, norm)
    own.row[0].loss = total / shared.drawing[LOCAL_STEPS]
    finite = all_finite(own.gradient)
    own.row[0].t_ready = own.row[0].t_read + clock() * 1e-9 - own.row[0].t_apply
    return finite


@part()
def full(shared: Shared) -> bool:
    """Whether all updates have been made, so that gradients are left. Twin: `recompute`, of its rows."""
    return load(shared.control, VERSION) == shared.control[QUOTA]


@part()
def choose(shared: Shared, own: Own, read_sum: int) -> None:
    """Fill in staleness, scale and factor of a gradient that has arrived, as if it were applied now. Twin: `scales`.

    `read_sum` is the sum of applied scales when the worker got its parameters.
    """
    row, control = own.row, shared.control
    row[0].t_ready = min(row[0].t_ready, worker.seconds(control))  # the clock of the worker may be a little faster
    window = load(control, APPLIED) - read_sum
    worker.choose_step(shared, own, load(control, VERSION), row[0].read_version, window)


@part()
def discard(shared: Shared, own: Own, me: int) -> None:
    """Give up a gradient, and hand in its row. The scheme's trait `drops` must be True."""
    own.row[0].t_apply = worker.seconds(shared.control)
    worker.hand_in_dropped(shared, own, me)


@part()
def apply(shared: Shared, own: Own) -> None:
    """Apply a gradient, ask for an evaluation if it is time, and hand in the row. Twin: `updated`.

    The step is that of scale and factor in the row, multiplied as in `choose_step`. Where several gradients make a
    version, this one is added to them; only the last makes the version.
    """
    control = shared.control
    step = shared.numbers[STEP_SIZE] * own.row[0].scale * own.row[0].factor
    if control[GRADIENTS] > 1:
        worker.hand_in_added(shared, own, add(shared, own, own.snapshot, step))
        return
    version = load(control, VERSION)
    params = shared.state[PARAMS][: control[N_PARAMS]]
    worker.update(shared, own, params, own.snapshot, step)
    store(control, APPLIED, load(control, APPLIED) + worker.added_scale(own))
    store(control, VERSION, version + 1)
    if worker.evaluation_due(control, version + 1):
        worker.hand_over_copy(shared, own, params, version + 1)
    worker.hand_in(shared, own, version)


@kernel()
def serve(shared: Shared, own: Own, me: int, read_sum: int) -> None:
    """Apply the gradient that has arrived from a worker, or discard it if it is too stale.

    Twin: `recompute` in tests/naive.py.
    """
    if full(shared):
        return
    choose(shared, own, read_sum)
    if 0 < shared.control[DISCARD_AFTER] <= own.row[0].tau:
        discard(shared, own, me)
    else:
        apply(shared, own)
    worker.finish(shared.control)
