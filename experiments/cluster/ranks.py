"""Run on ranks: train each case of a file for a moment, then calibrate it; print what both say, as a line of JSON.

    mpiexec -n 3 python experiments/cluster/ranks.py CASES.json

A case has `case`, `problem`, `batch`, `seconds`. All ranks but the server are workers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import STEPS, problem_of
from mpi4py import MPI

import asapnb as ab
from asapnb.engine.calibrate import measure
from asapnb.simulator.held import held_against

COMM = MPI.COMM_WORLD


def trained(problem: ab.Problem, case: dict[str, Any]) -> dict[str, Any]:
    """What a run shows, on the server."""
    run = ab.train(
        problem, ab.ParameterServer(), workers=COMM.size - 1, batch_size=case["batch"], step_size=1e-4,
        updates=10**8, max_seconds=case["seconds"], eval_every=0, eval_samples=10, comm=COMM,
    )  # fmt: skip
    if run is None:
        return {}
    facts = run.summary()
    return {"rate": facts["updates"] / facts["seconds"], "staleness": np.bincount(run.updates["tau"]).tolist()}


def calibrated(problem: ab.Problem, case: dict[str, Any]) -> dict[str, Any]:
    """The times of the steps, on the server."""
    found = list(measure(
        problem, batch_size=case["batch"], scheme="parameter-server", workers=[COMM.size - 1],
        seconds=case["seconds"], comm=COMM,
    ))  # fmt: skip
    if not found:
        return {}
    (one,) = found
    means = {name: float(one.steps[name].mean()) if name in one.steps else None for name in STEPS}
    held = held_against(one)
    rates = {"timed_rate": one.gradients_per_second, "timed_simulated": held.gradients_per_second}
    return {**means, **rates, "timed_tv": held.total_variation, "had": one.share, "timing": one.timing.changed()}


if __name__ == "__main__":
    for case in json.loads(Path(sys.argv[1]).read_text()):
        problem = problem_of(case["problem"])
        found = trained(problem, case) | calibrated(problem, case)
        if found:
            print(json.dumps({**case, "workers": COMM.size - 1, **found}), flush=True)
