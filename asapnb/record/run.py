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
    """Every scale table used: scales[i], of shape (K,), was made after steps[i] updates had been seen."""

    steps: NDArray[np.int64]
    scales: NDArray[np.float64]


class Run:
    """A recorded run: returned by `train`, or read from a file by `load_run`.

    * `status`: running (or killed) | finished | converged | stopped | diverged | timed-out | interrupted | failed
    * `kind`, `attributes` (seed, workers, machine, …), `config` (dict), `path` (None: in memory)
    * `updates`: columns of one row for each update in the order of application; `evals`: the evaluations
    * `microscope`: columns of what the microscope saw; empty without one
    * `tables`: all of these, the scales and the staleness as columns, for `pandas.DataFrame` and its like
    * `staleness`, `staleness_counts`, `rule_tables`, and `params` with `initial`, `final`, `layout`, and
      with momentum `velocity`, with an optimizer `moments`, as the last update left them

    Args:
        source: its file, or a run in memory.
        name: in errors; by default the path.
        found: what the file is made of, if that has been read.
        synopsis: what the run comes to, if that is known: then the file is opened only for what it lacks.
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
        """The same run with no column read yet, so that what it reads is not kept here. In memory, itself."""
        if self.path is None:
            return self
        fresh = Run.__new__(Run)
        vars(fresh).update(_source=self._source, _name=self._name, synopsis=self.synopsis)
        fresh._content = self._content.anew()
        return fresh

    @cached_property
    def attributes(self) -> Facts:
        """Those of its file: seed, workers, machine, …"""
        return self._content.attributes

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows each group has."""
        return self._content.rows

    @property
    def columns(self) -> dict[str, set[str]]:
        """The columns that the file has, by group."""
        return self._content.structure.columns

    @cached_property
    def updates(self) -> Columns:
        """Columns of one row for each update, in the order of application."""
        views = VIEWS.names or () if "views" in self.rows else ()
        return Columns((*(UPDATES.names or ()), *views), self._read_update)

    @cached_property
    def microscope(self) -> Columns:
        """Columns of what the microscope saw; empty without one."""
        return Columns(MICROSCOPE.names or () if "microscope" in self.rows else (), partial(self._read, "microscope"))

    @cached_property
    def evals(self) -> Columns:
        """Columns of one row for each evaluation."""
        return Columns(EVALS.names or (), self._read_eval)

    @cached_property
    def params(self) -> Columns:
        """The parameters: `initial`, `final`, their `layout`, and what steps carry on: `velocity` or `moments`."""
        more = tuple(name for name in CARRIED if name in self._content.structure.params)
        return Columns(("initial", "final", "layout", *more), self._content.parameters)

    @property
    def path(self) -> Path | None:
        """The run file; None for a run in memory."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def name(self) -> str:
        """The path of its file as it was given; "the run" in memory."""
        return self._name

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
    def config(self) -> Facts:
        """The full configuration of the run, a dict. Texts that may name code are `Recorded`."""
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
        """The code of the run that is not of asapnb: `identity.Piece` of each; None if its file is from before."""
        return pieces_from(self.attributes.get("code"), self._name)

    @property
    def local_steps(self) -> int:
        """The minibatches of a row."""
        return int(self.config.get("local_steps", 1))

    @property
    def is_summary(self) -> bool:
        """Whether it was recorded with `record="summary"`, without a row for each update."""
        return self.attributes.get("record") == SUMMARY

    @property
    def seconds(self) -> float:
        """When the last update was applied, on the clock of the run; of a killed summary its last evaluation."""
        known = self.attributes.get("seconds")
        if known is None:
            known = (self.evals["t"] if self.is_summary else self.updates["t_apply"]).max(initial=0.0)
        return float(known)

    def check_rows(self, so: str) -> None:
        """RecordError if there is no row for each update; `so` says what follows, such as "it cannot be replayed"."""
        if self.is_summary:
            raise RecordError(
                f'{self._name} was recorded as a summary (record="summary"), without a row for each update, so {so}: '
                'make the run again with record="updates" (--record updates)'
            )

    @cached_property
    def sums(self) -> Sums:
        """What its updates come to; of a summary that was killed nothing."""
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
        """Sums over the updates of each staleness, from 0 to the largest: updates, dropped, and scale · factor."""
        longest = len(np.trim_zeros(self.sums.by_tau["updates"], "b"))
        return {name: sums[:longest] for name, sums in self.sums.by_tau.items()}

    @cached_property
    def eval_steps(self) -> NDArray[np.float64]:
        """The sum of the steps up to each evaluation; NaN of a summary that was killed."""
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
        """The exact staleness of all applied updates, from the rows themselves."""
        if self.is_summary or self.synopsis is not None:
            return StalenessDistribution.from_counts(self.by_staleness["updates"])
        return StalenessDistribution.from_counts(np.bincount(self._applied("tau"), minlength=1))

    @cached_property
    def staleness_counts(self) -> NDArray[np.int64]:
        """Each worker's counts of the staleness of its applied updates, (workers, largest staleness + 1)."""
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
                f"{self._name} is a summary, which counts the staleness of each worker only for few of them (see "
                "docs/reference/run-file.md): use run.staleness, of all"
            )
        if counts.shape != (workers, longest) or (counts.sum(axis=0) != self.sums.by_tau["updates"][:longest]).any():
            raise RecordError(f"/{COUNTS} of {self._name} is not what /summary adds up to: the file is damaged")
        return counts

    @cached_property
    def rule_tables(self) -> RuleTables:
        """Every scale table used, and the number of updates seen when it was made."""
        return RuleTables(self._read("rule", "step"), self._read("rule", "scale"))

    @property
    def tables(self) -> Columns:
        """The run as tables of columns, by name: `pandas.DataFrame(run.tables["rule"])` is one of pandas.

        * updates, evals, microscope: the attributes of these names
        * rule: row (of the table), step (updates seen when it was made), tau, scale
        * staleness: worker, tau, updates (how many of the worker's had that staleness, where any had)
        * workers: what became of each worker's gradients: see `by_worker`
        """
        return Columns(tuple(TABLES), partial(table_of, self))

    def by_worker(self) -> dict[str, NDArray[Any]]:
        """What became of the gradients of each worker, as columns of one entry a worker.

        * worker, gradients: how many it computed; of these `applied`, `dropped` (given up: no version), and `zeroed`,
          which are applied, too, but with a scale of zero
        * mean_scale: the mean of scale · factor of those that were applied; NaN if none was
        * share_of_gradients, share_of_steps: of the gradients of all workers, and of the sum of all steps. A worker
          whose share of the steps is the smaller one has been dampened.

        A summary that was made before these were counted has worker and share_of_steps only.

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
        """How many versions there are."""
        if self.is_summary or self.synopsis is not None:
            return self.sums.numbers["updates"] or int(self.evals["step"].max(initial=0))
        parts = self.parts("updates", ("version",), PIECE)
        return max((int(part["version"].max()) for _, part in parts), default=0)

    def parts(self, group: str, names: Iterable[str], size: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """Columns of a group, at most `size` rows at a time, with the number of the first: not checked, not kept.

        Args:
            group: the group; "updates" with the columns of "views".
            names: of the columns.
            size: how many rows to read at a time.
        """
        return self._content.parts(group, names, size)

    @property
    def kept_versions(self) -> NDArray[np.int64]:
        """The versions whose parameters the run holds, the first and the last among them."""
        last = [self.made] if self.status != RUNNING else []
        return np.unique(np.array([0, *self.kept_rows, *last], np.int64))

    @cached_property
    def kept_rows(self) -> NDArray[np.int64]:
        """The version of each row of /kept."""
        return self._read("kept", "version") if "kept" in self.rows else np.empty(0, np.int64)

    def params_at(self, version: int) -> NDArray[Any]:
        """The parameters of one of the `kept_versions`, of shape (n_params,); RecordError for another version."""
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
        """Read all that the file holds; RecordError for the first thing that is damaged or missing."""
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
        """What the final parameters of the run say of inputs, prepared as those of its training were.

        Args:
            inputs: a table of the columns that it was trained on (a DataFrame), or an array of samples; a `Split`, or
                a `Dataset`, of which the test samples are taken; or text: a file of these, or the name of a data set.
            problem: the run's problem, if it is one's own; else it is built as the file says.
            version: one of the `kept_versions`, instead of the last.
            scores: the outputs of the network instead, (n, outputs): of classes the logits, before softmax.
            force: build it although code of one's own is not what the run recorded.

        Returns:
            One entry for each input, in the shape of labels: its class, called as the labels were, or its target.

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
        """Write the run to a file, completely or not at all; an existing file is replaced only with `force`."""
        with claim(path, force) as owner:
            whole = summed_up(self._source) if isinstance(self._source, Held) else self._source
            put_in_place(owner.path, lambda part: copy(whole, part), owner)

    def summary(self) -> dict[str, Any]:
        """The main figures of the run, by name: texts, numbers, None if there is no such figure, lists and dicts.

        Losses may be NaN or infinite; `record.to_json` writes those as text.
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
        """These columns of the updates that made a version, without gradients that were given up."""
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
    """A run in memory that has ended, with its synopsis. No error in that may cost the run."""
    with contextlib.suppress(Exception):
        return replace(held, synopsis=synopsis_of(Run(held)))
    return held


def file_of(run: Run) -> Path:
    """The file of a run; RecordError if it has none."""
    if run.path is None:
        raise RecordError("the run is in memory: save it to a file with run.save('run.h5') and go on with that")
    return run.path


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read the run in a file, also while it goes on and after it was killed; RecordError if it cannot be read."""
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
        raise RecordError(f"{path} is no HDF5, so it is no run file")
    return Run(file.resolve(), str(path), synopsis=None if packed is None else unpacked(packed, str(path)))
