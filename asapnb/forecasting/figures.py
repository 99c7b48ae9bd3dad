"""The figures that a forecast and a run have in common: of staleness, scales, pace and size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..record import Run
from ..record.size import stored_per_row
from ..record.sums import Sums
from ..staleness import StalenessDistribution

SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)  # of the percentiles


@dataclass(frozen=True)
class Figures:
    """What the rows of a run, or of a schedule, show; None for what they do not.

    Attributes:
        updates: the number of applied updates, or rounds.
        mean_staleness: E[τ], in updates.
        sd_staleness: its standard deviation, in updates.
        percentiles: percentiles of τ by name, such as "99%", in updates.
        largest_staleness: the largest τ, in updates.
        mean_scale: E[scale · factor], the mean step over the step size.
        scale_variance: Var[scale · factor]; None for a summary.
        effective_delay: E[scale · factor · τ] / E[scale · factor], in updates.
        dropped: the share of gradients that are given up.
        updates_per_second: updates, or rounds, in the time of the run, virtual or not.
        seconds_per_epoch: how long a pass over the training samples takes.
        bytes_per_update: how many bytes each update adds to the run file.
        staleness: the distribution of τ. Comparisons of two `Figures` leave it out.
    """

    updates: int
    mean_staleness: float
    sd_staleness: float
    percentiles: Mapping[str, int]
    largest_staleness: int
    mean_scale: float | None
    scale_variance: float | None
    effective_delay: float | None
    dropped: float
    updates_per_second: float | None
    seconds_per_epoch: float | None
    bytes_per_update: float | None
    staleness: StalenessDistribution = field(compare=False, repr=False)


def figures_of(
    sums: Sums, steps: NDArray[np.float64] | None, seconds: float, batches: int | None, bytes_per_row: float | None
) -> Figures:
    """The figures of rows.

    Args:
        sums: over them.
        steps: scale · factor of each applied row; None where there are no rows.
        seconds: that the run took.
        batches: gradients in a pass over the data; None if that is not known.
        bytes_per_row: of a run file; None if that is not known.
    """
    by_tau, applied, updates = sums.by_tau, sums.numbers["applied"], sums.numbers["updates"]
    law = StalenessDistribution.from_counts(np.trim_zeros(by_tau["updates"], "b"))
    total = float(by_tau["scale"].sum())
    per_epoch = None if batches is None else -(-batches // (applied // updates))
    rate = updates / seconds if seconds > 0 else None
    return Figures(
        updates,
        law.mean(),
        math.sqrt(law.variance()),
        {f"{share:.0%}": int(law.quantile(share)) for share in SHARES},
        law.support,
        sums.numbers["scale"] / applied,
        None if steps is None else float(steps.var()),
        float(by_tau["scale"] @ np.arange(len(by_tau["scale"]))) / total if total else math.nan,
        sums.numbers["dropped"] / (applied + sums.numbers["dropped"]),
        rate,
        None if rate is None or per_epoch is None else per_epoch / rate,
        None if bytes_per_row is None else bytes_per_row * (applied + sums.numbers["dropped"]) / updates,
        law,
    )


def measured(run: Run) -> Figures:
    """The figures that a run shows, in the seconds of its own clock; a summary has fewer."""
    if run.staleness.is_empty:
        raise UsageError(
            f"{run.name} holds no updates, so it has no figures to show beside a forecast: give another run"
        )
    steps = None
    if not run.is_summary:
        columns = run.applied("scale", "factor")
        steps = columns["scale"].astype(np.float64) * columns["factor"]
    batches = -(-int(run.attributes["n_samples"]) // (int(run.config["batch_size"]) * run.local_steps))
    return figures_of(run.sums, steps, run.summary()["seconds"], batches, stored_per_row(run))
