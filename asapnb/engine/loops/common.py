"""Steps that the worker loops share: draw a minibatch, look up the scale, update, hand in the row, wait.

Twin of all together: `recompute` in tests/naive.py, which makes a run's parameters from its rows alone. Steps that
other threads may interrupt are run one by one in tests/test_engine_steps.py, where a script plays the others.

Which function fills which field of a row (`Own.row`), here and in a replay:

    field                      engine                          replay of a schedule or a run
    worker                     begin                           as scheduled
    batch                      next_batch                      as scheduled
    t_read, tries              the loop itself                 as scheduled
    loss, norm                 compute                         loops.replay `_compute`
    t_ready                    compute                         as scheduled
    version, read_version, tau choose_step                     as scheduled
    row, scale, factor         choose_step                     `scales.scales_of`, or as recorded
    dropped                    choose_step, hand_in_dropped    `scales.scales_of`, or as recorded
    t_apply                    update, or the loop itself      as scheduled
"""

from ...compiled import part
from ...kernels.arithmetic import compensate, copy
from ...kernels.arrays import LINE
from ...kernels.atomics import clock, compare_and_swap, fence, fetch_add, load, nap, store
from ...kernels.steps import descend
from ...kernels.types import Gradient, Real, Rows, Vector, Words
from ...training import gradients
from ...training.factors import applied, own_factor
from ...training.words import COMPENSATION, DIVERGED, LOSS_LIMIT, NEVER, PARTS, STEP, STEP_SIZE
from .. import words as at
from .gate import admitted, finish  # noqa: F401 (`finish` is a step of loops, too)
from .types import Own, Shared

_MOST_TRIES = 32767  # that a row can hold


@part()
def begin(shared: Shared, me: int, row: Rows) -> None:
    """Report ready, then wait for the clock to start."""
    row[0].worker = me
    fetch_add(shared.control, at.READY, 1)
    while load(shared.control, at.GO) == 0:
        nap(100 + 20 * shared.control[at.WORKERS])  # many that wake often would starve those that still start


@part()
def seconds(control: Words) -> float:
    """Training time so far."""
    return (clock() - load(control, at.ORIGIN)) * 1e-9


@part()
def goes_on(control: Words) -> bool:
    """Whether to start another gradient."""
    return load(control, at.STOP) == 0 and load(control, at.VERSION) < control[at.QUOTA]


@part()
def request_stop(control: Words, reason: int) -> None:
    """Stop all workers; the first reason given stands."""
    compare_and_swap(control, at.STOP, 0, reason)


@part()
def next_batch(shared: Shared, own: Own) -> bool:
    """Take the next ticket and wait at the gate; False if the run ends before it opens.

    A ticket is the number of a gradient among those of all workers or, if the data have parts, among those of this
    worker, whose last one stands in its row.
    """
    number = fetch_add(shared.control, at.TICKET, 1)
    own.row[0].batch = number if shared.drawing[PARTS] == 0 else own.row[0].batch + 1
    return admitted(shared.control, number)


@part()
def compute(gradient: Gradient, shared: Shared, own: Own, view: Vector) -> None:
    """Compute the gradient of the row's ticket, with its local steps, into `own.gradient`; note loss, norm and time.

    Twin: `local_gradient` in tests/naive.py.
    """
    row, numbers = own.row, shared.numbers
    row[0].loss, row[0].norm = gradients.compute(
        gradient, view, own.gradient, own.local, own.indices, own.workspace, shared.drawing, numbers,
        numbers[STEP_SIZE], shared.plan, shared.inputs, shared.labels, row[0].worker, row[0].batch,
    )  # fmt: skip
    row[0].t_ready = seconds(shared.control)


@part()
def choose_step(shared: Shared, own: Own, version: int, read_version: int, window: int) -> Real:
    """Note staleness, scale and factor of an update that lands on `version`; returns its step. Twin: `scales`.

    `window` is the sum of scale · factor over the updates that the view has not seen, in units of 1 / UNIT.

    1. The staleness is the number of versions made since the view was read.
    2. The scale stands in the newest table, in the last entry if the table is shorter. The controller writes new
       tables over the oldest; if it may have come round to this one meanwhile, read again.
    3. The factor is that of the schedule at this version, in the last entry if its table is shorter, times the rule's
       own.
    4. The step is step_size · scale · factor, multiplied in this order.
    """
    # 1. Staleness
    row = own.row
    tau = version - read_version
    row[0].version = version + 1
    row[0].read_version = read_version
    row[0].tau = tau
    # 2. Scale
    owner = row[0].worker if len(shared.tables) > 1 else 0
    tables = shared.tables[owner]
    while True:
        number = load(tables, at.NEWEST)
        slot = number % at.TABLES
        recorded, last = load(tables, at.RECORDED + slot), load(tables, at.LENGTHS + slot) - 1
        scale = shared.scales[owner * at.TABLES + slot, min(tau, last)]
        fence()
        if load(tables, at.NEWEST) - number < at.TABLES - 1:  # else this slot may have been rewritten meanwhile
            break
    row[0].row = recorded
    row[0].scale = scale
    # 3. Factor
    first = shared.control[at.FIRST]
    scheduled = shared.factors[min(version, first - 1)]
    row[0].factor = scheduled * own_factor(shared.control[at.FACTOR], shared.factors, first, version, tau, window)
    row[0].dropped = 2 if scale * row[0].factor == 0 else 0
    # 4. Step
    return shared.numbers[STEP_SIZE] * scale * row[0].factor


@part()
def added_scale(own: Own) -> int:
    """The contribution of this worker's update to the sum of applied scales, in units of 1 / UNIT."""
    return applied(own.row[0].scale, own.row[0].factor)


