"""The steps that the worker loops share: draw a minibatch, look up the scale, update, note the row, wait.

The arithmetic is compiled without fastmath, so that a replay with the same functions gives the same bits.
"""

from __future__ import annotations

import math
from typing import Any

from ...compiled import part
from ...problems.minibatch import draw_batch
from ..atomics import clock, compare_and_swap, fence, fetch_add, load, nap, pause, store, yield_core
from ..shared import (
    BATCH_SIZE,
    BOXES,
    CLAIMED,
    COMPENSATION,
    DIVERGED,
    EMPTY,
    EVAL_EVERY,
    EXTRA,
    GO,
    LENGTHS,
    LINE,
    LOCK,
    LOSS_LIMIT,
    MAIL,
    MOMENTUM,
    N_SAMPLES,
    NEWEST,
    ORIGIN,
    PAUSED,
    QUOTA,
    READY,
    RECORDED,
    RESHUFFLE,
    RING,
    SCHEDULE,
    SEED,
    STEP_SIZE,
    STOP,
    TABLES,
    TICKET,
    UNIT,
    VERSION,
    WAITED,
    WEIGHT_DECAY,
    WORKERS,
)

_SPINS = 100  # pauses before a waiting thread gives up its core: 64 workers on 2 cores lose 1 % this way


@part()
def begin(shared: Any, me: int, row: Any) -> None:
    """Report ready, then wait for the clock to start."""
    row[0].worker = me
    fetch_add(shared.control, READY, 1)
    while load(shared.control, GO) == 0:
        nap(100 + 20 * shared.control[WORKERS])  # many that wake often would starve those that still start


@part()
def seconds(control: Any) -> float:
    """Training time."""
    return (clock() - load(control, ORIGIN)) * 1e-9


@part()
def goes_on(control: Any) -> bool:
    """Whether to start another gradient."""
    return load(control, STOP) == 0 and load(control, VERSION) < control[QUOTA]


@part()
def request_stop(control: Any, reason: int) -> None:
    """Stop all workers; the first reason given stands."""
    compare_and_swap(control, STOP, 0, reason)


@part()
def relax(spins: int) -> int:
    """One turn of a waiting loop: pause at first, then let others run; returns the turns so far."""
    if spins < _SPINS:
        pause()
    else:
        yield_core()
    return spins + 1


@part()
def lock(control: Any) -> None:
    """Take the lock (test, then test-and-set)."""
    spins = 0
    while not compare_and_swap(control, LOCK, 0, 1):
        while load(control, LOCK) != 0:
            spins = relax(spins)


@part()
def unlock(control: Any) -> None:
    """Give the lock back."""
    store(control, LOCK, 0)


@part()
def draw(shared: Any, own: Any, ticket: int) -> int:
    """Fill `own.indices` with the minibatch of this ticket; returns its size."""
    own.row[0].batch = ticket
    control = shared.control
    return draw_batch(
        own.indices, ticket, control[N_SAMPLES], control[BATCH_SIZE], control[SEED], control[RESHUFFLE] != 0
    )


@part()
def next_batch(shared: Any, own: Any) -> int:
    """Take the next ticket and fill `own.indices` with its minibatch; returns its size."""
    return draw(shared, own, fetch_add(shared.control, TICKET, 1))


@part()
def note_gradient(shared: Any, own: Any, view: Any, loss: float) -> None:
    """After a gradient: add the weight decay of the view, note the loss and the time."""
    if shared.numbers[WEIGHT_DECAY] != 0:
        add_decay(own.gradient, view, shared.numbers[WEIGHT_DECAY])
    own.row[0].loss = loss
    own.row[0].t_ready = seconds(shared.control)


@part()
def choose_step(shared: Any, own: Any, version: int, read_version: int, window: int) -> Any:
    """Note staleness, scale and factor of an update that lands on `version`; returns its step.

    `window` is what the updates that the view has not seen add up to, in units of 1 / UNIT.
    """
    row = own.row
    tau = version - read_version
    row[0].version = version + 1
    row[0].read_version = read_version
    row[0].tau = tau
    owner = row[0].worker if len(shared.tables) > 1 else 0
    tables = shared.tables[owner]
    while True:
        number = load(tables, NEWEST)
        slot = number % TABLES
        recorded, last = tables[RECORDED + slot], tables[LENGTHS + slot] - 1
        scale = shared.scales[owner * TABLES + slot, min(tau, last)]
        fence()
        if load(tables, NEWEST) - number < TABLES - 1:  # else this slot may have been rewritten meanwhile
            break
    row[0].row = recorded
    row[0].scale = scale
    row[0].factor = schedule_factor(shared, version, tau, window)
    row[0].dropped = 2 if scale * row[0].factor == 0 else 0
    return shared.numbers[STEP_SIZE] * scale * row[0].factor


