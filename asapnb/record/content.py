"""What the file of a run holds, or a run in memory: opened, looked at and closed for each thing that is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from . import tail
from .attributes import Facts
from .dataset import rows_of
from .files import Source, reading, state_of
from .heaps import check_heaps
from .held import Held
from .schema import COLUMNS, RUNNING, VIEWS
from .structure import Structure, checked
from .synopsis import Synopsis

_OF_THE_RUN = ("run_id", "created_utc", "kind")
_OF_THE_WRITER = ("token", "pid", "host")


class Content:
    """The content of a run file.

    Args:
        source: the file, or a run in memory.
        name: in errors.
        found: what the file is made of, if that has been read.
        synopsis: what the run comes to, if that is known: then the file is opened only for what it lacks.
    """

    def __init__(self, source: Source, name: str, found: Structure | None, synopsis: Synopsis | None) -> None:
        self.source, self.name, self.synopsis = source, name, synopsis
        self._open: Any = None  # the open file, while all of it is read
        self._seen = state_of(source)
        if found is not None:
            self.structure = found
        elif synopsis is None:
            self.structure  # noqa: B018 (an error for what is no run file)

    @cached_property
    def structure(self) -> Structure:
        """What the file is made of; it is opened for this only if there is no synopsis, or if that is not enough."""
        if isinstance(self.source, Held):
            return self.source.structure(self.name)
        with reading(self.source, self.name) as file:
            if self.synopsis is None:
                self._seen = state_of(self.source)
            if isinstance(self.source, Path):
                check_heaps(self.source, self.name)
            found = checked(file, state_of(self.source).size, self.name)
            if self.synopsis is not None:
                self._check_same(file, kept=False)
        if found.attributes["status"] == RUNNING and found.rows["rule"] and "row" in found.columns.get("updates", ()):
            self._cut_rows_without_table(found)
        return found

    def _cut_rows_without_table(self, found: Structure) -> None:
        """Of a killed run, leave out the rows from the first on whose table had not been written."""
        self.__dict__["structure"] = found
        late = np.flatnonzero(self.column("updates", "row") >= found.rows["rule"])
        if len(late):
            found.rows.update({group: int(late[0]) for group in ("updates", "views") if group in found.rows})

    def anew(self) -> Content:
        """The same, as far as it has been looked at."""
        fresh = Content(self.source, self.name, self.__dict__.get("structure"), self.synopsis)
        fresh._seen = self._seen
        return fresh

    @cached_property
    def attributes(self) -> Facts:
        """Those of the file."""
        return self.structure.attributes if self.synopsis is None else self.synopsis.attributes

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows each group has."""
        return self.structure.rows if self.synopsis is None else self.synopsis.rows

    @contextmanager
    def opened(self, what: str, kept: bool = False) -> Iterator[Any]:
        """The open file; RecordError if what is read there may be of another state than when it was loaded.

        Args:
            what: is read, for errors: "/evals" or the like.
            kept: whether that stays as it is while the run goes on.
        """
        with reading(self.source, f"{what} of {self.name}", self._open) as file:
            self._check_same(file, kept)
            yield file

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """In this block the file is opened once for all."""
        with reading(self.source, self.name) as self._open:
            try:
                yield
            finally:
                self._open = None

    def _check_same(self, file: Any, kept: bool) -> None:
        """RecordError if the file holds another run by now, or has gone on and what is read is not `kept` then."""
        if state_of(self.source) == self._seen:
            return
        changes = {"holds another run than when it was loaded": _OF_THE_RUN}
        if not kept:
            changes["has gone on since it was loaded"] = _OF_THE_WRITER
        for what, names in changes.items():
            if any(file.attrs.get(name) != self.attributes.get(name) for name in names):
                raise RecordError(f"{self.name} {what}: load it again, with asapnb.load_run")

    @property
    def keeps_rows(self) -> bool:
        """Whether rows stay while the run goes on: all but those of a killed run after its last checkpoint."""
        return self.attributes["status"] != RUNNING or self.attributes["kind"] == "simulate"

    def column(self, group: str, name: str) -> NDArray[Any]:
        """The complete rows of a column."""
        with self.opened(f"/{group}/{name}", self.keeps_rows) as file:
            return self._between(file, group, name, 0, self.rows[group])

    def parts(self, group: str, names: Iterable[str], size: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """Columns of a group, at most `size` rows at a time, with the number of the first.

        Args:
            group: the group; "updates" with the columns of "views".
            names: of the columns.
            size: how many rows to read at a time.
        """
        for start in range(0, self.rows[group], size):
            stop = min(start + size, self.rows[group])
            with reading(self.source, self.name) as file:
                self._check_same(file, self.keeps_rows)
                yield start, {name: self._between(file, home(group, name), name, start, stop) for name in names}

    def array(self, group: str, name: str) -> NDArray[Any]:
        """An array that is no column, as it is."""
        with self.opened(f"/{group}/{name}") as file:
            return np.array(file[group][name][:])

    def kept_params(self, row: int) -> NDArray[Any]:
        """The parameters in a row of /kept."""
        with self.opened("/kept/params", self.keeps_rows) as file:
            found: NDArray[Any] = file["kept"]["params"][row]
            return found

    def parameters(self, name: str) -> Any:
        """An array of /params, or their layout."""
        if name == "layout":
            return self.structure.layout
        with self.opened(f"/params/{name}", kept=name == "initial") as file:
            if name not in file["params"]:
                raise RecordError(
                    f"the run has no {name} parameters: it is {self.attributes['status']} (or was killed)"
                )
            found = np.array(file["params"][name][:])
        if name == "initial" and not np.isfinite(found).all():
            raise RecordError(f"/params/initial of {self.name} holds what is no finite number: the file is damaged")
        return found

    def _between(self, file: Any, group: str, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows of a column, of the open file."""
        place, column = f"/{group}/{name} of {self.name}", COLUMNS[group][name]
        if name not in file[group]:
            if column.absent is None:
                raise RecordError(f"cannot read {place}: there is no such column")
            return np.full(stop - start, column.absent, column.dtype)
        late = max(start, min(stop, tail.start(file, group)) if tail.NAME in file else stop)
        found = rows_of(file[group][name], start, late, place).astype(column.dtype, copy=False)
        if late < stop:
            found = np.append(found, tail.rows(file, group, late)[name][: stop - late])
        if len(found) < stop - start:
            raise RecordError(
                f"{place} has {start + len(found):,} rows, of the {self.rows[group]:,} when it was loaded: "
                "load it again"
            )
        return found


def home(group: str, name: str) -> str:
    """The group of a column of a table."""
    return "views" if group == "updates" and name in (VIEWS.names or ()) else group