@part()
def update(shared: Shared, own: Own, params: Vector, view: Vector, step: Real) -> None:
    """Apply the worker's gradient, taken at `view`, to the shared parameters; note when. Twin: `updated`."""
    if shared.numbers[COMPENSATION] != 0:
        compensate(own.gradient, own.gradient, params, view, shared.numbers[COMPENSATION])
    make_step(shared, own, own.gradient, 0, params.size, step)
    own.row[0].t_apply = seconds(shared.control)


@part()
def make_step(shared: Shared, own: Own, gradient: Vector, low: int, high: int, step: Real) -> None:
    """Change the shared parameters from `low` to `high` in place, by a gradient, to the version in the worker's row.

    What steps carry on stands after the parameters, or is the worker's own.
    """
    n, row = shared.control[at.N_PARAMS], own.row[0]
    params = shared.state[at.PARAMS][:n]
    moments = shared.state[at.PARAMS][n:] if shared.control[at.SHARES_MOMENTS] != 0 else own.moments
    descend(params, moments, gradient, low, high, step, shared.numbers[STEP:], row.version, row.read_version)


@part()
def hand_in(shared: Shared, own: Own, version: int) -> None:
    """Hand in the row of the update that was applied to `version`. In a round, `version` is the number of the row."""
    _hand_in(shared, own, 0, at.DRAINED, version)
    _look_for_divergence(shared, own)


@part()
def hand_in_added(shared: Shared, own: Own, number: int) -> None:
    """Hand in the row of a gradient that was added to others. What makes the version has looked for divergence."""
    _hand_in(shared, own, 0, at.DRAINED, number)


@part()
def hand_in_dropped(shared: Shared, own: Own, me: int) -> None:
    """Hand in the row of a gradient that was given up. The scheme's trait `drops` must be True.

    Take the announcement of the view back once the row has its number: from then on the controller waits for the row.
    """
    own.row[0].version = -1
    own.row[0].dropped = 1
    number = fetch_add(shared.control, at.DROPPED, 1)
    forget_view(shared.control, me)
    _hand_in(shared, own, 1, at.DROPPED_DRAINED, number)
    _look_for_divergence(shared, own)


@part()
def _hand_in(shared: Shared, own: Own, ring: int, drained: int, number: int) -> None:
    """Put the worker's row into ring 0 or 1 as row `number`.

    1. Wait until the controller has taken the row that stood in this place before.
    2. Write the row, then its number: the controller reads a row only after it has seen the number.
    """
    # 1. Wait for the place
    if number - load(shared.control, drained) >= at.RING:
        fetch_add(shared.control, at.WAITED, 1)
        while number - load(shared.control, drained) >= at.RING:
            nap(500)
    # 2. Write the row
    place = ring * at.RING + number % at.RING
    shared.rows[place] = own.row[0]
    store(shared.written, place, number + 1)


@part()
def _look_for_divergence(shared: Shared, own: Own) -> None:
    """Stop all workers if the loss is above the limit, or not a number."""
    if not own.row[0].loss <= shared.numbers[LOSS_LIMIT]:
        request_stop(shared.control, DIVERGED)


@part()
def announce_view(control: Words, me: int, version: int) -> None:
    """Announce, before reading, that the view will be no older than `version`.

    The controller needs it to put the rows of dropped gradients in order.
    """
    store(control, at.READING + me * LINE, version)


@part()
def forget_view(control: Words, me: int) -> None:
    """Take the announcement back. Do so before waiting for room for a row: the rows of others wait for this word."""
    store(control, at.READING + me * LINE, NEVER)


@part()
def note_tries(own: Own, tries: int) -> None:
    """Note the number of failed attempts to publish."""
    own.row[0].tries = min(tries, _MOST_TRIES)


@part()
def evaluation_due(control: Words, version: int) -> bool:
    """Whether the parameters of this version are to be evaluated."""
    return version % control[at.EVAL_EVERY] == 0


@part()
def free_box(control: Words, version: int) -> int:
    """Claim the mailbox for the evaluation of this version, once it is free; −1 if the run is being stopped."""
    box = at.MAILBOXES + (version // control[at.EVAL_EVERY]) % at.BOXES * LINE
    while not compare_and_swap(control, box + at.BOX_VERSION, at.EMPTY, at.CLAIMED):
        if load(control, at.STOP) != 0:
            return -1
        nap(200)
    return box


@part()
def post(control: Words, box: int, version: int, t: float, vector: int, pinned: int) -> None:
    """Ask for the evaluation of a vector of `Shared.state`, which must be complete. The version is written last."""
    control[box + at.BOX_TIME] = int(t * 1e9)
    control[box + at.BOX_VECTOR] = vector
    control[box + at.BOX_PINNED] = pinned
    store(control, box + at.BOX_VERSION, version)


@part()
def hand_over_copy(shared: Shared, own: Own, params: Vector, version: int) -> None:
    """Copy the parameters of this version, and what steps carry on if all share it; ask for their evaluation."""
    box = free_box(shared.control, version)
    if box >= 0:
        vector = at.EXTRA + (box - at.MAILBOXES) // LINE
        copy(shared.state[vector], shared.state[at.PARAMS])
        post(shared.control, box, version, own.row[0].t_apply, vector, 0)


@part()
def wait_for_evaluation(control: Words, version: int, t: float) -> None:
    """Wait while the parameters are evaluated where they are. The training clock stands still meanwhile."""
    begun = clock()
    store(control, at.PAUSED, begun)
    box = free_box(control, version)
    if box >= 0:
        post(control, box, version, t, at.PARAMS, 0)
        while load(control, box + at.BOX_VERSION) != at.EMPTY and load(control, at.STOP) == 0:
            nap(50)
    fetch_add(control, at.ORIGIN, clock() - begun)
    store(control, at.PAUSED, 0)
