"""Hogwild in place and from a snapshot: how many views are torn, and the updates per second.

    python experiments/benchmarks/hogwild.py

A view is torn if another worker writes while it is read: during the whole gradient in place, during the copy with a
snapshot. A copy of the engine's loop counts it: it notes the beginning and the end of every write. (Comparing the
elements of a view that all grow by 1 counts too many: an element whose update was lost to a race differs for ever.)
"""

from __future__ import annotations

import numpy as np
from common import Effort, Table, in_threads, interleaved, main, median, steps_in
from networks import CORES, HOGWILD, SNAPSHOT, bare_step, engine_step, random_images, training_state
from numba import types

import asapnb as ab
from asapnb.compiled import kernel, specialise
from asapnb.kernels.arithmetic import copy
from asapnb.kernels.atomics import fetch_add, load
from asapnb.kernels.kinds import HOW
from asapnb.kernels.steps import descend

BATCH = 16
VIEWS = {"in place": HOGWILD, "snapshot": SNAPSHOT}
TICKET, BEGUN, ENDED, TORN = 0, 8, 16, 24  # shared words, a cache line apart: minibatches, writes, torn views


@kernel()
def _work(updates, snapshot, words, shared, plain, gradient, view, update, batches, plan, workspace, inputs, labels):
    if not snapshot:
        view = shared
    while True:
        ticket = fetch_add(words, TICKET, 1)
        if ticket >= updates:
            break
        ended = load(words, ENDED)
        if snapshot:
            copy(view, shared)
            begun = load(words, BEGUN)
        gradient(view, update, batches[ticket % len(batches)], plan, workspace, inputs, labels)
        if not snapshot:
            begun = load(words, BEGUN)
        if begun > ended:  # a write that began before the view was complete had not ended when it was begun
            fetch_add(words, TORN, 1)
        fetch_add(words, BEGUN, 1)
        descend(shared, update[:0], update, 0, update.size, np.float32(1e-4), plain, ticket + 1, ticket)
        fetch_add(words, ENDED, 1)


def torn_share(problem: ab.Problem, snapshot: bool, updates: int) -> float:
    """The share of torn views with as many workers as cores."""
    types_, states = zip(*(training_state(problem, BATCH) for _ in range(CORES)), strict=True)
    words, shared, plain = np.zeros(32, np.int64), problem.init(0), np.zeros(HOW, np.float32)
    work = specialise(_work, types.int64, types.boolean, types.int64[::1], *2 * [types.float32[::1]], *types_[0])
    in_threads(work, [(updates, snapshot, words, shared, plain, *state) for state in states])
    return float(words[TORN] / updates)


def measure(effort: Effort) -> list[Table]:
    """Three sizes of network, both views."""
    data = random_images(1, 28)
    problems = {"LeNet": ab.lenet(data), "MLP 3 × 128": ab.mlp(data), "MLP 2 × 1024": ab.mlp(data, (1024, 1024))}
    cases = {}
    for name in effort.some(problems):
        problem, seconds = problems[name], effort.seconds(0.3)
        updates = CORES * steps_in(bare_step(problem, BATCH), seconds)
        for view, scheme in VIEWS.items():
            cases[name, view, "seconds"] = engine_step(problem, BATCH, scheme, CORES, seconds)
            cases[name, view, "torn"] = lambda p=problem, s=scheme == SNAPSHOT, n=updates: torn_share(p, s, n)
    found = interleaved(cases, effort.rounds)
    rows = []
    for name, view in dict.fromkeys(key[:2] for key in cases):
        row = {"network": name, "parameters": problems[name].n_params, "view": view}
        row |= {"torn views": median(found[name, view, "torn"])}
        rows.append(row | {"updates/s": 1 / median(found[name, view, "seconds"])})
    formats = {"parameters": ",", "torn views": ".1%", "updates/s": ",.0f"}
    return [Table(f"Hogwild, {CORES} workers, batch {BATCH}", rows, formats)]


if __name__ == "__main__":
    main(measure, rounds=7)
