"""Rounds: the average of all workers' gradients at the same parameters is one update.

Each worker averages and updates its own slice of the parameters, and adds the gradients in worker order. So the bits
do not depend on which worker is first.
"""

from ...compiled import kernel, part
from ...kernels.arithmetic import copy
from ...kernels.atomics import fetch_add, load, store, wake
from ...kernels.types import Gradient, Vector, Vectors, Words
from ...kernels.waiting import doze, relax
from ...training.words import PARTS
from ..words import ARRIVED, BROKEN, CROWDED, EXTRA, GOING, N_PARAMS, PARAMS, PHASE, VERSION, WORKERS
from . import common as worker
from .types import Own, Shared

_BLOCK = 4096  # parameters that are averaged at a time


@part()
def is_last(control: Words) -> bool:
    """Arrive at the barrier; True for the last worker, which must let all go on."""
    return fetch_add(control, ARRIVED, 1) + 1 == control[WORKERS]


@part()
def let_go(control: Words, phase: int) -> None:
    """Let all workers go on from the barrier of this phase."""
    store(control, ARRIVED, 0)
    store(control, PHASE, phase + 1)
    if control[CROWDED] != 0:
        wake(control, PHASE, control[WORKERS])


@part()
def may_go(control: Words, phase: int) -> bool:
    """Wait for the last worker at the barrier of this phase; False if one has failed, so that it never comes."""
    spins = 0
    while load(control, PHASE) == phase:
        if load(control, BROKEN) != 0:
            return load(control, PHASE) != phase
        spins = relax(spins) if control[CROWDED] == 0 else doze(control, PHASE, phase, spins)
    return True


@part()
def average(target: Vector, state: Vectors, workers: int, low: int, high: int) -> None:
    """Average the workers' gradients over [low, high) into `target`, in worker order.

    Block by block, so that the sums stay in the first-level cache.
    """
    share = target.dtype.type(1) / target.dtype.type(workers)
    for start in range(low, high, _BLOCK):
        block = slice(start, min(start + _BLOCK, high))
        sums = target[block]
        copy(sums, state[EXTRA][block])
        for other_worker in range(1, workers):
            other = state[EXTRA + other_worker][block]
            for i in range(sums.size):
                sums[i] += other[i]
        for i in range(sums.size):
            sums[i] *= share


@kernel()
def work(gradient: Gradient, shared: Shared, own: Own, me: int) -> None:
    """Work until the quota of rounds is reached or the run is stopped. Twin: `synchronous` in tests/naive.py.

    1. Wait until every slice of the round before has been updated. The last worker evaluates and decides on another
       round.
    2. Compute the gradient at the shared parameters.
    3. Wait until every gradient is there.
    4. Average and update the own slice.
    """
    worker.begin(shared, me, own.row)
    control = shared.control
    params = shared.state[PARAMS][: control[N_PARAMS]]
    workers = control[WORKERS]
    low = me * control[N_PARAMS] // workers
    high = (me + 1) * control[N_PARAMS] // workers
    version = first = load(control, VERSION)
    while True:
        # 1. Begin a round
        phase = load(control, PHASE)
        if is_last(control):
            store(control, VERSION, version)
            if version > first and worker.evaluation_due(control, version):
                worker.wait_for_evaluation(control, version, own.row[0].t_apply)
            store(control, GOING, worker.goes_on(control))
            let_go(control, phase)
        elif not may_go(control, phase):
            break
        if load(control, GOING) == 0:
            break
        # 2. Compute
        own.row[0].batch = version * workers + me if shared.drawing[PARTS] == 0 else version
        own.row[0].t_read = worker.seconds(control)
        worker.compute(gradient, shared, own, params)
        # 3. Wait
        phase = load(control, PHASE)
        if is_last(control):
            let_go(control, phase)
        elif not may_go(control, phase):
            break
        # 4. Update the own slice
        step = worker.choose_step(shared, own, version, version, 0)
        average(own.snapshot, shared.state, workers, low, high)
        worker.make_step(shared, own, own.snapshot, low, high, step)
        own.row[0].t_apply = worker.seconds(control)
        worker.hand_in(shared, own, version * workers + me)
        version += 1
