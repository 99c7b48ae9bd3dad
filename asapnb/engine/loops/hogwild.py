"""Hogwild: no synchronization. Reads and writes of the parameters race; a version is claimed before it is written."""

from ...compiled import kernel
from ...kernels.arithmetic import copy
from ...kernels.atomics import fetch_add, load
from ...kernels.types import Gradient
from ..words import APPLIED, N_PARAMS, PARAMS, QUOTA, SETTINGS, VERSION
from . import common as worker
from .types import Own, Shared
from .workforce import in_force, may_begin

VIEW = SETTINGS  # 0: in place, 1: a snapshot


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Work until the quota is reached or the run is stopped. Twin: `hogwild` in tests/naive_simulator.py.

    1. Read: note the counter of versions, then use the shared parameters as the view, or copy them, if
       the worker is still in force.
    2. Compute the gradient, while others may write.
    3. Claim the next version with one atomic addition.
    4. Write the update, while others may read and write.

    The races make no two runs alike, so tests check the rows and that no step is lost from the sum of scales.
    """
    worker.begin(shared, me, own.row)
    params = shared.state[PARAMS][: shared.control[N_PARAMS]]
    snapshot = shared.control[VIEW] == 1
    view = own.snapshot if snapshot else params
    while may_begin(shared, me):
        # 1. Read
        if not worker.next_batch(shared, own):
            break
        read_version = load(shared.control, VERSION)
        if not in_force(shared, me, read_version):
            continue
        read_sum = load(shared.control, APPLIED)
        own.row[0].t_read = worker.seconds(shared.control)
        if snapshot:
            copy(view, params)
        # 2. Compute
        worker.compute(gradient, shared, own, view)
        # 3. Claim
        version = fetch_add(shared.control, VERSION, 1)
        if version >= shared.control[QUOTA]:
            break
        step = worker.choose_step(shared, own, version, read_version, load(shared.control, APPLIED) - read_sum)
        fetch_add(shared.control, APPLIED, worker.added_scale(own))
        # 4. Write
        worker.update(shared, own, params, view, step)
        if worker.evaluation_due(shared.control, version + 1):
            worker.hand_over_copy(shared, own, params, version + 1)
        worker.finish(shared.control)
        worker.hand_in(shared, own, version)