@part()
def schedule_factor(shared: Any, t: int, tau: int, window: int) -> float:
    """The factor by the rule's schedule: the twin of the definitions in `rules.schedules`."""
    kind, a, b = shared.control[SCHEDULE], shared.schedule[0], shared.schedule[1]
    if kind == 0:
        return 1.0
    if kind == 1:
        return 1 / math.sqrt(1 + a * (t + tau))
    spent = window / UNIT
    if kind == 2:
        return b * max(0.0, a - spent)
    share = a / (tau + 1)
    return share if spent + share <= b else 0.0


@part()
def applied(row: Any) -> int:
    """What the update adds to the sum of applied scales."""
    return round(float(row[0].scale) * float(row[0].factor) * UNIT)


@part()
def compensate(target: Any, gradient: Any, params: Any, view: Any, strength: Any) -> None:
    """target = g + λ·g·g·(θ − view): the gradient at θ, to first order, with g·g in the place of the Hessian."""
    for i in range(gradient.size):
        g = gradient[i]
        target[i] = g + strength * g * g * (params[i] - view[i])


@part()
def add_decay(gradient: Any, view: Any, decay: Any) -> None:
    """g += λ·view."""
    for i in range(gradient.size):
        gradient[i] += decay * view[i]


@part()
def descend(params: Any, velocity: Any, gradient: Any, step: Any, momentum: Any) -> None:
    """θ −= step·g, or with momentum v ← μ·v − step·g, θ += v."""
    if momentum != 0:
        for i in range(gradient.size):
            velocity[i] = momentum * velocity[i] - step * gradient[i]
            params[i] += velocity[i]
    elif step != 0:  # a zero scale leaves θ as it is, even where the gradient is not finite
        for i in range(gradient.size):
            params[i] -= step * gradient[i]


@part()
def copy(target: Any, source: Any) -> None:
    """target = source, for one-dimensional arrays (a loop vectorises better than a slice assignment)."""
    for i in range(target.size):
        target[i] = source[i]


@part()
def update(shared: Any, own: Any, params: Any, view: Any, velocity: Any, step: Any) -> None:
    """Apply the worker's gradient, taken at `view`, to shared parameters and note when."""
    if shared.numbers[COMPENSATION] != 0:
        compensate(own.gradient, own.gradient, params, view, shared.numbers[COMPENSATION])
    descend(params, velocity, own.gradient, step, shared.numbers[MOMENTUM])
    own.row[0].t_apply = seconds(shared.control)


@part()
def hand_in(shared: Any, own: Any, ring: int, drained: int, number: int) -> None:
    """Put the worker's row into ring 0 or 1 as its row `number`; stop the run if the loss shows divergence."""
    if number - load(shared.control, drained) >= RING:
        fetch_add(shared.control, WAITED, 1)
        while number - load(shared.control, drained) >= RING:
            nap(500)
    place = ring * RING + number % RING
    shared.rows[place] = own.row[0]
    store(shared.written, place, number + 1)
    if not own.row[0].loss <= shared.numbers[LOSS_LIMIT]:
        request_stop(shared.control, DIVERGED)


@part()
def evaluation_due(control: Any, version: int) -> bool:
    """Whether the parameters of this version are to be evaluated."""
    return version % control[EVAL_EVERY] == 0


@part()
def free_box(control: Any, version: int) -> int:
    """Claim the mailbox for the evaluation of this version, once it is free; −1 if the run is being stopped."""
    box = MAIL + (version // control[EVAL_EVERY]) % BOXES * LINE
    while not compare_and_swap(control, box, EMPTY, CLAIMED):
        if load(control, STOP) != 0:
            return -1
        nap(200)
    return box


@part()
def post(control: Any, box: int, version: int, t: float) -> None:
    """Ask for an evaluation; what it needs must have been written before."""
    control[box + 1] = int(t * 1e9)
    store(control, box, version)


@part()
def hand_over_copy(shared: Any, own: Any, params: Any, version: int) -> None:
    """Copy the parameters for evaluation and say so."""
    box = free_box(shared.control, version)
    if box >= 0:
        copy(shared.state[EXTRA + (box - MAIL) // LINE][: params.size], params)
        post(shared.control, box, version, own.row[0].t_apply)


@part()
def wait_for_evaluation(control: Any, version: int, t: float) -> None:
    """Have the parameters evaluated where they are; the training clock stands still meanwhile."""
    begun = clock()
    store(control, PAUSED, begun)
    box = free_box(control, version)
    if box >= 0:
        post(control, box, version, t)
        while load(control, box) != EMPTY and load(control, STOP) == 0:
            nap(50)
    fetch_add(control, ORIGIN, clock() - begun)
    store(control, PAUSED, 0)
