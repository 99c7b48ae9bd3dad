"""A recorded run, read from its file column by column on demand."""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from ..staleness import StalenessDistribution, WorkerHistogram
from .files import Source, claim, copy, opened, put_in_place
from .schema import ABANDONED, EVALS, GROUPS, MICROSCOPE, SCHEMA, UPDATES, VIEWS, VIRTUAL, ZEROED
from .text import from_attribute


class RuleTables(NamedTuple):
    """Every scale table used: scales[i], of shape (K,), was made after steps[i] updates had been seen."""

    steps: NDArray[np.int64]
    scales: NDArray[np.float64]


class Columns(Mapping[str, Any]):
    """Named columns. Each is read on first use, then kept in memory."""

    def __init__(self, names: tuple[str, ...], load: Callable[[str], Any]) -> None:
        self._names, self._load = names, load
        self._kept: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(f"{name!r}; there are {', '.join(self._names)}")
        if name not in self._kept:
            self._kept[name] = self._load(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<columns {', '.join(self._names)}>"


class Run:
    """A recorded run: returned by `train`, or read from a file by `load_run`.

    * `status`: running (or killed) | finished | converged | diverged | timed-out | interrupted | failed
    * `kind`, `attributes` (seed, workers, machine, …), `config` (dict), `path` (None: in memory)
    * `updates`: mapping of columns, one row for each update in the order of application; `evals`: the evaluations
    * `microscope`: columns of what the microscope saw; empty without one
    * `staleness`, `staleness_counts`, `rule_tables`, and `params` with `initial`, `final`, `layout`, and
      with momentum `velocity`
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        with opened(self._source) as file:
            self.attributes: dict[str, Any] = {key: from_attribute(value) for key, value in file.attrs.items()}
            # A kill may leave columns of unequal length: rows are complete up to the end of the shortest one.
            groups = ["rule", *(name for name in GROUPS if name in file)]
            self._rows = {group: min(map(len, file[group].values())) for group in groups}
            self.columns = {group: set(file[group]) for group in groups}  # that the file has, by group
            if "views" in self._rows:
                self._rows["updates"] = self._rows["views"] = min(self._rows["updates"], self._rows["views"])
            more = ("velocity",) if "params/velocity" in file else ()
        views = VIEWS.names or () if "views" in self._rows else ()
        looks = MICROSCOPE.names or () if "microscope" in self._rows else ()
        self.updates = Columns(
            (*(UPDATES.names or ()), *views), lambda name: self._read("views" if name in views else "updates", name)
        )
        self.microscope = Columns(looks, partial(self._read, "microscope"))
        self.evals = Columns(EVALS.names or (), partial(self._read, "evals"))
        self.params = Columns(("initial", "final", "layout", *more), self._read_params)

    @property
    def path(self) -> Path | None:
        """The run file; None for a run in memory."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def status(self) -> str:
        """How the run ended; "running" if it still goes on, or was killed."""
        return str(self.attributes["status"])

    @property
    def kind(self) -> str:
        """What made the run: "train", "simulate" or "replay"."""
        return str(self.attributes["kind"])

    @property
    def is_virtual(self) -> bool:
        """Whether all times are virtual seconds."""
        return self.attributes.get("clock") == VIRTUAL

    @cached_property
    def config(self) -> dict[str, Any]:
        """The full configuration of the run."""
        return tomllib.loads(self.attributes.get("config", ""))

    @cached_property
    def staleness(self) -> StalenessDistribution:
        """The exact staleness of all applied updates, from the rows themselves."""
        return StalenessDistribution.from_counts(np.bincount(self._applied("tau"), minlength=1))

    @cached_property
    def staleness_counts(self) -> NDArray[np.int64]:
        """Each worker's counts of the staleness of its applied updates, (workers, largest staleness + 1)."""
        histogram = WorkerHistogram(int(self.attributes["workers"]))
        histogram.observe(self._applied("worker"), self._applied("tau"))
        return histogram.counts

    @cached_property
    def rule_tables(self) -> RuleTables:
        """Every scale table used, and the number of updates seen when it was made."""
        return RuleTables(self._read("rule", "step"), self._read("rule", "scale"))

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the run to a file, completely or not at all; an existing file is replaced only with `force`."""
        with claim(path, force) as owner:
            put_in_place(owner.path, lambda part: copy(self._source, part), owner)

    def summary(self) -> dict[str, Any]:
        """The main figures of the run, by name: texts, numbers, None if there is no such figure, lists and dicts.

        Losses may be NaN or infinite; `record.to_json` writes those as text.
        """
        version, scale, factor = (self._applied(name) for name in ("version", "scale", "factor"))
        updates = int(version.max(initial=0))  # not the rows: a synchronous update has one for each worker
        seconds = float(self.attributes.get("seconds", self.updates["t_apply"].max(initial=0.0)))
        step_size = self.attributes.get("step_size", self.config.get("step_size"))
        applied = scale.astype(np.float64) * factor
        steps, shares = None, None
        if step_size is not None and len(applied):
            steps = float(step_size) * float(applied.mean()) * updates
            by_worker = np.bincount(self._applied("worker"), applied, minlength=int(self.attributes["workers"]))
            shares = (by_worker * (steps / by_worker.sum() if steps else 0.0)).tolist()
        known = not self.staleness.is_empty
        return {
            "kind": self.kind,
            "status": self.status,
            "workers": int(self.attributes["workers"]),
            "updates": updates,
            "seconds": seconds,
            "updates_per_second": updates / seconds if seconds > 0 else None,
            "initial": self._evaluation(0),
            "last": self._evaluation(-1),
            "staleness": {
                "mean": self.staleness.mean() if known else None,
                "p99": int(self.staleness.quantile(0.99)) if known else None,
                "max": self.staleness.support if known else None,
            },
            "mean_scale": float(applied.mean()) if len(applied) else None,
            "sum_of_steps": steps,
            "sum_of_steps_by_worker": shares,
            "dropped": int((self.updates["dropped"] == ABANDONED).sum()),
            "zeroed": int((self.updates["dropped"] == ZEROED).sum()),
            "failed_cas": int(self.updates["tries"].sum(dtype=np.int64)),
        }

    def __repr__(self) -> str:
        facts = self.summary()
        unit = "virtual s" if self.is_virtual else "s"
        text = f"{facts['updates']:,} updates by {facts['workers']} workers in {facts['seconds']:.3g} {unit}"
        if facts["last"]:
            text += f", training loss {facts['last']['train_loss']:.4g}"
        if facts["staleness"]["max"] is not None:
            text += f", mean staleness {facts['staleness']['mean']:.3g}"
        return f"<Run {self.status}: {text}{f' ({self.path})' if self.path else ''}>"

    def _applied(self, name: str) -> NDArray[Any]:
        """A column of the updates that made a version."""
        return self.updates[name][self.updates["dropped"] != ABANDONED]

    def _evaluation(self, index: int) -> dict[str, Any] | None:
        """The first or last evaluation; None if there is none."""
        return {name: column[index].item() for name, column in self.evals.items()} if self._rows["evals"] else None

    def _read(self, group: str, name: str) -> NDArray[Any]:
        """A column, up to the end of the shortest column of its group."""
        try:
            with opened(self._source) as file:
                column = file[group][name][: self._rows[group]]
        except (OSError, KeyError) as error:
            raise RecordError(f"cannot read /{group}/{name} of {self.path or 'the run'}: {error}") from error
        column.setflags(write=False)
        return column

    def _read_params(self, name: str) -> Any:
        try:
            with opened(self._source) as file:
                params = file["params"]
                if name == "layout":
                    return from_attribute(params.attrs["layout"])
                if name not in params:
                    raise RecordError(f"the run has no {name} parameters: it is {self.status} (or was killed)")
                return params[name][:]
        except OSError as error:
            raise RecordError(f"cannot read /params of {self.path or 'the run'}: {error}") from error


def file_of(run: Run) -> Path:
    """The file of a run; RecordError if it has none."""
    if run.path is None:
        raise RecordError("the run is in memory: save it to a file with run.save('run.h5') and go on with that")
    return run.path


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read the run in a file, also while it goes on and after it was killed; RecordError if it cannot be read."""
    file = Path(path)
    if not file.is_file():
        raise RecordError(f"there is no run file {path}" + (": it is a directory" if file.is_dir() else ""))
    try:
        with opened(file) as content:
            schema = content.attrs.get("schema")
    except OSError as error:
        raise RecordError(f"{path} cannot be read as HDF5, so it is no run file: {error}") from error
    if not isinstance(schema, int | np.integer):
        raise RecordError(f"{path} is HDF5 but no run file of asapnb: it has no attribute 'schema'")
    if schema > SCHEMA:
        raise RecordError(f"{path} has schema {schema}; this asapnb reads up to {SCHEMA}: install a newer one")
    try:
        return Run(file.resolve())
    except (KeyError, ValueError) as error:
        raise RecordError(f"{path} is no complete run file: {error}") from error
