"""Everything that a run allocates before its clock starts."""

import numpy as np

from ..kernels.arrays import LINE, aligned, whole_lines
from ..memory import check_memory
from ..problems.base import Problem
from ..record.schema import UPDATES, blank_rows
from ..rules import MAX_TABLE
from ..schemes import boundary_after, settings
from ..training.cores import at_once
from ..training.drawing import drawing_of
from ..training.how import numbers_of
from ..training.options import Options
from ..training.steps import StepTables
from ..training.words import NEVER
from ..workforce import MOST_CHANGES
from . import words
from .elastic import fill
from .initial import InitialState
from .shared import Own, Shared
from .words import BOXES, RING, TABLES

_WORKER_TABLE = 8192  # entries of a table of one worker: a thousand workers have 16 such tables each


def allocate(problem: Problem, options: Options, steps: StepTables, start: InitialState, loss_limit: float) -> Shared:
    """Allocate what all workers share, and put the initial state in place."""
    n, m, dtype = problem.n_params, options.workers, problem.dtype
    length = n * (1 + _carried(options))
    vectors, owners = _vectors(options), m if options.worker_tables else 1
    shared = Shared(
        control=aligned(words.READING + m * LINE, np.int64),
        numbers=numbers_of(options, dtype, loss_limit),
        factors=aligned(len(steps.schedule) + len(steps.numbers), np.float64),
        drawing=drawing_of(problem, options),
        plan=problem.plan,
        inputs=problem.inputs,
        labels=problem.flat_labels,
        state=aligned((vectors, whole_lines(length, dtype)), dtype),
        slots=aligned(vectors * words.HEADER, np.int64),
        tables=aligned((owners, LINE + 2 * TABLES), np.int64),
        scales=aligned((TABLES * owners, MAX_TABLE if owners == 1 else _WORKER_TABLE), np.float32),
        rows=aligned(2 * RING, UPDATES),
        workforce=aligned(words.FIRST_CHANGE + 2 * MOST_CHANGES, np.int64),
        written=aligned(2 * RING, np.int64),
    )
    first = len(steps.schedule)
    shared.factors[:first], shared.factors[first:] = steps.schedule, steps.numbers
    shared.state[words.PARAMS, :n] = start.params
    shared.slots[words.STATE] = start.version << 2 | words.CURRENT  # slot 0 is the first that is read
    control = shared.control
    control[[words.VERSION, words.POINTER]] = start.version, start.version << words.SLOT_BITS
    control[words.TICKET] = start.ticket
    control[[words.ADDED, words.CLOSED, words.DRAINED]] = start.version * options.rows_per_version
    control[[words.GRADIENTS, words.WEIGHTED]] = options.rows_per_version, options.weighs
    control[words.WAITED] = start.waited_for_room
    control[words.READING :] = NEVER
    control[[words.WORKERS, words.QUOTA, words.N_PARAMS]] = m, options.updates, n
    control[words.EVAL_EVERY] = options.eval_every
    control[words.CROWDED] = m > at_once()
    control[words.SHARES_MOMENTS] = options.shares_moments
    control[[words.FACTOR, words.FIRST]] = steps.kind, first
    fill(shared, options.workforce)
    chosen = settings(options.scheme)
    control[words.SETTINGS : words.SETTINGS + len(chosen)] = chosen
    _set_gate(control, options, start)
    if options.shares_moments and start.moments is not None:
        shared.state[words.PARAMS, n : n + start.moments.size] = start.moments.ravel()
    return shared


def _carried(options: Options) -> int:
    """The vectors that stand after the parameters, as all workers share them: what steps carry on."""
    return options.moments if options.shares_moments else 0


def _set_gate(control: np.ndarray, options: Options, start: InitialState) -> None:
    """Open the gate for the first interval of a run, or for the rest of the one that it goes on in."""
    lengths, finished = start.lengths or options.scheme.intervals, len(start.updates["version"])
    control[words.FINISHED], control[words.LOST] = finished, start.ticket - finished
    control[words.CLOSES] = boundary_after(lengths, finished) if lengths else NEVER
    if options.scheme.adapts:
        lengths = ((0, lengths[-1][1]),)
    control[words.LENGTH] = lengths[-1][1] if lengths else 0
    pairs = np.array([*lengths, (NEVER, 0)]).ravel()
    control[words.INTERVALS : words.INTERVALS + len(pairs)] = pairs


