"""Everything that a run allocates before its clock starts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problems.base import Problem
from ..record.schema import UPDATES
from ..rules import MAX_TABLE
from ..schemes import Hogwild, Leashed, LockBased, Synchronous
from . import shared as words
from .options import Options
from .shared import BOXES, LINE, RING, TABLES, Own, Shared
from .vectors import CURRENT, HEADER

_ALIGNMENT = 64


def aligned(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that begin at a cache line; untouched pages cost no memory."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def allocate(problem: Problem, options: Options, initial: np.ndarray, loss_limit: float) -> Shared:
    """What all workers share, with the initial parameters in place."""
    n, m, scheme, dtype = problem.n_params, options.workers, options.scheme, problem.dtype
    leashed = isinstance(scheme, Leashed)
    per_row = 2 * n if leashed and options.shares_momentum else n
    vectors = 2 * m + 1 + BOXES if leashed else 2
    per_line = _ALIGNMENT // np.dtype(dtype).itemsize
    shared = Shared(
        control=aligned(words.CONTROL_WORDS, np.int64),
        settings=aligned(words.SETTINGS, np.int64),
        numbers=aligned(words.NUMBERS, dtype),
        plan=problem.plan,
        inputs=problem.inputs,
        labels=problem.labels,
        state=aligned((vectors, -(-per_row // per_line) * per_line), dtype),
        gradients=aligned((m, n) if isinstance(scheme, Synchronous) else (1, 1), dtype),
        slots=aligned(vectors * HEADER, np.int64),
        reading=aligned(m * LINE, np.int64),
        scales=aligned((TABLES, MAX_TABLE), np.float32),
        lengths=aligned(TABLES, np.int64),
        rows=aligned(RING, UPDATES),
        written=aligned(RING, np.int64),
        dropped_rows=aligned(RING, UPDATES),
        dropped_written=aligned(RING, np.int64),
        mail=aligned(BOXES * LINE, np.int64),
        copies=aligned((BOXES, n) if isinstance(scheme, LockBased | Hogwild) else (1, 1), dtype),
    )
    shared.state[0, :n] = initial
    shared.slots[LINE] = CURRENT  # slot 0 holds version 0
    shared.reading[:] = words.NEVER
    shared.settings[[words.WORKERS, words.QUOTA, words.N_PARAMS]] = m, options.updates, n
    shared.settings[[words.N_SAMPLES, words.BATCH_SIZE]] = problem.n_samples, options.batch_size
    shared.settings[[words.SEED, words.RESHUFFLE]] = options.seed, options.reshuffle
    shared.settings[words.EVAL_EVERY] = options.eval_every
    shared.settings[words.SHARED_MOMENTUM] = options.shares_momentum
    shared.settings[words.SNAPSHOT] = isinstance(scheme, Hogwild) and scheme.view == "snapshot"
    if isinstance(scheme, Leashed):
        shared.settings[words.PERSISTENCE] = -1 if scheme.persistence is None else scheme.persistence
        shared.settings[words.CHECK_EARLY] = scheme.check_early
    shared.numbers[[words.STEP_SIZE, words.MOMENTUM]] = options.step_size, options.momentum
    shared.numbers[[words.WEIGHT_DECAY, words.LOSS_LIMIT]] = options.weight_decay, loss_limit
    return shared


def own_buffers(problem: Problem, options: Options, shared: Shared, me: int) -> Own:
    """What one worker has for itself; call it in the worker's thread, which then touches the memory first."""
    n, dtype, scheme = problem.n_params, problem.dtype, options.scheme
    synchronous = isinstance(scheme, Synchronous)
    copies = synchronous or isinstance(scheme, LockBased) or scheme == Hogwild("snapshot")
    own = Own(
        indices=aligned(options.batch_size, np.int64),
        gradient=shared.gradients[me] if synchronous else aligned(n, dtype),
        workspace=aligned(problem.workspace_size(options.batch_size), dtype),
        snapshot=aligned(n if copies else 0, dtype),
        velocity=aligned(n if options.momentum != 0 else 0, dtype),
        row=np.zeros(1, UPDATES),
    )
    for array in own:
        array.fill(0)
    return own


def final_parameters(problem: Problem, options: Options, shared: Shared) -> np.ndarray:
    """A copy of the parameters after the last update."""
    slot = 0
    if isinstance(options.scheme, Leashed):
        slot = int(shared.control[words.PUBLISHED]) & ((1 << words.SLOT_BITS) - 1)
    return shared.state[slot, : problem.n_params].copy()
