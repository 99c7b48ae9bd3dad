"""One worker: ordinary minibatch SGD, the reference for everything else."""

from ...compiled import kernel
from ...kernels.atomics import load, store
from ...kernels.types import Gradient
from ..words import N_PARAMS, PARAMS, VERSION
from . import common as worker
from .types import Own, Shared


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Work until the quota is reached or the run is stopped. Twin: `recompute` in tests/naive.py."""
    worker.begin(shared, me, own.row)
    params = shared.state[PARAMS][: shared.control[N_PARAMS]]
    while worker.goes_on(shared.control):
        worker.next_batch(shared, own)
        version = load(shared.control, VERSION)
        own.row[0].t_read = worker.seconds(shared.control)
        worker.compute(gradient, shared, own, params)
        step = worker.choose_step(shared, own, version, version, 0)
        worker.update(shared, own, params, params, step)
        store(shared.control, VERSION, version + 1)
        worker.hand_in(shared, own, version)
        if worker.evaluation_due(shared.control, version + 1):
            worker.wait_for_evaluation(shared.control, version + 1, own.row[0].t_apply)