def check_fits(problem: Problem, options: Options) -> None:
    """UsageError if a run would need more memory than there is; counted is what it touches for sure."""
    elements = elements_of_run(problem.n_params, problem.workspace_size(options.batch_size), options)
    what = f"a run of {options.workers:,} workers with {problem.n_params:,} parameters"
    remedy = "take fewer workers, a smaller batch or a smaller problem"
    check_memory(what, elements * problem.dtype.itemsize, remedy)


def elements_of_run(n_params: int, workspace: int, options: Options) -> int:
    """Numbers in memory during a run on threads: vectors of parameters, scratch, and the copies for the record.

    Args:
        n_params: number of parameters. With 1, and no workspace, the result is how many vectors of them there are.
        workspace: numbers that each worker needs as scratch.
        options: of the run.
    """
    m, scheme = options.workers, options.scheme
    vectors = _vectors(options) - (0 if scheme.averages else BOXES)
    shared = (vectors + _carried(options) * (vectors if scheme.published else 1)) * n_params
    own = 0 if scheme.averages else sum(_own_sizes(n_params, workspace, options).values())
    return shared + m * own + 2 * n_params


def _vectors(options: Options) -> int:
    """The number of vectors of `Shared.state`: a pool, or the parameters and further ones of the scheme."""
    scheme, m = options.scheme, options.workers
    if scheme.published:
        return (2 + (options.compensation != 0)) * m + 1 + BOXES
    copies = m if scheme.averages else BOXES if scheme.copied_for_evaluation else 0
    return words.EXTRA + copies + scheme.sums(m)


def own_buffers(problem: Problem, options: Options, shared: Shared, start: InitialState, me: int) -> Own:
    """Allocate what one worker has for itself. Its own thread must do so, and so be the first to touch the memory."""
    n, scheme = problem.n_params, options.scheme
    sizes = _own_sizes(n, problem.workspace_size(options.batch_size), options)
    starts = np.cumsum([0, *(whole_lines(size, problem.dtype) for size in sizes.values())])
    room = aligned(int(starts[-1]), problem.dtype)  # one block for all: as few pages as possible
    room.fill(0)
    parts = {name: room[start : start + sizes[name]] for name, start in zip(sizes, starts, strict=False)}
    if start.moments is not None and not options.shares_moments:
        parts["moments"][:n] = start.moments[me % len(start.moments)]
    if scheme.averages:
        parts["gradient"] = shared.state[words.EXTRA + me, :n]
        parts["gradient"].fill(0)
    row = blank_rows(1)
    if options.shards is not None:
        row["batch"] = start.own_ticket(me) - 1
    return Own(indices=aligned(options.batch_size, np.int64), row=row, **parts)


def _own_sizes(n: int, workspace: int, options: Options) -> dict[str, int]:
    """The elements of each buffer of a worker, for n parameters."""
    scheme = options.scheme
    return {
        "workspace": 0 if scheme.messages else workspace,
        "gradient": 0 if scheme.averages else n,
        "snapshot": n if scheme.copies_view or options.compensation != 0 else 0,
        "moments": 0 if options.shares_moments else n * options.moments * (1 + scheme.published),
        "local": 0 if scheme.messages else local_room(n, options),
    }


def local_room(n: int, options: Options) -> int:
    """Numbers that further local steps take: a point and a gradient of n parameters."""
    return 2 * n if options.local_steps > 1 else 0


def final_parameters(problem: Problem, options: Options, shared: Shared) -> np.ndarray:
    """A copy of the parameters after the last update."""
    return shared.state[_current(options, shared), : problem.n_params].copy()


def final_moments(options: Options, shared: Shared, owns: list[Own | None]) -> dict[str, np.ndarray]:
    """What steps carry on after the last update, (vectors, n_params), as `RunWriter.finish` takes it.

    Empty if steps carry nothing on, or if a worker failed before it had its buffers (`owns`).
    """
    n = int(shared.control[words.N_PARAMS])
    own = [one.moments[:n] for one in owns if one is not None]
    if options.moments == 0 or len(own) < len(owns):
        return {}
    shared_ones = shared.state[_current(options, shared), n : n * (1 + _carried(options))].reshape(-1, n)
    return {options.moments_name: shared_ones.copy() if options.shares_moments else np.array(own)}


def _current(options: Options, shared: Shared) -> int:
    """The vector of `state` that holds the parameters."""
    if options.scheme.published:
        return int(shared.control[words.POINTER]) & ((1 << words.SLOT_BITS) - 1)
    return words.PARAMS
