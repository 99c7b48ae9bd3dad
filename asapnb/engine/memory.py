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
        pages = mmap.mmap(-1, size + _HUGE_BYTES)
        with suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
        memory, alignment = np.frombuffer(pages, np.uint8), _HUGE_BYTES
    else:
        memory, alignment = np.zeros(size + _LINE_BYTES, np.uint8), _LINE_BYTES
    start = -memory.ctypes.data % alignment
    return memory[start : start + size].view(dtype).reshape(shape)


def allocate(
    problem: Problem, options: Options, schedule: Schedule | None, initial: np.ndarray, loss_limit: float
) -> Shared:
    """What all workers share, with the initial parameters in place."""
    n, m, scheme, dtype = problem.n_params, options.workers, options.scheme, problem.dtype
    per_row = 2 * n if isinstance(scheme, Leashed) and options.shares_momentum else n
    per_line = _LINE_BYTES // np.dtype(dtype).itemsize
    vectors, owners = _vectors(options), m if options.worker_tables else 1
    shared = Shared(
        control=aligned(words.READING + m * LINE, np.int64),
        numbers=aligned(words.NUMBERS, dtype),
        schedule=np.zeros(2) if schedule is None else np.array([schedule.a, schedule.b]),
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
    shared.state[words.PARAMS, :n] = initial
    shared.slots[LINE] = CURRENT  # slot 0 holds version 0
    control, numbers = shared.control, shared.numbers
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
    return shared


def _vectors(options: Options) -> int:
    """Rows of `Shared.state`: a pool to publish from, or parameters, velocity and what the scheme needs beside."""
    if isinstance(options.scheme, Leashed):
        return (2 + (options.compensation != 0)) * options.workers + 1 + BOXES
    if isinstance(options.scheme, Synchronous):
        return words.EXTRA + options.workers
    return words.EXTRA + (BOXES if isinstance(options.scheme, LockBased | Hogwild) else 0)


def own_buffers(problem: Problem, options: Options, shared: Shared, me: int) -> Own:
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
    if synchronous:
        parts["gradient"] = shared.state[words.EXTRA + me, :n]
        parts["gradient"].fill(0)
    return Own(indices=aligned(options.batch_size, np.int64), row=np.zeros(1, UPDATES), **parts)


def final_parameters(problem: Problem, options: Options, shared: Shared) -> np.ndarray:
    """A copy of the parameters after the last update."""
    slot = 0
    if isinstance(options.scheme, Leashed):
        slot = int(shared.control[words.PUBLISHED]) & ((1 << words.SLOT_BITS) - 1)
    return shared.state[slot, : problem.n_params].copy()
