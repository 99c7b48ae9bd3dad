"""Rounds: the average of all workers' gradients at the same parameters is one update.

Each worker averages and updates its own slice of the parameters, and adds the gradients in worker order. So the bits
do not depend on which worker is first.
"""

from ...compiled import kernel, part
from ...kernels.arithmetic import descend
from ...kernels.atomics import fetch_add, load, store
from ...kernels.types import Gradient, Vector, Vectors
from ...kernels.waiting import relax
from ...training.words import DIRECT, MOMENTUM
from ..words import ARRIVED, BROKEN, EXTRA, GOING, N_PARAMS, PARAMS, PHASE, VERSION, WORKERS
from . import common as worker
from .types import Own, Shared


@part()
def barrier(shared: Shared) -> bool:
    """Wait until every worker has come this far; False if one has failed, so that it never will."""
    phase = load(shared.control, PHASE)
    if fetch_add(shared.control, ARRIVED, 1) + 1 == shared.control[WORKERS]:
        store(shared.control, ARRIVED, 0)
        store(shared.control, PHASE, phase + 1)
        return True
    spins = 0
    while load(shared.control, PHASE) == phase:
        if load(shared.control, BROKEN) != 0:
            return load(shared.control, PHASE) != phase
        spins = relax(spins)
    return True


@part()
def average(target: Vector, state: Vectors, workers: int, low: int, high: int) -> None:
    """Average the workers' gradients over [low, high) into `target`, in worker order."""
    share = target.dtype.type(1) / target.dtype.type(workers)
    for i in range(low, high):
        target[i] = state[EXTRA, i]
    for other_worker in range(1, workers):
        other = state[EXTRA + other_worker]
        for i in range(low, high):
            target[i] += other[i]
    for i in range(low, high):
        target[i] *= share


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Work until the quota of rounds is reached or the run is stopped. Twin: `synchronous` in tests/naive.py.

    1. Wait until every slice of the round before has been updated. Worker 0 evaluates and decides on another round.
    2. Compute the gradient at the shared parameters.
    3. Wait until every gradient is there.
    4. Average and update the own slice.
    """
    worker.begin(shared, me, own.row)
    params = shared.state[PARAMS][: shared.control[N_PARAMS]]
    workers = shared.control[WORKERS]
    low = me * shared.control[N_PARAMS] // workers
    high = (me + 1) * shared.control[N_PARAMS] // workers
    version = first = load(shared.control, VERSION)
    while True:
        # 1. Begin a round
        if not barrier(shared):
            break
        if me == 0:
            store(shared.control, VERSION, version)
            if version > first and worker.evaluation_due(shared.control, version):
                worker.wait_for_evaluation(shared.control, version, own.row[0].t_apply)
            store(shared.control, GOING, worker.goes_on(shared.control))
        if not barrier(shared) or load(shared.control, GOING) == 0:
            break
        # 2. Compute
        count = worker.draw(shared, own, version * workers + me)
        own.row[0].t_read = worker.seconds(shared.control)
        loss = gradient(
            params, own.gradient, own.indices[:count], shared.plan, own.workspace, shared.inputs, shared.labels
        )
        worker.note_gradient(shared, own, params, loss)
        # 3. Wait
        if not barrier(shared):
            break
        # 4. Update the own slice
        step = worker.choose_step(shared, own, version, version, 0)
        average(own.snapshot, shared.state, workers, low, high)
        mine, momentum, direct = slice(low, high), shared.numbers[MOMENTUM], shared.numbers[DIRECT]
        descend(params[mine], own.velocity[mine], own.snapshot[mine], step, momentum, direct)
        own.row[0].t_apply = worker.seconds(shared.control)
        worker.hand_in(shared, own, version * workers + me)
        version += 1
