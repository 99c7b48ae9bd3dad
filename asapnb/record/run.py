"""A recorded run, read from its file column by column on demand."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.recorded import RecordedData
from ..errors import RecordError, shown
from ..identity import Piece, Recorded, pieces_from
from ..staleness import StalenessDistribution, WorkerHistogram
from . import values
from .attributes import NEEDED, Facts, checked_config
from .burn_in import burn_in, first_rows
from .changes import step_size_of, step_sizes
from .columns import COUNTS
from .content import Content, home
from .dataset import Columns
from .files import Source, claim, copy, put_in_place
from .held import Held
from .predicting import predict
from .schema import ABANDONED, CARRIED, COLUMNS, EVALS, MICROSCOPE, RUNNING, SUMMARY, UPDATES, VIEWS, VIRTUAL
from .structure import Structure
from .sums import WORKER_ROWS, Sums, sums_of, versions
from .synopsis import Synopsis, sealed, synopsis_of, unpacked
from .tables import PIECE, TABLES, table_of

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST_COUNTS = 2**26  # workers × staleness
_NAMES_CODE = ("rule", "schedule", "problem", "scheme", "timing", "prior")


class RuleTables(NamedTuple):
    """Every scale table of a run: scales[i], of shape (K,), was made after steps[i] updates had been seen.

    Attributes:
        steps: int64 of shape (tables,).
        scales: float64 of shape (tables, K); scales[i, tau] is the scale of staleness tau, and the last entry also
            serves every staler update.
    """

    steps: NDArray[np.int64]
    scales: NDArray[np.float64]


class Run:
    """A recorded run. `train`, `simulate` and `replay` return one, and `load_run` reads one from its file.

    * `status`: how the run ended: finished, converged, stopped, diverged, timed-out, interrupted or failed. It is
      running while the run goes on, and after it was killed.
    * `kind`, `attributes` (seed, workers, machine, …), `config` (a dict), `path` (None for a run in memory)
    * `updates`: columns with one row for each update, in the order of application
    * `evals`: columns with one row for each evaluation
    * `microscope`: columns of what the microscope saw; empty without one
    * `tables`: all of these, the scales and the staleness as columns, for `pandas.DataFrame` and similar classes
    * `staleness`, `staleness_counts`, `rule_tables`
    * `params`: `initial`, `final`, `layout`, and the `velocity` (with momentum) or `moments` (with an optimizer) that
      the last update left

    Columns are read from the file when you first ask for them.

    Args:
        source: the run file, or a run in memory.
        name: the name that errors give the run; by default the path.
        found: the structure of the file, if it has been read already.
        synopsis: a summary of the run, if it is known. Then the file is opened only for what the summary lacks.
    """

    def __init__(
        self,
        source: Source,
        name: str | None = None,
        found: Structure | None = None,
        synopsis: Synopsis | None = None,
    ) -> None:
        self._source, self._name = source, name or (str(source) if isinstance(source, Path) else "the run")
        self._content = Content(source, self._name, found, synopsis)
        self.synopsis = synopsis

    def anew(self) -> Run:
        """A copy of the run without the columns read so far, so that this run keeps little in memory.

        A run in memory returns itself.
        """
        if self.path is None:
            return self
        fresh = Run.__new__(Run)
        vars(fresh).update(_source=self._source, _name=self._name, synopsis=self.synopsis)
        fresh._content = self._content.anew()
        return fresh

    @cached_property
    def attributes(self) -> Facts:
        """The attributes of the run file: seed, workers, machine, …"""
        return self._content.attributes

    @property
    def rows(self) -> Mapping[str, int]:
        """The number of rows of each group of the file, by its name."""
        return self._content.rows

    @property
    def columns(self) -> dict[str, set[str]]:
        """The names of the columns that the file has, by group."""
        return self._content.structure.columns

    @cached_property
    def updates(self) -> Columns:
        """Columns with one row for each update, in the order of application, by name; see the run file."""
        views = VIEWS.names or () if "views" in self.rows else ()
        return Columns((*(UPDATES.names or ()), *views), self._read_update)

    @cached_property
    def microscope(self) -> Columns:
        """Columns of what the microscope saw; empty without one."""
        return Columns(MICROSCOPE.names or () if "microscope" in self.rows else (), partial(self._read, "microscope"))

    @cached_property
    def evals(self) -> Columns:
        """Columns with one row for each evaluation, by name: those of `Evaluation`."""
        return Columns(EVALS.names or (), self._read_eval)

    @cached_property
    def params(self) -> Columns:
        """The parameters: `initial`, `final`, their `layout`, and `velocity` or `moments`, which steps carry on."""
        more = tuple(name for name in CARRIED if name in self._content.structure.params)
        return Columns(("initial", "final", "layout", *more), self._content.parameters)

    @property
    def path(self) -> Path | None:
        """The run file; None for a run in memory."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def name(self) -> str:
        """The path of the run file as it was given; "the run" for a run in memory."""
        return self._name

    @property
    def status(self) -> str:
        """How the run ended, such as "finished"; "running" while it goes on, and after it was killed."""
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
    def config(self) -> Facts:
        """The full configuration of the run, a dict. Texts that may name code are of the type `Recorded`."""
        found = checked_config(self.attributes.get("config", ""), self.attributes, self._name)
        named = {name: found[name] for name in _NAMES_CODE if isinstance(found.get(name), str)}
        found.update({name: Recorded(text, self.code, self._name) for name, text in named.items()})
        if "data" in found:
            of, sha256 = self.attributes.get("data") or {}, self.attributes.get("data_sha256")
            folder = None if self.path is None else str(self.path.parent)
            found["data"] = RecordedData(found["data"], of, sha256, self._name, folder)
        return found

    @cached_property
    def code(self) -> tuple[Piece, ...] | None:
        """Your own code that the run used, as `identity.Piece` each; None for old files, which do not say."""
        return pieces_from(self.attributes.get("code"), self._name)

    @property
    def local_steps(self) -> int:
        """The number of minibatches of a row, `local_steps` of the run."""
        return int(self.config.get("local_steps", 1))

    @property
    def is_summary(self) -> bool:
        """Whether it was recorded with `record="summary"`, without a row for each update."""
        return self.attributes.get("record") == SUMMARY

    @property
    def seconds(self) -> float:
        """When the last update was applied, in seconds on the clock of the run.

        For a summary that was killed: when its last evaluation was made.
        """
        known = self.attributes.get("seconds")
        if known is None:
            known = (self.evals["t"] if self.is_summary else self.updates["t_apply"]).max(initial=0.0)
        return float(known)

    def check_rows(self, so: str) -> None:
        """RecordError if there is no row for each update; `so` says what follows, as in "it cannot be replayed"."""
        if self.is_summary:
            raise RecordError(
                f'{self._name} was recorded as a summary (record="summary"), without a row for each update, so {so}: '
                'make the run again with record="updates" (--record updates)'
            )

    @cached_property
    def sums(self) -> Sums:
        """Sums over all updates. They are 0 for a summary that was killed."""
        if self.synopsis is not None:
            return self.synopsis.sums
        if self.is_summary:
            return self._stored_sums()
        several = len(step_sizes(self)) > 1
        return sums_of(self, first_rows(self), step_size_of(self, self._applied("version")) if several else 1.0)

    def _stored_sums(self) -> Sums:
        workers = int(self.attributes["workers"])
        if "summary" not in self.rows:
            return Sums(workers)
        columns = {name: self._content.column("summary", name) for name in COLUMNS["summary"]}
        steps, rows = self._content.array("summary", "worker_steps"), None
        if "worker_rows" in self.columns["summary"]:
            rows = dict(zip(WORKER_ROWS, self._content.array("summary", "worker_rows"), strict=True))
        return Sums.restored(self.attributes["summary"], columns, steps, self._name, rows)

    @property
    def by_staleness(self) -> dict[str, NDArray[Any]]:
        """Sums over the updates of each staleness, as arrays with an entry for each staleness from 0 to the largest.

        They are the number of applied updates, the number of dropped ones, and the sum of scale · factor.
        """
        longest = len(np.trim_zeros(self.sums.by_tau["updates"], "b"))
        return {name: sums[:longest] for name, sums in self.sums.by_tau.items()}

    @cached_property
    def eval_steps(self) -> NDArray[np.float64]:
        """The sum of all steps up to each evaluation, shape (evaluations,); NaN for a summary that was killed."""
        if self.synopsis is not None:
            return self.synopsis.eval_steps
        if not self.is_summary:
            sums, _ = versions(self)
            found: NDArray[np.float64] = sums[np.minimum(self.evals["step"], len(sums) - 1)]  # a kill may cut rows
            return found
        if "summary" not in self.rows:
            return np.full(self.rows["evals"], np.nan)
        return self._content.array("summary", "eval_steps")

    @cached_property
    def staleness(self) -> StalenessDistribution:
        """The exact staleness distribution of all applied updates."""
        if self.is_summary or self.synopsis is not None:
            return StalenessDistribution.from_counts(self.by_staleness["updates"])
        return StalenessDistribution.from_counts(np.bincount(self._applied("tau"), minlength=1))

    @cached_property
    def staleness_counts(self) -> NDArray[np.int64]:
        """How many applied updates of each worker had each staleness: int64, (workers, largest staleness + 1)."""
        if self.is_summary:
            return self._stored_counts()
        workers, largest = int(self.attributes["workers"]), int(self._applied("tau").max(initial=0))
        if workers * (largest + 1) > _MOST_COUNTS:
            raise RecordError(
                f"the counts of {workers:,} workers and staleness up to {largest:,} are more than {_MOST_COUNTS:,}: "
                "count the columns worker and tau of run.updates yourself, or use run.staleness"
            )
        histogram = WorkerHistogram(workers)
        histogram.observe(self._applied("worker"), self._applied("tau"))
        return histogram.counts

    def _stored_counts(self) -> NDArray[np.int64]:
        workers, longest = int(self.attributes["workers"]), len(self.by_staleness["updates"])
        if not longest:
            return np.zeros((workers, 0), np.int64)
        counts = self._content.array("staleness", "counts")
        if counts.shape == (workers, 0):
            raise RecordError(
                f"{self._name} is a summary, which counts the staleness of each worker only if there are few (see "
                "docs/reference/run-file.md): use run.staleness, of all workers"
            )
        if counts.shape != (workers, longest) or (counts.sum(axis=0) != self.sums.by_tau["updates"][:longest]).any():
            raise RecordError(f"/{COUNTS} of {self._name} is not what /summary adds up to: the file is damaged")
        return counts

    @cached_property
    def rule_tables(self) -> RuleTables:
        """Every scale table of the run, and the number of updates seen when it was made."""
        return RuleTables(self._read("rule", "step"), self._read("rule", "scale"))

    @property
    def tables(self) -> Columns:
        """The run as tables, by name. Each is a mapping of columns: `pandas.DataFrame(run.tables["rule"])` takes one.

        * `updates`, `evals`, `microscope`: the attributes of these names
        * `rule`: the scale tables, with columns `row` (number of the table), `step` (updates seen when it was made),
          `tau` and `scale`
        * `staleness`: `worker`, `tau`, and `updates`, how many updates of the worker had that staleness; without
          entries of 0
        * `workers`: what became of the gradients of each worker; see `by_worker`
        """
        return Columns(tuple(TABLES), partial(table_of, self))

    def by_worker(self) -> dict[str, NDArray[Any]]:
        """What became of the gradients of each worker, as columns with one entry for each worker.

        * `worker`: its number
        * `gradients`: how many it computed
        * `applied`: how many of these made a version, or a part of one
        * `dropped`: how many were given up, without making a version
        * `zeroed`: how many of the applied ones had a scale of zero
        * `mean_scale`: the mean of scale · factor of the applied ones; NaN if there are none
        * `share_of_gradients`: its share of the gradients of all workers
        * `share_of_steps`: its share of the sum of all steps. If this is less than `share_of_gradients`, the rule has
          dampened the worker.

        Old summaries, which did not count all this, have `worker` and `share_of_steps` only.

        >>> import asapnb as ab
        >>> bowl = ab.problems.quadratic([1.0], noise=0.1)
        >>> times = "compute=[constant(1), constant(1), constant(10)]"
        >>> run = ab.simulate(bowl, rule="inverse", workers=3, timing=times, updates=210)
        >>> found = run.by_worker()
        >>> found["applied"].tolist(), found["mean_scale"].round(2).tolist()
        ([100, 100, 10], [0.49, 0.48, 0.05])
        """
        return self.sums.by_worker()

    @cached_property
    def made(self) -> int:
        """The number of versions made."""
        if self.is_summary or self.synopsis is not None:
            return self.sums.numbers["updates"] or int(self.evals["step"].max(initial=0))
        parts = self.parts("updates", ("version",), PIECE)
        return max((int(part["version"].max()) for _, part in parts), default=0)

    def parts(self, group: str, names: Iterable[str], size: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """Read columns of a group in parts of at most `size` rows; they are neither checked nor kept in memory.

        Args:
            group: the group; "updates" includes the columns of "views".
            names: the names of the columns.
            size: how many rows to read at a time.

        Yields:
            The number of the first row of a part, and its columns by name.
        """
        return self._content.parts(group, names, size)

    @property
    def kept_versions(self) -> NDArray[np.int64]:
        """The versions whose parameters the run holds, in order; the first and, once it has ended, the last."""
        last = [self.made] if self.status != RUNNING else []
        return np.unique(np.array([0, *self.kept_rows, *last], np.int64))

    @cached_property
    def kept_rows(self) -> NDArray[np.int64]:
        """The version of each row of /kept."""
        return self._read("kept", "version") if "kept" in self.rows else np.empty(0, np.int64)

    def params_at(self, version: int) -> NDArray[Any]:
        """The parameters at one of the `kept_versions`, shape (n_params,); RecordError for another version."""
        held = self.kept_versions.tolist()
        if version not in held:
            raise RecordError(
                f"{self._name} does not hold the parameters of version {shown(version)}: it holds those of "
                f'{", ".join(f"{one:,}" for one in held)}; keep_params="evals" keeps those of every evaluation'
            )
        place = np.flatnonzero(self.kept_rows == version)
        if not len(place) or version == 0:
            found: NDArray[Any] = self.params["initial" if version == 0 else "final"]
            return found
        return self._content.kept_params(int(place[-1]))

    def check(self) -> None:
        """Read everything that the file holds; RecordError for the first thing that is damaged or missing."""
        for name in (*NEEDED, *(("timing",) if self.kind == "simulate" else ())):
            self.config[name]
        with self._content.kept_open():
            for columns in (*(() if self.is_summary else (self.updates,)), self.evals, self.microscope):
                dict(columns)
            self.rule_tables, self.is_summary and (self.sums, self.eval_steps)  # noqa: B018
            for version in self.kept_rows.tolist():
                self.params_at(version)
            for name in ("initial", *CARRIED) if self.status == RUNNING else self.params:
                self.params.get(name)

    def predict(
        self,
        inputs: Any,
        problem: Any = None,
        *,
        version: int | None = None,
        scores: bool = False,
        force: bool = False,
    ) -> NDArray[Any]:
        """Predict with the final parameters of the run. Inputs are prepared as those of its training were.

        Args:
            inputs: a table with the columns that it was trained on (a DataFrame), an array of samples, a `Split`, or
                a `Dataset`, whose test samples are taken. Or a text: a file of these, or the name of a data set.
            problem: the run's problem, if it is your own. Any other problem is built as the file says.
            version: one of the `kept_versions`; by default the last.
            scores: return the outputs of the network instead, shape (n, outputs). For classes these are the logits,
                before softmax.
            force: predict although your own code is not what the run recorded.

        Returns:
            One entry for each input, in the shape of labels: its class, named as the labels were, or its target.

        Raises:
            UsageError, DataError, RecordError: for inputs that do not fit, and for a run without final parameters.

        >>> import asapnb as ab
        >>> x, y = np.array([[0.0], [1.0]] * 20), ["low", "high"] * 20
        >>> data = ab.Dataset.from_arrays(x, y, x[:2], y[:2])
        >>> run = ab.train(ab.mlp(data, hidden=(8,)), workers=1, step_size=0.5, epochs=50)
        >>> run.predict([[0.0], [1.0]]).tolist()
        ['low', 'high']
        """
        return predict(self, inputs, problem, version, scores, force)

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the run to a file, completely or not at all.

        Args:
            path: the file.
            force: replace an existing file.
        """
        with claim(path, force) as owner:
            whole = summed_up(self._source) if isinstance(self._source, Held) else self._source
            put_in_place(owner.path, lambda part: copy(whole, part), owner)

    def summary(self) -> dict[str, Any]:
        """The main figures of the run, by name: texts, numbers, lists, dicts; None where there is no such figure.

        Losses may be NaN or infinite. `record.to_json` writes such numbers as text.
        """
        seconds = self.seconds
        known, begun, updates = not self.staleness.is_empty, burn_in(self), self.sums.numbers["updates"] or self.made
        step_size = self.attributes.get("step_size", self.config.get("step_size"))
        facts = self.sums.facts(step_size if step_size is None or len(step_sizes(self)) == 1 else 1.0)
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
            "mean_scale": facts["mean_scale"],
            "mean_factor": facts["mean_factor"],
            "burn_in": {"made_from": begun.made_from, "updates": begun.updates, "mean_scale_after": begun.mean_scale},
            **facts,
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

    def _repr_html_(self) -> str:
        from .figures import shown_run

        return shown_run(self)

    def applied(self, *names: str) -> dict[str, NDArray[Any]]:
        """These columns of `updates`, by name, without the rows of gradients that were given up."""
        return {name: self._applied(name) for name in names}

    def _applied(self, name: str) -> NDArray[Any]:
        """A column of the updates that made a version."""
        return self.updates[name][self.updates["dropped"] != ABANDONED]

    def _evaluation(self, index: int) -> dict[str, Any] | None:
        """The first or last evaluation; None if there is none."""
        return {name: column[index].item() for name, column in self.evals.items()} if self.rows["evals"] else None

    def _read_update(self, name: str) -> NDArray[Any]:
        self.check_rows(f"it has no {name} of each")
        return self._read(home("updates", name), name)

    def _read_eval(self, name: str) -> NDArray[Any]:
        return self._read("evals", name) if self.synopsis is None else self.synopsis.evals[name]

    def _read(self, group: str, name: str) -> NDArray[Any]:
        """The complete rows of a column, checked."""
        column = self._content.column(group, name)
        values.check(self, group, name, column)
        column.setflags(write=False)
        return column


def summed_up(held: Held) -> Held:
    """A run in memory that has ended, with its synopsis. An error in making it does not lose the run."""
    with contextlib.suppress(Exception):
        return replace(held, synopsis=synopsis_of(Run(held)))
    return held


def file_of(run: Run) -> Path:
    """The file of a run; RecordError if it has none."""
    if run.path is None:
        raise RecordError("the run is in memory: save it to a file with run.save('run.h5') and resume that file")
    return run.path


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read the run in a file. The run may still be going on, and it may have been killed.

    Args:
        path: the run file.

    Raises:
        RecordError: for a file that is missing, or cannot be read as a run.

    >>> import tempfile, asapnb as ab
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = ab.simulate(ab.problems.quadratic([1.0]), workers=4, updates=50, out=f"{folder}/run.h5")
    ...     run = ab.load_run(f"{folder}/run.h5")
    ...     run.status, len(run.updates["tau"])
    ('finished', 50)
    """
    file = Path(path)
    if not os.path.isfile(file):  # False for an impossible name
        raise RecordError(f"there is no run file {path}" + (": it is a directory" if os.path.isdir(file) else ""))
    try:
        with open(file, "rb") as content:
            is_hdf5 = content.read(len(_SIGNATURE)) == _SIGNATURE
            packed = sealed(content) if is_hdf5 else None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    if not is_hdf5:
        raise RecordError(f"{path} is not an HDF5 file, so it is not a run file")
    return Run(file.resolve(), str(path), synopsis=None if packed is None else unpacked(packed, str(path)))
