"""What the updates of a run come to: sums over their rows, which a summary keeps in the place of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .changes import step_size_of, step_sizes
from .schema import ABANDONED, APPLIED, SUMMARY_COLUMNS, ZEROED

if TYPE_CHECKING:
    from .run import Run

Rows = Mapping[str, NDArray[Any]] | NDArray[Any]
COUNTED = {"updates": int, "applied": int, "dropped": int, "zeroed": int, "failed_cas": int, "clipped": int,
           "burn_in": int, "scale": float, "factor": float, "steps": float, "later_scale": float,
           "least_scale": float, "most_scale": float}  # fmt: skip
WORKER_ROWS = {"applied": APPLIED, "dropped": ABANDONED, "zeroed": ZEROED}  # `applied` are those scaled to zero, too
WORKER_COUNTS = "summary/worker_rows"
_BY_TAU = SUMMARY_COLUMNS[1:]
_STALEST = 2**26


class Sums:
    """Sums over the updates of a run, given in the order of application, in as many parts as one likes.

    Attributes:
        numbers: by the names of `COUNTED`: the newest version; how many rows were applied, given up, scaled to zero,
            clipped; failed compare-and-swaps; of scale · factor the sum, the least and the most; the sums of the
            factors and of the steps; the rows before the rule had seen any staleness, and the sum of the later ones.
        by_tau: by the names of /summary but `tau`: sums by staleness, from 0 on.
        worker_steps: (workers,): the sum of the steps of each.
        worker_scale: (workers,): the sum of scale · factor of each.
        worker_rows: by the names of `WORKER_ROWS`, (workers,): the rows of each that were applied, given up, and
            scaled to zero; None for a summary that was made before they were counted.
    """

    def __init__(self, workers: int, clip: float | None = None) -> None:
        self._clip = clip
        self.numbers: dict[str, Any] = {name: kind() for name, kind in COUNTED.items()}
        self.by_tau: dict[str, NDArray[Any]] = {column.name: np.zeros(0, column.dtype) for column in _BY_TAU}
        self.worker_steps, self.worker_scale = np.zeros(workers), np.zeros(workers)
        self.worker_rows: dict[str, NDArray[np.int64]] | None = {
            name: np.zeros(workers, np.int64) for name in WORKER_ROWS
        }

    def add(self, rows: Rows, first: NDArray[np.bool_], sizes: Any = 1.0) -> None:
        """Add rows of /updates, as rows or as columns.

        Args:
            rows: the columns worker, version, tau, scale, factor, norm, tries and dropped.
            first: for each applied one, whether its rule had seen no staleness yet.
            sizes: the step size of each applied one, unless all have the same.
        """
        made = rows["dropped"] != ABANDONED
        worker, tau, factor = (rows[name][made] for name in ("worker", "tau", "factor"))
        scale = rows["scale"][made].astype(np.float64) * factor
        steps = scale * sizes
        more = {
            "applied": len(tau),
            "dropped": len(made) - len(tau),
            "zeroed": int((rows["dropped"] == ZEROED).sum()),
            "failed_cas": int(rows["tries"].sum(dtype=np.int64)),
            "clipped": 0 if self._clip is None else int((rows["norm"] > self._clip).sum()),
            "burn_in": int(first.sum()),
            "scale": float(scale.sum()),
            "factor": float(factor.sum(dtype=np.float64)),
            "steps": float(steps.sum()),
            "later_scale": float(scale[~first].sum()),
        }
        if len(scale):
            ends = [float(scale.min())], [float(scale.max())]
            if self.numbers["applied"]:
                ends[0].append(self.numbers["least_scale"])
                ends[1].append(self.numbers["most_scale"])
            self.numbers |= {"least_scale": min(ends[0]), "most_scale": max(ends[1])}
            self.numbers["updates"] = max(self.numbers["updates"], int(rows["version"].max()))
        for name, value in more.items():
            self.numbers[name] += value
        self._grow(int(rows["tau"].max(initial=-1)) + 1)
        self._count("updates", np.bincount(tau))
        self._count("dropped", np.bincount(rows["tau"][~made]))
        self._count("scale", np.bincount(tau, scale))
        workers = len(self.worker_steps)
        self.worker_steps += np.bincount(worker, steps, minlength=workers)
        self.worker_scale += np.bincount(worker, scale, minlength=workers)
        for name, code in WORKER_ROWS.items():
            chosen = made if code == APPLIED else rows["dropped"] == code
            if self.worker_rows is not None:
                self.worker_rows[name] += np.bincount(rows["worker"][chosen], minlength=workers)

    def _grow(self, length: int) -> None:
        for name, sums in self.by_tau.items():
            if length > len(sums):
                self.by_tau[name] = np.concatenate([sums, np.zeros(length - len(sums), sums.dtype)])

    def _count(self, name: str, more: NDArray[Any]) -> None:
        self.by_tau[name][: len(more)] += more

    @property
    def after_burn_in(self) -> float | None:
        """The mean of scale · factor once the rule had seen staleness; None if there were no such rows."""
        rest = self.numbers["applied"] - self.numbers["burn_in"]
        return self.numbers["later_scale"] / rest if rest else None

    def facts(self, unit: float | None) -> dict[str, Any]:
        """Figures of `Run.summary`; `unit` is the step size, 1 where each step has its own, None if unknown."""
        found, applied = self.numbers, self.numbers["applied"]
        steps, shares = None, None
        if unit is not None and applied:
            steps = unit * (found["steps"] / applied) * found["updates"]
            shares = (self.worker_steps * (steps / self.worker_steps.sum() if steps else 0.0)).tolist()
        return {
            "mean_scale": found["scale"] / applied if applied else None,
            "mean_factor": found["factor"] / applied if applied else None,
            "sum_of_steps": steps,
            "sum_of_steps_by_worker": shares,
            **{name: found[name] for name in ("dropped", "zeroed", "failed_cas")},
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The datasets of /summary: of each staleness that occurred, and of each worker."""
        occurs = np.flatnonzero((self.by_tau["updates"] != 0) | (self.by_tau["dropped"] != 0))
        by_tau = {f"summary/{name}": sums[occurs] for name, sums in self.by_tau.items()}
        by_worker = {} if self.worker_rows is None else {WORKER_COUNTS: np.array([*self.worker_rows.values()])}
        return {"summary/tau": occurs, **by_tau, "summary/worker_steps": self.worker_steps, **by_worker}

    def by_worker(self) -> dict[str, NDArray[Any]]:
        """What became of the gradients of each worker: the columns of the table `workers`, see `tables`."""
        found: dict[str, NDArray[Any]] = {"worker": np.arange(len(self.worker_steps))}
        if self.worker_rows is not None:
            found |= {"gradients": self.worker_rows["applied"] + self.worker_rows["dropped"], **self.worker_rows}
            with np.errstate(invalid="ignore"):  # NaN without any
                found["mean_scale"] = self.worker_scale / found["applied"]
                found["share_of_gradients"] = found["gradients"] / found["gradients"].sum()
        with np.errstate(invalid="ignore"):
            found["share_of_steps"] = self.worker_steps / self.worker_steps.sum()
        return found

    @classmethod
    def restored(
        cls,
        numbers: Mapping[str, Any],
        columns: Mapping[str, NDArray[Any]],
        worker_steps: NDArray[Any],
        where: str,
        worker_rows: dict[str, NDArray[np.int64]] | None = None,
    ) -> Sums:
        """The sums that a file keeps; RecordError for what no run has.

        Args:
            numbers: its attribute `summary`.
            columns: those of /summary.
            worker_steps: likewise.
            where: the name of the file.
            worker_rows: likewise, if there are any.
        """
        sums = cls(0)
        sums.numbers = {name: kind(numbers[name]) for name, kind in COUNTED.items()}
        sums.worker_steps, sums.worker_rows = np.array(worker_steps), worker_rows
        sums.worker_scale = sums.worker_steps
        tau, most = columns["tau"], min(sums.numbers["updates"], _STALEST)
        if (np.diff(tau, prepend=-1) <= 0).any() or tau.max(initial=0) > most:
            raise RecordError(f"/summary/tau of {where} must rise, to {most:,} at most: the file is damaged")
        sums._grow(int(tau.max(initial=-1)) + 1)
        for name in sums.by_tau:
            sums.by_tau[name][tau] = columns[name]
        for name in worker_rows or {}:
            counts = (worker_rows or {})[name]
            if (counts < 0).any() or counts.sum() != sums.numbers[name]:
                raise RecordError(f"/{WORKER_COUNTS} of {where} does not add up to {name}: the file is damaged")
        for name, total in (("updates", "applied"), ("dropped", "dropped")):
            if sums.by_tau[name].sum() != sums.numbers[total]:
                raise RecordError(f"/summary/{name} of {where} does not add up to {total}: the file is damaged")
        return sums


def sums_of(run: Run, first: NDArray[np.bool_], sizes: Any) -> Sums:
    """The sums over the rows of a run."""
    sums = Sums(int(run.attributes["workers"]), run.config.get("clip"))
    sums.add(run.updates, first, sizes)
    return sums


def steps_by_version(
    version: NDArray[Any], steps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The sum of the steps up to each version, from version 0 on, and how many applied rows made each.

    One row makes a version; in synchronous rounds several do, and its step is the mean of theirs.

    Args:
        version: of each applied row.
        steps: likewise.
    """
    rows = np.bincount(version, minlength=1)
    return np.cumsum(np.bincount(version, steps, minlength=1) / np.maximum(rows, 1)), rows


def versions(run: Run) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The sum of the step sizes up to each version of a run, from version 0 on, and how many applied rows made each.

    One row makes a version; in synchronous rounds several do, and its step is the mean of theirs.
    """
    version, scale, factor = run.applied("version", "scale", "factor").values()
    scales = scale.astype(np.float64) * factor
    sizes = step_sizes(run)
    if len(sizes) > 1:
        scales *= step_size_of(run, version)
    sums, rows = steps_by_version(version, scales)
    return (1.0 if len(sizes) > 1 else sizes[0]) * sums, rows
