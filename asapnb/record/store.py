"""A run file while its run goes on: whole chunks of rows go to its columns, the rows after them to its tail."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError, why
from . import columns, packing, synopsis, tail
from .append import Append
from .columns import Tables
from .files import copied, copy, created
from .held import Held
from .owner import Owner
from .shielded import in_hdf5
from .waiting import Waiting

Rows = Mapping[str, NDArray[Any]]  # by group
End = Sequence[Callable[[Any], object]]  # each writes a part of what a file gets at the end of its run, in this order


class Store:
    """A run file that is open to be written, wherever it is moved.

    Args:
        owner: the owner of the file, which has a tail.
        groups: the dtypes of the rows of its groups.
        written: how many rows of each group, and of "rule", its columns hold.

    Raises:
        RecordError: if it cannot be opened.
    """

    def __init__(self, owner: Owner, groups: Mapping[str, np.dtype[Any]], written: Mapping[str, int]) -> None:
        self.owner = owner
        try:
            self.append = Append(owner.path)
            with in_hdf5(self.append, "r") as file:
                self._slots = {
                    group: tail.slots_of(file, group) for group, rows in groups.items() if columns.chunk_of(rows) > 1
                }
        except OSError as error:
            raise RecordError(f"cannot write to {owner.path}: {why(error)}") from error
        self._written = dict(written)
        self._rest = {group: np.empty(0, rows) for group, rows in groups.items()}  # rows after the last whole chunk
        self._in_tail = dict.fromkeys(groups, 0)  # how many of these the tail holds
        self._ended = 0  # how many parts of the end have been written

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody reads the file in this block; OSError if somebody does, or if it has another owner by now."""
        try:
            self.owner.check()
        except RecordError as error:
            raise PermissionError(str(error)) from error
        with self.append.locked():
            yield

    @property
    def place(self) -> Path | None:
        """Where the file is now, as far as the system tells; None if it has been removed."""
        held = self.append.file.fileno()
        for look in (lambda: self.owner.path, lambda: Path(os.readlink(f"/proc/self/fd/{held}"))):
            try:
                if os.path.samestat(os.stat(where := look()), os.fstat(held)):
                    return where
            except OSError:
                continue
        return None

    @property
    def waits(self) -> bool:
        """Whether something that was added is not in the file yet."""
        return self.append.waits or any(len(rows) > self._in_tail[group] for group, rows in self._rest.items())

    def add(self, more: Rows, tables: Tables) -> None:
        """Take rows and scale tables over; `write` must have written what was added before."""
        rows = self._behind_rest(more)
        whole = {group: self._whole(group, len(found)) for group, found in rows.items()}
        if tables or any(whole.values()):
            chunks = {group: found[: whole[group]] for group, found in rows.items()}
            with self.append.changed() as file:
                written = columns.extend(file, self._written, chunks, tables)
            self._written = written
        for group, found in rows.items():
            self._rest[group] = found[whole[group] :].copy()
            self._in_tail[group] = 0 if whole[group] else self._in_tail[group]

    def write(self) -> None:
        """Write what was added. After an error the file can be read, and a later call goes on."""
        if self.append.waits:
            self.append.commit()
        done = {group: len(rows) for group, rows in self._rest.items()}
        for group, rows in self._rest.items():
            if done[group] > (start := self._in_tail[group]):
                self.append.write_out(*self._slots[group].part(self._written[group] + start, rows[start:]))
        self.append.settle()
        self._in_tail = done

    def finish(self, end: End) -> None:
        """Move the rows of the tail to the columns, then write the end of the run, part by part."""
        self.write()
        if any(map(len, self._rest.values())):
            with self.append.changed() as file:
                written = columns.extend(file, self._written, self._rest)
            self._written = written
            self._rest = {group: rows[:0] for group, rows in self._rest.items()}
            self._in_tail = dict.fromkeys(self._rest, 0)
            self.write()
        for part in end[self._ended :]:
            with self.append.changed() as file:
                part(file)
            self._ended += 1
            self.write()

    def take(self, waiting: Waiting, until: float = math.inf) -> None:
        """Write what waits; some of it is left for the next time, if it takes longer than `until`."""
        self.write()
        while waiting:
            pieces, rows = waiting.portion()
            self.add(rows, waiting.tables)
            waiting.forget(pieces)
            self.write()
            if time.monotonic() >= until:
                return

    def copy(
        self, target: Path | BytesIO, waiting: Waiting, end: End, summed_up: synopsis.Synopsis | None = None
    ) -> None:
        """Make a file of the whole run, without holes and tail.

        Args:
            target: the file.
            waiting: what is to be added.
            end: the end of the run; what `finish` has written of it is not written again.
            summed_up: the synopsis of the run, if there is one.
        """
        with in_hdf5(self.append, "r") as old:
            whole = not (waiting or self.waits or self._ended < len(end))
            small = whole and old.id.get_filesize() <= packing.LARGEST and packing.is_ours(old)
            held = Held.read(old) if small else None
        if held is not None:
            copy(replace(held, synopsis=summed_up), target)
            return
        with in_hdf5(self.append, "r") as old, created(target) as new:
            copied(old, new, without=tail.NAME)
            written = columns.extend(new, self._written, self._rest, waiting.tables)
            for rows in waiting.portions():
                written = columns.extend(new, written, rows)
            for part in end[self._ended :]:
                part(new)
            if summed_up is not None:
                synopsis.write_dataset(new, summed_up)
        if isinstance(target, Path):
            synopsis.seal(target)

    def _behind_rest(self, more: Rows) -> dict[str, NDArray[Any]]:
        return {
            group: np.concatenate([rest, more[group]]) if group in more else rest
            for group, rest in self._rest.items()
        }  # fmt: skip

    def _whole(self, group: str, rows: int) -> int:
        """How many of these rows the columns take, to the end of a chunk; none, if there is no such end."""
        start, chunk = self._written[group], columns.chunk_of(self._rest[group].dtype)
        return max(0, (start + rows) // chunk * chunk - start)
