"""The gradient of a row, the same on threads, on ranks of MPI and in a replay.

A row has the sum G of `local_steps` gradients, each at the worker's own moving point: y = view − step_size · G so
far. Without further local steps that is the gradient at the view. Clipping and weight decay are of each gradient, at
its own point, as a local optimizer has them.

Twins, in tests/naive.py: `minibatch` and `local_gradient`.
"""

from ..compiled import kernel, part
from ..kernels.arithmetic import add, add_decay, clip_norm, step_into
from ..kernels.types import Gradient, Real, Vector, Words
from ..problems.minibatch import draw_batch, hand_over_ticket, own_seed
from .words import BATCH_SIZE, BOUNDS, CLIP, HAS_TICKETS, LOCAL_STEPS, N_SAMPLES, PARTS, RESHUFFLE, SEED, WEIGHT_DECAY


@part()
def draw(indices: Words, drawing: Words, worker: int, number: int) -> int:
    """Write the samples of a minibatch into `indices`; returns how many there are.

    `number` counts the minibatches of all workers, or, if the data have parts, those of the worker.
    """
    samples, seed, first = drawing[N_SAMPLES], drawing[SEED], 0
    if drawing[PARTS] != 0:
        first = drawing[BOUNDS + worker]
        samples, seed = drawing[BOUNDS + worker + 1] - first, own_seed(seed, worker)
    count = draw_batch(indices, number, samples, drawing[BATCH_SIZE], seed, drawing[RESHUFFLE] != 0)
    if drawing[PARTS] != 0:
        for i in range(count):
            indices[i] = drawing[first + indices[i]]
    return count


@kernel()
def drawn(indices: Words, drawing: Words, worker: int, number: int) -> int:
    """As `draw`, for Python."""
    return draw(indices, drawing, worker, number)


@kernel()
def weigh(
    drawing: Words, workers: Vector, batches: Vector, weights: Vector, indices: Words, given: Vector, full: Vector,
    times: Words,
) -> None:  # fmt: skip
    """Add each row's weight, and 1, to the samples of its minibatches, shared out evenly; and count how often.

    Twin: `weights_of_samples` in tests/naive.py.
    """
    steps = drawing[LOCAL_STEPS]
    for row in range(workers.size):
        for number in range(steps * batches[row], steps * (batches[row] + 1)):
            count = draw(indices, drawing, workers[row], number)
            for i in range(count):
                given[indices[i]] += weights[row] / count
                full[indices[i]] += 1.0 / count
                times[indices[i]] += 1


@part()
def ticket_of(drawing: Words, worker: int, number: int) -> int:
    """The number of a minibatch among those of all workers."""
    return number if drawing[PARTS] == 0 else number * drawing[PARTS] + worker


@part()
def begin(
    view: Vector, gradient: Vector, local: Vector, indices: Words, workspace: Vector, drawing: Words, step: Real,
    worker: int, batch: int, made: int,
) -> int:  # fmt: skip
    """Begin a gradient of a row, of which so many are made: draw its minibatch and go to its point; returns the size.

    The first one is to be computed at `view` into `gradient`; a further one at the first half of `local`, into the
    second.
    """
    number = drawing[LOCAL_STEPS] * batch + made
    if drawing[HAS_TICKETS] != 0:
        hand_over_ticket(workspace, ticket_of(drawing, worker, number), drawing[SEED])
    if made > 0:
        step_into(local[: view.size], view, gradient, step)
    return draw(indices, drawing, worker, number)


@part()
def finish(view: Vector, gradient: Vector, local: Vector, numbers: Vector, made: int) -> float:
    """Finish a gradient of a row: clip it, add the decay of its point, and add it to the sum; returns its norm."""
    norm, point, own = 0.0, view, gradient
    if made > 0:
        point, own = local[: view.size], local[view.size :]
    if numbers[CLIP] != 0:
        norm = clip_norm(own, numbers[CLIP])
    if numbers[WEIGHT_DECAY] != 0:
        add_decay(own, point, numbers[WEIGHT_DECAY])
    if made > 0:
        add(gradient, own)
    return norm


@part()
def compute(
    function: Gradient, view: Vector, gradient: Vector, local: Vector, indices: Words, workspace: Vector,
    drawing: Words, numbers: Vector, step: Real, plan: Words, inputs: Vector, labels: Vector, worker: int, batch: int,
) -> tuple[float, float]:  # fmt: skip
    """Compute the gradient of a row; returns the mean loss of its minibatches, and with `clip` the largest norm."""
    steps, point, own, total, largest = drawing[LOCAL_STEPS], view, gradient, 0.0, 0.0
    for made in range(steps):
        count = begin(view, gradient, local, indices, workspace, drawing, step, worker, batch, made)
        if made > 0:
            point, own = local[: view.size], local[view.size :]
        loss = function(point, own, indices[:count], plan, workspace, inputs, labels)
        total = loss if made == 0 else total + loss
        largest = max(largest, finish(view, gradient, local, numbers, made))
    return total / steps, largest
