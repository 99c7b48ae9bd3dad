"""Write a run file during the run: rows are collected in memory and appended to the file now and then."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RecordError, why
from ..text import plain
from . import columns
from .beginning import create, cut
from .checkpoint import make_room, remove_checkpoint, run_id_in, save_checkpoint
from .ending import end_at_once, end_run, write_at_once
from .files import checked_target, claim, put_in_place
from .held import Held
from .owner import Owner, own
from .provenance import machine, new_id, process, versions
from .run import Run, summed_up
from .schema import CLOCK, EVALS, GROUPS, ROWS, RUNNING, SCHEMA, UPDATES
from .store import End, Store
from .sums import Sums
from .text import set_attributes
from .waiting import Waiting

_PATIENCE = 10.0  # seconds that `finish` tries to write the file
_AT_ONCE = 1.0  # seconds, about, that `flush` takes at most if much has waited


class RunWriter:
    """The record of one run, in a file or, without a path, in memory.

    The file is complete as soon as the writer is made, and can be read after every write of every `flush`. So a kill
    loses no row of an earlier flush. If the file cannot be written for a while, for want of space or because somebody
    reads it, rows wait in memory, and in a temporary file when they are many. If it cannot be written at the end, the
    run goes to another file.

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
        record: "updates" for a row of each update, "summary" for their sums at the end.

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
        record: str = ROWS,
    ) -> None:
        self._store: Store | None
        self._file: Path | None = None
        rows = {"updates": UPDATES} if record == ROWS else {}
        self._groups = {**rows, "evals": EVALS, **groups}
        self._empty()
        self._initial, self._layout = initial, plain(list(layout))
        self._attributes = {
            "schema": SCHEMA,
            "kind": kind,
            "record": None if record == ROWS else record,
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
        if "machine" not in attributes:
            self._attributes["machine"] = machine()
        self._run_id = str(self._attributes["run_id"])
        if target is None:
            self._own(None, lends=False)
            self._at_once = True
            return
        owner = target if isinstance(target, Owner) else claim(target, force)
        self._own(owner, lends=owner is target)
        with self._given_back_after_errors():
            self._file = checked_target(owner.path, force)
            if record == ROWS:
                self._begun()
        self._at_once = True

    def _begun(self) -> Store:
        """The file while the run goes on; it is made, if it has not been."""
        if self._store is None:
            assert self._owner is not None
            path = self._owner.path
            before = run_id_in(path)
            beginning = {**self._attributes, "token": self._token}
            put_in_place(
                path,
                lambda part: create(part, self._groups, beginning, self._initial, self._layout),
                self._owner,
            )
            make_room(path, before)
            self._store = Store(self._owner, self._groups, dict.fromkeys([*self._groups, "rule"], 0))
        return self._store

    @classmethod
    def reopen(
        cls,
        target: Owner | Path,
        *,
        kept: Mapping[str, int],
        attributes: Mapping[str, Any],
        groups: Mapping[str, np.dtype[Any]] = MappingProxyType({}),
    ) -> RunWriter:
        """Go on with the run in a file: in one step, its status becomes "running", and later rows are cut.

        Final parameters, velocities and counts are cut, too. So save the state to go on from as a checkpoint before.

        Args:
            target: the run file, or its owner. Given a path, the writer owns the file until `finish`.
            kept: how many rows of each group are kept, such as "updates", "evals" and "rule".
            attributes: attributes to set; None removes one.
            groups: further tables of the run, as when it was made.

        Raises:
            RecordError: if the file cannot be written, or another writes it.
        """
        writer = cls.__new__(cls)
        owner = target if isinstance(target, Owner) else own(target)
        writer._file = owner.path
        writer._groups = {name: GROUPS[name] for name in kept if name in GROUPS} | dict(groups)
        writer._empty()
        writer._own(owner, lends=owner is target)
        changed = {**attributes, **process(), "status": RUNNING, "token": writer._token}

        def write(part: Path) -> None:
            writer._run_id, writer._evaluated = cut(owner.path, part, writer._groups, kept, changed)

        with writer._given_back_after_errors():
            put_in_place(owner.path, write, owner)
            writer._store = Store(owner, writer._groups, kept)
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
        return self._file

    def _empty(self) -> None:
        """Nothing waits to be written, and no file is open."""
        self._waiting = Waiting()
        self._store = None
        self._at_once = False  # whether nothing is in the file yet but the beginning of the run, or there is none
        self._evaluated: list[int] = []  # the versions in /evals
        self._warned: set[str] = set()

    def append_updates(self, rows: NDArray[Any], copy: bool = True) -> None:
        """Add updates, as rows of `schema.UPDATES` in the order of application.

        A summary has none: it gets their sums at its end.

        Args:
            rows: the updates.
            copy: False if nobody will change them.
        """
        if "updates" in self._groups:
            self.append("updates", rows, copy)

    def append(self, group: str, rows: NDArray[Any], copy: bool = True) -> None:
        """Add rows to a group.

        Args:
            group: its name.
            rows: in the dtype of the group, or in one that is cast to it.
            copy: False if nobody will change them.
        """
        self._waiting.add(group, rows.astype(self._groups[group], copy=copy))

    def append_eval(
        self,
        step: int,
        t: float,
        train_loss: float,
        test_loss: float,
        test_accuracy: float,
        test_r2: float = math.nan,
        test_rmse: float = math.nan,
    ) -> None:
        """Add an evaluation; NaN stands for what was not measured.

        Args:
            step: the version evaluated.
            t: when that version was made, in seconds.
            train_loss: the training loss.
            test_loss: the test loss.
            test_accuracy: the share of test samples that are classified rightly.
            test_r2: the coefficient of determination of the test samples.
            test_rmse: the root of their mean squared error.
        """
        row = (step, t, train_loss, test_loss, test_accuracy, test_r2, test_rmse)
        self.append("evals", np.array([row], EVALS))
        self._evaluated.append(step)

    def append_params(self, version: int, params: NDArray[np.floating]) -> None:
        """Keep the parameters of a version, if the run keeps any (group "kept"); they are copied."""
        if "kept" in self._groups:
            row = np.empty(1, self._groups["kept"])
            row["version"], row["params"] = version, params
            self._waiting.add("kept", row)

    def append_table(self, step: int, scales: ArrayLike) -> None:
        """Add a scale table, made when `step` updates had been observed."""
        self._waiting.tables.append((step, np.array(scales, dtype=np.float64)))

    def flush(self) -> bool:
        """Write the collected rows to the file, or keep them for the next time if that cannot be done now.

        Returns whether all rows are in a file now; never for a run in memory. The first time that the file cannot be
        written, for want of space for example, a RuntimeWarning says so. That another process reads the file is no
        reason for one, unless rows fill the memory meanwhile.
        """
        if self._owner is None:
            return False
        if self._store is not None and not (self._waiting or self._store.waits):
            return True
        try:
            store = self._begun()
            self._at_once = False
            with store.alone():
                store.take(self._waiting, time.monotonic() + _AT_ONCE)
        except Exception as error:  # also what HDF5 says of a file that somebody has damaged
            many = self._waiting.spill(
                self._owner.path if self._store is None else self._store.place or self._owner.path
            )
            if many or not isinstance(error, BlockingIOError):
                self._warn(
                    "rows", f"cannot write to {self._file} now: {why(error)}; the run goes on, and its rows wait"
                )
            return False
        return not self._waiting

    def save_checkpoint(self, arrays: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]) -> bool:
        """Save a checkpoint beside the file; whether that could be done. If not, the one before stays valid.

        All rows up to the checkpoint must be in the file: save it after a `flush` that wrote everything. The first
        time that it cannot be saved, a RuntimeWarning says so.

        Args:
            arrays: named arrays of any shape and dtype.
            attributes: numbers, text, or nested values, as those of a run file.
        """
        if self._store is None:
            return False
        return self._save_checkpoint(self._store.place or self._store.owner.path, arrays, attributes)

    def finish(
        self,
        status: str,
        final: NDArray[np.floating] | None,
        counts: ArrayLike,
        attributes: Mapping[str, Any],
        moments: Mapping[str, NDArray[np.floating]] | None = None,
        checkpoint: tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]] | None = None,
        *,
        sums: Sums | None = None,
        steps_at: Callable[[NDArray[np.int64]], ArrayLike] = np.zeros_like,
        hurried: Callable[[], bool] = lambda: False,
    ) -> Run:
        """Write the last rows and end the run. The checkpoint beside the file is removed, or replaced.

        If the file cannot be written, the whole run is written to `NAME.1.h5` beside it, else to the working
        directory, else to the temporary one, else it stays in memory; a RuntimeWarning says where it is.

        Args:
            status: how the run ended.
            final: the final parameters, of shape (n_params,); None if there are none.
            counts: each worker's counts of staleness, of shape (workers, largest staleness + 1).
            attributes: further attributes.
            moments: what steps carry on, vectors in rows, by its name, one of `schema.CARRIED`.
            checkpoint: the arrays and attributes from which the run can go on; None if its file is enough.
            sums: of a summary: what its updates come to.
            steps_at: of a summary: the sums of the steps up to these versions, those of its evaluations.
            hurried: if it is true at the end, a file that has all is left with its holes, so somewhat larger.

        Returns:
            The run; its `path` says where it is.
        """

        made = {columns.COUNTS: np.asarray(counts, np.int64), "params/final": final}
        made |= {f"params/{name}": vectors for name, vectors in (moments or {}).items()}
        arrays = {path: array for path, array in made.items() if array is not None}
        if sums is not None:
            at = np.asarray(steps_at(np.array(self._evaluated, np.int64)), np.float64)
            arrays |= {**sums.arrays(), "summary/eval_steps": at}
            attributes = {**attributes, "summary": sums.numbers}

        def write_arrays(file: Any) -> None:
            for path, array in arrays.items():
                columns.write_array(file, path, array)

        end = (write_arrays, lambda file: set_attributes(file, {**attributes, "status": status}))
        held = self._held(arrays, {**attributes, "status": status}) if self._at_once else None
        if held is not None and self._owner is None:
            return Run(held)
        try:
            run, why = self._ended(held and summed_up(held), end, hurried)
            if run.path is not None and checkpoint is not None:
                self._save_checkpoint(run.path, *checkpoint)
            elif run.path is not None and why is None:
                remove_checkpoint(run.path, self._run_id, None)
        finally:
            if self._store is not None:
                self._store.append.close()
            self._give_back()
        if why is not None:
            place = run.path or "memory only: save it with run.save('run.h5')"
            self._warn("end", f"cannot write to {self._file}: {why}; the run is in {place}")
        return run

    def _ended(self, held: Held | None, end: End, hurried: Callable[[], bool]) -> tuple[Run, Exception | None]:
        """Write the end of a run: the whole of it at once if nothing was written on the way."""
        assert self._owner is not None
        if self._store is not None:
            if held is not None and (place := self._store.place):
                with contextlib.suppress(Exception):
                    return write_at_once(held, place, self._owner), None
            return end_run(self._store, self._waiting, end, _PATIENCE, hurried)
        assert held is not None
        before = run_id_in(self._owner.path)
        run, why = end_at_once(held, self._owner, _PATIENCE, hurried)
        if why is None:
            make_room(self._owner.path, before)
        return run, why

    def _held(self, arrays: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]) -> Held:
        """The run in memory at its end."""
        rows = self._waiting.all()
        return Held(
            {**self._attributes, "token": self._token, **attributes},
            {group: rows.get(group, np.empty(0, dtype)) for group, dtype in self._groups.items()},
            self._waiting.tables,
            {"params/initial": np.array(self._initial), **arrays},
            self._layout,
        )

    def _save_checkpoint(self, path: Path, arrays: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]) -> bool:
        try:
            owner = self._owner if self._owner and self._owner.path == path else None
            save_checkpoint(path, arrays, {**attributes, **self.identity}, owner)
        except RecordError as error:
            self._warn("checkpoint", f"{error}; there is no newer checkpoint")
            return False
        return True

    def _warn(self, subject: str, text: str) -> None:
        """Warn, but once of each subject."""
        if subject not in self._warned:
            self._warned.add(subject)
            warnings.warn(text, RuntimeWarning, stacklevel=3)
