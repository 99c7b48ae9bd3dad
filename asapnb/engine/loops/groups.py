"""Gradients that make a version together: added up one at a time, under the lock or at the server.

The one who adds changes words and sums alone. Twin of all together: `recompute` in tests/naive.py.
"""

import numpy as np

from ...compiled import part
from ...kernels.arithmetic import accumulate, compensate, divide
from ...kernels.atomics import load, store
from ...kernels.types import Real, Vector
from ...training.words import COMPENSATION, DIVERGED, LOSS_LIMIT, STEP_SIZE
from ..words import ADDED, APPLIED, CLOSED, GRADIENTS, N_PARAMS, PARAMS, PENDING, SPOILT, SUMS, VERSION, WEIGHTED
from . import common as worker
from .types import Own, Shared


@part()
def add(shared: Shared, own: Own, view: Vector, step: Real) -> int:
    """Add a gradient to the sum; with the last one of its version make that. Returns the number of its row.

    1. Correct the gradient for what its view lacks, and add it with its weight, scale · factor.
    2. Count it. Note whether its loss shows divergence: the run stops once the version is made.
    3. Make the version: see `close`.
    """
    control, numbers = shared.control, shared.numbers
    params = shared.state[PARAMS][: control[N_PARAMS]]
    total = shared.state[SUMS][: params.size]
    # 1. Add
    if numbers[COMPENSATION] != 0 and control[WEIGHTED] != 0:
        compensate(own.gradient, own.gradient, params, view, numbers[COMPENSATION])
    number, closed = load(control, ADDED), load(control, CLOSED)
    weight = own.row[0].scale * own.row[0].factor if control[WEIGHTED] != 0 else np.float32(1)
    accumulate(total, own.gradient, weight, number == closed)
    own.row[0].t_apply = worker.seconds(control)
    # 2. Count
    store(control, ADDED, number + 1)
    control[PENDING] += worker.added_scale(own) // control[GRADIENTS]
    if not own.row[0].loss <= numbers[LOSS_LIMIT]:
        control[SPOILT] = 1
    # 3. Make the version
    if number + 1 - closed == control[GRADIENTS]:
        divide(total, control[GRADIENTS])
        close(shared, own, params, total, numbers[STEP_SIZE] if control[WEIGHTED] != 0 else step)
    return number


@part()
def close(shared: Shared, own: Own, params: Vector, mean: Vector, step: Real) -> None:
    """Make a version of the mean of its gradients, all of which have been added. Ask for an evaluation if it is time.

    CLOSED is stored before VERSION: who has seen the version knows the rows that it takes.
    """
    control = shared.control
    version = load(control, VERSION) + 1
    worker.make_step(shared, own, mean, 0, mean.size, step)
    store(control, APPLIED, load(control, APPLIED) + control[PENDING])
    control[PENDING] = 0
    store(control, CLOSED, load(control, ADDED))
    store(control, VERSION, version)
    if control[SPOILT] != 0:
        worker.request_stop(control, DIVERGED)
    if worker.evaluation_due(control, version):
        worker.hand_over_copy(shared, own, params, version)
