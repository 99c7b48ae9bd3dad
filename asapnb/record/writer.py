"""Write a run file during the run: rows are collected in memory and appended to the file now and then."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RecordError
from ..text import to_json
from .checkpoint import make_room, remove_checkpoint, run_id_in
from .files import Source, checked_target, claim, copy, created, opened, put_in_place
from .owner import Owner, own
from .provenance import machine, new_id, process, versions
from .run import Run
from .schema import CLOCK, EVALS, GROUPS, RUNNING, SCHEMA, UPDATES
from .text import set_attributes

_ROWS = 2048  # in a chunk; longer chunks would leave larger holes when rows are appended in small pieces
_FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
_PATIENCE = 10.0  # seconds that `finish` waits while another process reads the file
_AT_THE_END = ("staleness", "params/final", "params/velocity")  # groups and datasets that `finish` writes


class RunWriter:
    """The record of one run, in a file or, without a path, in memory.

    The file is complete as soon as the writer is made, and can be read after every write of every `flush`. So a kill
    loses no row of an earlier flush.

    Args:
        target: the run file, or its owner; None to record in memory. Given a path, the writer owns the file until
            `finish`.
        kind: what makes the run: "train", "simulate" or "replay".
        attributes: those of the file's root: numbers, text, or nested values, which are stored as JSON (the
            configuration, `config`, as TOML). None is left out.
        initial: the initial parameters, of shape (n_params,).
        layout: the name, shape and offset of each tensor in the parameters.
        workers: how many there are.
        force: replace an existing file.
        groups: further tables of the run, by name, with the dtype of their rows.

    Raises:
        RecordError: if the file cannot be made, or another writes it.

    >>> writer = RunWriter(None, kind="train", attributes={"seed": 1}, initial=np.zeros(2), layout=[], workers=1)
    >>> rows = np.zeros(3, UPDATES)
    >>> rows["version"] = [1, 2, 3]
    >>> writer.append_updates(rows)
    >>> run = writer.finish("finished", np.ones(2), [[3]], {"seconds": 0.5})
    >>> run.status, run.updates["tau"]
    ('finished', array([0, 0, 0], dtype=int32))
    """

    def __init__(
        self,
        target: Owner | str | os.PathLike[str] | None,
        *,
        kind: str,
        attributes: Mapping[str, Any],
        initial: NDArray[np.floating],
        layout: Iterable[Any],
        workers: int,
        force: bool = False,
        groups: Mapping[str, np.dtype[Any]] = MappingProxyType({}),
    ) -> None:
        self._groups = {"updates": UPDATES, "evals": EVALS, **groups}
        self._written = dict.fromkeys([*self._groups, "rule"], 0)
        self._forget()
        self._initial, self._layout = initial, to_json(list(layout))
        self._attributes = {
            "schema": SCHEMA,
            "kind": kind,
            "status": RUNNING,
            "created_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "workers": workers,
            "clock": CLOCK,
            "run_id": new_id(),
            "token": "",  # that of the owner
            "versions": versions(),
            **process(),
            **attributes,
        }
        self._attributes.setdefault("machine", machine())
        self._run_id = str(self._attributes["run_id"])
        self._file: Source = BytesIO()
        if target is None:
            self._own(None, lends=False)
            self._create(self._file)
            return
        owner = target if isinstance(target, Owner) else claim(target, force)
        self._own(owner, lends=owner is target)
        with self._given_back_after_errors():
            self._file = checked_target(owner.path, force)
            before = run_id_in(self._file)
            put_in_place(self._file, self._create, owner)
            make_room(self._file, before)

    @classmethod
    def reopen(cls, target: Owner | Path, *, kept: Mapping[str, int], attributes: Mapping[str, Any]) -> RunWriter:
        """Go on with the run in a file: in one step, its status becomes "running", and later rows are cut.

        Final parameters, velocities and counts are cut, too. So save the state to go on from as a checkpoint before.

        Args:
            target: the run file, or its owner. Given a path, the writer owns the file until `finish`.
            kept: how many rows of each group are kept, such as "updates", "evals" and "rule".
            attributes: attributes to set; None removes one.

        Raises:
            RecordError: if the file cannot be written, or another writes it.
        """
        writer = cls.__new__(cls)
        owner = target if isinstance(target, Owner) else own(target)
        writer._file, writer._written = owner.path, dict(kept)
        writer._groups = {name: GROUPS[name] for name in kept if name in GROUPS}
        writer._forget()
        writer._own(owner, lends=owner is target)
        changed = {**attributes, **process(), "status": RUNNING, "token": writer._token}
        with writer._given_back_after_errors():
            put_in_place(owner.path, lambda part: writer._cut(part, changed), owner)
        return writer

    @property
    def identity(self) -> dict[str, str]:
        """The attributes of the run, and of this writer, that a checkpoint names."""
        return {"run_id": self._run_id, "token": self._token}

    def _own(self, owner: Owner | None, *, lends: bool) -> None:
        """Write as this owner, who may lend it for this; None in memory."""
        self._owner, self._lends = owner, lends
        self._token = owner.token if owner else new_id()

    @contextlib.contextmanager
    def _given_back_after_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        if self._owner is not None and not self._lends:
            self._owner.release()

    @property
    def path(self) -> Path | None:
        """The run file; None in memory."""
        return self._file if isinstance(self._file, Path) else None

    def _forget(self) -> None:
        """Empty the memory: no rows wait to be written."""
        self._rows: dict[str, list[NDArray[Any]]] = {name: [] for name in self._groups}
        self._tables: list[tuple[int, NDArray[np.float64]]] = []

    def _cut(self, part: Path, attributes: Mapping[str, Any]) -> None:
        copy(self._file, part)
        with opened(part, "a") as file:
            for group, count in self._written.items():
                for column in file[group].values():
                    column.resize(count, axis=0)
            for name in _AT_THE_END:
                if name in file:
                    del file[name]
            for name in attributes.keys() & file.attrs.keys():
                del file.attrs[name]
            set_attributes(file, attributes)
            if "run_id" not in file.attrs:  # of an earlier version of asapnb
                file.attrs["run_id"] = new_id()
            self._run_id = file.attrs["run_id"]

    def _create(self, source: Source) -> None:
        with created(source) as file:
            set_attributes(file, {**self._attributes, "token": self._token})
            for group, rows in self._groups.items():
                for name in rows.names or ():
                    _growing(file, f"{group}/{name}", rows[name])
            _growing(file, "rule/step", np.dtype(np.int64))
            scale = {"shape": (0, 1), "maxshape": (None, None), "chunks": (1, 1024)}
            file.create_dataset("rule/scale", dtype=np.float64, **scale, **_FILTERS)
            file.create_dataset("params/initial", data=self._initial)
            file["params"].attrs["layout"] = self._layout

    def append_updates(self, rows: NDArray[Any]) -> None:
        """Add updates, as rows of `schema.UPDATES` in the order of application; the rows are copied."""
        self.append("updates", rows)

    def append(self, group: str, rows: NDArray[Any]) -> None:
        """Add rows to a group; the rows are copied."""
        self._rows[group].append(rows.astype(self._groups[group], copy=True))

    def append_eval(self, step: int, t: float, train_loss: float, test_loss: float, test_accuracy: float) -> None:
        """Add an evaluation; NaN stands for what was not measured.

        Args:
            step: the version evaluated.
            t: when that version was made, in seconds.
            train_loss: the training loss.
            test_loss: the test loss.
            test_accuracy: the share of test samples that are classified rightly.
        """
        self.append("evals", np.array([(step, t, train_loss, test_loss, test_accuracy)], EVALS))

    def append_table(self, step: int, scales: ArrayLike) -> None:
        """Add a scale table, made when `step` updates had been observed."""
        self._tables.append((step, np.array(scales, dtype=np.float64)))

    def flush(self) -> bool:
        """Append the collected rows to the file, or keep them for the next time if another process reads the file.

        Returns whether all rows are in a file now; never for a run in memory. RecordError if the file cannot be
        written, for want of space for example; a later flush tries again.
        """
        if isinstance(self._file, BytesIO):
            return False
        if self._tables or any(self._rows.values()):
            try:
                with self._appended(patience=0.0):
                    pass
            except RecordError as error:
                if not isinstance(error.__cause__, BlockingIOError):
                    raise
                return False
        return True

    def finish(
        self,
        status: str,
        final: NDArray[np.floating] | None,
        counts: ArrayLike,
        attributes: Mapping[str, Any],
        velocity: NDArray[np.floating] | None = None,
    ) -> Run:
        """Append the last rows and end the run. A checkpoint beside the file is removed.

        Args:
            status: how the run ended.
            final: the final parameters, of shape (n_params,); None if there are none.
            counts: each worker's counts of staleness, of shape (workers, largest staleness + 1).
            attributes: further attributes.
            velocity: with momentum, the velocities, one in a row.

        Returns:
            The run.
        """
        with self._appended(_PATIENCE) as file:
            filters = _FILTERS if np.size(counts) else {}
            file.create_dataset("staleness/counts", data=np.asarray(counts, dtype=np.int64), **filters)
            if final is not None:
                file.create_dataset("params/final", data=final)
            if velocity is not None:
                file.create_dataset("params/velocity", data=velocity)
            set_attributes(file, {**attributes, "status": status})
        if not isinstance(self._file, BytesIO):
            with contextlib.suppress(RecordError):  # on a full disk the file stays as it is, with holes
                put_in_place(self._file, lambda part: copy(self._file, part), self._owner)
            remove_checkpoint(self._file, self._run_id, None)
        run = Run(self._file)
        self._give_back()
        return run

    @contextlib.contextmanager
    def _appended(self, patience: float) -> Iterator[Any]:
        """The open file, with the collected rows appended; they are forgotten once the file is closed."""
        collected = {
            group: np.concatenate([np.empty(0, self._groups[group]), *parts]) for group, parts in self._rows.items()
        }
        if self._owner is not None:
            self._owner.check()
        try:
            with opened(self._file, "r+", patience) as file:
                for group, rows in collected.items():
                    for name in rows.dtype.names or ():
                        _extend(file[group][name], self._written[group], rows[name])
                if self._tables:
                    _extend_tables(file["rule"], self._written["rule"], self._tables)
                yield file
        except OSError as error:
            raise RecordError(f"cannot write to {self._file}: {error}") from error
        for group, rows in collected.items():
            self._written[group] += len(rows)
        self._written["rule"] += len(self._tables)
        self._forget()


def _growing(file: Any, name: str, dtype: np.dtype[Any]) -> None:
    file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(_ROWS,), **_FILTERS)


def _extend(dataset: Any, start: int, values: NDArray[Any]) -> None:
    """Write `values` from row `start` on. After an append that failed, this may be before the end."""
    if len(values):
        dataset.resize(start + len(values), axis=0)
        dataset[start:] = values


def _extend_tables(group: Any, start: int, tables: list[tuple[int, NDArray[np.float64]]]) -> None:
    """Add tables. Shorter ones are filled up with their last scale, which holds for all staler updates."""
    scale = group["scale"]
    before, width = scale.shape[1], max(scale.shape[1], *(len(table) for _, table in tables))
    last = scale[:start, -1:]
    scale.resize((start + len(tables), width))
    if start and width > before:
        scale[:start, before:] = np.broadcast_to(last, (start, width - before))
    for i, (_, table) in enumerate(tables, start):
        scale[i] = np.pad(table, (0, width - len(table)), mode="edge")
    _extend(group["step"], start, np.array([step for step, _ in tables]))
