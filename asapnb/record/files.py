"""Opening, creating and copying HDF5 files so that no crash and no error leaves a broken one.

* A file is open only while something is read or appended.
* HDF5 does not use freed space again (`fs_strategy="none"`), and an append is written in an order in which the file
  can be read after each write (`Append`).
* This leaves holes. At the end of a run the file is copied without them, and the copy replaces it in one step.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import AsapnbError, RecordError, why
from . import packing, synopsis
from .held import Held
from .locking import WITHOUT
from .owner import Owner, beside, own
from .shielded import Created, in_hdf5

Source = Path | BytesIO | Held  # of a run that could be written nowhere, the file is in a buffer


@contextlib.contextmanager
def opened(source: Source, patience: float = 5.0) -> Iterator[Any]:
    """The h5py.File, open to be read; a run in memory as it is.

    Args:
        source: the file.
        patience: for how many seconds to try again while another process has the file locked.
    """
    if isinstance(source, Held):
        yield source
        return
    import h5py

    deadline, locking = time.monotonic() + patience, None
    while True:
        try:
            file = h5py.File(source, "r", locking=locking)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        except OSError as error:
            if locking is not None or error.errno not in WITHOUT:
                raise
            locking = False
    with file:
        yield file


@contextlib.contextmanager
def created(source: Path | BytesIO) -> Iterator[Any]:
    """A new, empty, open h5py.File; an existing file is overwritten. OSError if not all of it could be written."""
    if isinstance(source, BytesIO):
        import h5py

        with h5py.File(source, "w", fs_strategy="none") as file:
            yield file
        return
    with Created(source) as target, in_hdf5(target, "w", fs_strategy="none") as file:
        yield file


@contextlib.contextmanager
def reading(source: Source, place: str, held: Any = None) -> Iterator[Any]:
    """The h5py.File, open to be read. Whatever goes wrong while it is read is a RecordError.

    Args:
        source: the file.
        place: what is read, for the error.
        held: the h5py.File, if it is open already; it stays open.
    """
    try:
        with opened(source) if held is None else contextlib.nullcontext(held) as file:
            yield file
    except AsapnbError:
        raise
    except BlockingIOError as error:
        raise RecordError(f"cannot read {place}: another process is writing the file; try again") from error
    except Exception as error:  # of a damaged file, h5py raises whatever it stumbles upon
        raise RecordError(f"cannot read {place}: {why(error)}") from error


class State(NamedTuple):
    """The size of a file in bytes, and what else changes when it is written."""

    size: int
    changed: tuple[int, ...] = ()


def state_of(source: Source) -> State:
    """The state of a file; two of an unchanged file are equal."""
    if isinstance(source, Held):
        return State(0)
    if isinstance(source, BytesIO):
        return State(source.getbuffer().nbytes)
    found = os.stat(source)
    return State(found.st_size, (found.st_dev, found.st_ino, found.st_mtime_ns))


def checked_target(path: str | os.PathLike[str], force: bool) -> Path:
    """The real path, if a file can be made there; RecordError if not, or if it exists and `force` is not set."""
    try:
        target = Path(os.path.realpath(path))
    except FileNotFoundError:
        raise RecordError(f"the working directory is gone, so {path} leads nowhere: give an absolute path") from None
    exists = os.path.exists(target)  # unlike target.exists(), it is False for an impossible name
    if not exists and os.path.islink(target):
        raise RecordError(f"{path} is a link that leads back to itself: remove it, or give another name")
    if exists and target.is_dir():
        raise RecordError(f"{path} is a directory: give the name of a file, such as {target / 'run.h5'}")
    if exists and not target.is_file():
        raise RecordError(f"{path} is not a regular file: give another name")
    if exists and not force:
        raise RecordError(f"{path} already exists: give another name, or overwrite it with force=True (--force)")
    if not os.path.isdir(target.parent):
        raise RecordError(f"the directory {target.parent} for {path} does not exist: make it first")
    if not os.access(target.parent, os.W_OK):
        raise RecordError(f"the directory {target.parent} cannot be written to: give another place for {path}")
    return target


def claim(path: str | os.PathLike[str], force: bool) -> Owner:
    """Become the owner of a file that can be made, as `checked_target` says."""
    owner = own(checked_target(path, force))
    try:
        checked_target(path, force)  # another process may have made it
    except RecordError:
        owner.release()
        raise
    return owner


def put_in_place(target: Path, write: Callable[[Path], object], owner: Owner | None = None) -> None:
    """Write a file under a temporary name and move it to `target`; after an error `target` is as it was.

    Args:
        target: the file.
        write: writes a file of the name that it is given.
        owner: who owns `target`; by default that is who calls this, until it is done.

    Raises:
        RecordError: if another owns it, or if it cannot be written.
    """
    part = part_of(target)
    with own(target) if owner is None else contextlib.nullcontext(owner) as owner:
        try:
            write(part)
            owner.check()
            os.replace(part, target)
        except OSError as error:
            raise RecordError(f"cannot write {target}: {why(error)}") from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


def part_of(target: Path) -> Path:
    """The file that will be `target`. Its name is always the same: what a killed owner has left is written over."""
    return beside(target, ".part")


def copy(source: Source, target: Path | BytesIO) -> None:
    """Copy a file without its holes, or write a run in memory to one: in few bytes, unless it is large.

    A synopsis that does not hold is left out.
    """
    if isinstance(source, Held) and source.nbytes <= packing.LARGEST:
        _put(target, source.packed())
        return
    holds = isinstance(source, Path) and synopsis.holds(source)
    with opened(source) as old, created(target) as new:
        if isinstance(source, Held):
            source.write(new)
        else:
            copied(old, new, without=None if holds else synopsis.NAME)
    if isinstance(target, Path):
        synopsis.seal(target)


def _put(target: Path | BytesIO, content: bytes) -> None:
    """Write a whole file."""
    if isinstance(target, BytesIO):
        target.write(content)
        return
    with Created(target) as file:
        file.write_at(0, content)


def copied(old: Any, new: Any, without: str | None = None) -> None:
    """Copy an open file into a new one, without holes; compressed chunks are copied as they are.

    Args:
        old: the open h5py.File.
        new: the new one.
        without: a group that is left out.
    """
    new.attrs.update(old.attrs)
    for name in old:
        if name != without:
            old.copy(name, new)
