"""Everything that a run allocates before its clock starts."""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import Any

import numpy as np

from ..problems.base import Problem
from ..record.schema import UPDATES
from ..rules import MAX_TABLE
from ..rules.schedules import Schedule
from ..schemes import Hogwild, Leashed, LockBased, Synchronous
from . import shared as words
from .options import Options
from .shared import BOXES, LINE, RING, TABLES, Own, Shared
from .start import Start
from .vectors import CURRENT, HEADER

_LINE_BYTES, _HUGE_BYTES = 64, 2**21
_WORKER_TABLE = 8192  # entries of a table where each worker has its own: a thousand workers have 16 each
_HUGE_FROM = 2**18  # bytes: smaller arrays do not need the huge page that they would occupy


def aligned(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that begin at a cache line; untouched pages cost no memory.

    Large arrays lie in huge pages where the system has them: with 4 KiB pages, looking up addresses and the
    second-level cache's conflicts between scattered pages cost a training step 3 to 8 %.
    """
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    if size >= _HUGE_FROM and hasattr(mmap, "MADV_HUGEPAGE"):
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # shared memory, the default, has small pages only
        pages = mmap.mmap(-1, size + _HUGE_BYTES, flags=private)
        with suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
        memory, alignment = np.frombuffer(pages, np.uint8), _HUGE_BYTES
    else:
        memory, alignment = np.zeros(size + _LINE_BYTES, np.uint8), _LINE_BYTES
    start = -memory.ctypes.data % alignment
    return memory[start : start + size].view(dtype).reshape(shape)


def allocate(
    problem: Problem, options: Options, schedule: Schedule | None, start: Start, loss_limit: float
) -> Shared:
    """What all workers share, with the parameters to start from in place."""
    n, m, scheme, dtype = problem.n_params, options.workers, options.scheme, problem.dtype
    per_row = 2 * n if isinstance(scheme, Leashed) and options.shares_momentum else n
    per_line = _LINE_BYTES // np.dtype(dtype).itemsize
    vectors, owners = _vectors(options), m if options.worker_tables else 1
    shared = Shared(
        control=aligned(words.READING + m * LINE, np.int64),
        numbers=aligned(words.NUMBERS, dtype),
        schedule=np.zeros(2) if schedule is None else np.array(schedule.numbers),
        plan=problem.plan,
        inputs=problem.inputs,
        labels=problem.labels,
        state=aligned((vectors, -(-per_row // per_line) * per_line), dtype),
        slots=aligned(vectors * HEADER, np.int64),
        tables=aligned((owners, LINE + 2 * TABLES), np.int64),
        scales=aligned((TABLES * owners, MAX_TABLE if owners == 1 else _WORKER_TABLE), np.float32),
        rows=aligned(2 * RING, UPDATES),
        written=aligned(2 * RING, np.int64),
    )
    shared.state[words.PARAMS, :n] = start.params
    shared.slots[LINE] = start.version << 2 | CURRENT  # slot 0 is the first that is read
    control, numbers = shared.control, shared.numbers
    control[[words.VERSION, words.PUBLISHED]] = start.version, start.version << words.SLOT_BITS
    control[[words.TICKET, words.DRAINED]] = start.ticket, start.version * options.rows_per_version
    control[words.WAITED] = start.waited_for_room
    control[words.READING :] = words.NEVER
    control[[words.WORKERS, words.QUOTA, words.N_PARAMS]] = m, options.updates, n
    control[[words.N_SAMPLES, words.BATCH_SIZE]] = problem.n_samples, options.batch_size
    control[[words.SEED, words.RESHUFFLE]] = options.seed, options.reshuffle
    control[words.EVAL_EVERY] = options.eval_every
    control[words.SHARED_MOMENTUM] = options.shares_momentum
    control[words.SCHEDULE] = 0 if schedule is None else schedule.kind
    control[words.SNAPSHOT] = scheme == Hogwild("snapshot")
    if isinstance(scheme, Leashed):
        control[words.PERSISTENCE] = -1 if scheme.persistence is None else scheme.persistence
        control[words.CHECK_EARLY] = scheme.check_early
    numbers[[words.STEP_SIZE, words.MOMENTUM]] = options.step_size, options.momentum
    numbers[[words.WEIGHT_DECAY, words.LOSS_LIMIT]] = options.weight_decay, loss_limit
    numbers[words.COMPENSATION] = options.compensation
    if options.shares_momentum and start.velocity is not None:
        _shared_velocity(options, shared)[:] = start.velocity[0]
    return shared


def _vectors(options: Options) -> int:
    """Rows of `Shared.state`: a pool to publish from, or parameters, velocity and what the scheme needs beside."""
    if isinstance(options.scheme, Leashed):
        return (2 + (options.compensation != 0)) * options.workers + 1 + BOXES
    if isinstance(options.scheme, Synchronous):
        return words.EXTRA + options.workers
    return words.EXTRA + (BOXES if isinstance(options.scheme, LockBased | Hogwild) else 0)


def own_buffers(problem: Problem, options: Options, shared: Shared, start: Start, me: int) -> Own:
    """What one worker has for itself; call it in the worker's thread, which then touches the memory first."""
    n, scheme = problem.n_params, options.scheme
    synchronous = isinstance(scheme, Synchronous)
    copies = synchronous or isinstance(scheme, LockBased) or scheme == Hogwild("snapshot")
    copies = copies or options.compensation != 0
    sizes = {
        "workspace": problem.workspace_size(options.batch_size),
        "gradient": 0 if synchronous else n,
        "snapshot": n if copies else 0,
        "velocity": n if options.momentum != 0 else 0,
    }
    line = _LINE_BYTES // problem.dtype.itemsize
    starts = np.cumsum([0, *(-(-size // line) * line for size in sizes.values())])
    room = aligned(int(starts[-1]), problem.dtype)  # one for all: the fewest pages
    room.fill(0)
    parts = {name: room[start : start + sizes[name]] for name, start in zip(sizes, starts, strict=False)}
    if start.velocity is not None and not options.shares_momentum:
        parts["velocity"][:] = start.velocity[me % len(start.velocity)]
    if synchronous:
        parts["gradient"] = shared.state[words.EXTRA + me, :n]
        parts["gradient"].fill(0)
    return Own(indices=aligned(options.batch_size, np.int64), row=np.zeros(1, UPDATES), **parts)


def final_parameters(problem: Problem, options: Options, shared: Shared) -> np.ndarray:
    """A copy of the parameters after the last update."""
    return shared.state[_current(options, shared), : problem.n_params].copy()


def final_velocity(options: Options, shared: Shared, owns: list[Own | None]) -> np.ndarray | None:
    """The velocities after the last update, (workers, n_params), or (1, n_params) where there is one.

    None without momentum, or when a worker never had its buffers (`owns`).
    """
    n = int(shared.control[words.N_PARAMS])
    if options.momentum == 0:
        return None
    if options.shares_momentum:
        return _shared_velocity(options, shared)[None].copy()
    own = [one.velocity for one in owns if one is not None]
    if len(own) < len(owns):
        return None
    if isinstance(options.scheme, Synchronous):  # each worker has a part of the only one
        ends = [i * n // len(own) for i in range(len(own) + 1)]
        return np.concatenate([own[i][ends[i] : ends[i + 1]] for i in range(len(own))])[None]
    return np.array(own)


def _current(options: Options, shared: Shared) -> int:
    """The row of `state` that holds the parameters."""
    if isinstance(options.scheme, Leashed):
        return int(shared.control[words.PUBLISHED]) & ((1 << words.SLOT_BITS) - 1)
    return words.PARAMS


def _shared_velocity(options: Options, shared: Shared) -> np.ndarray:
    """Where the velocity of all is."""
    n = int(shared.control[words.N_PARAMS])
    if isinstance(options.scheme, Leashed):
        return shared.state[_current(options, shared), n : 2 * n]
    return shared.state[words.VELOCITY, :n]
