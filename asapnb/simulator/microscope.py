"""The staleness microscope: what the age of a view does to one update.

With local steps, g is the mean of the gradients along the worker's path from there, on their minibatches.

An update with the gradient g(view) of a minibatch is the gradient G(x) of all samples at the parameters it is applied
to, plus the noise of the minibatch there, g(x) − G(x), plus the error that asynchrony adds, g(view) − g(x).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..record.schema import MICROSCOPE
from ..training.drawing import minibatches, row_gradient
from .execution import Execution
from .replay_state import ReplayState
from .replayer import Pause
from .words import READ

_CHUNK = 1000  # samples at a time, for the gradient of all


class Microscope:
    """Looks at updates just before they are applied, and keeps a sighting of each."""

    def __init__(self, execution: Execution, replay: ReplayState, seen: dict[int, NDArray[Any]]) -> None:
        self._problem, self._options, self._rows = execution.problem, execution.options, execution.rows
        self._replay, self._sightings = replay, seen
        n, samples = self._problem.n_samples, self._options.eval_samples
        count = n if samples is None else min(n, samples)
        self._samples = np.arange(count) * n // count  # as for the evaluated training loss
        places = np.flatnonzero(replay.operations["kind"] != READ)[::-1]
        self._begins = np.zeros(len(replay.tasks), np.int64)
        self._begins[replay.operations["row"][places]] = places  # of a row, the first operation that applies it

    def pause_at(self, row: int) -> Pause:
        """The pause in which to look at a row: before any part of it is applied."""
        return Pause(int(self._begins[row]), lambda: self._look(row))

    def _look(self, row: int) -> None:
        version, tau = int(self._rows["version"][row]), int(self._rows["tau"][row])
        self._sightings[row] = np.array([(version, tau, *self._seen(row))], MICROSCOPE)

    def _seen(self, row: int) -> tuple[float, ...]:
        replay, n = self._replay, self._problem.n_params
        source = int(replay.operations["source"][self._begins[row]])
        x, view = (replay.state[slot, :n] for slot in (source, int(replay.tasks["slot"][row])))
        task = replay.tasks[row]
        batches = minibatches(replay.drawing, int(task["worker"]), int(task["batch"]))
        old, new = (
            row_gradient(self._problem, params, float(task["step_size"]), batches).astype(np.float64) / len(batches)
            for params in (view, x)
        )
        whole = self._whole_gradient(x, batches[0].ticket)
        along, size = float(old @ whole), float(whole @ whole)
        norms = _norm(old), _norm(new)
        return (
            _norm(x.astype(np.float64) - view),
            norms[0],
            _norm(old - new),
            float(old @ new) / (norms[0] * norms[1]) if norms[0] * norms[1] > 0 else math.nan,
            math.sqrt(size),
            _norm(new - whole),
            along / size if size > 0 else math.nan,
        )

    def _gradient(self, params: NDArray[Any], indices: NDArray[np.int64], ticket: int) -> NDArray[np.float64]:
        return self._problem.loss_and_gradient(params, indices, ticket, self._options.seed)[1].astype(np.float64)

    def _whole_gradient(self, params: NDArray[Any], ticket: int) -> NDArray[np.float64]:
        """The gradient of all samples (of `eval_samples`), or the exact one of a problem with known constants."""
        exact = getattr(self._problem.evaluation, "exact_gradient", None)
        if exact is not None:
            known: NDArray[np.float64] = exact(params)
            return known
        chunks = np.array_split(self._samples, -(-len(self._samples) // _CHUNK))
        total = np.zeros(len(params))
        for chunk in chunks:
            total += self._gradient(params, chunk, ticket) * len(chunk)
        return total / len(self._samples)


def _norm(vector: NDArray[np.float64]) -> float:
    return float(np.sqrt(vector @ vector))
