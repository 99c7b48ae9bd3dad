"""The loss of a run along its updates: as evaluated, or smoothed from its minibatches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..record import Run
from ..record.schema import ABANDONED
from ..record.sums import versions

_POINTS = 2000  # of a smoothed curve, at most


@dataclass(frozen=True)
class Curve:
    """The training loss along a run: points in the order of its updates, as arrays of equal length.

    Attributes:
        updates: int64, the version at each point: how many updates had been applied.
        seconds: float64, when that was, on the clock of the run.
        steps: float64, the sum of all step sizes so far, step_size * scale * factor as applied.
        loss: float64, the training loss; it may be infinite or NaN where a run diverged.
    """

    updates: NDArray[np.int64]
    seconds: NDArray[np.float64]
    steps: NDArray[np.float64]
    loss: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.updates)


def evaluated(run: Run) -> tuple[Curve, float]:
    """One point for each evaluation of the training loss; and how many applied rows make a version."""
    each = run.sums.numbers["applied"] / max(1, run.made)
    return Curve(run.evals["step"], run.evals["t"], run.eval_steps, run.evals["train_loss"]), float(each) or 1.0


def smoothed(run: Run, window: int | None) -> Curve:
    """Means of the minibatch losses of the last `window` updates, in the order of application.

    The first point is the first evaluation; the others begin where a window is full (a run shorter than one gets one
    point, of all that it has) and are at most 2,000. By default a window is a fifth of an epoch. A mean lags by about
    half a window, and each loss is that of the view, which is older than the version.
    """
    steps, rows = versions(run)
    first, _ = evaluated(run)
    total = len(rows) - 1
    if window is None:
        window = round(
            int(run.attributes["batches_per_epoch"])
            / 5
            / max(1.0, rows[1:].mean() if total else 1.0)
            / run.local_steps
        )
        window = max(1, window)
    if not total:
        return Curve(first.updates[:1], first.seconds[:1], first.steps[:1], first.loss[:1])
    window = min(window, total)
    last = np.unique(np.linspace(window, total, min(_POINTS, total - window + 1)).round().astype(np.int64))
    applied = run.updates["dropped"] != ABANDONED
    loss = run.updates["loss"][applied].astype(np.float64)
    times = np.maximum.accumulate(run.updates["t_apply"][applied])
    ends = np.cumsum(rows)  # rows up to each version
    starts, stops = ends[last - window], ends[last]
    return Curve(
        np.concatenate((first.updates[:1], last)),
        np.concatenate((first.seconds[:1], times[stops - 1])),
        np.concatenate((first.steps[:1], steps[last])),
        np.concatenate((first.loss[:1], _sums(loss, starts, stops) / (stops - starts))),
    )


def _sums(values: NDArray[np.float64], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of slices that may overlap: each element is added up once, into the cells between all their ends.

    No differences of running sums, so that one huge or non-finite value harms only the slices that hold it.
    """
    edges = np.unique(np.concatenate((starts, stops)))
    cells = np.append(np.add.reduceat(values, edges[:-1]), 0.0)
    cells[len(edges) - 2] = values[edges[-2] : edges[-1]].sum()
    ends = np.stack((np.searchsorted(edges, starts), np.searchsorted(edges, stops)), axis=1)
    return np.add.reduceat(cells, ends.ravel())[::2]
